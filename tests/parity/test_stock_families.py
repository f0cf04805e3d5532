"""Other families than Qwen's: pixels and companions equal those of transformers, bit for bit.

``--family-cases`` says how many random batches each setting is tried with, and half of how many of
the hard sizes.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image

from qvl_fast import ImageProcessor
from qvl_fast.config.families import from_json

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PINPOINTS = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]

# The module and class of the stock processor, its settings, and those of the call.
FAMILIES = {
    "clip-224": ("clip.CLIP", {}),
    "clip-crop-larger-than-short-side": (
        "clip.CLIP",
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 97, "width": 120}},
    ),
    "clip-not-resized": ("clip.CLIP", {"do_resize": False, "crop_size": 100}),
    "clip-stretched": (
        "clip.CLIP",
        {"size": {"height": 90, "width": 130}, "crop_size": {"height": 60, "width": 131}},
    ),
    "llava-1.5": ("llava.Llava", {"size": {"shortest_edge": 336}, "crop_size": 336}),
    "llava-1.5-pad": (
        "llava.Llava",
        {"size": {"shortest_edge": 336}, "crop_size": 336, "do_pad": True},
    ),
    "llava-next": ("llava_next.LlavaNext", {"size": {"shortest_edge": 336}, "crop_size": 336}),
    "llava-onevision": (
        "llava_onevision.LlavaOnevision",
        {
            "image_grid_pinpoints": PINPOINTS,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        },
    ),
    "internvl": (
        "got_ocr2.GotOcr2",
        {"size": {"height": 448, "width": 448}, "crop_to_patches": True, **IMAGENET},
    ),
    "blip-2": ("blip.Blip", {"size": 224}),
    "idefics": ("idefics.Idefics", {"image_size": 224}),
    "siglip-384": ("siglip.Siglip", {"size": {"height": 384, "width": 384}}),
    "glm-4.1v": ("glm4v.Glm4v", {}),
    "glm-4.6v": ("glm46v.Glm46V", {"size": {"shortest_edge": 40000, "longest_edge": 90000}}),
    "hunyuan-ocr": ("hunyuan_vl.HunYuanVL", {"size": {"shortest_edge": 9, "longest_edge": 200000}}),
    "paddleocr-vl": (
        "paddleocr_vl.PaddleOCRVL",
        {"size": {"shortest_edge": 9000, "longest_edge": 200000}},
    ),
    "ernie-4.5-vl": ("ernie4_5_vl_moe.Ernie4_5_VLMoe", {}),
    "video-llama-3": ("video_llama_3.VideoLlama3", {}),
    "kimi-k2.5": ("kimi_k25.Kimi_K25", {"max_patches": 300}),
    "kimi-k2.5-short-sides": (
        "kimi_k25.Kimi_K25",
        {"size": {"max_height": 9, "max_width": 9}, "max_patches": 300},
    ),
    "clip-lanczos": ("clip.CLIP", {"resample": 1}),
    "siglip-bilinear": ("siglip.Siglip", {"resample": 2}),
    "siglip-box": ("siglip.Siglip", {"resample": 4}),
    "siglip-hamming": ("siglip.Siglip", {"resample": 5}),
}
# What torch cannot do with uint8, or not alike, and classes without one for Pillow.
PILLOW_ONLY = {"siglip-box", "siglip-hamming"}
TORCH_ONLY = {"kimi-k2.5", "kimi-k2.5-short-sides"}
CASES = [
    (name, reference)
    for name in FAMILIES
    for reference, others in (("torchvision", PILLOW_ONLY), ("pillow", TORCH_ONLY))
    if name not in others
]
# Thin ones, single pixels, and one off what families resize to.
HARD = [
    (1, 1), (1, 40), (40, 1), (1, 500), (500, 1), (2, 3), (224, 224), (223, 225), (225, 224),
    (336, 336), (335, 337), (672, 672), (384, 384), (383, 385), (448, 448), (449, 447), (100, 150),
    (27, 29), (640, 480), (480, 640),
]  # fmt: skip


@cache
def stock(name, reference):
    place, settings = FAMILIES[name]
    module, kind = place.split(".")
    backend = {"torchvision": "", "pillow": "_pil"}[reference]
    module = import_module(f"transformers.models.{module}.image_processing{backend}_{module}")
    suffix = {"torchvision": "", "pillow": "Pil"}[reference]
    return getattr(module, f"{kind}ImageProcessor{suffix}")(**settings)


@cache
def ours(name, reference):
    place, settings = FAMILIES[name]
    kind = f"{place.split('.')[1]}ImageProcessor"
    config = from_json({"image_processor_type": kind, **settings})
    return ImageProcessor(config, reference=reference)


def noise(rng, height, width):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def of_mode(rng, image):
    mode = rng.choice(["RGB", "RGB", "L", "RGBA", "LA"])
    if mode == "RGBA":
        image.putalpha(Image.fromarray(rng.integers(0, 256, image.size[::-1], np.uint8)))
    return image.convert(mode)


def call_stock(name, reference, images):
    processor = stock(name, reference)
    try:
        result = processor(images, return_tensors="pt")
    except AssertionError:
        pytest.fail("torch cannot resize this")
    return {"pixel_values": result} if torch.is_tensor(result) else dict(result)


def assert_equal(name, reference, images, sizes):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "either the first or the last axis")
        got = dict(ours(name, reference)(images))
    want = call_stock(name, reference, images)
    want.pop("image_merge_sizes", None)
    # Two models take their rows as small pictures, of the same floats in the same order.
    if name.startswith(("paddle", "kimi")):
        want["pixel_values"] = want["pixel_values"].flatten(1)
    assert sorted(got) == sorted(want), (name, reference)
    for key, value in want.items():
        value = torch.as_tensor(value)
        assert got[key].dtype == value.dtype, (name, reference, sizes, key)
        assert got[key].shape == value.shape, (name, reference, sizes, key)
        differing = (got[key] != value).sum().item()
        assert not differing, f"{name} {reference} {sizes} {key}: {differing} differ"


@pytest.mark.parametrize(("name", "reference"), CASES)
def test_hard_sizes(name, reference, pytestconfig):
    rng = np.random.default_rng(pytestconfig.getoption("--campaign-seed"))
    count = 2 * pytestconfig.getoption("--family-cases")
    for size in rng.permutation(HARD)[:count].tolist():
        ratio = max(size) / min(size)
        area = ours(name, reference).config.layout.tile is None
        if area and ratio > 200 and not name.startswith("kimi"):
            continue
        images = [noise(rng, *size)]
        assert_equal(name, reference, images, [size])


@pytest.mark.parametrize(("name", "reference"), CASES)
def test_random_batches(name, reference, picture, pytestconfig):
    seed = pytestconfig.getoption("--campaign-seed")
    for case in range(pytestconfig.getoption("--family-cases")):
        rng = np.random.default_rng([seed, case])
        sizes = [
            tuple(int(side) for side in np.exp(rng.uniform(np.log(20), np.log(900), 2)))
            for _ in range(rng.integers(1, 4))
        ]
        images = [
            of_mode(
                rng,
                noise(rng, *size) if rng.random() < 0.5 else Image.fromarray(picture(rng, *size)),
            )
            for size in sizes
        ]
        assert_equal(name, reference, images, sizes)
