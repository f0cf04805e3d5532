"""Writes what the fuzzer begins with to build/fuzz/TARGET: small files of every kind, and noise."""

import random
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
CORPORA = ROOT / "build" / "fuzz"
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from test_decoding import FILES  # noqa: E402

image = Image.effect_noise((40, 24), 60).convert("RGB")
for number, (name, make) in enumerate(FILES.items()):
    data = make(image)
    if len(data) > 4000:
        continue
    for target in ("header", "png" if name.startswith("PNG") else "jpeg"):
        folder = CORPORA / target
        folder.mkdir(parents=True, exist_ok=True)
        # How it is decoded: not reduced, five lines passed over, the rest in portions of three.
        (folder / f"seed-{number}").write_bytes(data + b"\0\5\3" * (target != "header"))

# What other targets choose by: without it the fuzzer would be long in getting to several images.
for target in ("batch", "index", "passes", "pixels"):
    folder = CORPORA / target
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(64):
        (folder / f"seed-{number}").write_bytes(random.Random(number).randbytes(160))
