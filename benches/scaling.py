"""What a second thread gains: on one image, one file, many tiny images, and images in turn.

    python benches/scaling.py [FOLDER] [--rounds N] [--record FILE]

FOLDER holds photographs; ``../shared/data/cookbook`` by default. Everything is measured twice: on
the machine as it is, which should be idle, and beside a process that keeps one processor busy.

In a round each number of threads, in any order, makes calls for a while: where every call follows
one of the other kind, the scheduler of a busy machine makes it pay for what that one used up. A
gain is the ratio of the mean times of one round. Beside it stands what the machine itself gives to
two: how many times more calls two threads make at once, each alone with an image and its memory.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import qvl_fast
from qvl_fast.bench.timing import seconds_of
from qvl_fast.store.sources import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIXELS_OF_1280_TOKENS = 1280 * 28 * 28
SECONDS = 0.1  # of calls with one number of threads, in a round


def batched(images: list[bytes | np.ndarray]) -> dict[int, Callable[[], object]]:
    """One call for all images, on one thread and on two, into the same memory."""
    processors = {
        threads: qvl_fast.ImageProcessor(
            "qwen2.5-vl", num_threads=threads, max_pixels=PIXELS_OF_1280_TOKENS
        )
        for threads in (1, 2)
    }
    # Of ours, which lies on huge pages: where others do is chance, and a third of the time.
    out = processors[1](images)["pixel_values"]
    return {threads: partial(process, images, out=out) for threads, process in processors.items()}


def in_turn(images: list[bytes | np.ndarray]) -> dict[int, Callable[[], object]]:
    """A call for each image."""

    def run(threads: int) -> None:
        for call in calls:
            call[threads]()

    calls = [batched([image]) for image in images]
    return {threads: partial(run, threads) for threads in (1, 2)}


def photograph(path: Path, height: int, width: int) -> Image.Image:
    return Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def cases(paths: list[Path]) -> dict[str, dict[int, Callable[[], object]]]:
    tiny = [np.array(photograph(path, 56, 56)) for path in paths]
    files = [path.read_bytes() for path in paths]
    return {
        "array of 1080x1920": batched([np.array(photograph(paths[0], 1080, 1920))]),
        "JPEG file of 3072x4096": batched([jpeg(photograph(paths[0], 3072, 4096))]),
        "16 arrays of 56x56": batched([tiny[index % len(tiny)] for index in range(16)]),
        "arrays, one a call": in_turn([np.array(Image.open(p).convert("RGB")) for p in paths]),
        "files, one a call": in_turn(files),
        "files, one batch": batched(files),
    }


@contextmanager
def beside_a_busy_process() -> Iterator[None]:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def at_once(runs: list[Callable[[], object]]) -> float:
    """Seconds that pass for each call while every one of some threads makes one after another."""

    def calls(run: Callable[[], object]) -> int:
        count = 0
        while time.perf_counter() < end or not count:
            run()
            count += 1
        return count

    with ThreadPoolExecutor(len(runs)) as threads:
        start = time.perf_counter()
        end = start + SECONDS
        count = sum(threads.map(calls, runs))
        return (time.perf_counter() - start) / count


def measured(
    runs: dict[int, Callable[[], object]], another: Callable[[], object], rounds: int
) -> dict[str, float]:
    """Median and ninth decile of the times, and of the gain: its median and its first decile.

    `another` does on one thread what `runs` does, with memory of its own.
    """
    seconds: dict[int, list[float]] = {threads: [] for threads in runs}
    gains: list[float] = []
    apart: list[float] = []
    for run in (*runs.values(), another):
        run()
    for _ in range(rounds):
        means: dict[int, float] = {}
        for threads in random.sample(list(runs), len(runs)):
            block = [seconds_of(runs[threads])]
            while sum(block) < SECONDS:
                block.append(seconds_of(runs[threads]))
            means[threads] = mean(block)
            seconds[threads] += block
        gains.append(means[1] / means[2])
        apart.append(means[1] / at_once([runs[1], another]))
    one, two = seconds[1], seconds[2]
    result = {
        "1 thread": decile(one, 5),
        "1 thread, p90": decile(one, 9),
        "2 threads": decile(two, 5),
        "2 threads, p90": decile(two, 9),
    }
    return {name: round(value, 6) for name, value in result.items()} | {
        "gain": round(decile(gains, 5), 2),
        "gain, p10": round(decile(gains, 1), 2),
        "of two apart": round(decile(apart, 5), 2),
    }


def decile(values: list[float], number: int) -> float:
    return quantiles(values, n=10, method="inclusive")[number - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/cookbook"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    result: dict[str, dict[str, float]] = {}

    def measure(state: str) -> None:
        for name, runs in every.items():
            figures = measured(runs, others[name][1], options.rounds)
            result[f"{name}, {state}"] = figures
            print(f"{name:25} {state:5}", *(f"{key} {value:g};" for key, value in figures.items()))

    paths = [source.path for source in collect([options.folder])[0]]
    every, others = cases(paths), cases(paths)
    measure("quiet")
    with beside_a_busy_process():
        measure("busy")
    if options.record:
        options.record.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
