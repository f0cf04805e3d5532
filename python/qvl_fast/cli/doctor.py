"""``qvl-fast doctor``: what this build has, and what it finds on this machine."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qvl_fast import _native, environment, memory
from qvl_fast.cli.report import show_table
from qvl_fast.processors.base import resolve_reference
from qvl_fast.threads import default_num_threads

# What takes an instruction set that is chosen.
_TAKEN = {
    "scalar": "portable code",
    "avx2": "all of resampling and rows",
    "avx512": "resampling, alpha, and patches of 8 to 16 pixels; other rows take AVX2",
    "neon": "resampling and rows; alpha is blended by portable code",
}
_PACKAGES = ("numpy", "pillow", "torch", "torchvision", "transformers", "flash-attn")


def doctor() -> int:
    """Print a table.

    Returns:
        0, or 1 if an environment variable has a value that cannot be used.
    """
    problems: list[str] = []
    lines = [
        ("qvl_fast", version("qvl-fast")),
        ("Python", f"{platform.python_version()}, {_interpreter()}"),
        ("machine", f"{platform.system()} {platform.machine()}"),
        ("instruction sets", ", ".join(_native.available_isas())),
    ]
    for setting, read in (
        ("in use", _kernels),
        ("threads of a call", default_num_threads),
        ("memory that may wait", _memory_limit),
    ):
        try:
            lines.append((setting, str(read())))
        except ValueError as error:
            problems.append(str(error))
    lines += [
        ("processors", str(_native.processors())),
        ("JPEG", _jpeg()),
        ("PNG, 8 bits", "decoded by the core; odd files by Pillow"),
        ('reference "pillow"', resolve_reference("pillow")),
        ("huge pages", _huge_pages()),
        *((name, _installed(name)) for name in _PACKAGES),
    ]
    show_table(("", ""), lines, names=2)
    for problem in problems:
        print(f"qvl-fast doctor: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _kernels() -> str:
    isa = environment.isa()
    return f"{isa}: {_TAKEN[isa]}"


def _interpreter() -> str:
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "with the GIL" if locked else "without the GIL"


def _memory_limit() -> str:
    memory.settle_limit()
    return f"{memory.memory_stats()['idle_limit_bytes'] >> 20} MiB"


def _jpeg() -> str:
    if "JPEG" in _native.decoded_formats():
        return "decoded by libjpeg-turbo with SIMD; odd files by Pillow"
    return (
        "decoded by Pillow, more slowly: this build has no libjpeg-turbo. To get it, install "
        "cmake, make and nasm and repeat the pip install with --force-reinstall --no-cache-dir"
    )


def _huge_pages() -> str:
    try:
        setting = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return "none that a program can ask for"
    chosen = setting.partition("[")[2].partition("]")[0]
    return "none: switched off" if chosen == "never" else f"for large results ({chosen})"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
