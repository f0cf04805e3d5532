"""Which frames are taken, against the live rules of transformers and of the Qwen utilities.

``--sampling-cases`` says of how many random videos each rule is asked.
"""

import logging

import numpy as np
import pytest
import torch
from qwen_vl_utils import vision_process
from transformers import (
    InternVLVideoProcessor,
    LlavaOnevisionVideoProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.video_utils import VideoMetadata

from qvl_fast import VideoConfig, VideoProcessor, _native
from qvl_fast.config.video import QWEN3_VL_DEFAULTS

RATES = (1, 5, 10, 12.5, 15, 23.976, 24, 24000 / 1001, 25, 29.97, 30, 30000 / 1001, 50, 60, 120)


@pytest.fixture
def videos(pytestconfig):
    """Totals up to 200,000, rates, and what is asked of them."""
    rng = np.random.default_rng(pytestconfig.getoption("--campaign-seed"))

    def drawn():
        for _ in range(pytestconfig.getoption("--sampling-cases")):
            total = round(np.exp(rng.uniform(0, np.log(200_000))))
            source = float(rng.choice(RATES) if rng.random() < 0.7 else rng.uniform(0.1, 240))
            fps = float(rng.choice([0.5, 1, 2, 4]) if rng.random() < 0.5 else rng.uniform(0.01, 60))
            num_frames = round(np.exp(rng.uniform(0, np.log(2_000))))
            limits = {
                "min_frames": int(rng.integers(1, 20)),
                "max_frames": int(rng.integers(2, 900)),
            }
            yield total, source, fps, num_frames, limits if rng.random() < 0.5 else {}

    return drawn()


def outcome(rule, *arguments, **options):
    """Frame numbers, or that there are none."""
    try:
        return np.asarray(rule(*arguments, **options)).tolist()
    except (ValueError, ZeroDivisionError, AssertionError):
        return "refused"


@pytest.fixture
def one_thread():
    """Torch shares out lists of 32,768 frames and more, and rounds anew where a thread begins."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("wanted", ["fps", "num_frames"])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Qwen2VLVideoProcessor, VideoConfig()),
        (Qwen3VLVideoProcessor, QWEN3_VL_DEFAULTS),
        (LlavaOnevisionVideoProcessor, "llava-onevision"),
        (InternVLVideoProcessor, "internvl"),
    ],
)
def test_the_frames_of_the_processors(kind, config, wanted, videos):
    differing = []
    for total, source, fps, num_frames, limits in videos:
        given = {"fps": fps} if wanted == "fps" else {"num_frames": num_frames}
        stock = kind(**limits)
        metadata = VideoMetadata(total_num_frames=total, fps=source)
        want = outcome(stock.sample_frames, metadata, **given)
        ours = VideoProcessor(config, return_tensors="np", **given, **limits)
        got = outcome(ours.sample, total, source)
        # Frames that do not exist are taken of some videos there; then reading them fails.
        if want != "refused" and want[-1] >= total:
            want = "refused"
        if got != want:
            differing.append((total, source, given, limits))
    assert not differing


@pytest.mark.usefixtures("one_thread")
def test_long_lists_of_frames_are_counted_as_torch_counts_them(videos):
    """Far more frames than a model takes: float32 is wrong about many of these."""
    for total, *_ in list(videos)[:200]:
        count = max(2, total // 2 - total // 2 % 2)
        if count > total:
            continue
        ours = VideoProcessor("qwen2-vl", num_frames=count, return_tensors="np")
        want = torch.arange(0, total, total / count).int().tolist()
        assert outcome(ours.sample, total) == (want if want[-1] < total else "refused")


def test_how_many_frames_the_utilities_take(videos, caplog):
    caplog.set_level(logging.ERROR)  # they warn of short videos
    for total, source, fps, num_frames, limits in videos:
        for given in ({"fps": fps}, {"nframes": num_frames}):
            ele = {**given, **limits}
            want = outcome(vision_process.smart_nframes, ele, total, source)
            got = outcome(
                _native.utilities_nframes,
                total,
                given.get("nframes"),
                (fps, source) if "fps" in given else None,
                min_frames=limits.get("min_frames"),
                max_frames=limits.get("max_frames"),
            )
            assert got == want, (total, source, ele)


def test_which_frames_the_utilities_take(videos):
    fused = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
    for total, _, _, num_frames, _ in videos:
        start = total // 3
        want = torch.linspace(start, start + total - 1, num_frames).round().long()
        got = _native.utilities_linspace(start, start + total - 1, num_frames, fused=fused)
        assert got.tolist() == want.tolist(), (total, num_frames)


def test_sizes_of_the_utilities(pytestconfig):
    rng = np.random.default_rng(pytestconfig.getoption("--campaign-seed"))
    for _ in range(2000):
        height, width = (round(np.exp(rng.uniform(0, np.log(4000)))) for _ in range(2))
        factor = int(rng.choice([28, 32]))
        frames, least = int(rng.integers(1, 900)), int(rng.integers(1, 300_000))
        total = float(rng.uniform(1e3, 1e8))
        most = max(min(768 * factor**2, total / frames * 2), int(least * 1.05))
        assert _native.utilities_frame_pixels(frames, least, 768 * factor**2, total) == most
        arguments = (height, width, factor, least, most)
        want = outcome(vision_process.smart_resize, *arguments)
        assert outcome(_native.utilities_smart_resize, *arguments) == want, arguments
