"""How an image becomes patch rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, Self, cast

from qvl_fast.config.checks import listed, number, positive_integer
from qvl_fast.config.layout import Filter, Layout

OPENAI_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# The members of `PIL.Image.Resampling` that are reproduced.
_FILTERS: Mapping[int, Filter] = {
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}

_QWEN = Layout()

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
        layout: what of an image the model sees, and at which size; Qwen's by default, which is
            within the bounds above. Other families': see :class:`~qvl_fast.config.layout.Layout`.

    Raises:
        ValueError: a size is not positive, ``min_pixels`` exceeds ``max_pixels``, or mean or std
            does not have one or three values.
        TypeError: a value has the wrong type.
    """

    # Fields that may be None.
    _NULLABLE: ClassVar[tuple[str, ...]] = ()

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
    layout: Layout = _QWEN

    def __post_init__(self) -> None:
        """Check and canonicalise the types, so that equal configurations compare equal."""
        for name in _INTEGERS:
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        object.__setattr__(self, "rescale_factor", number("rescale_factor", self.rescale_factor))
        for name in ("image_mean", "image_std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name)))
        if not isinstance(cast("object", self.layout), Layout):
            raise TypeError(f"layout must be a Layout, got {self.layout!r}")
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"min_pixels must be at most max_pixels={self.max_pixels}, got {self.min_pixels}"
            )

    @property
    def factor(self) -> int:
        """Pixels along the side of one token, ``patch_size * merge_size``."""
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
            values = areas(size) | values
        known = [entry.name for entry in fields(self)]
        for name in values:
            if name not in known:
                raise TypeError(
                    f"{name!r} is not an image setting; known are size, {listed(known)}"
                )
        return replace(self, **values)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The configuration that the JSON of ``Qwen2VLImageProcessor`` describes.

        What is missing has the class default; the name of the class may be missing. As in the
        reference, a flag that is null is off, and the bounds of the area may be null. Settings that
        the reference ignores are ignored.
        :meth:`ModelConfig.from_pretrained` reads the JSON of other classes too.

        Raises:
            ValueError: the settings ask for something that is not reproduced exactly, or another
                setting is null.
            TypeError: a value has the wrong type.
        """
        if (kind := class_name(settings)) not in (None, "Qwen2VLImageProcessor"):
            raise ValueError(f"image_processor_type must be 'Qwen2VLImageProcessor', got {kind!r}")
        return cls().updated(settings)

    def updated(self, settings: Mapping[str, Any]) -> Self:
        """A copy with what the JSON of an image processor says beside its layout.

        Args:
            settings: the JSON, as :meth:`from_dict` takes it.

        Raises:
            ValueError, TypeError: as :meth:`from_dict`.
        """
        values = _settings_of(type(self), settings, self._NULLABLE)
        if "resample" in settings:
            values["layout"] = replace(self.layout, filter=_filter(settings["resample"]))
        config = self.override(**values)
        convert = settings.get("do_convert_rgb", True)
        if not isinstance(convert, bool | None):
            raise TypeError(f"do_convert_rgb must be true, false or null, got {convert!r}")
        # With the flag off the reference still converts images of files, and fails at others than
        # RGB, which are converted here as if from a file; only what it does not normalise keeps
        # the channels that it has.
        if not convert and not config.do_normalize:
            raise ValueError(
                f"do_convert_rgb must be true where do_normalize is off, got {convert}: images "
                "keep the channels that they have there"
            )
        return config


def class_name(settings: Mapping[str, Any]) -> str | None:
    """The class of an image processor by its name today; None if its JSON has none."""
    kind = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    if kind is None:
        return None
    kind = str(kind).replace("FeatureExtractor", "ImageProcessor")
    return kind.removesuffix("Fast").removesuffix("Pil")


def _filter(resample: Any) -> Filter:
    number = isinstance(resample, int | float) and not isinstance(resample, bool)
    if not number or resample not in _FILTERS:
        known = ", ".join(f"{number} ({name})" for number, name in _FILTERS.items())
        raise ValueError(f"resample must be one of {known}, got {resample!r}")
    return _FILTERS[int(resample)]


def _settings_of(
    kind: type[ImageConfig], settings: Mapping[str, Any], nullable: Sequence[str]
) -> dict[str, Any]:
    """What a processor's JSON says of the fields of a configuration, and of ``size``.

    Args:
        kind: class of the configuration.
        settings: the JSON.
        nullable: fields that may be None.

    Raises:
        ValueError: the settings ask for something that is not reproduced exactly, or another
            setting is null.
    """
    values = {
        name: settings[name]
        for name in ("size", *(entry.name for entry in fields(kind) if entry.name != "layout"))
        if name in settings
    }
    for name in [name for name, value in values.items() if value is None]:
        if name in (*_FLAGS, "do_sample_frames"):
            values[name] = False
        elif name in ("size", "min_pixels", "max_pixels"):
            del values[name]
        elif name not in nullable:
            raise ValueError(f"{name} must not be null, got null")
    if "min_pixels" in values and "max_pixels" in values:
        # As in the reference, they replace the size whatever it holds: older files keep it
        # under other keys.
        values.pop("size", None)
    return {name: _whole(value) for name, value in values.items()}


def _whole(value: Any) -> Any:
    """A whole number that JSON holds as a float, as an integer; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(area) for key, area in cast("Mapping[str, Any]", value).items()}
    return value


def areas(size: Any) -> dict[str, Any]:
    """``min_pixels`` and ``max_pixels`` of a ``size``.

    Raises:
        ValueError: it has other keys.
    """
    keys = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}
    try:
        given: dict[str, Any] = dict(size)
    except (TypeError, ValueError):
        given = {}
    if set(given) != set(keys):
        raise ValueError(
            f"size must have exactly the keys 'shortest_edge' and 'longest_edge', got {size!r}"
        )
    return {keys[key]: area for key, area in given.items()}


def _per_channel(name: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, Real):
        return (number(name, value),) * 3
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        raise TypeError(f"{name} must be a number or three numbers, got {value!r}")
    channels = tuple(number(name, channel) for channel in value)
    if len(channels) != 3:
        raise ValueError(f"{name} must be a number or three numbers, got {value!r}")
    return channels
