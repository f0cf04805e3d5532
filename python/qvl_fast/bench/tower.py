"""Forward passes of vision towers with random weights, and where they spend their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from qvl_fast import _native
from qvl_fast.index.plans import plan
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, Qwen3VisionTower, VisionTower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qvl_fast.config import TowerConfig
    from qvl_fast.models.attention import Choice

_MATRIX_PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm")


class Shares(NamedTuple):
    """Seconds of one forward pass by what they are spent on."""

    matrix: float
    attention: float
    rest: float


def random_tower(config: TowerConfig, attention: Choice = "auto") -> VisionTower:
    """Our tower of a shape."""
    if config.window_size is not None:
        return Qwen2_5VisionTower(config, attention=attention)
    if config.position_table_side is not None:
        return Qwen3VisionTower(config, attention=attention)
    return Qwen2VisionTower(config, attention=attention)


def grid_of(height: int, width: int, config: TowerConfig) -> list[int]:
    """The grid of an image whose size is rounded to whole tokens, and not bounded."""
    factor = config.patch_size * config.merge_size
    height, width = _native.smart_resize(height, width, factor, 1, 2**40)
    return [1, height // config.patch_size, width // config.patch_size]


def our_pass(tower: VisionTower, grids: Sequence[Sequence[int]]) -> Callable[[], None]:
    """A forward pass, waited for, with the plan made beforehand and its tensors on the device."""
    weight = tower.patch_embed.proj.weight
    rows = _rows(grids, weight)
    index = plan(grids, tower.config).to(weight.device)
    return _waited_for(lambda: tower(rows, index), weight)


def stock_pass(module: Any, grids: Sequence[Sequence[int]]) -> Callable[[], None]:
    """A forward pass of a module of transformers, as its model calls it."""
    weight = module.patch_embed.proj.weight
    rows, grid_thw = _rows(grids, weight), torch.tensor(grids, device=weight.device)
    return _waited_for(lambda: module(rows, grid_thw), weight)


def shares(run: Callable[[], None], device: torch.device) -> Shares:
    """Where one pass spends its time, by the profiler."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        run()
    seconds = dict.fromkeys(Shares._fields, 0.0)
    total = 0.0
    events: Any = profiler.key_averages()
    for event in events:
        if event.device_type.name == "CPU":  # A kernel counts for the operator that ran it.
            spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            seconds[_kind(event.key)] += spent / 1e6
        else:
            total += event.self_device_time_total / 1e6
    if on_gpu:  # Kernels of Triton belong to no operator.
        seconds["rest"] = total - seconds["matrix"] - seconds["attention"]
    return Shares(**seconds)


def _kind(operator: str) -> str:
    if operator in _MATRIX_PRODUCTS or "convolution" in operator or "conv3d" in operator:
        return "matrix"
    return "attention" if "attention" in operator or "attn" in operator else "rest"


def _rows(grids: Sequence[Sequence[int]], weight: torch.Tensor) -> torch.Tensor:
    patches = sum(t * h * w for t, h, w in grids)
    return torch.randn(patches, weight[0].numel(), device=weight.device, dtype=weight.dtype)


def _waited_for(forward: Callable[[], object], weight: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            forward()
        if weight.is_cuda:
            torch.cuda.synchronize()

    return run
