"""Paired timings: the contestants take turns, so that a slow minute slows all of them."""

from __future__ import annotations

import gc
import time
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Name = TypeVar("Name")


def paired_medians(
    contestants: Mapping[Name, Callable[[], object]], rounds: int
) -> dict[Name, float]:
    """Median seconds of each contestant over ``rounds`` rounds, after one round to warm up."""
    seconds: dict[Name, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            elapsed = seconds_of(run)
            if round_ > 0:
                seconds[name].append(elapsed)
    return {name: median(times) for name, times in seconds.items()}


def seconds_of(run: Callable[[], object]) -> float:
    """Seconds of one run, without those of the garbage collector."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    finally:
        if collecting:
            gc.enable()
