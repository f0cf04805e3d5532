"""Paired timings: the contestants take turns, so that a slow minute slows all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def paired_medians(
    contestants: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Median seconds of each contestant over ``rounds`` rounds, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    try:
        for round_ in range(rounds + 1):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                elapsed = time.perf_counter() - start
                if round_ > 0:
                    seconds[name].append(elapsed)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in seconds.items()}
