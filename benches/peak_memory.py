"""Memory that an image takes on its way to float32 rows or planes, beside itself and these.

    python benches/peak_memory.py [--families] [--reference torchvision] [--size HEIGHT WIDTH]
                                  [--threads 1] [--record FILE]

Rows of Qwen2.5-VL from every form of an image of 3072x4096; with ``--families``, what the stock
models of the other families take, from an image of 100 megapixels.

Each form of the image in a fresh process, so that nothing is recycled. It is no timing: a busy
machine does not change it. Exits with 1 if a form takes more than it should.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import qvl_fast
from qvl_fast.bench.peak import peak_bytes

QWEN = "qwen2.5-vl"

MOST = {
    "array": 5,
    "grey array": 5,
    "BGR array": 5,
    "RGBA array": 5,
    "PIL": 8,
    "JPEG": 6,
    "JPEG on its side": 6,
    "JPEG on its side, made small": 6,
    "JPEG upside down": 6,
    "JPEG upside down, made small": 6,
    "PNG": 6,
}
"""MiB that each form may take on its way to rows, on one thread."""

FAMILIES = (
    "clip-224",
    "llava-1.5-pad",
    "llava-next",
    "llava-onevision",
    "internvl",
    "blip-2",
    "siglip-384",
    "siglip2-naflex",
    "qwen-vl",
    "kimi-k2.5",
    "paddleocr-vl",
    "hunyuan-ocr",
)
FORMS_OF_FAMILIES = ("array", "PIL", "JPEG", "PNG")
ONLY_PILLOW = {"qwen-vl"}
"""Families whose released models know one reference."""
MOST_OF_FAMILIES = 8
"""MiB that an image of any form and size may take in any family, on one thread."""
MOST_OF_A_THREAD = 3
"""MiB that each further thread may take."""


def picture(height: int, width: int) -> np.ndarray:
    """Waves and noise, so that a JPEG is neither empty nor absurdly large."""
    y, x = np.mgrid[:1024, :1024]
    waves = 128 + 60 * np.sin(x / 97) * np.cos(y / 71)
    noise = np.random.default_rng(0).normal(0, 8, (1024, 1024, 3))
    part = np.clip(waves[..., None] + noise, 0, 255).astype(np.uint8)
    return np.tile(part, (-(-height // 1024), -(-width // 1024), 1))[:height, :width].copy()


def made(form: str, size: tuple[int, int], folder: Path):
    """The image in this form; a file lies in ``folder``, and is written if it does not yet."""
    for file in folder.glob("picture.*"):
        return file
    array = picture(*size)
    match form:
        case "array":
            return array
        case "grey array":
            return array[..., :1].copy()
        case "BGR array":
            return array[..., ::-1].copy()[..., ::-1]
        case "RGBA array":
            return np.concatenate([array, array[..., :1]], axis=-1)
        case "PIL":
            return Image.fromarray(array)
        case "PNG":
            Image.fromarray(array).save(folder / "picture.png")
            return folder / "picture.png"
    exif = Image.Exif()
    exif[0x0112] = {"JPEG on its side": 6, "JPEG upside down": 3}.get(form.split(",")[0], 1)
    Image.fromarray(array).save(folder / "picture.jpeg", exif=exif)
    return folder / "picture.jpeg"


def small(image):
    """An image of the same form, to load what is loaded on first use."""
    if isinstance(image, Path):
        place = image.with_stem("small")
        with Image.open(image) as opened:
            opened.resize((56, 56)).save(place, exif=opened.getexif())
        return place
    if isinstance(image, Image.Image):
        return image.resize((56, 56))
    return image[:56, :56].copy()


def measured(
    config: str, reference: str, form: str, size: tuple[int, int], folder: Path, threads: int
) -> float:
    """MiB beside the image and its rows or planes. What made a file was another process."""
    image = made(form, size, folder)
    budget = {"max_pixels": 1280 * 28 * 28} if form.endswith("made small") else {}
    if config in ONLY_PILLOW:
        reference = "pillow"
    processor = qvl_fast.ImageProcessor(config, reference=reference, num_threads=threads, **budget)
    processor(small(image), return_tensors="np")
    qvl_fast.release_memory()
    results = []
    peak = peak_bytes(lambda: results.append(processor(image, return_tensors="np")))
    if peak is None:
        raise SystemExit("this system does not tell the peak memory of a process")
    beside = results[0]["pixel_values"].nbytes
    if isinstance(image, Path):
        beside += image.stat().st_size
    return (peak - beside) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--reference", default="torchvision", choices=("torchvision", "pillow"))
    parser.add_argument("--size", type=int, nargs=2, metavar="PIXELS")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    size = tuple(options.size or ((10_000, 10_000) if options.families else (3072, 4096)))
    most = {(QWEN, form): most for form, most in MOST.items()}
    if options.families:
        cases = itertools.product(FAMILIES, FORMS_OF_FAMILIES)
        most = dict.fromkeys(cases, MOST_OF_FAMILIES)
    further = MOST_OF_A_THREAD * (options.threads - 1)
    most = {case: limit + further for case, limit in most.items()}
    result = {config: {} for config, _ in most}
    for form in dict.fromkeys(form for _, form in most):
        with (
            tempfile.TemporaryDirectory() as folder,
            multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
        ):
            if form.startswith(("JPEG", "PNG")):
                pool.apply(made, (form, size, Path(folder)))
            for config in [config for config, other in most if other == form]:
                case = config, options.reference, form, size, Path(folder), options.threads
                taken = pool.apply(measured, case)
                result[config][form] = taken
                limit = most[config, form]
                print(
                    f"{config:15} {form:28} {taken:6.1f} MiB beside the image and its rows, "
                    f"at most {limit}",
                    flush=True,
                )
    if options.record:
        record = {
            "pixels": size,
            "threads": options.threads,
            "reference": options.reference,
            "MiB beside image and rows": result,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    if any(result[config][form] > limit for (config, form), limit in most.items()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
