"""Still images to rows against the default processor of transformers, in one process, one thread.

    python benches/images.py [--images FOLDER] [--rounds N] [--record FILE]

Both get tensors in memory, theirs the faster of one call per image and one batched call, ours one
call per image into memory that is reused. Every result is checked to be equal to the bit first.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from PIL import Image
from timing import paired_medians
from transformers import Qwen2VLImageProcessor

import qvl_fast

ROOT = Path(__file__).parents[1]
COOKBOOK = ROOT / "../shared/data/cookbook"


def load(folder: Path) -> list[torch.Tensor]:
    """The images of a folder as uint8 (3, H, W)."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix in (".jpg", ".jpeg", ".png")]
    pixels = [np.array(Image.open(file).convert("RGB")) for file in files]
    return [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in pixels]


def compare(images: list[torch.Tensor], tokens: int, rounds: int) -> dict[str, float]:
    """Median seconds of each way, and the ratio, for images of at most ``tokens`` tokens."""
    size = {"shortest_edge": 3136, "longest_edge": tokens * 28 * 28}
    theirs = Qwen2VLImageProcessor(size=size)
    ours = qvl_fast.ImageProcessor("qwen2.5-vl", size=size)
    most = max(ours.num_patches(*image.shape[1:]) for image in images)
    out = torch.zeros(most, ours.columns)
    for image in images:
        expected = theirs(image, return_tensors="pt")["pixel_values"]
        assert torch.equal(expected, ours(image, out=out)["pixel_values"])
    medians = paired_medians(
        {
            "theirs, one by one": lambda: [theirs(image) for image in images],
            "theirs, one batch": lambda: theirs(images),
            "ours": lambda: [ours(image, out=out) for image in images],
        },
        rounds,
    )
    best = min(seconds for who, seconds in medians.items() if who != "ours")
    listed = ", ".join(f"{who} {seconds:.3f} s" for who, seconds in medians.items())
    ratio = best / medians["ours"]
    print(f"at most {tokens} tokens: {listed}: {ratio:.1f} times faster")
    return {"tokens": tokens, **medians, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.images or (COOKBOOK if COOKBOOK.is_dir() else ROOT / "samples")
    if not options.images and folder != COOKBOOK:
        print("../shared/data/cookbook is not there: the sample images instead")
    images = load(folder)
    results = [compare(images, tokens, options.rounds) for tokens in (16384, 1280)]
    if options.record:
        modules = (torch, torchvision, transformers, np)
        record = {
            "machine": platform.processor() or platform.machine(),
            "images": len(images),
            "threads": 1,
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in (qvl_fast, *modules)},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
