"""The installed Pillow's pixels, by every instruction set.

Nothing here needs torch, so that it also runs in the emulator of `tests/arm`, where the weights of
both sides come from compilers and libraries of another processor.
"""

import numpy as np
import pytest
from PIL import Image, ImageOps

from qvl_fast import ImageProcessor, _native, resize

every_isa = pytest.mark.parametrize("isa", _native.available_isas())


def a_size(rng, low, high):
    """(height, width), as often small as large."""
    return tuple(int(side) for side in np.exp(rng.uniform(np.log(low), np.log(high), 2)))


@every_isa
@pytest.mark.parametrize("seed", range(40))
def test_resize(monkeypatch, isa, seed):
    monkeypatch.setenv("QVL_FAST_ISA", isa)
    rng = np.random.default_rng(seed)
    (height, width), (to_height, to_width) = a_size(rng, 1, 600), a_size(rng, 1, 600)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if seed % 2:  # extremes, which provoke over- and undershoot
        image = np.where(image < 128, 0, 255).astype(np.uint8)
    expected = Image.fromarray(image).resize((to_width, to_height), Image.Resampling.BICUBIC)
    ours = resize(image, to_height, to_width, reference="pillow")
    assert np.array_equal(ours, np.asarray(expected)), (height, width, to_height, to_width)


@every_isa
def test_photographs(monkeypatch, isa, photographs):
    monkeypatch.setenv("QVL_FAST_ISA", isa)
    process = ImageProcessor(
        "qwen2.5-vl", reference="pillow", max_pixels=200_000, dtype="uint8", temporal="compact"
    )
    for file in photographs:
        ours = process(file, return_tensors="np")
        _, lines, columns = ours["image_grid_thw"][0].tolist()
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        resized = upright.resize((14 * columns, 14 * lines), Image.Resampling.BICUBIC)
        expected = process(resized, return_tensors="np")  # which keeps its size
        assert np.array_equal(ours["pixel_values"], expected["pixel_values"]), file.name
