"""Vision towers against those of transformers, in one process, on the same threads.

    python benches/tower.py [--device cuda] [--dtype NAME] [--depth N] [--rounds N] [--record FILE]

On the CPU in float32: Qwen2.5-VL's width with 8 blocks, and its windowed blocks alone. On CUDA in
bfloat16: the whole tower. Ours with every kernel that runs there, padded where its MLP's width is
odd, and with compiled blocks, against every attention of transformers; each with the share of the
rate at which this device multiplies large matrices.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
import transformers

import qvl_fast
from qvl_fast.bench.stock_tower import stock_tower
from qvl_fast.bench.timing import paired_medians
from qvl_fast.bench.tower import grid_of, our_pass, random_tower, shares, stock_pass
from qvl_fast.config import TOWERS
from qvl_fast.models.attention import Kernel, choose_kernel

SMALL = ("8 images of 448x448", [(448, 448)] * 8)
LARGE = ("1 image of 1080x1920", [(1080, 1920)])
ON_CUDA = [(f"{n} images of 1080x1920", [(1080, 1920)] * n) for n in (1, 8, 32)]


def cases(device, depth):
    """Name, configuration and image sizes of each."""
    tower = TOWERS["qwen2.5-vl-7b"]
    if device.type == "cuda":
        return [
            (name, replace(tower, depth=depth or tower.depth), sizes) for name, sizes in ON_CUDA
        ]
    blocks = depth or 8
    # Without the full-attention block, whose number is 7.
    windowed = replace(tower, depth=blocks - 1, full_attention_blocks=())
    return [
        (
            f"{blocks} blocks, {name}" if config.full_attention_blocks else f"windowed, {name}",
            config,
            sizes,
        )
        for config in (replace(tower, depth=blocks), windowed)
        for name, sizes in (LARGE, SMALL)
    ]


def our_kernels(config, device, dtype):
    """What attention of ours can be computed with."""
    for kernel in get_args(Kernel):
        try:
            yield choose_kernel(kernel, device, dtype, config.head_dim)
        except ValueError as error:
            print(f"  {error}")


def contestants(config, grids, device, dtype):
    """What takes turns: a name, and a forward pass that is waited for."""
    runs = {}
    for kernel in our_kernels(config, device, dtype):
        tower = random_tower(config, kernel).to(device, dtype)
        runs[f"ours ({kernel})"] = our_pass(tower, grids)
    padded = random_tower(config).to(device, dtype)
    padded.pad_mlp()
    if padded.blocks[0].mlp.down_proj.in_features != config.mlp_width:
        runs[f"ours padded ({padded.kernel})"] = our_pass(padded, grids)
    compiled = random_tower(config).to(device, dtype)
    for block in compiled.blocks:
        block.compile()
    runs[f"ours, compiled blocks ({compiled.kernel})"] = our_pass(compiled, grids)
    for kernel in stock_kernels(device):
        stock = stock_tower(config, kernel).to(device, dtype).eval()
        runs[f"transformers ({kernel})"] = stock_pass(stock, grids)
    return runs


def stock_kernels(device):
    """What transformers can compute attention with."""
    if device.type != "cuda" or not transformers.utils.is_flash_attn_2_available():
        return ["sdpa"]
    return ["sdpa", "flash_attention_2"]


def products(config, grids):
    """Floating-point operations of all matrix products of one pass, attention's included."""
    patches = sum(t * h * w for t, h, w in grids)
    block = 4 * config.width**2 + 3 * config.width * config.mlp_width
    merged = config.merge_size**2 * config.width
    weights = patches * (config.depth * block + 6 * config.patch_size**2 * config.width)
    weights += patches // config.merge_size**2 * merged * (merged + config.out_width)
    plan = qvl_fast.plan(grids, config)
    full = [block for block in config.full_attention_blocks if block < config.depth]
    pairs = len(full) * sum(s.length**2 * s.count for s in plan.segments)
    pairs += (config.depth - len(full)) * sum(s.length**2 * s.count for s in plan.windows)
    return 2 * weights + 4 * config.width * pairs


def matrix_rate(device, dtype):
    """Floating-point operations a second in one large product."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def measure(name, config, sizes, device, dtype, rounds, rate):
    grids = [grid_of(*size, config) for size in sizes]
    print(name)
    runs = contestants(config, grids, device, dtype)
    medians = paired_medians(runs, rounds)
    result = {"case": name, "patches": sum(t * h * w for t, h, w in grids), "towers": {}}
    for who, run in runs.items():
        parts = shares(run, device)
        of_rate = products(config, grids) / medians[who] / rate
        seconds = {part: round(value, 5) for part, value in parts._asdict().items()}
        result["towers"][who] = {
            "seconds": round(medians[who], 5),
            "profiled": seconds,
            "share_of_matrix_rate": round(of_rate, 3),
        }
        outside = parts.attention + parts.rest
        print(
            f"  {who:38} {medians[who]:9.4f} s  {of_rate:4.0%} of the matrix rate; profiled "
            f"{seconds}, outside matrix products {outside:.4f} s"
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dtype", help="by default float32 on the CPU, bfloat16 on CUDA")
    parser.add_argument("--depth", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    device = options.device
    dtype = getattr(torch, options.dtype or ("bfloat16" if device.type == "cuda" else "float32"))

    rate = matrix_rate(device, dtype)
    print(f"{device}, {dtype}, one large product: {rate / 1e12:.2f} TFLOP/s")
    results = [
        measure(*case, device, dtype, options.rounds, rate) for case in cases(device, options.depth)
    ]
    if options.record:
        gpu = device.type == "cuda"
        record = {
            "machine": torch.cuda.get_device_name(device) if gpu else platform.machine(),
            "threads": torch.get_num_threads(),
            "dtype": str(dtype),
            "rounds": options.rounds,
            "matrix_rate": round(rate / 1e12, 3),
            "versions": {
                "qvl_fast": qvl_fast.__version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
