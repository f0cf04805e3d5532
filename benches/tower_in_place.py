"""The vision module of a model before and after ``accelerate``, and the tower alone.

    python benches/tower_in_place.py [--config NAME] [--depth N] [--rounds N] [--device cuda]
        [--record FILE]

Random weights in real widths, few blocks: by default one on the CPU and four on CUDA.
"accelerated" less "tower" is what every call pays for looking at the module's parameters and hooks,
and for planning from ``grid_thw``.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
from dataclasses import replace
from pathlib import Path

import torch
import transformers

import qvl_fast
from qvl_fast.bench.stock_tower import stock_tower
from qvl_fast.bench.timing import paired_medians
from qvl_fast.config import TOWERS
from qvl_fast.integrations.transformers import accelerate

GRIDS = {
    "1 small image": [[1, 16, 16]],
    "8 images of different sizes": [[1, 16 + 2 * n, 32 - 2 * n] for n in range(8)],
    "a page": [[1, 52, 94]],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="qwen2.5-vl", choices=sorted(TOWERS))
    parser.add_argument("--depth", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    depth = options.depth or (4 if device.type == "cuda" else 1)
    tower_config = TOWERS[options.config]
    deepstack = tuple(block for block in tower_config.deepstack_blocks if block < depth)
    config = replace(tower_config, depth=depth, deepstack_blocks=deepstack)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    stock = stock_tower(config).eval().to(device, dtype)
    ours = copy.deepcopy(stock)
    accelerate(ours)
    tower = vars(ours)["_qvl_fast_visual"].tower

    def waited_for(call):
        def run():
            with torch.inference_mode():
                call()
                if device.type == "cuda":
                    torch.cuda.synchronize()

        return run

    results = []
    for name, grids in GRIDS.items():
        patches = sum(t * h * w for t, h, w in grids)
        columns = 3 * config.temporal_patch_size * config.patch_size**2
        rows = torch.randn(patches, columns, device=device, dtype=dtype)
        grid_thw = torch.tensor(grids, device=device)
        plan = qvl_fast.plan(grids, config).to(device)
        seconds = paired_medians(
            {
                "stock": waited_for(lambda rows=rows, grid=grid_thw: stock(rows, grid_thw=grid)),
                "accelerated": waited_for(lambda rows=rows, grid=grid_thw: ours(rows, grid)),
                "tower": waited_for(lambda rows=rows, plan=plan: tower(rows, plan)),
            },
            options.rounds,
        )
        milliseconds = {which: round(1000 * value, 2) for which, value in seconds.items()}
        ratio = round(seconds["stock"] / seconds["accelerated"], 2)
        results.append({"case": name, "ms": milliseconds, "times faster": ratio})
        times = "  ".join(f"{which} {value} ms" for which, value in milliseconds.items())
        print(f"{name:28} {times}  {ratio} times faster", flush=True)
    if options.record:
        gpu = device.type == "cuda"
        modules = (qvl_fast, torch, transformers)
        record = {
            "machine": torch.cuda.get_device_name(device) if gpu else platform.machine(),
            "config": options.config,
            "depth": depth,
            "dtype": str(dtype),
            "threads": options.threads,
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in modules},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
