"""What a plan costs beside its parts, and what it takes to bring one to a device.

    python benches/plan.py [--rounds N] [--device cuda] [--record FILE]

"parts" are the functions that compute the same arrays one by one; "copy" copies those arrays into
recycled memory, as a cache would have to that nobody can change. "a tensor at a time" is the plain
way to a device: ``torch.from_numpy(array).to(device)`` for each array of the plan.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from pathlib import Path

import numpy as np
import torch

import qvl_fast
from qvl_fast import _native
from qvl_fast.bench.timing import paired_medians
from qvl_fast.config import tower_config

GRIDS = {
    "1 image of 52x94": [[1, 52, 94]],
    "32 images of 52x94": [[1, 52, 94]] * 32,
    "240 images of different sizes": [
        [1, 20 + 2 * (n % 40), 30 + 2 * (n % 23)] for n in range(240)
    ],
    "a video of 384x24x30": [[384, 24, 30]],
}
CONFIGS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")


def parts(grids: np.ndarray, name: str) -> list[np.ndarray]:
    config = tower_config(name)
    results = [qvl_fast.cu_seqlens(grids), qvl_fast.position_ids(grids)]
    if config.window_size is not None:
        index, boundaries = qvl_fast.window_index(grids)
        results += [index, boundaries, _native.reverse_index(index)]
    if config.position_table_side is not None:
        results += qvl_fast.interpolation_taps(grids)
    return results


def copies(arrays: list[np.ndarray]) -> np.ndarray:
    result = _native.empty((sum(array.nbytes for array in arrays),), "uint8")
    first = 0
    for array in arrays:
        result[first : first + array.nbytes] = array.reshape(-1).view(np.uint8)
        first += array.nbytes
    return result


def one_at_a_time(plan: qvl_fast.IndexPlan, device: torch.device) -> list[torch.Tensor]:
    values = (getattr(plan, field.name) for field in dataclasses.fields(plan))
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return [torch.from_numpy(array).to(device) for array in arrays]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)

    def waited_for(move):
        def run():
            result = move()
            if device.type == "cuda":
                torch.cuda.synchronize()
            return result

        return run

    results = []
    for grid_name, grid in GRIDS.items():
        grids = np.array(grid)
        for config in CONFIGS:
            plan = qvl_fast.plan(grids, config)
            arrays = parts(grids, config)
            runs = {
                "parts": lambda grids=grids, config=config: parts(grids, config),
                "plan": lambda grids=grids, config=config: qvl_fast.plan(grids, config),
                "copy": lambda arrays=arrays: copies(arrays),
                "to": waited_for(lambda plan=plan: plan.to(device)),
                "a tensor at a time": waited_for(lambda plan=plan: one_at_a_time(plan, device)),
            }
            seconds = paired_medians(runs, options.rounds)
            milliseconds = {name: round(1000 * value, 4) for name, value in seconds.items()}
            ratio = seconds["plan"] / seconds["parts"]
            results.append(
                {"grids": grid_name, "config": config, **milliseconds, "to parts": round(ratio, 2)}
            )
            times = "  ".join(f"{name} {value:.3f} ms" for name, value in milliseconds.items())
            print(f"{grid_name:30} {config:10}  {times}  plan/parts {ratio:.2f}")
    if options.record:
        record = {
            "machine": platform.processor() or platform.machine(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in (qvl_fast, torch, np)},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
