"""Index tensors against the helpers of transformers, in one process, on one thread.

    python benches/index.py [--rounds N] [--memory kept|returned] [--record FILE]

"write" is a plain copy of the result: what it costs whoever computes it. In any process the C
library gives large freed memory back to the system, and what it hands out next is fresh pages; with
``--memory kept`` it keeps it, which helps transformers and the copy. Ours recycles its own.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
import transformers
from freed_memory import keep_freed_memory
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

import qvl_fast
from qvl_fast.bench.timing import paired_medians

IMAGES = torch.tensor([[1, 52, 94]] * 32)
VIDEO = torch.tensor([[384, 24, 30]])


def vision_cases():
    """Name, theirs, ours, for each function and grid."""
    for grid_name, grid in (("32 images of 52x94", IMAGES), ("a video of 384x24x30", VIDEO)):
        array = grid.numpy()
        yield (
            f"cu_seqlens, {grid_name}",
            lambda grid=grid: get_vision_cu_seqlens(grid),
            lambda array=array: qvl_fast.cu_seqlens(array),
        )
        yield (
            f"position_ids, {grid_name}",
            lambda grid=grid: get_vision_position_ids(grid, 2),
            lambda array=array: qvl_fast.position_ids(array),
        )
        yield (
            f"window_index, {grid_name}",
            lambda grid=grid: get_vision_window_index(grid, 2, 112, 14),
            lambda array=array: qvl_fast.window_index(array),
        )
        yield (
            f"interpolation_taps, {grid_name}",
            lambda grid=grid: get_vision_interpolation_indices_and_weights(
                grid, 48, mode="bilinear", align_corners=True, spatial_merge_size=2
            ),
            lambda array=array: qvl_fast.interpolation_taps(array),
        )


def mrope_case():
    """4 rows of 9,800 tokens with 8 images of 52x94 each."""
    image = [0] * 3 + [1] * (26 * 47)
    row = image * 8
    types = torch.tensor([row + [0] * (9800 - len(row))] * 4)
    # On the meta device a model has no weights; its position ids need none.
    with torch.device("meta"):
        model = Qwen2_5_VLModel(Qwen2_5_VLConfig())
    ids = torch.zeros_like(types)
    mask = torch.ones_like(types)
    numpy = [tensor.numpy() for tensor in (types, IMAGES, mask)]
    return (
        "mrope_position_ids, 4 rows of 9800 tokens with 32 images",
        lambda: model.get_rope_index(ids, types, image_grid_thw=IMAGES, attention_mask=mask),
        lambda: qvl_fast.mrope_position_ids(
            numpy[0], config="qwen2.5-vl", image_grid_thw=numpy[1], attention_mask=numpy[2]
        ),
    )


def as_arrays(result) -> list[np.ndarray]:
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--memory", choices=("kept", "returned"), default="returned")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    if options.memory == "kept":
        keep_freed_memory()
    torch.set_num_threads(1)

    results = []
    for name, theirs, ours in (*vision_cases(), mrope_case()):
        expected, result = as_arrays(theirs()), as_arrays(ours())
        for left, right in zip(expected, result, strict=True):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right), name
        medians = paired_medians(
            {
                "theirs": theirs,
                "ours": ours,
                "write": lambda result=result: [array.copy() for array in result],
            },
            options.rounds,
        )
        milliseconds = {who: round(1000 * seconds, 4) for who, seconds in medians.items()}
        ratio = medians["theirs"] / medians["ours"]
        to_write = medians["ours"] / medians["write"]
        results.append(
            {"case": name, **milliseconds, "ratio": round(ratio, 1), "to_write": round(to_write, 2)}
        )
        print(
            f"{name:60} theirs {milliseconds['theirs']:8.3f} ms  ours {milliseconds['ours']:7.3f} "
            f"ms  {ratio:6.1f} times faster, {to_write:5.2f} of a plain write"
        )
    if options.record:
        versions = {module.__name__: module.__version__ for module in (torch, transformers, np)}
        record = {
            "machine": platform.processor() or platform.machine(),
            "threads": 1,
            "memory": options.memory,
            "rounds": options.rounds,
            "versions": {"qvl_fast": qvl_fast.__version__, **versions},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
