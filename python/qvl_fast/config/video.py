"""How a video becomes patch rows: which of its frames are taken, and how large they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from qvl_fast.config.checks import check_choice, integer, listed, positive_integer, positive_number
from qvl_fast.config.image import ImageConfig, areas

Sampling = Literal["qwen2-vl", "qwen3-vl", "llava-onevision", "internvl"]
Budget = Literal["frame", "clip"]
Times = Literal["none", "seconds", "text"]

# What the JSON of a Qwen3VLVideoProcessor may hold and the class takes no notice of.
_NOT_READ_BY_QWEN3_VL = ("num_frames", "min_pixels", "max_pixels")
_COUNTS = ("min_frames", "max_frames", "max_video_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoConfig(ImageConfig):
    """How a video becomes patch rows: its frames as images do, with a budget of their own.

    Defaults are the class defaults of ``Qwen2VLVideoProcessor`` in transformers;
    :data:`QWEN3_VL_DEFAULTS` has those of ``Qwen3VLVideoProcessor``.

    Those of :class:`ImageConfig` are not repeated here.

    Attributes:
        min_pixels: least number of pixels, of what ``budget`` says.
        max_pixels: largest number of pixels, likewise; ``size["longest_edge"]`` in JSON.
        budget: ``"frame"`` if ``min_pixels`` and ``max_pixels`` are of each frame (Qwen2-VL,
            Qwen2.5-VL), ``"clip"`` if they are of all frames of a video together (Qwen3-VL).
        cap_pixels_per_frame: whether a frame is also bound by ``max_video_tokens``, as in the Qwen
            utilities; None stands for False, as in the reference, which warns of it.
        max_video_tokens: what that cap reckons with: tokens of the model's context for the budget
            of a frame, of which nine tenths are shared by all frames; tokens of a frame for that
            of a clip.
        do_sample_frames: whether frames are chosen, or all taken.
        sampling: whose rule chooses them: Qwen's, ``"llava-onevision"`` for equal steps (as most
            classes in transformers), ``"internvl"`` for the middles of equal parts.
        fps: frames that are taken of a second.
        num_frames: how many are taken in all, instead of ``fps``.
        min_frames: how many are taken at least by Qwen's rules; does not bind ``num_frames``.
        max_frames: how many are taken at most; likewise.
        times: how the model is told when frames were: ``"none"`` (Qwen2-VL), ``"seconds"``: by
            ``second_per_grid_ts`` (Qwen2.5-VL), ``"text"``: by timestamps in the prompt (Qwen3-VL).

    Raises:
        ValueError: a value is out of range, or both ``fps`` and ``num_frames`` are given.
        TypeError: a value has the wrong type.
    """

    _NULLABLE: ClassVar[tuple[str, ...]] = ("fps", "num_frames", "cap_pixels_per_frame")

    min_pixels: int = 28 * 28 * 128
    max_pixels: int = 28 * 28 * 768
    budget: Budget = "frame"
    cap_pixels_per_frame: bool | None = None
    max_video_tokens: int = 128_000
    do_sample_frames: bool = False
    sampling: Sampling = "qwen2-vl"
    fps: float | None = None
    num_frames: int | None = None
    min_frames: int = 4
    max_frames: int = 768
    times: Times = "none"

    def __post_init__(self) -> None:
        """Check and canonicalise the types, so that equal configurations compare equal."""
        ImageConfig.__post_init__(self)
        for name in _COUNTS:
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        for name, allowed in (("do_sample_frames", bool), ("cap_pixels_per_frame", bool | None)):
            if not isinstance(value := getattr(self, name), allowed):
                raise TypeError(f"{name} must be True or False, got {value!r}")
        check_choice("budget", self.budget, Budget)
        check_choice("sampling", self.sampling, Sampling)
        check_choice("times", self.times, Times)
        if self.fps is not None and self.num_frames is not None:
            raise ValueError(
                "fps and num_frames must not be given together, got "
                f"fps={self.fps!r} and num_frames={self.num_frames!r}"
            )
        if self.fps is not None:
            object.__setattr__(self, "fps", positive_number("fps", self.fps))
        if self.num_frames is not None:
            object.__setattr__(self, "num_frames", positive_integer("num_frames", self.num_frames))

    def override(self, **values: Any) -> Self:
        """A copy with other values.

        Takes the attributes of this class, ``size`` as :meth:`ImageConfig.override` does, and:

        - one of ``fps`` and ``num_frames``, which replaces the other and means that frames are to
          be sampled, unless ``do_sample_frames`` says otherwise;
        - ``total_pixels`` of the Qwen utilities for the budget of a clip. They count a pair of
          frames once, ``size["longest_edge"]`` counts both, so it stands for
          ``max_pixels = temporal_patch_size * total_pixels``.

        Raises:
            TypeError: a name is not known.
            ValueError: a value is out of range, or ``total_pixels`` is given for the budget of a
                frame or beside another maximum.
        """
        if (size := values.pop("size", None)) is not None:
            values = areas(size) | values
        if (total := values.pop("total_pixels", None)) is not None:
            values["max_pixels"] = self._of_total_pixels(total, values)
        known = [entry.name for entry in fields(self)]
        for name in values:
            if name not in known:
                raise TypeError(
                    f"{name!r} is not a video setting; known are size, total_pixels, "
                    f"{listed(known)}"
                )
        chosen = {"fps": values.get("fps"), "num_frames": values.get("num_frames")}
        if any(value is not None for value in chosen.values()):
            values = {"do_sample_frames": True, **values, **chosen}
        return replace(self, **values)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> VideoConfig:
        """The configuration that the JSON of a video processor of Qwen's describes.

        What is missing has the default of its class in transformers, as for
        :meth:`ImageConfig.from_dict`; JSON of an image processor stands for a Qwen2-VL's, as older
        checkpoints have it. :meth:`ModelConfig.from_pretrained` reads that of other classes too.

        Raises:
            ValueError: the settings ask for something that is not reproduced exactly, or another
                setting is null.
            TypeError: a value has the wrong type.
        """
        kind = video_class_name(settings)
        if kind not in QWEN_CLASSES:
            raise ValueError(
                f"video_processor_type must be one of {listed(QWEN_CLASSES)}, got {kind!r}"
            )
        defaults = QWEN_CLASSES[kind]
        ignored = _NOT_READ_BY_QWEN3_VL if kind == "Qwen3VLVideoProcessor" else ()
        own = {name: value for name, value in settings.items() if name not in ignored}
        return defaults.updated({"do_sample_frames": defaults.do_sample_frames, **own})

    def _of_total_pixels(self, total: Any, values: Mapping[str, Any]) -> int:
        total = integer("total_pixels", total, 1)
        if values.get("budget", self.budget) != "clip":
            raise ValueError(
                "total_pixels is for the budget of a clip; for that of a frame pass "
                f"cap_pixels_per_frame=True and max_video_tokens, got {total}"
            )
        if "max_pixels" in values:
            raise ValueError(
                f"total_pixels must not be given beside max_pixels or size, got {total} and "
                f"{values['max_pixels']!r}"
            )
        return total * values.get("temporal_patch_size", self.temporal_patch_size)


QWEN3_VL_DEFAULTS = VideoConfig(
    patch_size=16,
    image_mean=(0.5, 0.5, 0.5),
    image_std=(0.5, 0.5, 0.5),
    min_pixels=32 * 32 * 128,
    max_pixels=32 * 32 * 768,
    budget="clip",
    max_video_tokens=768,
    do_sample_frames=True,
    sampling="qwen3-vl",
    fps=2,
    times="text",
)

QWEN_CLASSES: Mapping[str, VideoConfig] = {
    "Qwen2VLVideoProcessor": VideoConfig(),
    "Qwen3VLVideoProcessor": QWEN3_VL_DEFAULTS,
}


def video_class_name(settings: Mapping[str, Any]) -> str:
    """The class of a video processor; JSON of an image processor stands for Qwen2-VL's."""
    kind = settings.get("video_processor_type")
    if kind is None:
        kind = settings.get("image_processor_type") or "Qwen2VLVideoProcessor"
        kind = kind.removesuffix("Fast").replace("Image", "Video")
    return str(kind)
