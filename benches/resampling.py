"""Resampling alone on one thread: ours, torchvision's and that of the crate fast_image_resize.

    python benches/resampling.py [--isa NAME ...] [--rounds N] [--record FILE]

Each round times every contestant once, in turns; the medians are shown in milliseconds, with what
they are of ours in the best instruction set. Ours has the bits of torchvision, which resizes uint8
in channels-last memory here, its fastest way. The crate (``benches/peers``, built by cargo) has
bits of its own. Ours and the crate write to memory that is used again, which torchvision cannot.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from qvl_fast import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Size = tuple[int, int]

# (height, width) of images, and of what becomes of them. The last is a thumbnail.
SIZES: tuple[tuple[Size, Size], ...] = (
    ((1080, 1920), (756, 1344)),
    ((1024, 1024), (980, 980)),
    ((480, 640), (476, 644)),
    ((2160, 3840), (756, 1344)),
    ((3024, 4032), (868, 1148)),
    ((1080, 1920), (224, 398)),
)


class Crate:
    """A process that resizes once for each line that it is given, and tells the nanoseconds."""

    manifest = Path(__file__).parent / "peers" / "Cargo.toml"

    def __init__(self, source: Size, target: Size) -> None:
        run = ("cargo", "run", "--quiet", "--release", "--locked", "--manifest-path")
        sides = map(str, (*source, *target))
        self.process = subprocess.Popen(
            (*run, self.manifest, "--target-dir", "build/peers", "--", *sides),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Callable[[], float]:
        return self.milliseconds

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def milliseconds(self) -> float:
        self.process.stdin.write("\n")
        return int(self.process.stdout.readline()) / 1e6


def milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def contestants(
    source: Size, target: Size, isas: list[str], stack: ExitStack
) -> Mapping[str, Callable[[], float]]:
    """What each takes for one image, by name: ours in the best instruction set first."""
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    assert planes.is_contiguous(memory_format=torch.channels_last)
    torchvision = partial(
        functional.resize,
        planes,
        list(target),
        interpolation=functional.InterpolationMode.BICUBIC,
        antialias=True,
    )
    expected = torchvision()[0].permute(1, 2, 0).numpy()
    runs: dict[str, Callable[[], float]] = {}
    for isa in isas:
        out = np.zeros((*target, 3), np.uint8)
        ours = partial(_native.resize_into, image, out, "torchvision", isa)
        ours()
        assert np.array_equal(out, expected), f"{isa} differs from torchvision"
        runs[f"ours, {isa}"] = partial(milliseconds, ours)
    runs["torchvision"] = partial(milliseconds, torchvision)
    runs["fast_image_resize"] = stack.enter_context(Crate(source, target))
    return runs


def main() -> None:
    available = _native.available_isas()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", nargs="+", choices=available, default=available[:0:-1])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, dict[str, float]] = {}
    for source, target in SIZES:
        name = "{}x{} to {}x{}".format(*source, *target)
        with ExitStack() as stack:
            runs = contestants(source, target, options.isa, stack)
            for run in runs.values():
                run()
            rounds = [[run() for run in runs.values()] for _ in range(options.rounds)]
        medians = dict(zip(runs, map(median, zip(*rounds, strict=True)), strict=True))
        result[name] = {who: round(value, 3) for who, value in medians.items()}
        best = next(iter(medians.values()))
        shown = (f"{who} {value:.2f} ({value / best:.2f})" for who, value in medians.items())
        print(f"{name:25}", "  ".join(shown), flush=True)
    if options.record:
        options.record.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
