"""Real images: rows and grids equal those of transformers, bit for bit."""

import pytest
import torch
from PIL import Image

from qvl_fast import ImageProcessor, ModelConfig

# The settings that the released checkpoints change from the class defaults of transformers.
CHECKPOINTS = {
    "qwen2-vl": {"min_pixels": 3136},
    "qwen3-vl": {
        "min_pixels": 65536,
        "patch_size": 16,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    },
}


def test_qwen2_5_needs_no_case_of_its_own():
    assert ModelConfig.preset("qwen2.5-vl").image == ModelConfig.preset("qwen2-vl").image


@pytest.mark.parametrize("tokens", [1280, 16384])
@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
@pytest.mark.parametrize("preset", CHECKPOINTS)
def test_every_image_equals(preset, reference, tokens, photographs, stock):
    settings = CHECKPOINTS[preset]
    max_pixels = tokens * (2 * settings.get("patch_size", 14)) ** 2
    theirs = stock(reference, **settings, max_pixels=max_pixels)
    ours = ImageProcessor(preset, reference=reference, max_pixels=max_pixels)
    differing = []
    for file in photographs:
        with Image.open(file) as image:
            got, want = ours(image), theirs(image, return_tensors="pt")
        for key in ("pixel_values", "image_grid_thw"):
            if got[key].dtype != want[key].dtype or not torch.equal(got[key], want[key]):
                differing.append((file.name, key))
    assert not differing
