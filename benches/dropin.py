"""The drop-in for the image processor of transformers, beside that and beside our own processor.

    python benches/dropin.py [FOLDER] [--rounds N] [--record FILE]

FOLDER holds photographs; ``../shared/data/cookbook`` by default. On one thread, the drop-in takes
turns with one and then with the other, so that both follow the same; every result is dropped before
the next is computed. "times faster" is against stock, "of own speed" is what stock's checks of
arguments leave of the speed of :class:`qvl_fast.ImageProcessor`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

import qvl_fast
from qvl_fast.bench.images import Corpus
from qvl_fast.bench.timing import paired_medians
from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor
from qvl_fast.store.sources import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FACTOR = 28
TOKENS = (1280, 16384)
CLIP = (64, 480, 640)


def one_by_one(process: Callable[[object], object], images: Sequence[object]) -> None:
    for image in images:
        process(image)


def batched(process: Callable[[object], object], images: Sequence[object]) -> None:
    process(images)


WAYS = {"one by one": one_by_one, "a batch": batched}


def of_images(corpus: Corpus, paths: Sequence[str]) -> dict[str, dict[str, Callable[[], object]]]:
    cases = {}
    for tokens in TOKENS:
        size = {"shortest_edge": 4 * FACTOR**2, "longest_edge": tokens * FACTOR**2}
        contestants = {
            "stock": transformers.Qwen2VLImageProcessor(size=dict(size)),
            "drop-in": Qwen2VLImageProcessor(size=dict(size)),
            "own": qvl_fast.ImageProcessor("qwen2-vl", size=size),
        }
        forms = {"pil": corpus.pictures, "tensors": corpus.tensors, "paths": paths}
        for form, images in forms.items():
            for way, run in WAYS.items():
                cases[f"{form}, {tokens} tokens, {way}"] = {
                    name: partial(run, process, images) for name, process in contestants.items()
                }
    return cases


def of_clips() -> dict[str, dict[str, Callable[[], object]]]:
    clip = np.random.default_rng(0).integers(0, 256, (*CLIP, 3), np.uint8)
    options = {"do_sample_frames": False, "cap_pixels_per_frame": False}
    return {
        f"a clip of {'x'.join(map(str, CLIP))}, {drop_in.__name__}": {
            "stock": partial(getattr(transformers, drop_in.__name__)(), [clip], **options),
            "drop-in": partial(drop_in(), [clip], **options),
        }
        for drop_in in (Qwen2VLVideoProcessor, Qwen3VLVideoProcessor)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/cookbook"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["QVL_FAST_NUM_THREADS"] = "1"
    corpus = Corpus()
    paths = [str(source.path) for source in collect([options.folder])[0]]
    for path in paths:
        corpus.add(Path(path).read_bytes())

    results = []
    for name, contestants in (of_images(corpus, paths) | of_clips()).items():
        result = {}
        for other, ratio in (("stock", "times faster"), ("own", "of own speed")):
            if other in contestants:
                pair = {key: contestants[key] for key in (other, "drop-in")}
                seconds = paired_medians(pair, options.rounds)
                result[f"{other}, drop-in"] = [round(value, 4) for value in seconds.values()]
                result[ratio] = round(seconds[other] / seconds["drop-in"], 3)
        results.append({"case": name, **result})
        print(f"{name:50}", *(f"{key} {value};" for key, value in result.items()), flush=True)
    if options.record:
        modules = (qvl_fast, transformers, torch, np)
        record = {
            "machine": platform.processor() or platform.machine(),
            "images": len(corpus.files),
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in modules},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
