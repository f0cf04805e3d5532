"""Warnings, which point at the line of the program that called this package."""

from __future__ import annotations

import inspect
import warnings


def warn(message: str) -> None:
    """Warn of something that the program should know, at its own line.

    How many frames of ours lie between depends on the function that it has called.
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("qvl_fast."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
