"""Fuzzes every target for a while and counts the executions.

    python tests/fuzz/campaign.py --seconds 10 [--record FILE]

What reaches more code is kept in build/fuzz/TARGET, where the next campaign begins; a failure
leaves its input in build/fuzz.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent


def targets() -> list[str]:
    manifest = tomllib.loads((HERE / "Cargo.toml").read_text())
    return [program["name"] for program in manifest["bin"]]


def executions(target: str, seconds: int, seed: int) -> int:
    """How often the target was run. Ends the program if it failed."""
    limits = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1"]
    command = [HERE / "run", target, *limits]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{done.stderr}\n{target} failed, with seed {seed}")
    return int(re.search(r"number_of_executed_units: (\d+)", done.stderr)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10, help="of each target")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 32))
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    lines, total = [], 0
    for target in targets():
        count = executions(target, options.seconds, options.seed)
        total += count
        lines.append(f"{target}: {count} executions in {options.seconds} s")
        print(lines[-1], flush=True)
    lines.append(f"{total} executions in all, no failure; seed {options.seed}")
    print(lines[-1])
    if options.record:
        options.record.write_text("".join(f"{date.today()}: {line}\n" for line in lines))


if __name__ == "__main__":
    main()
