"""What a model expects of its input: frozen configurations and the presets of released models."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isqrt
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

if TYPE_CHECKING:
    import os

OPENAI_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)

# Integers up to here are exact in the float64 arithmetic of `smart_resize`.
MAX_INTEGER = 2**53

# `PIL.Image.Resampling.BICUBIC`, the only filter that is reproduced.
_BICUBIC = 3

_INTEGERS = ("patch_size", "temporal_patch_size", "merge_size", "min_pixels", "max_pixels")
_FLAGS = ("do_resize", "do_rescale", "do_normalize")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageConfig:
    """How an image becomes patch rows.

    Defaults are the class defaults of ``Qwen2VLImageProcessor`` in transformers, which are also
    what a checkpoint's JSON leaves out; the values of released checkpoints are the presets of
    :class:`ModelConfig`.

    Attributes:
        patch_size: side of a patch in pixels.
        temporal_patch_size: frames stored in a row.
        merge_size: side, in patches, of the block that the model merges into one token.
        min_pixels: least area of a resized image in pixels; ``size["shortest_edge"]`` in JSON.
        max_pixels: largest area of a resized image; ``size["longest_edge"]`` in JSON.
        do_resize: whether to resize; without it sides must be multiples of :attr:`factor`.
        do_rescale: whether to multiply pixels by ``rescale_factor``.
        rescale_factor: 1/255 maps pixels to 0..1.
        do_normalize: whether to subtract ``image_mean`` and divide by ``image_std``.
        image_mean: mean of each channel, after rescaling; one number stands for all three.
        image_std: standard deviation of each channel, likewise.

    Raises:
        ValueError: a size is not positive, ``min_pixels`` exceeds ``max_pixels``, or mean or std
            does not have one or three values.
        TypeError: a value has the wrong type.
    """

    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280
    do_resize: bool = True
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[float, float, float] = OPENAI_CLIP_MEAN
    image_std: tuple[float, float, float] = OPENAI_CLIP_STD

    def __post_init__(self) -> None:
        """Check and canonicalise the types, so that equal configurations compare equal."""
        for name in _INTEGERS:
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        object.__setattr__(self, "rescale_factor", _number("rescale_factor", self.rescale_factor))
        for name in ("image_mean", "image_std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name)))
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"min_pixels must be at most max_pixels={self.max_pixels}, got {self.min_pixels}"
            )

    @property
    def factor(self) -> int:
        """Pixels along the side of one token: ``patch_size * merge_size``."""
        return self.patch_size * self.merge_size

    def override(self, **values: Any) -> Self:
        """A copy with other values.

        Takes the attributes of this class, and ``size={"shortest_edge": ..., "longest_edge": ...}``
        as the reference does: both are areas in pixels, both are required, and ``min_pixels`` or
        ``max_pixels`` given beside it win.

        Raises:
            TypeError: a name is not known.
            ValueError: a value is out of range.
        """
        if (size := values.pop("size", None)) is not None:
            values = _areas(size) | values
        known = [entry.name for entry in fields(self)]
        for name in values:
            if name not in known:
                raise TypeError(f"{name!r} is not an image setting; known are size, {_list(known)}")
        return replace(self, **values)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The configuration that an image processor's JSON describes.

        What is missing has the class default. As in the reference, a flag that is null is off, and
        the bounds of the area may be null. Settings that the reference ignores are ignored.

        Raises:
            ValueError: the settings ask for something that is not reproduced exactly, or another
                setting is null.
            TypeError: a value has the wrong type.
        """
        kind = settings.get("image_processor_type") or "Qwen2VLImageProcessor"
        if kind.removesuffix("Fast").removesuffix("Pil") != "Qwen2VLImageProcessor":
            raise ValueError(f"image_processor_type must be 'Qwen2VLImageProcessor', got {kind!r}")
        if settings.get("resample", _BICUBIC) != _BICUBIC:
            raise ValueError(f"resample must be 3 (bicubic), got {settings['resample']!r}")
        if settings.get("do_convert_rgb", True) is not True:
            raise ValueError(f"do_convert_rgb must be true, got {settings['do_convert_rgb']!r}")
        values = {
            name: settings[name]
            for name in ("size", *(entry.name for entry in fields(cls)))
            if name in settings
        }
        for name in [name for name, value in values.items() if value is None]:
            if name in _FLAGS:
                values[name] = False
            elif name in ("size", "min_pixels", "max_pixels"):
                del values[name]
            else:
                raise ValueError(f"{name} must not be null, got null")
        if "min_pixels" in values and "max_pixels" in values:
            # As in the reference, they replace the size whatever it holds: older files keep it
            # under other keys.
            values.pop("size", None)
        return cls().override(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerConfig:
    """What a vision tower needs to know about where its patches are.

    Attributes:
        patch_size: side of a patch in pixels.
        merge_size: side, in patches, of the block that the model merges into one token.
        window_size: side in pixels of the windows that most blocks attend within (Qwen2.5-VL);
            None if every block attends to whole frames.
        position_table_side: side of the square table of learned positions that is stretched over
            each frame (Qwen3-VL); None if there is none.

    Raises:
        ValueError: a value is not positive, or a window holds no token.
        TypeError: a value is not an integer.
    """

    patch_size: int = 14
    merge_size: int = 2
    window_size: int | None = None
    position_table_side: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for entry in fields(self):
            if (value := getattr(self, entry.name)) is not None:
                object.__setattr__(self, entry.name, positive_integer(entry.name, value))
        if self.window_size is not None and self.window_size < self.patch_size * self.merge_size:
            raise ValueError(
                "window_size must be at least patch_size * merge_size = "
                f"{self.patch_size * self.merge_size}, got {self.window_size}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RopeConfig:
    """How the language model numbers its tokens, and turns numbers into angles (M-RoPE).

    Attributes:
        merge_size: side, in patches, of the block that becomes one token.
        tokens_per_second: time ids in a second of video (Qwen2.5-VL); None if the time id counts
            groups of frames.
        videos_in_groups: whether text with timestamps stands between the groups of frames of a
            video, each then numbered as an image (Qwen3-VL).
        head_dim: size of an attention head.
        theta: base of the wavelengths.
        sections: how many of the ``head_dim / 2`` frequencies follow time, height and width.
        interleaved: whether those of the three axes alternate (Qwen3-VL) or follow each other.

    Raises:
        ValueError: a value is not positive, or the sections do not add up to ``head_dim / 2``.
        TypeError: a value has the wrong type.
    """

    merge_size: int = 2
    tokens_per_second: float | None = None
    videos_in_groups: bool = False
    head_dim: int = 128
    theta: float = 1_000_000.0
    sections: tuple[int, int, int] = (16, 24, 24)
    interleaved: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        sections = tuple(positive_integer("sections", section) for section in self.sections)
        object.__setattr__(self, "sections", sections)
        for name in ("merge_size", "head_dim"):
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        if len(sections) != 3 or 2 * sum(sections) != self.head_dim:
            raise ValueError(
                f"sections must be three that add up to head_dim / 2 = {self.head_dim / 2:g}, got "
                f"{sections}"
            )
        for name in ("theta", "tokens_per_second"):
            value = getattr(self, name)
            if value is not None and not 0 < _number(name, value) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What one model expects of its input.

    Attributes:
        name: the preset's name, or the directory's.
        image: how an image becomes patch rows.
        tower: where the vision tower's patches are; None if the checkpoint does not say.
        rope: how the language model numbers its tokens; None if the checkpoint does not say.
    """

    name: str
    image: ImageConfig = field(default_factory=ImageConfig)
    tower: TowerConfig | None = None
    rope: RopeConfig | None = None

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """The configuration that the released checkpoints of a model family have.

        Raises:
            ValueError: the name is not known; the message lists those that are.
        """
        try:
            return PRESETS[name]
        except (KeyError, TypeError):
            raise ValueError(f"preset must be one of {_list(PRESETS)}, got {name!r}") from None

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> ModelConfig:
        """The configuration of a checkpoint directory.

        Reads the image processor from ``processor_config.json`` (nested, as transformers 5 saves
        it) or else from ``preprocessor_config.json``, and the tower and the rope from
        ``config.json`` if there is one of a known model type. Nothing is downloaded.

        Raises:
            FileNotFoundError: the directory holds no settings of an image processor.
            ValueError: a file is not JSON, or asks for what is not reproduced exactly.
        """
        directory = Path(directory).resolve()
        image = (_read_json(directory / "processor_config.json") or {}).get("image_processor")
        if image is None:
            image = _read_json(directory / "preprocessor_config.json")
        if image is None:
            raise FileNotFoundError(
                f"directory {str(directory)!r} has neither a processor_config.json with an "
                "image_processor nor a preprocessor_config.json"
            )
        if not isinstance(image, Mapping):
            raise ValueError(f"image_processor in {directory} must be an object, got {image!r:.80}")
        tower, rope = _model_parts(_read_json(directory / "config.json") or {})
        return cls(
            name=directory.name,
            image=ImageConfig.from_dict(cast("dict[str, Any]", image)),
            tower=tower,
            rope=rope,
        )


Part = TypeVar("Part", ImageConfig, TowerConfig, RopeConfig)


def image_config(config: str | ModelConfig | ImageConfig) -> ImageConfig:
    """The image part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, ImageConfig, "image")


def tower_config(config: str | ModelConfig | TowerConfig) -> TowerConfig:
    """The tower part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, TowerConfig, "tower")


def rope_config(config: str | ModelConfig | RopeConfig) -> RopeConfig:
    """The rope part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, RopeConfig, "rope")


def _part(config: str | ModelConfig | Part, kind: type[Part], name: str) -> Part:
    """The part that a function needs of a preset's name, a model's configuration or the part.

    Raises:
        ValueError: an unknown preset, or a checkpoint that did not describe the part.
        TypeError: something else.
    """
    if isinstance(config, kind):
        return config
    model: Any = ModelConfig.preset(config) if isinstance(config, str) else config
    if not isinstance(model, ModelConfig):
        raise TypeError(
            f"config must be a preset's name, a ModelConfig or the {kind.__name__}, got {config!r}"
        )
    part: Part | None = getattr(model, name)
    if part is None:
        raise ValueError(
            f"config {model.name!r} does not describe the {name}: the checkpoint had no "
            f"config.json of a known model type ({_list(_MODEL_TYPES)})"
        )
    return part


def _areas(size: Any) -> dict[str, Any]:
    keys = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}
    try:
        areas: dict[str, Any] = dict(size)
    except (TypeError, ValueError):
        areas = {}
    if set(areas) != set(keys):
        raise ValueError(
            f"size must have exactly the keys 'shortest_edge' and 'longest_edge', got {size!r}"
        )
    return {keys[key]: area for key, area in areas.items()}


def positive_integer(name: str, value: Any) -> int:
    """``value`` as an int from 1 to :data:`MAX_INTEGER`.

    Raises:
        TypeError, ValueError: it is not one; names the argument and the value.
    """
    try:
        integer = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not 1 <= integer <= MAX_INTEGER:
        raise ValueError(f"{name} must be between 1 and 2**53, got {integer}")
    return integer


def _number(name: str, value: Any) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a finite number, got {value}") from None


def _per_channel(name: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, Real):
        return (_number(name, value),) * 3
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        raise TypeError(f"{name} must be a number or three numbers, got {value!r}")
    channels = tuple(_number(name, channel) for channel in value)
    if len(channels) != 3:
        raise ValueError(f"{name} must be a number or three numbers, got {value!r}")
    return channels


def _read_json(path: Path) -> Mapping[str, Any] | None:
    """The object in a JSON file, None where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {content!r:.80}")
    return cast("dict[str, Any]", content)


def _list(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))


def _model_parts(config: Mapping[str, Any]) -> tuple[TowerConfig | None, RopeConfig | None]:
    """Tower and rope of a ``config.json``; what it leaves out has the model type's default."""
    preset = _MODEL_TYPES.get(config.get("model_type", ""))
    if preset is None or preset.tower is None or preset.rope is None:
        return None, None
    vision: Mapping[str, Any] = config.get("vision_config") or {}
    text: Mapping[str, Any] = config.get("text_config") or config  # Older files are flat.
    rope: Mapping[str, Any] = text.get("rope_parameters") or text.get("rope_scaling") or {}
    tower = replace(
        preset.tower,
        patch_size=vision.get("patch_size", preset.tower.patch_size),
        merge_size=vision.get("spatial_merge_size", preset.tower.merge_size),
    )
    if tower.window_size is not None:
        tower = replace(tower, window_size=vision.get("window_size", tower.window_size))
    if tower.position_table_side is not None and "num_position_embeddings" in vision:
        tower = replace(tower, position_table_side=isqrt(vision["num_position_embeddings"]))
    heads, width = text.get("num_attention_heads"), text.get("hidden_size")
    head_dim = text.get("head_dim") or (width // heads if heads and width else None)
    theta = rope.get("rope_theta", text.get("rope_theta"))
    per_second = preset.rope.tokens_per_second and vision.get("tokens_per_second", 4)
    return tower, replace(
        preset.rope,
        merge_size=tower.merge_size,
        tokens_per_second=per_second,
        head_dim=head_dim or preset.rope.head_dim,
        theta=theta or (500_000.0 if preset.rope.interleaved else 1_000_000.0),
        sections=tuple(rope.get("mrope_section", preset.rope.sections)),
    )


_QWEN2 = ImageConfig(min_pixels=56 * 56, max_pixels=28 * 28 * 16384)
_QWEN3 = ImageConfig(
    patch_size=16,
    min_pixels=256 * 256,
    max_pixels=4096 * 4096,
    image_mean=_HALF,
    image_std=_HALF,
)

PRESETS: Mapping[str, ModelConfig] = {
    config.name: config
    for config in (
        ModelConfig(name="qwen2-vl", image=_QWEN2, tower=TowerConfig(), rope=RopeConfig()),
        ModelConfig(
            name="qwen2.5-vl",
            image=_QWEN2,
            tower=TowerConfig(window_size=112),
            rope=RopeConfig(tokens_per_second=2),
        ),
        ModelConfig(
            name="qwen3-vl",
            image=_QWEN3,
            tower=TowerConfig(patch_size=16, position_table_side=48),
            rope=RopeConfig(
                videos_in_groups=True, theta=5_000_000.0, sections=(24, 20, 20), interleaved=True
            ),
        ),
    )
}

# `model_type` in a config.json -> the preset whose structure it has.
_MODEL_TYPES: Mapping[str, ModelConfig] = {
    "qwen2_vl": PRESETS["qwen2-vl"],
    "qwen2_5_vl": PRESETS["qwen2.5-vl"],
    "qwen3_vl": PRESETS["qwen3-vl"],
    "qwen3_vl_moe": PRESETS["qwen3-vl"],
}
