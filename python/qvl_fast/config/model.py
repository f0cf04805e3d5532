"""A whole model: its parts, the presets of released families, and checkpoint directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from qvl_fast.config.checks import (
    checkpoint_directory,
    listed,
    positive_integer,
    positive_number,
    read_json,
    section,
)
from qvl_fast.config.families import (
    IMAGES,
    PLACEHOLDERS,
    VIDEO_PLACEHOLDERS,
    VIDEOS,
    from_json,
    knows_video,
    placeholder,
    processor_kind,
    video_from_json,
    video_placeholder,
    with_class,
    with_tokens,
    with_video_tokens,
)
from qvl_fast.config.grounding import GroundingConfig
from qvl_fast.config.image import ImageConfig
from qvl_fast.config.placeholder import Placeholder, VideoPlaceholder
from qvl_fast.config.rope import RopeConfig
from qvl_fast.config.tower import TOWERS, TowerConfig
from qvl_fast.config.video import QWEN3_VL_DEFAULTS, VideoConfig

_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What one model expects of its input.

    Attributes:
        name: the preset's name, or the directory's.
        image: how an image becomes patch rows.
        video: how a video does; None if the checkpoint does not say.
        tower: the shape of the vision tower; None if the checkpoint does not say.
        rope: how the language model numbers its tokens; None if the checkpoint does not say.
        grounding: how the model writes where things are; None if that is not known.
        placeholder: what stands for an image in a prompt; None if that is not known.
        video_placeholder: what stands for a video there; None if that is not known.
    """

    name: str
    image: ImageConfig = field(default_factory=ImageConfig)
    video: VideoConfig | None = None
    tower: TowerConfig | None = None
    rope: RopeConfig | None = None
    grounding: GroundingConfig | None = None
    placeholder: Placeholder | None = None
    video_placeholder: VideoPlaceholder | None = None

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """The configuration of a released model such as ``"qwen2.5-vl-7b"``.

        A family's name alone means its 7B, 8B or 9B model; sizes differ in the tower only.

        Raises:
            ValueError: the name is not known; the message lists those that are.

        Example:
            >>> ModelConfig.preset("qwen3-vl").image.patch_size
            16
        """
        try:
            return _MODELS[name]
        except (KeyError, TypeError):
            is_path = "/" in str(name) or Path(str(name)).is_dir()
            hint = "; for the directory of a checkpoint use from_pretrained" if is_path else ""
            message = f"preset must be one of {listed(_MODELS)}, got {name!r}{hint}"
            raise ValueError(message) from None

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> ModelConfig:
        """The configuration of a checkpoint directory.

        Reads the image and the video processor from ``processor_config.json`` (nested, as
        transformers 5 saves them) or else from ``preprocessor_config.json`` and
        ``video_preprocessor_config.json``, and the tower and the rope from ``config.json`` if there
        is one of a known model type. As in transformers, a video is processed by the settings of
        images where a checkpoint has no other. What an image becomes in a prompt is read from
        ``processor_config.json``, ``config.json`` and the tokenizer's files. Which class processes
        images where their settings name none, the model type in ``config.json`` says, as in
        transformers, or the ``auto_map`` of the settings. Nothing is downloaded.

        Raises:
            FileNotFoundError: the directory is not there, or holds no settings of an image
                processor.
            ValueError: a file is not JSON, or asks for what is not reproduced exactly.
            TypeError: a value has the wrong type.
        """
        directory = checkpoint_directory(directory).resolve()
        file = directory / "processor_config.json"
        nested = read_json(file) or {}
        image = nested.get("image_processor")
        if image is None:
            file = directory / "preprocessor_config.json"
            image = read_json(file)
        video = nested.get("video_processor")
        if video is None:
            video = read_json(directory / "video_preprocessor_config.json")
        if image is None:
            raise FileNotFoundError(
                f"directory {str(directory)!r} has neither a processor_config.json with an "
                "image_processor nor a preprocessor_config.json"
            )
        for name, settings in (("image_processor", image), ("video_processor", video)):
            if not isinstance(settings, Mapping | None):
                raise ValueError(f"{name} in {directory} must be an object, got {settings!r:.80}")
        config = read_json(directory / "config.json") or {}
        if not isinstance(model_type := config.get("model_type"), str | None):
            raise TypeError(f"model_type in config.json must be a text, got {model_type!r:.80}")
        tower, rope = _model_parts(config)
        preset = _MODEL_TYPES.get(config.get("model_type", ""))
        image = with_class(cast("dict[str, Any]", image), config, file)
        kind = processor_kind(config, nested, image)
        images = from_json({"processor_class": kind, **image})
        videos = _video(image, cast("dict[str, Any] | None", video), rope, kind)
        token = video_token = None
        images = with_tokens(images, kind, nested, config, image)
        if kind is not None:
            videos = videos and with_video_tokens(videos, kind, nested, config)
            token = placeholder(directory, kind, nested, config)
            video_token = video_placeholder(directory, kind, nested, config, token)
        return cls(
            name=directory.name,
            image=images,
            video=videos,
            tower=tower,
            rope=rope,
            grounding=preset and preset.grounding,
            placeholder=token,
            video_placeholder=video_token,
        )


class StockSettings(Protocol):
    """A configuration or a processor of transformers."""

    def to_dict(self) -> dict[str, Any]:
        """Its settings, as in its JSON file."""
        ...


class Configured(Protocol):
    """A processor of this package."""

    @property
    def config(self) -> ImageConfig:
        """Its settings."""
        ...


AnyImageConfig: TypeAlias = "str | ModelConfig | ImageConfig | Configured | StockSettings"
AnyTowerConfig: TypeAlias = "str | ModelConfig | TowerConfig | StockSettings"
AnyRopeConfig: TypeAlias = "str | ModelConfig | RopeConfig | StockSettings"
AnyVideoConfig: TypeAlias = "str | ModelConfig | VideoConfig | StockSettings"
Part = TypeVar("Part", ImageConfig, TowerConfig, RopeConfig, VideoConfig)


def model_config(config: str | ModelConfig) -> ModelConfig:
    """What a ``config=`` argument means where the whole model counts.

    Raises:
        ValueError: an unknown preset.
        TypeError: neither a name nor a configuration of a whole model.
    """
    if isinstance(config, str):
        return ModelConfig.preset(config)
    if not isinstance(cast("object", config), ModelConfig):
        raise TypeError(
            "config must be a preset's name or a ModelConfig, which also says how the model "
            f"writes; got {config!r:.80}"
        )
    return config


def image_config(config: AnyImageConfig) -> ImageConfig:
    """The image part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, ImageConfig, "image")


def tower_config(config: AnyTowerConfig) -> TowerConfig:
    """The tower part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, TowerConfig, "tower")


def rope_config(config: AnyRopeConfig) -> RopeConfig:
    """The rope part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, RopeConfig, "rope")


def video_config(config: AnyVideoConfig) -> VideoConfig:
    """The video part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, VideoConfig, "video")


def _part(config: Any, kind: type[Part], name: str) -> Part:
    """The part that a function needs.

    Args:
        config: a preset's name, a model's configuration, the part itself, a processor that has it,
            or an object of transformers that describes it.
        kind: class of the part.
        name: the part's name in a :class:`ModelConfig`.

    Raises:
        ValueError: an unknown preset, or a checkpoint or object that does not describe the part.
        TypeError: something else.
    """
    # Processors of ours have it as their config.
    for known in (config, getattr(config, "config", None)):
        if isinstance(known, kind):
            return known
    if isinstance(config, str):
        part: Part | None = getattr(ModelConfig.preset(config), name)
        having = (preset for preset, whole in _MODELS.items() if getattr(whole, name) is not None)
        missing = f"preset {config!r} does not describe the {name}; those that do are "
        missing += listed(having)
    elif isinstance(config, ModelConfig):
        part = getattr(config, name)
        missing = f"config {config.name!r} does not describe the {name}"
        if name in ("tower", "rope") and config.name not in _MODELS:
            missing += (
                ": the checkpoint had no config.json of a known model type "
                f"({listed(_MODEL_TYPES)})"
            )
    elif hasattr(config, "to_dict") and not isinstance(config, type):
        part = _stock_parts(config).get(name)
        missing = f"config, a {type(config).__name__}, does not describe the {name}"
    else:
        raise TypeError(
            f"config must be a preset's name, a ModelConfig, the {kind.__name__} or an object of "
            f"transformers, got {config!r:.80}"
        )
    if part is None:
        raise ValueError(missing)
    return part


def _stock_parts(stock: Any) -> dict[str, Any]:
    """What a processor, an image processor or a configuration of transformers describes."""
    parts: dict[str, Any] = {}
    if hasattr(stock, "video_processor"):
        video = video_from_json(stock.video_processor.to_dict())
        seconds = "second_per_grid_ts" in getattr(stock, "model_input_names", ())
        parts["video"] = replace(video, times="seconds") if seconds else video
    settings: dict[str, Any] = getattr(stock, "image_processor", stock).to_dict()
    if "video_processor_type" in settings:
        return {"video": video_from_json(settings)}
    if "image_processor_type" in settings:
        return {"image": from_json(settings), **parts}
    model_type = str(settings.get("model_type", ""))
    if (family := model_type.removesuffix("_vision")) in _MODEL_TYPES and family != model_type:
        return {"tower": TowerConfig.from_dict(settings, family)}
    tower, rope = _model_parts(settings)
    return {"tower": tower, "rope": rope}


def _video(
    image: dict[str, Any], video: dict[str, Any] | None, rope: RopeConfig | None, kind: str | None
) -> VideoConfig | None:
    """The settings of videos; only the language model says whether it counts seconds.

    None if the checkpoint has none, or a class that is not reproduced. ``kind`` is the class of the
    processor, which of InternVL alone is not named as that of its images.
    """
    if video is not None and not knows_video(video):
        return None
    settings = image if video is None else video
    if video is None and kind == "InternVLProcessor":
        settings = {**image, "video_processor_type": "InternVLVideoProcessor"}
    try:
        config = video_from_json(settings)
    except ValueError:
        if video is not None:
            raise
        return None  # settings of images need not be valid for videos
    if rope is not None and rope.tokens_per_second is not None:
        return replace(config, times="seconds")
    return config


def _model_parts(config: Mapping[str, Any]) -> tuple[TowerConfig | None, RopeConfig | None]:
    """Tower and rope of a ``config.json``; what it leaves out has the model type's default."""
    preset = _MODEL_TYPES.get(config.get("model_type", ""))
    if preset is None or preset.rope is None:
        return None, None
    vision = section(config, "vision_config")
    text = section(config, "text_config") or config  # Older files are flat.
    rope = section(text, "rope_parameters", "rope_scaling")
    tower = TowerConfig.from_dict(vision, config["model_type"])
    default = _ROPE_DEFAULTS[config["model_type"]]
    head_dim = text.get("head_dim") or default.head_dim
    heads, width = text.get("num_attention_heads"), text.get("hidden_size")
    if head_dim is None and heads and width:
        head_dim = width // heads
    if default.rotated is not None:
        share = positive_number(_SHARE, rope.get(_SHARE, text.get(_SHARE, default.rotated)))
        head_dim = int(positive_integer("head_dim", head_dim) * share)
    scaling = rope.get("rope_type", rope.get("type", "default"))
    theta = rope.get("rope_theta", text.get("rope_theta"))
    per_second = preset.rope.tokens_per_second and vision.get("tokens_per_second", 4)
    return tower, replace(
        preset.rope,
        merge_size=tower.merge_size,
        tokens_per_second=per_second,
        head_dim=head_dim or preset.rope.head_dim,
        theta=theta or default.theta,
        sections=tuple(rope.get("mrope_section", preset.rope.sections)),
        scaling="default" if scaling == "mrope" else scaling,
    )


_QWEN2 = ImageConfig(min_pixels=56 * 56, max_pixels=28 * 28 * 16384)
_QWEN3 = ImageConfig(
    patch_size=16,
    min_pixels=256 * 256,
    max_pixels=4096 * 4096,
    image_mean=_HALF,
    image_std=_HALF,
)

_QWEN2_VIDEO = VideoConfig(min_pixels=_QWEN2.min_pixels, max_pixels=_QWEN2.max_pixels)
_QWEN3_VIDEO = replace(QWEN3_VL_DEFAULTS, min_pixels=4096, max_pixels=25_165_824)
_QWEN3_ROPE = RopeConfig(
    videos_in_groups=True, theta=5_000_000.0, sections=(24, 20, 20), interleaved=True
)

PRESETS: Mapping[str, ModelConfig] = {
    config.name: config
    for config in (
        ModelConfig(
            name="qwen2-vl",
            placeholder=PLACEHOLDERS["qwen2-vl"],
            image=_QWEN2,
            video=_QWEN2_VIDEO,
            tower=TOWERS["qwen2-vl"],
            rope=RopeConfig(),
            grounding=GroundingConfig(scale=1000, markup="object-ref"),
        ),
        ModelConfig(
            name="qwen2.5-vl",
            placeholder=PLACEHOLDERS["qwen2.5-vl"],
            image=_QWEN2,
            video=replace(_QWEN2_VIDEO, times="seconds"),
            tower=TOWERS["qwen2.5-vl"],
            rope=RopeConfig(tokens_per_second=2),
            grounding=GroundingConfig(scale=None, markup="json"),
        ),
        ModelConfig(
            name="qwen3-vl",
            placeholder=PLACEHOLDERS["qwen3-vl"],
            image=_QWEN3,
            video=_QWEN3_VIDEO,
            tower=TOWERS["qwen3-vl"],
            rope=_QWEN3_ROPE,
            grounding=GroundingConfig(scale=1000, markup="json"),
        ),
        ModelConfig(
            name="qwen3.5",
            placeholder=PLACEHOLDERS["qwen3.5"],
            image=_QWEN3,
            video=_QWEN3_VIDEO,
            tower=TOWERS["qwen3.5"],
            rope=replace(_QWEN3_ROPE, head_dim=64, theta=10_000_000.0, sections=(11, 11, 10)),
            grounding=GroundingConfig(scale=1000, markup="json"),
        ),
    )
}

# Other models by the settings of their images alone: relatives of Qwen's, and other families.
_IMAGES: Mapping[str, ImageConfig] = {
    "colqwen2": _QWEN2,
    "qwen2.5-omni": _QWEN2,
    "qwen3-omni": _QWEN3,
    # Taken to be as Qwen3-VL's, whose tower they have.
    "qwen4-exp": _QWEN3,
    "cosmos3-omni": _QWEN3,
    **IMAGES,
}

# How those of them write places of which that is known.
_GROUNDING = {
    "qwen-vl": GroundingConfig(scale=1000, markup="ref-box"),
    "qwen2.5-omni": GroundingConfig(scale=None, markup="json"),
    "qwen3-omni": GroundingConfig(scale=1000, markup="json"),
}

# Every family of models, without the sizes that differ in their towers only.
FAMILIES: Mapping[str, ModelConfig] = {
    **PRESETS,
    **{
        name: ModelConfig(
            name=name,
            image=image,
            grounding=_GROUNDING.get(name),
            placeholder=PLACEHOLDERS.get(name),
            video=VIDEOS.get(name),
            video_placeholder=VIDEO_PLACEHOLDERS.get(name),
        )
        for name, image in _IMAGES.items()
    },
}

# And by the names of all sizes, which begin with the family's.
_MODELS: Mapping[str, ModelConfig] = {
    name: replace(PRESETS[family], name=name, tower=tower)
    for name, tower in TOWERS.items()
    for family in PRESETS
    if name == family or name.startswith(f"{family}-")
} | FAMILIES

# `model_type` in a config.json -> the preset whose structure it has.
_MODEL_TYPES: Mapping[str, ModelConfig] = {
    "qwen2_vl": PRESETS["qwen2-vl"],
    "qwen2_5_vl": PRESETS["qwen2.5-vl"],
    "qwen3_vl": PRESETS["qwen3-vl"],
    "qwen3_vl_moe": PRESETS["qwen3-vl"],
    "qwen3_5": PRESETS["qwen3.5"],
    "qwen3_5_moe": PRESETS["qwen3.5"],
    "qwen4_exp": PRESETS["qwen3.5"],
}


class _RopeDefaults(NamedTuple):
    """What transformers assumes of a model type where a config.json is silent.

    Attributes:
        theta: base of the wavelengths.
        head_dim: size of an attention head; None if it follows from the width.
        rotated: share of it that is rotated; None where the JSON has no say in that.
    """

    theta: float
    head_dim: int | None = None
    rotated: float | None = None


# What the JSON calls that share.
_SHARE = "partial_rotary_factor"
_ROPE_DEFAULTS: Mapping[str, _RopeDefaults] = {
    "qwen2_vl": _RopeDefaults(1_000_000.0),
    "qwen2_5_vl": _RopeDefaults(1_000_000.0),
    "qwen3_vl": _RopeDefaults(500_000.0, head_dim=128),
    "qwen3_vl_moe": _RopeDefaults(500_000.0, head_dim=128),
    "qwen3_5": _RopeDefaults(10_000.0, head_dim=256, rotated=0.25),
    "qwen3_5_moe": _RopeDefaults(10_000.0, head_dim=256, rotated=0.25),
    "qwen4_exp": _RopeDefaults(10_000.0, head_dim=256, rotated=1.0),
}
