"""Paired timings: the contestants take turns, so that a slow minute slows all of them."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, so that nobody's result pays for fresh pages.

    A page fault costs more than what is written to the page, and whether a result meets one depends
    on who ran before. Elsewhere than with glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(parameter, 1 << 30)


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
