"""Instructions of one run of each kernel, counted by valgrind: the same on a busy machine.

    python benches/instructions.py [--record FILE] [--compare FILE]

With ``--compare`` an earlier record, each count is shown with what it was then.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path


def built() -> str:
    """The program of the kernels."""
    command = ["cargo", "bench", "--package", "qvl-core", "--bench", "kernels", "--no-run"]
    messages = subprocess.run(
        [*command, "--locked", "--message-format=json"], check=True, capture_output=True, text=True
    ).stdout
    artifacts = map(json.loads, messages.splitlines())
    return next(
        artifact["executable"]
        for artifact in artifacts
        if artifact.get("executable") and artifact["target"]["name"] == "kernels"
    )


def count(program: str, kernel: str) -> int:
    """Instructions of one run, without what prepares it."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*callgrind, "--toggle-collect=*measured*", program, "--once", kernel]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", output)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    before = json.loads(options.compare.read_text()) if options.compare else {}
    program = built()
    # Under valgrind, which does not know the newest instruction sets.
    names = subprocess.run(
        ["valgrind", "--tool=none", program, "--names"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    counts = {}
    for name in names:
        counts[name] = count(program, name)
        change = f"{counts[name] / before[name] - 1:+9.2%}" if name in before else ""
        print(f"{name:55} {counts[name]:15,} {change}", flush=True)
    if options.record:
        options.record.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
