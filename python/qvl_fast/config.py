"""What a model expects of its input: frozen configurations and the presets of released models."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    import os

OPENAI_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)

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

        What is missing or null has the class default. Settings that the reference ignores are
        ignored.

        Raises:
            ValueError: the settings ask for something that is not reproduced exactly.
        """
        kind = settings.get("image_processor_type")
        if kind is not None and kind.removesuffix("Fast").removesuffix("Pil") != (
            "Qwen2VLImageProcessor"
        ):
            raise ValueError(f"image_processor_type must be 'Qwen2VLImageProcessor', got {kind!r}")
        if settings.get("resample") not in (None, _BICUBIC):
            raise ValueError(f"resample must be 3 (bicubic), got {settings['resample']!r}")
        if settings.get("do_convert_rgb") not in (None, True):
            raise ValueError(f"do_convert_rgb must be true, got {settings['do_convert_rgb']!r}")
        known = {"size", *(entry.name for entry in fields(cls))}
        values = {name: settings[name] for name in known if settings.get(name) is not None}
        if "min_pixels" in values and "max_pixels" in values:
            # As in the reference, they replace the size whatever it holds: older files keep it
            # under other keys.
            values.pop("size", None)
        return cls().override(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What one model expects of its input.

    Attributes:
        name: the preset's name, or the directory's.
        image: how an image becomes patch rows.
    """

    name: str
    image: ImageConfig = field(default_factory=ImageConfig)

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
        it) or else from ``preprocessor_config.json``. Nothing is downloaded.

        Raises:
            FileNotFoundError: the directory holds neither.
            ValueError: a file is not JSON, or asks for what is not reproduced exactly.
        """
        directory = Path(directory)
        image = _read_json(directory / "processor_config.json").get("image_processor")
        if image is None:
            image = _read_json(directory / "preprocessor_config.json")
        if not image:
            raise FileNotFoundError(
                f"directory {str(directory)!r} has neither a processor_config.json with an "
                "image_processor nor a preprocessor_config.json"
            )
        return cls(name=directory.name, image=ImageConfig.from_dict(image))


def image_config(config: str | ModelConfig | ImageConfig) -> ImageConfig:
    """The image part of what a ``config=`` argument may be.

    Raises:
        ValueError: an unknown preset.
        TypeError: none of a preset's name, a :class:`ModelConfig` and an :class:`ImageConfig`.
    """
    match config:
        case ImageConfig():
            return config
        case ModelConfig():
            return config.image
        case str():
            return ModelConfig.preset(config).image
        case _:
            raise TypeError(
                f"config must be a preset's name, a ModelConfig or an ImageConfig, got {config!r}"
            )


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
    """``value`` as an int of at least 1.

    Raises:
        TypeError, ValueError: it is not one; names the argument and the value.
    """
    try:
        integer = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if integer < 1:
        raise ValueError(f"{name} must be at least 1, got {integer}")
    return integer


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def _per_channel(name: str, value: Any) -> tuple[float, ...]:
    try:
        channels: list[Any] = list(value)
    except TypeError:
        channels = [value] * 3
    if len(channels) != 3:
        raise ValueError(f"{name} must have one or three values, got {value!r}")
    return tuple(_number(name, channel) for channel in channels)


def _read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {content!r:.80}")
    return cast("dict[str, Any]", content)


def _list(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))


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
        ModelConfig(name="qwen2-vl", image=_QWEN2),
        ModelConfig(name="qwen2.5-vl", image=_QWEN2),
        ModelConfig(name="qwen3-vl", image=_QWEN3),
    )
}
