"""A 4K array to float32 rows at 1280 tokens on one thread, by how its pixels lie, beside RGB.

    taskset -c 0 python benches/layouts.py [--rounds N] [--record FILE]

Noise, so that every alpha is met as often; "opaque" pixels hide what is behind them. Calls take
turns, and write to memory that is used again.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np

import qvl_fast
from qvl_fast.bench.timing import paired_medians

TOKENS = 1280


def layouts() -> dict[str, np.ndarray]:
    """Views and copies of the same noise."""
    rgba = np.random.default_rng(0).integers(0, 256, (2160, 3840, 4), dtype=np.uint8)
    rgb = np.ascontiguousarray(rgba[..., :3])
    opaque = rgba.copy()
    opaque[..., 3] = 255
    return {
        "RGB": rgb,
        "BGR": rgb[..., ::-1],
        "grey": np.ascontiguousarray(rgb[..., :1]),
        "planes": np.ascontiguousarray(rgb.transpose(2, 0, 1)),
        "RGBA, random alpha": rgba,
        "RGBA, opaque": opaque,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    processor = qvl_fast.ImageProcessor("qwen2.5-vl", num_threads=1, max_pixels=TOKENS * 28 * 28)
    arrays = layouts()
    out = processor(arrays["RGB"])["pixel_values"]
    calls = {name: partial(processor, array, out=out) for name, array in arrays.items()}
    seconds = paired_medians(calls, options.rounds)
    results = {
        name: {"ms": round(value * 1e3, 3), "of RGB's": round(value / seconds["RGB"], 3)}
        for name, value in seconds.items()
    }
    for name, figures in results.items():
        print(f"{name:20}", *(f"{key} {value:g};" for key, value in figures.items()))
    if options.record:
        options.record.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
