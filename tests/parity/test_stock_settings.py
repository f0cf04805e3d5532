"""Any single setting of a stock class is obeyed as that class obeys it, or refused by its name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from qvl_fast import ImageProcessor
from qvl_fast.bench.stock_families import stock_family
from qvl_fast.config.families import from_json

# Classes that hand out rows, by what is left out of their names; the others hand out planes. Two
# have no class for Pillow.
ROWS = [
    "Qwen2VL", "CohereCompass", "MiniMaxM3VL", "Ernie4_5_VLMoe", "VideoLlama3", "Glm4v", "Glm46V",
    "Glmga", "Glm5Next", "GlmImage", "Cosmos3Edge", "Siglip2", "HunYuanVL", "PaddleOCRVL",
    "Kimi_K25",
]  # fmt: skip
PLANES = ["CLIP", "Llava", "Siglip", "Blip", "Idefics", "LlavaNext", "LlavaOnevision", "GotOcr2"]
TORCH_ONLY = ("MiniMaxM3VL", "Kimi_K25")
CASES = [
    (kind, reference)
    for kind in ROWS + PLANES
    for reference in ("torchvision", "pillow")
    if not (kind in TORCH_ONLY and reference == "pillow")
]
# Smaller than their classes have them, where a class has many tiles or pixels by default.
SMALL = {
    "HunYuanVL": {"size": {"shortest_edge": 2000, "longest_edge": 90000}},
    "PaddleOCRVL": {"size": {"shortest_edge": 2000, "longest_edge": 90000}},
    "Cosmos3Edge": {"size": {"shortest_edge": 2000, "longest_edge": 90000}},
    "Siglip2": {"max_num_patches": 25},
    "GotOcr2": {"size": {"height": 20, "width": 20}},
    "Blip": {"size": {"height": 20, "width": 20}},
    "LlavaNext": {
        "size": {"shortest_edge": 20},
        "crop_size": 20,
        "image_grid_pinpoints": [[20, 40], [40, 20]],
    },
    "LlavaOnevision": {
        "size": {"height": 20, "width": 20},
        "image_grid_pinpoints": [[20, 20], [20, 40], [40, 40]],
    },
}
SETTINGS = [
    {"do_resize": False},
    {"do_rescale": False},
    {"do_normalize": None},
    {"do_rescale": False, "do_normalize": False},
    {"rescale_factor": 0.01},
    {"image_mean": [0.1, 0.2, 0.3]},
    {"image_std": 0.4},
    *({"resample": number} for number in range(6)),
    {"do_convert_rgb": False},
    {"do_convert_rgb": None},
    {"size": 30},
    {"size": [30, 40]},
    {"size": {"height": 30, "width": 40}},
    {"size": {"shortest_edge": 60}},
    {"size": {"longest_edge": 60}},
    {"size": {"shortest_edge": 30, "longest_edge": 40}},
    {"size": {"max_height": 30, "max_width": 40}},
    {"crop_size": 20},
    {"crop_size": {"height": 20, "width": 30}},
    {"do_center_crop": True, "crop_size": 20},
    {"do_center_crop": False},
    {"do_center_crop": None},
    {"do_pad": True},
    {"do_pad": False},
    {"do_pad": True, "pad_size": {"height": 400, "width": 420}},
    {"patch_size": 10},
    {"temporal_patch_size": 1},
    {"temporal_patch_size": 3},
    {"merge_size": 1},
    {"min_pixels": 5000},
    {"max_pixels": 9000},
    {"min_pixels": 5000, "max_pixels": 9000},
    {"patch_expand_factor": 2},
    {"crop_to_patches": True},
    {"crop_to_patches": True, "min_patches": 3, "max_patches": 4},
    {"image_size": 50},
    {"image_grid_pinpoints": [[40, 20]]},
    {"min_image_tokens": 60},
    {"max_image_tokens": 20},
    {"max_num_patches": 30},
    {"use_square_size": True},
]


# Areas, which classes with planes take for sides.
AREAS = [{"size": {"shortest_edge": 9000, "longest_edge": 20000}}]


@pytest.mark.parametrize(("kind", "reference"), CASES)
def test_a_setting_is_obeyed_or_refused(kind, reference):
    name = f"{kind}ImageProcessor"
    image = np.random.default_rng(0).integers(0, 256, (61, 44, 3), np.uint8)
    differing = []
    for given in SETTINGS + (AREAS if kind in ROWS else []):
        settings = {**SMALL.get(kind, {}), **given}
        try:
            want = stock_family(name, reference, settings)(image, return_tensors="pt")
        except Exception:
            continue  # What stock cannot do is for the tests of refusals.
        want = want if torch.is_tensor(want) else torch.as_tensor(want["pixel_values"])
        if kind in ("PaddleOCRVL", "Kimi_K25"):
            want = want.flatten(1)
        try:
            config = from_json({"image_processor_type": name, **settings})
            got = ImageProcessor(config, reference=reference)(image).pixel_values
        except (ValueError, TypeError) as error:
            # Sizes and crops that do not fit each other are refused by either name.
            named = [*given, *(["size"] if {"crop_size", "do_center_crop"} & set(given) else [])]
            if not any(setting in str(error) for setting in [*named, "pinpoints"]):
                differing.append((given, str(error)))
            continue
        if got.shape != want.shape or not torch.equal(got.float(), want.float()):
            differing.append((given, tuple(got.shape), tuple(want.shape)))
    assert not differing


@pytest.mark.parametrize("off", [False, None])
@pytest.mark.parametrize(("kind", "reference"), CASES)
def test_without_conversion_only_files_are_converted(kind, reference, off, tmp_path):
    """Stock fails at the same image in memory, of which ours makes what is made of the file."""
    settings = {**SMALL.get(kind, {}), "do_convert_rgb": off}
    theirs = stock_family(f"{kind}ImageProcessor", reference, settings)
    config = from_json({"image_processor_type": f"{kind}ImageProcessor", **settings})
    ours = ImageProcessor(config, reference=reference)
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (61, 44), np.uint8))
    grey.save(tmp_path / "grey.png")
    want = theirs(str(tmp_path / "grey.png"), return_tensors="pt")
    want = want if torch.is_tensor(want) else torch.as_tensor(want["pixel_values"])
    for image in (grey, tmp_path / "grey.png"):
        assert torch.equal(ours(image).pixel_values.reshape(want.shape), want)
    for image in (grey, grey.convert("LA"), grey.convert("RGBA"), np.array(grey)[..., None]):
        with pytest.raises((RuntimeError, ValueError)):
            theirs(image, return_tensors="pt")
