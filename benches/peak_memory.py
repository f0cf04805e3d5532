"""Memory that a 4096x3072 image takes on its way to float32 rows, beside itself and the rows.

    python benches/peak_memory.py [--record FILE]

Each form of the image in a fresh process, so that nothing is recycled.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import qvl_fast
from qvl_fast.bench.peak import peak_bytes

HEIGHT, WIDTH = 3072, 4096


def picture() -> np.ndarray:
    """Waves and noise, so that a JPEG is neither empty nor absurdly large."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = 128 + 60 * np.sin(x / 97) * np.cos(y / 71)
    noise = np.random.default_rng(0).normal(0, 8, (HEIGHT, WIDTH, 3))
    return np.clip(waves[..., None] + noise, 0, 255).astype(np.uint8)


def forms(folder: str) -> dict:
    """The image as an array, a PIL image, and files; the last are written to ``folder``."""
    array = picture()
    paths = {}
    for extension in ("jpeg", "png"):
        paths[extension] = str(Path(folder, f"picture.{extension}"))
        Image.fromarray(array).save(paths[extension])
    return {"array": array, "PIL": Image.fromarray(array), **paths}


def measured(form: str, folder: str) -> int:
    """Bytes beside the image and its rows."""
    image = forms(folder)[form]
    processor = qvl_fast.ImageProcessor("qwen2.5-vl", num_threads=1)
    buffer = io.BytesIO()
    Image.new("RGB", (56, 56)).save(buffer, "png")
    for small in (buffer, np.zeros((56, 56, 3), np.uint8)):  # What is loaded on first use.
        processor(small, return_tensors="np")
    results = []
    peak = peak_bytes(lambda: results.append(processor(image, return_tensors="np")))
    if peak is None:
        raise SystemExit("this system does not tell the peak memory of a process")
    return peak - results[0]["pixel_values"].nbytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in ("array", "PIL", "jpeg", "png"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                result[form] = pool.apply(measured, (form, folder))
            print(f"{form:6} {result[form] / 2**20:7.1f} MiB beside the image and its rows")
    if options.record:
        record = {"pixels": [HEIGHT, WIDTH], "bytes beside image and rows": result}
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
