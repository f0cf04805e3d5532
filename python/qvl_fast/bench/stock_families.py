"""The image processors of transformers that the presets stand for, to compare with.

Classes have defaults that no released model has; these are the settings of the presets, as the JSON
of a checkpoint says them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transformers

_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_EDGE = {"size": {"shortest_edge": 336}, "crop_size": 336}
_PINPOINTS = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]
_QWEN2 = {"size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16384}}
_QWEN3 = {"size": {"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}}

# The stock class of a preset, and what its JSON says.
STOCK: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "qwen2-vl": ("Qwen2VLImageProcessor", _QWEN2),
    "qwen2.5-vl": ("Qwen2VLImageProcessor", _QWEN2),
    "qwen3-vl": ("Qwen2VLImageProcessor", {**_QWEN3, **_HALF, "patch_size": 16}),
    "colqwen2": ("Qwen2VLImageProcessor", _QWEN2),
    "qwen2.5-omni": ("Qwen2VLImageProcessor", _QWEN2),
    "qwen3-omni": ("Qwen2VLImageProcessor", {**_QWEN3, **_HALF, "patch_size": 16}),
    "qwen3.5": ("Qwen2VLImageProcessor", {**_QWEN3, **_HALF, "patch_size": 16}),
    "qwen4-exp": ("Qwen2VLImageProcessor", {**_QWEN3, **_HALF, "patch_size": 16}),
    "cosmos3-omni": ("Qwen2VLImageProcessor", {**_QWEN3, **_HALF, "patch_size": 16}),
    "clip-224": ("CLIPImageProcessor", {}),
    "llava-1": ("CLIPImageProcessor", {}),
    "llava-1.5": ("LlavaImageProcessor", _EDGE),
    "llava-1.5-pad": ("LlavaImageProcessor", {**_EDGE, "do_pad": True}),
    "llava-next": ("LlavaNextImageProcessor", _EDGE),
    "llava-onevision": (
        "LlavaOnevisionImageProcessor",
        {"image_grid_pinpoints": _PINPOINTS, **_HALF},
    ),
    "internvl": (
        "GotOcr2ImageProcessor",
        {"size": {"height": 448, "width": 448}, "crop_to_patches": True, **_IMAGENET},
    ),
    "got-ocr-2": ("GotOcr2ImageProcessor", {"size": {"height": 1024, "width": 1024}}),
    "blip-2": ("BlipImageProcessor", {"size": 224}),
    "instructblip": ("BlipImageProcessor", {"size": 224}),
    "idefics": ("IdeficsImageProcessor", {"image_size": 224}),
    "siglip-224": ("SiglipImageProcessor", {}),
    "siglip-384": ("SiglipImageProcessor", {"size": {"height": 384, "width": 384}}),
    "siglip2-naflex": ("Siglip2ImageProcessor", {}),
    "paligemma-224": ("SiglipImageProcessor", {"size": {"height": 224, "width": 224}}),
    "paligemma-448": ("SiglipImageProcessor", {"size": {"height": 448, "width": 448}}),
    "paligemma-896": ("SiglipImageProcessor", {"size": {"height": 896, "width": 896}}),
    "dots.ocr": (
        "Qwen2VLImageProcessor",
        {"size": {"shortest_edge": 3136, "longest_edge": 11_289_600}, "temporal_patch_size": 1},
    ),
    "mimo-vl": (
        "Qwen2VLImageProcessor",
        {"size": {"shortest_edge": 3136, "longest_edge": 4096 * 28 * 28}},
    ),
    "glm-4.1v": ("Glm4vImageProcessor", {}),
    "glm-4.6v": ("Glm46VImageProcessor", {}),
    "glm-5": ("Glm5NextImageProcessor", {}),
    "glm-image": ("GlmImageImageProcessor", {}),
    "cosmos3-edge": ("Cosmos3EdgeImageProcessor", {}),
    "ernie-4.5-vl": ("Ernie4_5_VLMoeImageProcessor", {}),
    "video-llama-3": ("VideoLlama3ImageProcessor", {}),
    "minimax-m3-vl": ("MiniMaxM3VLImageProcessor", {}),
    "hunyuan-ocr": ("HunYuanVLImageProcessor", {}),
    "paddleocr-vl": ("PaddleOCRVLImageProcessor", {}),
    "kimi-k2.5": ("Kimi_K25ImageProcessor", {}),
    "glmga": ("GlmgaImageProcessor", {}),
    "exaone4.5": ("Qwen2VLImageProcessor", {}),
    "hyperclovax-vision-v2": ("Qwen2VLImageProcessor", {}),
    "lfm3-vl": ("Qwen2VLImageProcessor", {"patch_size": 16}),
    "cohere-compass": ("CohereCompassImageProcessor", {"patch_size": 16}),
    "dots3-note": ("Qwen2VLImageProcessor", {"temporal_patch_size": 1}),
}


def stock_family(kind: str, reference: str, settings: Mapping[str, Any]) -> Any:
    """A stock image processor.

    Args:
        kind: name of its class.
        reference: ``"torchvision"``, or that of one of Pillow's versions.
        settings: of the processor.

    Raises:
        AttributeError: transformers has no such class for the reference.
    """
    suffix = "" if reference == "torchvision" else "Pil"
    return getattr(transformers, kind + suffix)(**settings)
