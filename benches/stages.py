"""Where the time of one image goes, by what is left without a stage, and the floor under it.

    python benches/stages.py [--rounds N] [--record FILE]

A full-HD image becomes rows in the core, on one thread. A source that already has the height, the
width, or both of what comes out goes without the vertical pass, the horizontal one, or any; one
without the vertical pass has a third fewer lines for the other, too. The floor is what moving the
bytes takes at the rate at which memory of that size is read and written, past the cache where rows
are, and what the multiply-adds take at the rate of the units (``units.c``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from instructions import Valgrind, built

from qvl_fast.bench.timing import seconds_of

UNITS = Path("build/units")
SOURCE = 1080, 1920
TARGET = 728, 1316
SAMPLES = 3 * TARGET[0] * TARGET[1]

# Bytes of the rows of each kind.
ROWS = {"float32 Full": 2 * 4 * SAMPLES, "uint8 Compact": SAMPLES}
READ = 3 * SOURCE[0] * SOURCE[1]
ISAS = "avx2", "avx512"
SOURCES = {
    "whole": SOURCE,
    "without the vertical pass": (TARGET[0], SOURCE[1]),
    "without the horizontal pass": (SOURCE[0], TARGET[1]),
    "without either": TARGET,
}


def milliseconds(program: str, name: str) -> float:
    """One run of a kernel: by how much many take longer than few."""

    def taken(times: int) -> float:
        command = [program, "--count", name, str(times)]
        return seconds_of(lambda: subprocess.run(command, check=True))

    few, many = 20, 220
    return (taken(many) - taken(few)) / (many - few) * 1e3


def rates(written: int) -> dict[str, float]:
    """What the memory and the units do in a nanosecond, where so many bytes are written."""
    UNITS.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", Path(__file__).with_name("units.c"), "-o", UNITS], check=True)
    output = subprocess.check_output([UNITS, str(READ), str(written)], text=True)
    return {name: float(rate) for name, rate in map(str.split, output.splitlines())}


def taps(source: int, target: int) -> float:
    """What the bicubic filter takes of the source for each output."""
    return 4 * max(source / target, 1)


def multiply_adds() -> tuple[float, float]:
    """Those of the horizontal and of the vertical pass."""
    horizontal = 3 * SOURCE[0] * TARGET[1] * taps(SOURCE[1], TARGET[1])
    vertical = 3 * TARGET[0] * TARGET[1] * taps(SOURCE[0], TARGET[0])
    return horizontal, vertical


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    program = built(Valgrind.build)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for rows, written in ROWS.items():
        rate = rates(written)
        for isa in filter(rate.__contains__, ISAS):
            measured: dict[str, list[float]] = {case: [] for case in SOURCES}
            for _ in range(options.rounds):
                for case, (height, width) in SOURCES.items():
                    name = f"image of {height}x{width}, {rows}, {isa}"
                    measured[case].append(milliseconds(program, name))
            times = {case: min(every) for case, every in measured.items()}
            horizontal, vertical = multiply_adds()
            floor = {
                "reading": READ / rate["read"] / 1e6,
                "writing": written / rate["written"] / 1e6,
                "horizontal": horizontal / rate[isa] / 1e6,
                "vertical": vertical / rate[isa] / 1e6,
            }
            results[f"{rows}, {isa}"] = {"milliseconds": times, "floor": floor, "rates": rate}
            print(f"{rows}, {isa}")
            for name, parts in ("milliseconds", times), ("floor", floor):
                print(f"  {name}: " + ", ".join(f"{part} {ms:.2f}" for part, ms in parts.items()))
    if options.record:
        options.record.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
