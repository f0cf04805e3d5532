"""Processors that transformers has saved are read as it reads them, for every class known here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from qvl_fast import ImageProcessor
from qvl_fast.bench.stock_families import stock_family
from qvl_fast.config.families import IMAGE_CLASSES

# Names of one class that transformers has under another one.
FORMER_NAMES = {"Ernie4_5_VL_MoeImageProcessor"}
CLASSES = [
    (kind, reference)
    for kind in sorted(IMAGE_CLASSES - FORMER_NAMES)
    for reference, suffix in (("torchvision", ""), ("pillow", "Pil"))
    if hasattr(transformers, kind + suffix)
]
# Classes whose defaults are refused: by what they are named.
REFUSED = {"LlavaNextImageProcessor": r"pinpoints must hold multiples of the tile \(224, 224\)"}


@pytest.fixture
def images(picture):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (321, 205, 3), np.uint8)
    return [Image.fromarray(noise), Image.fromarray(picture(rng, 150, 400))]


def assert_same(got, stock):
    """That a batch is what a stock processor returned."""
    want = {"pixel_values": stock} if torch.is_tensor(stock) else dict(stock)
    want.pop("image_merge_sizes", None)
    assert sorted(got) == sorted(want)
    for key, value in want.items():
        # Two models take their rows as small pictures, of the same floats in the same order.
        value = value.flatten(1) if value.shape[1:] == (3, 14, 14) else value
        assert (got[key].dtype, got[key].shape) == (value.dtype, value.shape)
        assert torch.equal(got[key], value)


def test_every_class_known_here_is_in_transformers():
    assert {kind for kind, reference in CLASSES if reference == "torchvision"} == (
        IMAGE_CLASSES - FORMER_NAMES
    )
    mapped = {backends.get("torchvision") for backends in IMAGE_PROCESSOR_MAPPING_NAMES.values()}
    assert not IMAGE_CLASSES - FORMER_NAMES - mapped


@pytest.mark.parametrize(("kind", "reference"), CLASSES)
def test_defaults(kind, reference, images, tmp_path):
    """Those that a class has, as it saves them."""
    stock = stock_family(kind, reference, {})
    stock.save_pretrained(tmp_path)
    if kind in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[kind]):
            ImageProcessor.from_pretrained(tmp_path)
        return
    ours = ImageProcessor.from_pretrained(tmp_path, reference=reference)
    assert_same(ours(images), stock(images, return_tensors="pt"))
