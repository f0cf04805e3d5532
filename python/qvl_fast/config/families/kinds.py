"""The class that the images of a checkpoint are processed by, where their JSON does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from qvl_fast.config.checks import section
from qvl_fast.config.families.reader import Settings
from qvl_fast.config.image import class_name

# The model types of transformers that have a class.
MODEL_TYPES: Mapping[str, tuple[str, ...]] = {
    "BlipImageProcessor": ("blip", "blip-2", "instructblip"),
    "CLIPImageProcessor": (
        *("clip", "aimv2", "aimv2_vision_model", "altclip", "florence2", "git", "groupvit"),
        *("kosmos-2", "metaclip_2", "mlcd", "vipllava", "xclip"),
    ),
    "CohereCompassImageProcessor": ("cohere_compass",),
    "Cosmos3EdgeImageProcessor": ("cosmos3_edge",),
    "Ernie4_5_VLMoeImageProcessor": ("ernie4_5_vl_moe",),
    "Glm46VImageProcessor": ("glm46v",),
    "Glm4vImageProcessor": ("glm4v",),
    "Glm5NextImageProcessor": ("glm5_next",),
    "GlmImageImageProcessor": ("glm_image",),
    "GlmgaImageProcessor": ("glmga",),
    "GotOcr2ImageProcessor": ("got_ocr2", "aya_vision", "internvl", "qianfan_ocr"),
    "HunYuanVLImageProcessor": ("hunyuan_vl",),
    "IdeficsImageProcessor": ("idefics",),
    "Kimi_K25ImageProcessor": ("kimi_k25",),
    "LlavaImageProcessor": ("llava",),
    "LlavaNextImageProcessor": ("llava_next", "granite4_vision", "llava_next_video"),
    "LlavaOnevisionImageProcessor": ("llava_onevision",),
    "MiniMaxM3VLImageProcessor": ("minimax_m3_vl",),
    "PaddleOCRVLImageProcessor": ("paddleocr_vl",),
    "Qwen2VLImageProcessor": (
        *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "qwen3_5_moe", "qwen4_exp"),
        *("qwen2_5_omni", "qwen3_omni_moe", "colqwen2", "cosmos3_omni", "dots3_note"),
        *("exaone4_5", "hyperclovax_vision_v2", "lfm3_vl"),
    ),
    "Siglip2ImageProcessor": ("siglip2",),
    "SiglipImageProcessor": ("siglip", "colpali", "gemma3n", "paligemma"),
    "VideoLlama3ImageProcessor": ("video_llama_3",),
}
# And those classes by the model type.
CLASSES: Mapping[str, str] = {
    model_type: kind for kind, model_types in MODEL_TYPES.items() for model_type in model_types
}

# Classes that checkpoints were released with, and that are in transformers by another name.
_RELEASED = {"KimiK25VisionProcessor": "Kimi_K25ImageProcessor"}

# How the class of Kimi-K2.5 calls what the released code does, in an object of its own.
_MEDIA = {
    "in_patch_limit": "max_patches",
    "patch_size": "patch_size",
    "merge_kernel_size": "merge_size",
    "image_mean": "image_mean",
    "image_std": "image_std",
}


def with_class(settings: Settings, model: Settings, file: Path) -> dict[str, Any]:
    """The JSON of an image processor with the class that transformers takes for it.

    ``AutoImageProcessor`` is followed: where the JSON names no class, that of the model type is
    taken. Other than there, code that a checkpoint brings along need not be trusted: it is known by
    its name what it does, and the settings in a form of its own are read as it reads them.

    Args:
        settings: the JSON.
        model: ``config.json``.
        file: that the JSON is from.

    Raises:
        ValueError: neither names a class that is known here.
        TypeError: a value has the wrong type.
    """
    brought = section(settings, "auto_map").get("AutoImageProcessor")
    if settings.get("image_processor_type") or (brought is None and class_name(settings)):
        return dict(settings)
    model_type = model.get("model_type")
    kind = model.get("image_processor_type") or CLASSES.get(model_type or "")
    if kind is None:
        name = _last_part(brought)
        kind = _RELEASED.get(name, name if name in MODEL_TYPES else None)
    if kind is None:
        raise ValueError(
            f"image_processor_type must be in {file}, or a model_type that has one in config.json "
            f"beside it, got {settings.get('image_processor_type')!r} and {model_type!r}: add the "
            'class that the model was trained with, such as "image_processor_type": '
            '"CLIPImageProcessor"'
        )
    released = _released(settings) if kind in _RELEASED.values() else {}
    return {**settings, **released, "image_processor_type": kind}


def _last_part(reference: Any) -> str:
    """The class that an entry of an ``auto_map`` names, of two the faster one's."""
    if isinstance(reference, list | tuple):
        named = [name for name in cast("list[Any]", reference) if name is not None]
        reference = named[-1] if named else None
    return str(reference).rpartition(".")[2].removesuffix("Fast")


def _released(settings: Settings) -> dict[str, Any]:
    """What a JSON of Kimi-K2.5 says in the form of the code that was released with it.

    Raises:
        ValueError: it asks for a number of tokens.
        TypeError: the form is another.
    """
    media = section(settings, "media_proc_cfg")
    if (fixed := media.get("fixed_output_tokens")) is not None:
        raise ValueError(f"fixed_output_tokens must be null, got {fixed!r}")
    values = {name: media[own] for own, name in _MEDIA.items() if own in media}
    if "patch_limit_on_one_side" in media:
        side = media["patch_limit_on_one_side"]
        values["size"] = {"max_height": side, "max_width": side}
    return values
