"""The vision module of a model before and after ``accelerate``, and the tower alone.

    python benches/tower_in_place.py [--config NAME] [--depth N] [--rounds N] [--device cuda]

Random weights in real widths, few blocks. "accelerated" less "tower" is what every call pays for
looking at the module's parameters and hooks, and for planning from ``grid_thw``.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace

import torch

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
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    config = replace(TOWERS[options.config], depth=options.depth)
    deepstack = tuple(block for block in config.deepstack_blocks if block < options.depth)
    config = replace(config, deepstack_blocks=deepstack)
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
        times = "  ".join(f"{which} {1000 * value:.2f} ms" for which, value in seconds.items())
        ratio = seconds["stock"] / seconds["accelerated"]
        print(f"{name:28} {times}  stock/accelerated {ratio:.2f}")


if __name__ == "__main__":
    main()
