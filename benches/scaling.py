"""How a batch gains from a second thread, and how plain writing and copying of memory do.

    python benches/scaling.py FOLDER [--record FILE]

Where the rows are large, memory is the limit: float32 gains about what copying gains, uint8 more.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import qvl_fast
from qvl_fast.bench.timing import paired_medians
from qvl_fast.store.sources import collect


def contestants(files: list[bytes | np.ndarray], dtype: str, temporal: str) -> dict:
    """One batch on one thread and on two, into memory that is reused."""
    one, two = (
        qvl_fast.ImageProcessor("qwen2.5-vl", num_threads=n, dtype=dtype, temporal=temporal)
        for n in (1, 2)
    )
    rows = len(one(files)["pixel_values"])
    out = torch.zeros((rows, one.columns), dtype=getattr(torch, dtype))
    return {1: partial(one, files, out=out), 2: partial(two, files, out=out)}


def plain(operation: str) -> dict:
    """Writing, or copying, 200 MB on one thread and on two."""
    source, target = (torch.zeros(200 << 20, dtype=torch.uint8) for _ in range(2))

    def run(threads: int) -> None:
        torch.set_num_threads(threads)
        target.fill_(1) if operation == "write" else target.copy_(source)

    return {threads: partial(run, threads) for threads in (1, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    paths = [source.path for source in collect([options.folder])[0]]
    files = [path.read_bytes() for path in paths]
    arrays = [np.array(Image.open(path).convert("RGB")) for path in paths]
    cases = {
        "plain write": plain("write"),
        "plain copy": plain("copy"),
        "arrays to float32": contestants(arrays, "float32", "full"),
        "files to float32": contestants(files, "float32", "full"),
        "arrays to uint8 compact": contestants(arrays, "uint8", "compact"),
        "files to uint8 compact": contestants(files, "uint8", "compact"),
    }
    result = {}
    for name, runs in cases.items():
        medians = paired_medians(runs, options.rounds)
        gain = medians[1] / medians[2]
        result[name] = {"1 thread": medians[1], "2 threads": medians[2], "gain": round(gain, 2)}
        print(f"{name:25} {medians[1]:.4f} s  {medians[2]:.4f} s  {gain:.2f} times faster")
    if options.record:
        options.record.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
