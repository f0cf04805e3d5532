"""Compare the position ids of versions of transformers with ours: `positions=` of each.

    python tests/positions/campaign.py --record tests/record/DATE-positions.txt

Each version is installed by pip into a folder of its own under build/, beside the torch that runs
this, and removed again. The same random cases go to all.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import qvl_fast
from qvl_fast import RopeConfig
from qvl_fast.index import position_classes

FOLDER = Path(__file__).parent
SCRATCH = FOLDER.parents[1] / "build" / "positions"
# The last version before each change of rules and the first after it, and the newest known.
VERSIONS = """
    4.45.2 4.49.0 4.51.3 4.52.4 4.57.6 5.1.0 5.2.0 5.3.0 5.5.3 5.5.4 5.6.0 5.17.0 5.18.0 5.24.0
"""
FAMILIES = {
    "qwen2_vl": (RopeConfig(), "4.45"),
    "qwen2_5_vl": (RopeConfig(tokens_per_second=1), "4.49"),
    "qwen3_vl": (RopeConfig(videos_in_groups=True), "4.57"),
    "qwen3_5": (RopeConfig(videos_in_groups=True), "5.2"),
}
TEXT, START, END, IMAGE, VIDEO = range(1, 6)


def random_row(rng, in_groups, case):
    row = [TEXT] * rng.integers(1, 5)
    for video in rng.random(rng.integers(0, 4)) < 0.5:
        h, w = (2 * int(side) for side in rng.integers(1, 5, 2))
        t = int(rng.integers(1, 6)) if video else 1
        case["videos" if video else "images"].append([t, h, w])
        token, tokens = (VIDEO if video else IMAGE), h * w // 4
        for length in [tokens] * t if video and in_groups else [t * tokens]:
            row += [*[TEXT] * rng.integers(0, 3), START, *[token] * length, END]
    return row + [TEXT] * rng.integers(0, 4)


def random_case(family, rng):
    config, _ = FAMILIES[family]
    case = {"family": family, "images": [], "videos": [], "mask": None}
    per_second = int(rng.choice([1, 2, 4, 25])) if config.tokens_per_second else None
    case["tokens_per_second"] = per_second
    rows = [random_row(rng, config.videos_in_groups, case) for _ in range(rng.integers(1, 4))]
    length = max(map(len, rows)) + int(rng.integers(0, 3))
    left = rng.random(len(rows)) < 0.5
    if rng.random() < 0.3:  # Without a mask text goes on to the end of the row.
        case["input_ids"] = [row + [TEXT] * (length - len(row)) for row in rows]
    else:
        pads = [[0] * (length - len(row)) for row in rows]
        sides = list(zip(left, pads, rows, strict=True))
        case["input_ids"] = [pad + row if first else row + pad for first, pad, row in sides]
        case["mask"] = [[int(token != 0) for token in row] for row in case["input_ids"]]
    # Of images too, which use them up in 5.3; elsewhere the last are ignored.
    seconds = rng.uniform(0, 4, len(case["videos"]) + len(case["images"]))
    if rng.random() < 0.4:
        seconds = 2 / rng.integers(1, 61, len(seconds))
    case["seconds"] = None if rng.random() < 0.2 else seconds.tolist()
    case["precision"] = str(rng.choice(["", "float32", "float64"]))
    return case


def ours(case, version):
    config, _ = FAMILIES[case["family"]]
    if config.tokens_per_second:
        config = RopeConfig(tokens_per_second=case["tokens_per_second"])
    seconds = case["seconds"]
    if seconds is not None:
        rules = position_classes.resolve(version, None, config)
        takers = len(case["videos"]) + (len(case["images"]) if rules.images is None else 0)
        seconds = seconds[:takers]
        if case["precision"]:
            seconds = torch.tensor(seconds, dtype=getattr(torch, case["precision"]))
    ids, deltas = qvl_fast.mrope_position_ids(
        qvl_fast.mm_token_type_ids(case["input_ids"], image_token_id=IMAGE, video_token_id=VIDEO),
        config=config,
        image_grid_thw=case["images"],
        video_grid_thw=case["videos"],
        second_per_grid_ts=seconds,
        attention_mask=case["mask"],
        positions=version,
    )
    return [ids.tolist(), deltas.tolist()]


def answers(version, cases):
    """What a version answers to cases."""
    target = SCRATCH / version
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts"]
    subprocess.run([*pip, "--target", target, f"transformers=={version}"], check=True)
    try:
        ran = subprocess.run(
            [sys.executable, FOLDER / "stock.py"],
            input=json.dumps(cases),
            env={**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        shutil.rmtree(target)
    return json.loads(ran.stdout)


def compare(version, count, seed):
    """A line that says how a version did, and how many cases differ."""
    release = position_classes.parse_release(version)
    cases = {
        family: [random_case(family, np.random.default_rng([seed, n])) for n in range(count)]
        for family, (_, since) in FAMILIES.items()
        if position_classes.parse_release(since) <= release
    }
    found = iter(answers(version, [case for some in cases.values() for case in some]))
    parts, differing = [], 0
    for family, some in cases.items():
        theirs = [next(found) for _ in some]
        refused = {n: name for n, name in enumerate(theirs) if isinstance(name, str)}
        bad = [n for n in range(count) if n not in refused and theirs[n] != ours(some[n], version)]
        differing += len(bad)
        name = position_classes.resolve(version, None, FAMILIES[family][0]).name
        part = f"{family} as {name}: {count - len(refused)} cases, {len(bad)} differing"
        if bad:
            part += f" ({bad[:5]})"
        if refused:
            part += f", {len(refused)} fail there ({', '.join(sorted({*refused.values()}))})"
        parts.append(part)
    return f"transformers {version}: {'; '.join(parts)}", differing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="+", default=VERSIONS.split())
    parser.add_argument("--cases", type=int, default=200, help="of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "positions .* reproduce a bug")
    torch.set_num_threads(1)
    lines = [f"{datetime.now(UTC):%Y-%m-%d}: seed {options.seed}, torch {torch.__version__}"]
    total = 0
    for version in options.versions:
        try:
            line, differing = compare(version, options.cases, options.seed)
        except subprocess.CalledProcessError as error:
            line, differing = f"transformers {version}: did not run here ({error})", 0
        print(line, flush=True)
        lines.append(line)
        total += differing
    if options.record:
        options.record.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
