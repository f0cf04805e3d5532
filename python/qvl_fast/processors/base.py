"""What the processors share: their options, how they are kept, and what writes their rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

import PIL
from numpy.typing import NDArray

from qvl_fast import _native, environment
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import (
    DType,
    Rows,
    Temporal,
    check_pinning,
    dtype_name,
    pinned,
    storage,
)
from qvl_fast._output.torch import load_torch_early
from qvl_fast.config import ImageConfig, ModelConfig, positive_integer
from qvl_fast.config.checks import check_choice
from qvl_fast.config.layout import (
    Area,
    Halved,
    PatchBudget,
    Pinpoints,
    Ratio,
    Shortest,
    Shrink,
    Stretch,
    TokenBudget,
)
from qvl_fast.threads import default_num_threads

if TYPE_CHECKING:
    import numpy as np
    import torch

    from qvl_fast.config.layout import Fit, Layout

Form = Literal["rows", "planes", "padded"]
Reference = Literal["torchvision", "pillow", "pillow-12", "pillow-13"]
Decode = Literal["exact", "scaled"]
Config = TypeVar("Config", bound=ImageConfig)

# Settings that are of areas in pixels.
_AREAS = {
    "min_pixels",
    "max_pixels",
    "size",
    "total_pixels",
    "cap_pixels_per_frame",
    "max_video_tokens",
}


class Processor(Generic[Config]):
    """Settings that cannot be changed, so that threads may share a processor.

    It pickles, as do subclasses, and is cheap to make again. A subclass says in ``OPTIONS`` which
    arguments of its constructor beside the configuration are kept.
    """

    # Without a dict of their own, instances refuse any other attribute; those of a subclass do not.
    __slots__ = (
        "_writer",
        "config",
        "dtype",
        "form",
        "num_threads",
        "pin_memory",
        "reference",
        "return_tensors",
        "temporal",
    )

    OPTIONS: ClassVar[tuple[str, ...]] = (
        "reference",
        "dtype",
        "temporal",
        "num_threads",
        "pin_memory",
        "return_tensors",
        "form",
    )

    _writer: _native.RowWriter
    config: Config
    reference: Literal["torchvision", "pillow-12", "pillow-13"]
    dtype: DType
    temporal: Temporal
    num_threads: int | None
    pin_memory: bool
    return_tensors: ReturnTensors
    form: Form

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], **options: Any) -> Self:
        """The processor of a checkpoint directory.

        Args:
            directory: see :meth:`ModelConfig.from_pretrained`.
            **options: of the constructor.

        Raises:
            FileNotFoundError: the directory is not there or holds no settings.
            ValueError, TypeError, ImportError, RuntimeError: as the constructor.
        """
        make: Any = cls
        return make(ModelConfig.from_pretrained(directory), **options)

    @property
    def columns(self) -> int:
        """Elements in a row, ``3 * frames * patch_size**2``, one frame if compact; or in a tile."""
        return self._writer.columns

    def _make(
        self,
        config: Config,
        *,
        reference: Reference,
        dtype: DType | torch.dtype,
        temporal: Temporal,
        num_threads: int | None,
        pin_memory: bool,
        return_tensors: ReturnTensors,
        form: Form | None,
        **options: Any,
    ) -> None:
        """Check and keep the arguments of a constructor; ``options`` are a subclass's own."""
        check_choice("return_tensors", return_tensors, ReturnTensors)
        stock = _stock_form(config.layout)
        form = stock if form is None else form
        check_choice("form", form, Form)
        if form not in ("rows", stock):
            known = " or ".join(map(repr, sorted({"rows", stock})))
            raise ValueError(f"form must be {known} for this layout, got {form!r}")
        if pin_memory:
            check_pinning()
        if num_threads is not None:
            num_threads = positive_integer("num_threads", num_threads)
        self.__setstate__(
            {
                "config": config,
                "reference": resolve_reference(reference),
                "dtype": dtype_name(dtype),
                "temporal": temporal,
                "num_threads": num_threads,
                "pin_memory": pin_memory,
                "return_tensors": return_tensors,
                "form": form,
                **options,
            }
        )

    def _new_writer(self) -> _native.RowWriter:
        """What writes the rows of this processor.

        Raises:
            ValueError: a setting that cannot be computed with.
        """
        return row_writer(self.config, self.dtype, self.temporal, self.reference, self.form)

    def _threads(self) -> int:
        """How many threads a call may use."""
        return self.num_threads or default_num_threads()

    def _storage(
        self, rows: int, out: Rows | None, inputs: list[NDArray[np.uint8]]
    ) -> tuple[NDArray[Any], Rows | None]:
        """Where rows are to be written, and the tensor or array of the caller's that this is of.

        Raises:
            TypeError, ValueError, MemoryError: see :func:`storage`.
        """
        shape = rows, self.columns
        if out is None and self.pin_memory:
            out = pinned(shape, self.dtype)
        return storage(shape, self.dtype, out, inputs), out

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.OPTIONS)
        return f"{type(self).__name__}({self.config!r}, {options})"

    def __setattr__(self, name: str, value: object) -> None:
        config = getattr(self, "config", None)
        fixed = {"_writer", "config", "size", *self.OPTIONS}
        if name in fixed or (config and name in {entry.name for entry in fields(config)}):
            raise AttributeError(
                f"{name} of a processor cannot be changed; make another, or pass min_pixels, "
                "max_pixels or size to the call"
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        own: dict[str, Any] = getattr(self, "__dict__", {})
        return {
            **own,
            "config": self.config,
            **{name: getattr(self, name) for name in self.OPTIONS},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_writer", self._new_writer())
        if self.return_tensors == "pt":
            load_torch_early()


def check_areas(layout: Layout, settings: Mapping[str, Any]) -> None:
    """Refuse bounds of areas where the size does not go by areas, and they would do nothing.

    Args:
        layout: how sizes are found.
        settings: what is given; None is nothing.

    Raises:
        ValueError: names one.
    """
    given = {name for name in _AREAS if settings.get(name) is not None}
    if given and not isinstance(layout.fit, (Area, Halved)):
        raise ValueError(f"{min(given)} must be None for fit {layout.fit!r}")


def resolve_reference(reference: Reference) -> Literal["torchvision", "pillow-12", "pillow-13"]:
    """The reference with ``"pillow"`` replaced by the pass order of the installed Pillow.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("reference", reference, Reference)
    if reference != "pillow":
        return reference
    return "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"


def row_writer(
    config: ImageConfig, dtype: DType, temporal: Temporal, reference: str, form: Form = "rows"
) -> _native.RowWriter:
    """What writes the rows of a configuration, or its tiles as planes.

    Raises:
        ValueError: an unknown name, or a setting that cannot be computed with.
    """
    check_choice("temporal", temporal, Temporal)
    tile = config.layout.tile
    if form == "rows" and tile is not None and min(tile) < config.factor:
        raise ValueError(
            f"tile must be of at least {config.factor} pixels a side for rows, got {tile}"
        )
    return _native.RowWriter(
        config.patch_size,
        config.temporal_patch_size,
        1 if config.layout.raster else config.merge_size,
        tile=tile if form == "planes" else None,
        resample=config.layout.filter,
        margin=_mean_colour(config) if _pads(config.layout) else [0] * 3,
        channels_last=config.layout.channels_last,
        temporal=temporal,
        dtype=dtype,
        reference=reference,
        rescale_factor=config.rescale_factor if config.do_rescale else None,
        mean_std=(config.image_mean, config.image_std) if config.do_normalize else None,
        isa=environment.isa(),
    )


def _stock_form(layout: Layout) -> Form:
    """The form in which the stock models of a layout take images."""
    if layout.stack == "masked":
        return "padded"
    return "rows" if layout.tile is None else "planes"


def _mean_colour(config: ImageConfig) -> list[int]:
    """The levels that images are padded with to a square, rounded as by the reference.

    Raises:
        ValueError: the mean is no colour.
    """
    if not all(0 <= mean <= 1 for mean in config.image_mean):
        raise ValueError(
            "image_mean must be from 0 to 1 where images are padded with that colour, got "
            f"{config.image_mean}"
        )
    return [int(255 * mean) for mean in config.image_mean]


def _pads(layout: Layout) -> bool:
    return layout.square or (layout.together is not None and layout.together.square)


def native_layout(config: ImageConfig, layout: Layout, reference: str) -> _native.Layout:
    """The core's form of a layout.

    Raises:
        ValueError: settings that do not go together; names one and its value.
    """
    return _native.Layout(
        _fit(config, layout.fit, reference) if config.do_resize else _native.Fit.keep(),
        tile=layout.tile,
        square=layout.square,
        overview=layout.overview,
        reference=reference,
    )


def _fit(config: ImageConfig, fit: Fit, reference: str) -> _native.Fit:
    def factor(expand: int) -> int:
        return config.factor * (expand if reference == "torchvision" else 1)

    match fit:
        case Area(frames, small, expand):
            pixels = config.min_pixels, config.max_pixels
            count = config.temporal_patch_size if frames else 1
            return _native.Fit.area(factor(expand), pixels, count, small)
        case Shrink(patches, side):
            return _native.Fit.shrink(config.patch_size, config.factor, patches, side)
        case TokenBudget(least, most, expand):
            frames = config.temporal_patch_size
            return _native.Fit.tokens(factor(expand), frames, least, most)
        case PatchBudget(most):
            return _native.Fit.patches(config.patch_size, most)
        case Halved():
            return _native.Fit.halved(config.factor, (config.min_pixels, config.max_pixels))
        case Stretch(height, width):
            return _native.Fit.stretch(height, width)
        case Shortest(edge):
            return _native.Fit.shortest(edge)
        case Pinpoints(canvases):
            return _native.Fit.pinpoints(canvases)
        case Ratio(least, most):
            return _native.Fit.ratio(least, most)
