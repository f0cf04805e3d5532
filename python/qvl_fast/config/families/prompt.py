"""What images and videos become in the prompts of a checkpoint: their tokens, and what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, cast

from qvl_fast.config.checks import integer, positive_integer, read_json, section, sizes_listed
from qvl_fast.config.families.reader import Reader
from qvl_fast.config.image import ImageConfig
from qvl_fast.config.layout import AnyresTokens, Layout, LineTokens, Pinpoints, TileTokens, Tokens
from qvl_fast.config.placeholder import Placeholder, VideoPlaceholder
from qvl_fast.config.video import VideoConfig

Settings = Mapping[str, Any]

_IMAGE = Placeholder(token="<image>")
_QWEN = Placeholder(token="<|image_pad|>", token_id=151655)
_QWEN3_5 = replace(_QWEN, token_id=248056)  # Its vocabulary is another.
_BLIP = replace(_IMAGE, place="front")
_FAKE = "<fake_token_around_image>"

# By the stock class of the processor.
_PLACEHOLDERS: Mapping[str, Placeholder] = {
    "LlavaProcessor": _IMAGE,
    "LlavaNextProcessor": _IMAGE,
    "LlavaOnevisionProcessor": _IMAGE,
    "InternVLProcessor": Placeholder(token="<IMG_CONTEXT>", before="<img>", after="</img>"),
    "Blip2Processor": _BLIP,
    "InstructBlipProcessor": _BLIP,
    "IdeficsProcessor": replace(_IMAGE, before=_FAKE, after=_FAKE, place="mark"),
    "Qwen2VLProcessor": _QWEN,
    "Qwen2_5_VLProcessor": _QWEN,
    "Qwen3VLProcessor": _QWEN,
}

# The model types with the vocabulary of Qwen3.5.
_QWEN3_5_TYPES = ("qwen3_5", "qwen3_5_moe", "qwen4_exp")

# The class of the processor by the model type. Of some it is not known how they write a prompt.
_MODEL_TYPES: Mapping[str, str] = {
    "llava": "LlavaProcessor",
    "vipllava": "LlavaProcessor",
    "llava_next": "LlavaNextProcessor",
    "llava_onevision": "LlavaOnevisionProcessor",
    "internvl": "InternVLProcessor",
    "qianfan_ocr": "QianfanOCRProcessor",
    "aya_vision": "AyaVisionProcessor",
    "blip-2": "Blip2Processor",
    "instructblip": "InstructBlipProcessor",
    "idefics": "IdeficsProcessor",
    "hunyuan_vl": "HunYuanVLProcessor",
    "paligemma": "PaliGemmaProcessor",
    "colpali": "ColPaliProcessor",
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
    "qwen3_vl_moe": "Qwen3VLProcessor",
    **dict.fromkeys(_QWEN3_5_TYPES, "Qwen3VLProcessor"),
}

# Models that no language model reads: the side of a patch where a config.json does not say it, and
# how many tokens there are beside those of patches.
_ALONE: Mapping[str, tuple[int, int]] = {
    "clip": (32, 1),
    "metaclip_2": (32, 1),
    "altclip": (32, 1),
    "siglip": (16, 0),
}

# The processor of presets.
_PRESETS: Mapping[str, str] = {
    "qwen2-vl": "Qwen2VLProcessor",
    "qwen2.5-vl": "Qwen2_5_VLProcessor",
    "qwen3-vl": "Qwen3VLProcessor",
    "mimo-vl": "Qwen2_5_VLProcessor",
    "llava-1": "LlavaProcessor",
    "llava-1.5": "LlavaProcessor",
    "llava-1.5-pad": "LlavaProcessor",
    "llava-next": "LlavaNextProcessor",
    "llava-onevision": "LlavaOnevisionProcessor",
    "internvl": "InternVLProcessor",
    "blip-2": "Blip2Processor",
    "instructblip": "InstructBlipProcessor",
    "idefics": "IdeficsProcessor",
}
PLACEHOLDERS: Mapping[str, Placeholder] = {
    **{preset: _PLACEHOLDERS[kind] for preset, kind in _PRESETS.items()},
    "qwen3.5": _QWEN3_5,
    "qwen4-exp": _QWEN3_5,
}
VIDEO_PLACEHOLDERS: Mapping[str, VideoPlaceholder] = {
    "llava-onevision": VideoPlaceholder(token="<video>"),
    "internvl": VideoPlaceholder(token="<video>", frame=PLACEHOLDERS["internvl"]),
}


def processor_kind(model: Settings, *files: Settings) -> str | None:
    """The stock class of a checkpoint's processor, None if it is not known here.

    Args:
        model: ``config.json``.
        *files: JSON that may name it, the first first.
    """
    for settings in files:
        if (kind := settings.get("processor_class")) in _MODEL_TYPES.values():
            return kind
    return _MODEL_TYPES.get(model.get("model_type", ""))


def placeholder(
    directory: Path, kind: str, processor: Settings, model: Settings
) -> Placeholder | None:
    """What stands for an image in the prompts of a checkpoint, None if that is not known here.

    The tokens are those that the processor or the tokenizer name, or else those of the class. Their
    ids are those of ``config.json``, by which the model finds images, or else the tokenizer's.

    Args:
        directory: of the checkpoint.
        kind: class of its processor.
        processor: ``processor_config.json``.
        model: ``config.json``.

    Raises:
        ValueError: a file is not JSON, or an id is none.
    """
    default = _PLACEHOLDERS.get(kind)
    if default is None:
        return None
    if model.get("model_type") in _QWEN3_5_TYPES:
        default = _QWEN3_5
    tokenizer = _Tokenizer.of(directory)
    if kind == "InternVLProcessor":
        default = replace(
            default,
            token=tokenizer.named.get("context_image_token", default.token),
            before=tokenizer.named.get("start_image_token", default.before),
            after=tokenizer.named.get("end_image_token", default.after),
        )
    elif default.place == "here":
        token = tokenizer.named.get("image_token") or processor.get("image_token")
        default = replace(default, token=_content(token or default.token))
    own = model.get("image_token_id", model.get("image_token_index"))
    return replace(
        default,
        token_id=tokenizer.ids.get(default.token, default.token_id) if own is None else own,
        before_id=tokenizer.ids.get(default.before),
        after_id=tokenizer.ids.get(default.after),
    )


def video_placeholder(
    directory: Path, kind: str, processor: Settings, model: Settings, image: Placeholder | None
) -> VideoPlaceholder | None:
    """What stands for a video in the prompts of a checkpoint, None if that is not known here.

    Args:
        directory: of the checkpoint.
        kind: class of its processor.
        processor: ``processor_config.json``.
        model: ``config.json``.
        image: what stands for an image.

    Raises:
        ValueError: a file is not JSON, or an id is none.
    """
    if kind not in ("LlavaOnevisionProcessor", "InternVLProcessor"):
        return None
    tokenizer = _Tokenizer.of(directory)
    named = tokenizer.named.get("video_token") or processor.get("video_token")
    token = _content(named or "<video>")
    own = model.get("video_token_id", model.get("video_token_index"))
    return VideoPlaceholder(
        token=token,
        frame=image if kind == "InternVLProcessor" else None,
        token_id=tokenizer.ids.get(token) if own is None else own,
    )


@dataclass(frozen=True)
class _Tokenizer:
    """A checkpoint's tokenizer.

    Attributes:
        named: tokens by the names of what they stand for, among other settings.
        ids: those of the tokens that were added to its vocabulary.
    """

    named: Settings
    ids: Mapping[str, int]

    @classmethod
    def of(cls, directory: Path) -> _Tokenizer:
        """The tokenizer in a directory.

        Raises:
            ValueError: a file is not JSON.
        """
        settings = read_json(directory / "tokenizer_config.json") or {}
        extra: Any = settings.get("extra_special_tokens")
        named: dict[str, Any] = {**settings, **(extra if isinstance(extra, dict) else {})}
        decoder = section(settings, "added_tokens_decoder")
        ids = {_content(token): int(number) for number, token in decoder.items()}
        added: Any = (read_json(directory / "tokenizer.json") or {}).get("added_tokens") or []
        more: dict[str, Any] = {_content(token): dict(token).get("id") for token in added}
        return cls(named, ids | more)


def _content(token: Any) -> str:
    """A token of a JSON file, which may say how it is to be found in texts too."""
    if isinstance(token, dict):
        token = cast("Settings", token).get("content")
    if not isinstance(token, str):
        raise ValueError(f"a token must be a text or have one as its content, got {token!r:.80}")
    return token


def with_tokens(
    image: ImageConfig, kind: str | None, processor: Settings, model: Settings, images: Settings
) -> ImageConfig:
    """A configuration with the tokens that an image or a tile becomes.

    Args:
        image: the configuration.
        kind: class of the checkpoint's processor, None if it is not known.
        processor: ``processor_config.json``; what it leaves out is taken from the next.
        model: ``config.json``.
        images: the JSON of the image processor.

    Raises:
        ValueError: settings that the stock model fails with, or that do not agree.
    """
    layout = image.layout
    match kind:
        case "LlavaProcessor":
            features = _features(layout.tile, processor, model)
            tokens = None if features is None else TileTokens(features + _others(processor, model))
        case "LlavaNextProcessor":
            _check_agreement(image, model)
            tokens = _anyres(_features(layout.tile, processor, model))
            if tokens is not None and (others := _others(processor, model)) != 0:
                raise ValueError(
                    "num_additional_image_tokens must be 1 where vision_feature_select_strategy is "
                    f"'default', and 0 where it is 'full': features of tiles can only be put "
                    f"together without {others} others"
                )
        case "LlavaOnevisionProcessor":
            return _onevision(image, processor, model)
        case "InternVLProcessor" | "QianfanOCRProcessor":
            tokens = TileTokens(_number("image_seq_length", processor, model, 256))
        case "Blip2Processor" | "InstructBlipProcessor":
            tokens = TileTokens(_number("num_query_tokens", processor, model, 32))
        case "PaliGemmaProcessor" | "ColPaliProcessor":
            if (count := images.get("image_seq_length")) is None:
                return image
            tokens = TileTokens(positive_integer("image_seq_length", count))
        case "HunYuanVLProcessor":
            around = Reader(processor).flag("cat_extra_token", True)
            tokens = LineTokens(around=2 if around else 0)
        case None:
            tokens = _alone(layout.tile, model)
        case _:
            return image
    return image.override(layout=replace(layout, tokens=tokens))


def with_video_tokens(
    video: VideoConfig, kind: str, processor: Settings, model: Settings
) -> VideoConfig:
    """A configuration with the tokens that a video becomes; see :func:`with_tokens`."""
    match kind:
        case "LlavaOnevisionProcessor":
            features = _onevision_features(video.layout, processor, model)
            if features is None:
                return video
            # Blocks of 2 x 2 features are pooled, incomplete ones too; a newline follows.
            side = (isqrt(features) + 1) // 2
            tokens = TileTokens(side * side, after=1)
        case "InternVLProcessor":
            tokens = TileTokens(_number("image_seq_length", processor, model, 256))
        case _:
            return video
    return video.override(layout=replace(video.layout, tokens=tokens))


def _number(name: str, processor: Settings, model: Settings, default: int) -> int:
    values = (processor.get(name), model.get(name), default)
    return positive_integer(name, next(value for value in values if value is not None))


def _features(tile: tuple[int, int] | None, processor: Settings, model: Settings) -> int | None:
    """Patches of a tile; None if their side is not known."""
    vision = section(model, "vision_config")
    patch = processor.get("patch_size") or vision.get("patch_size")
    if patch is None or tile is None:
        return None
    patch = positive_integer("patch_size", patch)
    return (tile[0] // patch) * (tile[1] // patch)


def _alone(tile: tuple[int, int] | None, model: Settings) -> TileTokens | None:
    """What a tile becomes in a tower that no language model reads; None if that is not known."""
    model_type: str = model.get("model_type") or ""
    known = _ALONE.get(model_type.removesuffix("_vision_model"))
    if known is None or tile is None:
        return None
    patch, others = known
    vision = section(model, "vision_config") or model  # That of a tower alone is flat.
    features = _features(tile, {"patch_size": vision.get("patch_size", patch)}, {})
    return None if features is None else TileTokens(features + others)


def _others(processor: Settings, model: Settings) -> int:
    """Tokens of a tile beside its patches: the class, unless it is left out.

    Raises:
        ValueError: one is left out that is not there.
    """
    name = "vision_feature_select_strategy"
    strategy = processor.get(name) or model.get(name) or "default"
    if processor.get("patch_size") is None:
        additional = 1  # Of the model, which has a class token; older processors do not say.
    else:
        additional = processor.get("num_additional_image_tokens", 0)
    others = integer("num_additional_image_tokens", additional, 0) - (strategy == "default")
    if others < 0:
        raise ValueError(
            "num_additional_image_tokens must be 1 in processor_config.json where "
            f"vision_feature_select_strategy is 'default', got {additional}: the model leaves out "
            "a class token and finds one placeholder too few"
        )
    return others


def _anyres(features: int | None, most_tiles: int | None = None) -> Tokens | None:
    if features is None:
        return None
    if isqrt(features) ** 2 != features:
        raise ValueError(f"num_image_tokens must be a square of patches, got {features}")
    return AnyresTokens(isqrt(features), most_tiles)


def _onevision(image: ImageConfig, processor: Settings, model: Settings) -> ImageConfig:
    _check_agreement(image, model)
    layout = image.layout
    name = "vision_feature_select_strategy"
    if (strategy := processor.get(name) or model.get(name) or "full") != "full":
        raise ValueError(f"{name} must be 'full', got {strategy!r}: SigLIP has no class token")
    name = "vision_aspect_ratio"
    aspect = processor.get(name) or model.get(name) or "anyres_max_9"
    most = re.fullmatch(r"anyres_max_(\d+)", str(aspect))
    if most is None:
        raise ValueError(f"{name} must be 'anyres_max_' and a number of tiles, got {aspect!r}")
    features = _onevision_features(layout, processor, model)
    if features is None:
        return image
    together = layout.together
    if together is not None:
        together = replace(together, tokens=TileTokens(features, after=1))
    tokens = _anyres(features, positive_integer(name, int(most[1])))
    return image.override(layout=replace(layout, tokens=tokens, together=together))


def _onevision_features(layout: Layout, processor: Settings, model: Settings) -> int | None:
    """Features of a tile of LLaVA-OneVision; None if they are not known."""
    features = processor.get("num_image_tokens") or _features(layout.tile, processor, model)
    return None if features is None else positive_integer("num_image_tokens", features)


def _check_agreement(image: ImageConfig, model: Settings) -> None:
    """Refuses tiles that the model would put together in another way than they were cut.

    Raises:
        ValueError: names what differs.
    """
    layout = image.layout
    vision = section(model, "vision_config")
    side = vision.get("image_size")
    if isinstance(side, int) and layout.tile != (side, side):
        raise ValueError(
            f"vision_config.image_size in config.json must be the tile {layout.tile} of the image "
            f"processor, got {side}"
        )
    pinpoints = model.get("image_grid_pinpoints")
    if pinpoints is not None and isinstance(layout.fit, Pinpoints):
        canvases = sizes_listed("image_grid_pinpoints in config.json", pinpoints)
        if canvases != layout.fit.canvases:
            raise ValueError(
                f"image_grid_pinpoints in config.json must be those of the image processor, "
                f"{layout.fit.canvases}, got {canvases}"
            )
