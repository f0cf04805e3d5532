"""Instructions of one run of each kernel: the same on a busy machine.

    python benches/instructions.py [--arm] [--record FILE] [--compare FILE]

Valgrind counts them, or, with ``--arm``, a plugin of qemu those of the program for ARM. With
``--compare`` an earlier record, each count is shown with what it was then.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

PLUGIN = Path("build/instructions.so")


class Valgrind:
    """This machine's program. Valgrind does not know the newest instruction sets."""

    build = "bench-program"
    bare = ("valgrind", "--tool=none")
    counting = (
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--toggle-collect=*measured*",
    )

    def count(self, program: str, kernel: str) -> int:
        """Instructions of one run, without what prepares it."""
        return collected([*self.counting, program, "--count", kernel, "1"])


class Qemu:
    """The program for ARM, in an emulator."""

    build = "bench-program-arm"
    bare = ("qemu-aarch64",)
    counting = ("qemu-aarch64", "-plugin", str(PLUGIN))

    def __init__(self) -> None:
        PLUGIN.parent.mkdir(exist_ok=True)
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", PLUGIN], check=True)

    def count(self, program: str, kernel: str) -> int:
        """Instructions of one run: by how much two take more than one."""
        command = [*self.counting, program, "--count", kernel]
        return collected([*command, "2"]) - collected([*command, "1"])


def collected(command: list[str]) -> int:
    """What either counter says at the end."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", output)[1])


def built(target: str) -> str:
    """The program of the kernels, by a target of make that prints what cargo says."""
    messages = subprocess.run(
        ["make", "--silent", target], check=True, capture_output=True, text=True
    ).stdout
    artifacts = map(json.loads, messages.splitlines())
    return next(
        artifact["executable"]
        for artifact in artifacts
        if artifact.get("executable") and artifact["target"]["name"] == "kernels"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", action="store_true")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    before = json.loads(options.compare.read_text()) if options.compare else {}
    counter = Qemu() if options.arm else Valgrind()
    program = built(counter.build)
    names = subprocess.run(
        [*counter.bare, program, "--names"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    counts = {}
    for name in names:
        counts[name] = counter.count(program, name)
        change = f"{counts[name] / before[name] - 1:+9.2%}" if name in before else ""
        print(f"{name:55} {counts[name]:15,} {change}", flush=True)
    if options.record:
        options.record.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
