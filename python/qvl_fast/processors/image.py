"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast._input.source import ImageBatch, samples
from qvl_fast._output.batch import ImagePlanes, ImageRows, ImageTensors
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import (
    DType,
    Rows,
    Temporal,
    check_form,
    check_pinning,
    dtype_name,
    hand_out,
    pinned,
    storage,
)
from qvl_fast._output.torch import load_torch_early
from qvl_fast.config import (
    AnyImageConfig,
    ImageConfig,
    ModelConfig,
    image_config,
    positive_integer,
)
from qvl_fast.config.checks import check_choice
from qvl_fast.config.layout import AnyresTokens, Area, TileTokens
from qvl_fast.processors.base import (
    Decode,
    Form,
    Reference,
    native_layout,
    resolve_reference,
    row_writer,
)
from qvl_fast.processors.writing import Batch
from qvl_fast.threads import default_num_threads

if TYPE_CHECKING:
    import torch


# Beside the configuration, all that makes a processor: the arguments of its constructor.
_OPTIONS = (
    "reference",
    "form",
    "dtype",
    "temporal",
    "num_threads",
    "pin_memory",
    "decode",
    "return_tensors",
)


class ImageProcessor:
    """Images to what a model takes, equal bit for bit to the processors in transformers.

    With ``reference="torchvision"`` equal to ``Qwen2VLImageProcessor``, with ``"pillow"`` to
    ``Qwen2VLImageProcessorPil``, on the CPU; for other families to the processors of theirs. Its
    settings cannot be changed, so threads may share
    it. It pickles, as do subclasses, and is cheap to make again.

    Args:
        config: a preset's name, a :class:`ModelConfig`, an :class:`ImageConfig`, or a processor of
            transformers.
        reference: ``"torchvision"``, or ``"pillow"`` for the pass order of the installed Pillow,
            resolved here and shown in the repr; ``"pillow-12"`` and ``"pillow-13"`` force one.
        form: ``"rows"``, patches in the order in which the towers of :mod:`qvl_fast.models` take
            them, those of one tile after those of another; or ``"planes"``, whole tiles as the
            stock models of most families take them. By default planes where images become tiles of
            one size.
        dtype: ``"float32"``, ``"float16"``, ``"bfloat16"`` (both rounded from float32 to nearest
            even) or ``"uint8"``, the resized pixels without rescaling and normalisation. Also
            torch's own, such as ``torch.bfloat16``.
        temporal: ``"full"`` stores a patch for each of ``temporal_patch_size`` frames as the
            reference does, ``"compact"`` once.
        num_threads: how many threads a call may use. By default one in a worker process, elsewhere
            as many as the process may use processors, or ``QVL_FAST_NUM_THREADS``. Concurrent calls
            share these.
        pin_memory: write the rows to page-locked memory, from which a device copies without
            waiting; needs torch with an accelerator.
        decode: ``"exact"``, or ``"scaled"`` to let a JPEG that is to shrink to half or less be
            decoded at a fraction of its size. That is faster, and the rows are then not those of
            the reference. Without the JPEG decoder (see ``qvl-fast doctor``) it changes nothing.
        return_tensors: what calls return if they do not say: ``"pt"`` for torch tensors or ``"np"``
            for arrays.
        **overrides: settings of :class:`ImageConfig` to change, and ``size``; see
            :meth:`ImageConfig.override`.

    Raises:
        ValueError: an unknown name, or a value that cannot be computed with.
        TypeError: an unknown setting or a value of the wrong type.
        ImportError: ``pin_memory`` without torch.
        RuntimeError: ``pin_memory`` without an accelerator.

    Example:
        >>> processor = ImageProcessor("qwen2.5-vl", return_tensors="np")
        >>> batch = processor("samples/coffee.png")
        >>> batch.pixel_values.shape, batch.image_grid_thw.tolist()
        ((1176, 1176), [[1, 28, 42]])
    """

    # Without a dict of their own, instances refuse any other attribute; those of a subclass do not.
    __slots__ = ("_layout", "_together", "_writer", "config", *_OPTIONS)

    _writer: _native.RowWriter
    _layout: _native.Layout
    _together: _native.Layout | None
    config: ImageConfig
    form: Form
    reference: Literal["torchvision", "pillow-12", "pillow-13"]
    dtype: DType
    temporal: Temporal
    num_threads: int | None
    pin_memory: bool
    decode: Decode
    return_tensors: ReturnTensors

    def __init__(
        self,
        config: AnyImageConfig,
        *,
        reference: Reference = "torchvision",
        form: Form | None = None,
        dtype: DType | torch.dtype = "float32",
        temporal: Temporal = "full",
        num_threads: int | None = None,
        pin_memory: bool = False,
        decode: Decode = "exact",
        return_tensors: ReturnTensors = "pt",
        **overrides: Any,
    ) -> None:
        check_choice("decode", decode, Decode)
        check_choice("return_tensors", return_tensors, ReturnTensors)
        if pin_memory:
            check_pinning()
        if num_threads is not None:
            num_threads = positive_integer("num_threads", num_threads)
        settings = image_config(config).override(**overrides)
        tiled = settings.layout.tile is not None
        if form is None:
            form = "planes" if tiled else "rows"
        check_choice("form", form, Form)
        if form == "planes" and not tiled:
            raise ValueError("form must be 'rows' for a layout without a tile, got 'planes'")
        self.__setstate__(
            {
                "config": settings,
                "form": form,
                "reference": resolve_reference(reference),
                "dtype": dtype_name(dtype),
                "temporal": temporal,
                "num_threads": num_threads,
                "pin_memory": pin_memory,
                "decode": decode,
                "return_tensors": return_tensors,
            }
        )

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
        return cls(ModelConfig.from_pretrained(directory), **options)

    @overload
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> ImageTensors[Any]: ...
    @overload
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: Literal["pt"],
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> ImageTensors[torch.Tensor]: ...
    @overload
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: Literal["np"],
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> ImageTensors[NDArray[Any]]: ...
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: ReturnTensors | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> ImageTensors[Any]:
        """Turn images into rows or planes.

        Args:
            images: an image, several as a list or from a generator, a list of lists (each the
                images of a sample, where a layout depends on that), or a 4-D array. An image is a
                path, bytes, a stream, a PIL image, a mapping with ``"bytes"`` or a ``"path"``, or a
                uint8 array or CPU tensor with 1, 3 or 4 channels first or last (first where both
                could be).
            out: where to write the rows, an array or CPU tensor of at least N rows. No array among
                the images may share memory with it; a PIL image may, and is copied first.
            return_tensors: ``"pt"`` for torch tensors, ``"np"`` for arrays; either over the memory
                of ``out`` where that is given. The processor's by default.
            min_pixels: least area of a resized image, for this call.
            max_pixels: largest area of a resized image, for this call.
            size: both, as ``{"shortest_edge": ..., "longest_edge": ...}``.

        Returns:
            :class:`~qvl_fast.ImageRows` or, in the form of planes, an
            :class:`~qvl_fast.ImagePlanes`; each says what is in it.

        Raises:
            ImageError: an image cannot be used. It is a ValueError and a TypeError, and has the
                image's place in the batch in ``.index`` and the image in ``.source``.
            OSError: a path cannot be read; with ``.index`` and ``.source`` too. What a stream
                raises is passed on likewise.
            ValueError, TypeError: another argument is not valid.
            ImportError: torch tensors are asked for and torch is not installed.
        """
        form = self.return_tensors if return_tensors is None else return_tensors
        check_form(form, self.dtype)
        bounds = {"min_pixels": min_pixels, "max_pixels": max_pixels, "size": size}
        given = {name: value for name, value in bounds.items() if value is not None}
        if given and not isinstance(self.config.layout.fit, Area):
            raise ValueError(f"{min(given)} must be None for fit {self.config.layout.fit!r}")
        layout = self._layout
        if given:
            config = self.config.override(**given)
            layout = native_layout(config, config.layout, self.reference)
        batch = Batch(self._writer, into_out=out is not None)
        groups = samples(images)
        for sample in groups:
            together = self._together if len(sample) > 1 else None
            for image in sample:
                batch.add(image, together or layout)
        grids = np.array(batch.grids, np.int64)
        planes, stack = self.form == "planes", self.config.layout.stack
        padded = int(grids[:, 0].max()) if planes and stack == "padded" else None
        shape = (batch.rows if padded is None else padded * len(grids)), self.columns
        if out is None and self.pin_memory:
            out = pinned(shape, self.dtype)
        rows = storage(shape, self.dtype, out, batch.arrays)
        batch.write(
            rows,
            num_threads=self.num_threads or default_num_threads(),
            reduced=self.decode == "scaled",
            padded=padded,
        )
        pixel_values: Any = hand_out(rows, self.dtype, form, out)
        companions: dict[str, Any] = {}
        if stack == "padded":
            companions["image_sizes"] = np.array(batch.sizes, np.int64)
        if self._together is not None:
            companions["batch_num_images"] = np.array([len(sample) for sample in groups], np.int64)
        if planes:
            images_of_tiles = () if padded is None else (len(grids), padded)
            tile: Any = self.config.layout.tile
            pixel_values = pixel_values.reshape(*(images_of_tiles or (len(rows),)), 3, *tile)
            if stack == "flat":
                companions["num_patches"] = grids[:, 0].copy()
        else:
            companions["image_grid_thw"] = grids
        entries: dict[str, Any] = {
            name: hand_out(value, "int64", form) for name, value in companions.items()
        }
        entries = {"pixel_values": pixel_values, **entries}
        return ImagePlanes(entries) if planes else ImageRows(entries)

    @property
    def columns(self) -> int:
        """Elements in a row: ``3 * frames * patch_size**2``, one frame if compact; or in a tile."""
        return self._writer.columns

    def resized_size(self, height: int, width: int) -> tuple[int, int]:
        """``(height, width)`` in pixels that an image of this size is resized to.

        Of an image that is cut into tiles, those of all of them together.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        return self._layout.canvas(height, width)

    def num_patches(self, height: int, width: int) -> int:
        """Rows that an image of ``height`` by ``width`` pixels fills; tiles, for planes.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        t, h, w = self._layout.grid(self._writer, height, width)
        return t * h * w

    def num_tokens(self, height: int, width: int) -> int:
        """Tokens that an image of ``height`` by ``width`` pixels becomes in the language model.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`. Or the layout does not say
                what becomes of a tile.
        """
        match self.config.layout.tokens:
            case TileTokens(count):
                tiles, _, _ = self._layout.grid(self._writer, height, width)
                return tiles * count
            case AnyresTokens(side, most_tiles):
                return self._layout.anyres_tokens(side, most_tiles, height, width)
            case None if self.config.layout.tile is not None:
                raise ValueError("tokens must be given in the layout to count them, got None")
            case None:
                return self.num_patches(height, width) // self.config.merge_size**2

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in _OPTIONS)
        return f"{type(self).__name__}({self.config!r}, {options})"

    def __setattr__(self, name: str, value: object) -> None:
        if name in _FIXED:
            raise AttributeError(
                f"{name} of a processor cannot be changed; make another, or pass min_pixels, "
                "max_pixels or size to the call"
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        own: dict[str, Any] = getattr(self, "__dict__", {})
        return {**own, "config": self.config, **{name: getattr(self, name) for name in _OPTIONS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        config, together = self.config, self.config.layout.together
        writer = row_writer(config, self.dtype, self.temporal, self.reference, self.form)
        object.__setattr__(self, "_writer", writer)
        layout = native_layout(config, config.layout, self.reference)
        object.__setattr__(self, "_layout", layout)
        if together is not None:
            layout = native_layout(config, together, self.reference)
        object.__setattr__(self, "_together", layout if together is not None else None)
        if self.return_tensors == "pt":
            load_torch_early()


_FIXED = frozenset(
    (*ImageProcessor.__slots__, "size", *(setting.name for setting in fields(ImageConfig)))
)
