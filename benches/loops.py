"""Instructions of the loops of the AVX-512 kernels, of which valgrind counts none.

    python benches/loops.py [--record FILE] [--compare FILE]

A loop is what lies between a jump backwards and where it leads to, in the disassembly of the
program of the kernels (objdump). Those that touch a 512-bit register are listed in order, with
the bytes that they take of the instruction cache. Records are as those of ``instructions.py``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instructions import Valgrind, built

if TYPE_CHECKING:
    from collections.abc import Iterator


class Instruction(NamedTuple):
    """One line of a disassembly."""

    address: int
    text: str


def functions(program: str) -> Iterator[tuple[str, list[Instruction]]]:
    """The kernels that may be of AVX-512, and what the program has of them."""
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", program]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for part in listing.split("\n\n"):
        head = re.match(r"[0-9a-f]+ <qvl_core::kernels::(?:vector|x86_64)::(.*)>:\n", part)
        if head:
            lines = re.findall(r"^ *([0-9a-f]+):\t(.*)$", part[head.end() :], re.MULTILINE)
            yield head[1], [Instruction(int(at, 16), text) for at, text in lines]


def loops(body: list[Instruction]) -> Iterator[list[Instruction]]:
    """Those of a function that touch a 512-bit register, with the jump that ends them."""
    places = {instruction.address: place for place, instruction in enumerate(body)}
    shortest: dict[tuple[int, ...], tuple[int, int]] = {}
    for end, (address, text) in enumerate(body):
        jump = re.match(r"j\w+ +([0-9a-f]+) ", text)
        first = places.get(int(jump[1], 16)) if jump else None
        if first is None or body[first].address >= address:
            continue
        wide = tuple(at for at, text in body[first:end] if "%zmm" in text)
        # Several ways around the same of them, as where memory is fetched ahead, are one loop.
        known = shortest.get(wide)
        if wide and (known is None or end - first < known[1] - known[0]):
            shortest[wide] = first, end
    for first, end in sorted(shortest.values()):
        yield body[first : end + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    before = json.loads(options.compare.read_text()) if options.compare else {}
    counts: dict[str, int] = {}
    seen = Counter[str]()
    for function, body in functions(built(Valgrind.build)):
        for loop in loops(body):
            seen[function] += 1
            name = f"{function}, loop {seen[function]}"
            wide = sum("%zmm" in text for _, text in loop)
            counts[name] = len(loop)
            size = loop[-1].address - loop[0].address
            change = f"{counts[name] - before[name]:+6}" if name in before else ""
            print(f"{name:50} {len(loop):5} ({wide} of 512 bits) {size:6} bytes {change}")
    if options.record:
        options.record.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
