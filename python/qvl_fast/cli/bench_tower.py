"""``qvl-fast bench tower``: how long forward passes take on this machine, and on what."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from qvl_fast.bench.timing import paired_medians
from qvl_fast.bench.tower import grid_of, our_pass, random_tower, shares, stock_pass
from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.report import show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvl_fast.config import TowerConfig
    from qvl_fast.models.attention import Choice

_HEADER = (
    "images",
    "tower",
    "kernel",
    "milliseconds",
    "matrix products",
    "attention",
    "rest",
)


def bench_tower(
    config: TowerConfig,
    batches: Sequence[tuple[int, int, int]],
    *,
    device: str,
    dtype: str,
    attention: Choice,
    rounds: int,
) -> int:
    """Print a table of towers with random weights, ours and, where installed, transformers'.

    Args:
        config: the shape of the towers.
        batches: for each, how many images of which height and width in pixels.
        device: where the towers run.
        dtype: of weights and rows.
        attention: of our tower; transformers chooses its own.
        rounds: forward passes of each, taken in turns after one to warm up; the median counts.

    Returns:
        0.

    Raises:
        CommandError: the device or the kernel is not there.
    """
    try:
        place, type_ = torch.device(device), getattr(torch, dtype)
        tower = random_tower(config, attention).to(place, type_)
        kernel = tower.kernel
    except (ValueError, RuntimeError, AssertionError) as error:
        raise CommandError(str(error)) from None
    lines: list[tuple[str, ...]] = []
    for count, height, width in batches:
        grids = [grid_of(height, width, config)] * count
        runs = {("qvl_fast", kernel): our_pass(tower, grids)}
        if find_spec("transformers"):
            from qvl_fast.bench.stock_tower import stock_tower

            stock = stock_tower(config).to(place, type_)
            runs["transformers", stock.config._attn_implementation] = stock_pass(stock, grids)
        seconds = paired_medians(runs, rounds)
        for name, run in runs.items():
            parts = shares(run, place)
            percent = (f"{part / sum(parts):.0%}" for part in parts)
            batch = f"{count} x {height} x {width}"
            lines.append((batch, *name, f"{1000 * seconds[name]:.1f}", *percent))
    show_table(_HEADER, lines, names=3)
    return 0
