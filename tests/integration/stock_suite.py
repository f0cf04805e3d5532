"""The tests that transformers has for every processor: do they fail on ours where they do on stock?

    python tests/integration/stock_suite.py FOLDER [--record FILE]

FOLDER is the folder ``tests`` of its source distribution, which ``pip download --no-deps
--no-binary :all: transformers==VERSION`` brings. They need ``parameterized``.
"""

import argparse
import importlib
import sys
import types
import unittest
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import transformers
from transformers import Qwen2VLImageProcessorPil

from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

SIZE = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 20}


def image_tests(kind):
    common = importlib.import_module("test_image_processing_common")

    class Tester(common.ImageProcessingTester):
        def __init__(self, parent):
            super().__init__(parent, size=dict(SIZE), do_convert_rgb=True)

        def _get_image_processing_classes(self):
            return {"torchvision": kind, "pil": Qwen2VLImageProcessorPil}

    class Tests(common.ImageProcessingTestMixin, unittest.TestCase):
        image_processor_tester_class = Tester

    return Tests


def video_tests(kind):
    common = importlib.import_module("test_video_processing_common")

    class Tester:
        batch_size, num_frames, num_channels = 3, 8, 3

        def prepare_video_inputs(self, equal_resolution=False, return_tensors="pil"):
            return common.prepare_video_inputs(
                self.batch_size,
                self.num_frames,
                self.num_channels,
                40,
                80,
                equal_resolution,
                return_tensors,
            )

        def expected_output_video_shape(self, videos):
            return [-1]

    class Tests(common.VideoProcessingTestMixin, unittest.TestCase):
        fast_video_processing_class = kind

        def setUp(self):
            super().setUp()
            self.video_processor_dict = {"size": dict(SIZE), "do_sample_frames": False}
            self.video_processor_tester = Tester()

        def assert_expected_videos_shape(self, encoded_videos, *_):
            assert encoded_videos.ndim == 2

    return Tests


def outcomes(tests):
    """What becomes of each test: what it fails with, or what it says when it is skipped."""
    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(tests)
    for test in suite:
        np.random.seed(0)  # Their pictures are random.
        test.run(result)
    # The last line of a traceback names the exception.
    failed = {
        test._testMethodName: text.strip().splitlines()[-1].partition(":")[0]
        for test, text in [*result.failures, *result.errors]
    }
    skipped = {test._testMethodName: f"skipped: {reason}" for test, reason in result.skipped}
    names = unittest.defaultTestLoader.getTestCaseNames(tests)
    return dict.fromkeys(names, "passed") | failed | skipped


CONTESTS = (
    (image_tests, Qwen2VLImageProcessor),
    (video_tests, Qwen2VLVideoProcessor),
    (video_tests, Qwen3VLVideoProcessor),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(options.folder))
    # It downloads pictures for tests of other models, and is not in the distribution.
    sys.modules["fetch_hub_objects_for_ci"] = types.SimpleNamespace(url_to_local_path=None)
    warnings.simplefilter("ignore")

    lines, differing = [], 0
    for tests, drop_in in CONTESTS:
        want = outcomes(tests(getattr(transformers, drop_in.__name__)))
        got = outcomes(tests(drop_in))
        for name in want:
            if got[name] != want[name]:
                differing += 1
                print(f"{drop_in.__name__}.{name}: {got[name]} instead of {want[name]}")
        passed = list(got.values()).count("passed")
        lines.append(f"{drop_in.__name__}: {len(got)} tests, {passed} passed")
    summary = "; ".join([*lines, f"{differing} differing from stock of {transformers.__version__}"])
    print(summary)
    if options.record:
        options.record.write_text(f"{datetime.now(UTC):%Y-%m-%d}: {summary}\n", encoding="utf-8")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
