"""Images to planes for every family of models, against the processors of transformers.

    python benches/families.py FOLDER [--configs clip-224 internvl] [--rounds 9] [--threads 1]

Photographs are in memory. Both sides are called once for each image and drop what they return.
Rounds alternate, and the ratio is the median of those of the rounds. One process, equal threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from qvl_fast import ImageProcessor

# The module of the stock class, its name, and its settings.
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PINPOINTS = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]
EDGE = {"size": {"shortest_edge": 336}, "crop_size": 336}
STOCK: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clip-224": ("clip", "CLIP", {}),
    "llava-1.5": ("llava", "Llava", EDGE),
    "llava-1.5-pad": ("llava", "Llava", {**EDGE, "do_pad": True}),
    "llava-next": ("llava_next", "LlavaNext", EDGE),
    "llava-onevision": (
        "llava_onevision",
        "LlavaOnevision",
        {"image_grid_pinpoints": PINPOINTS, **HALF},
    ),
    "internvl": (
        "got_ocr2",
        "GotOcr2",
        {"size": {"height": 448, "width": 448}, "crop_to_patches": True, **IMAGENET},
    ),
    "blip-2": ("blip", "Blip", {"size": 224}),
    "siglip-384": ("siglip", "Siglip", {"size": {"height": 384, "width": 384}}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--configs", nargs="+", choices=STOCK, default=list(STOCK))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    files = sorted(file for file in args.folder.iterdir() if file.suffix in {".jpg", ".png"})
    images = [np.array(Image.open(file).convert("RGB")) for file in files]
    print(json.dumps({name: measure(name, images, args) for name in args.configs}, indent=1))


def measure(name: str, images: list[np.ndarray], args: argparse.Namespace) -> dict[str, float]:
    module, kind, settings = STOCK[name]
    module = import_module(f"transformers.models.{module}.image_processing_{module}")
    stock = getattr(module, f"{kind}ImageProcessor")(**settings)
    ours = ImageProcessor(name, num_threads=args.threads)
    # Stock reads tensors faster than arrays.
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]
    for image, tensor in zip(images, tensors, strict=True):
        want = stock(tensor, return_tensors="pt")["pixel_values"]
        assert torch.equal(ours(image)["pixel_values"], want), "the bits differ"
    runs = [
        (
            seconds(lambda: [stock(tensor, return_tensors="pt") for tensor in tensors]),
            seconds(lambda: [ours(image) for image in images]),
        )
        for _ in range(args.rounds)
    ]
    return {
        "stock_seconds": round(statistics.median(theirs for theirs, _ in runs), 4),
        "our_seconds": round(statistics.median(ours for _, ours in runs), 4),
        "ratio": round(statistics.median(theirs / ours for theirs, ours in runs), 2),
    }


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
