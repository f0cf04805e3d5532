"""How much memory something takes at its peak."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PROCESS = Path("/proc/self")


def peak_bytes(run: Callable[[], object]) -> int | None:
    """How much the resident memory of this process grows during a run; None if no one says."""
    try:
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")  # The peak starts anew.
        before = _kilobytes("VmRSS")
        run()
        return 1024 * (_kilobytes("VmHWM") - before)
    except OSError:
        return None


def _kilobytes(name: str) -> int:
    lines = (_PROCESS / "status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
