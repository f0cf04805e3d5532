"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast._input.source import ImageBatch, samples
from qvl_fast._output.batch import BatchRows, ImagePlanes, ImageRows, PaddedRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import DType, Rows, Temporal, check_form, hand_out
from qvl_fast.config import AnyImageConfig, ImageConfig, image_config
from qvl_fast.config.checks import check_choice, positive_integer
from qvl_fast.config.layout import AnyresTokens, LineTokens, PatchBudget, TileTokens
from qvl_fast.processors.base import (
    Decode,
    Form,
    Processor,
    Reference,
    check_areas,
    native_layout,
)
from qvl_fast.processors.writing import Batch

if TYPE_CHECKING:
    import torch


class ImageProcessor(Processor[ImageConfig]):
    """Images to what a model takes, equal bit for bit to the processors in transformers.

    With ``reference="torchvision"`` equal to ``Qwen2VLImageProcessor``, with ``"pillow"`` to
    ``Qwen2VLImageProcessorPil``, on the CPU; for other families to their processors. Its settings
    cannot be changed, so threads may share it. It pickles, as do subclasses, and is cheap to make
    again.

    Args:
        config: a preset's name, a :class:`ModelConfig`, an :class:`ImageConfig`, or a processor of
            transformers.
        reference: ``"torchvision"``, or ``"pillow"`` for the pass order of the installed Pillow,
            resolved here and shown in the repr; ``"pillow-12"`` and ``"pillow-13"`` force one.
        form: ``"rows"``, patches in the order in which the towers of :mod:`qvl_fast.models` take
            them, those of one tile after those of another; ``"planes"``, whole tiles as the stock
            models of most families take them, and the default where images become tiles of one
            size; or ``"padded"``, patches with a mask, as that of SigLIP 2 takes them, and the
            default there.
        dtype: ``"float32"``, ``"float16"``, ``"bfloat16"`` (both rounded from float32 to nearest
            even) or ``"uint8"``, the resized pixels without rescaling and normalisation. Also
            torch's own, such as ``torch.bfloat16``. Only towers of :mod:`qvl_fast.models` that were
            folded take uint8; a stock model casts it and computes nonsense.
        temporal: ``"full"`` stores a patch for each of ``temporal_patch_size`` frames as the
            reference does, ``"compact"`` once, which the towers of :mod:`qvl_fast.models` take.
        num_threads: how many threads a call may use. By default one in a worker process, elsewhere
            one for each processor that the process may use, or ``QVL_FAST_NUM_THREADS``. Concurrent
            calls share these.
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

    __slots__ = ("_layout", "_together", "decode")

    OPTIONS: ClassVar[tuple[str, ...]] = (*Processor.OPTIONS, "decode")

    _layout: _native.Layout
    _together: _native.Layout | None
    decode: Decode

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
        settings = image_config(config)
        check_areas(overrides.get("layout", settings.layout), overrides)
        self._make(
            settings.override(**overrides),
            reference=reference,
            dtype=dtype,
            temporal=temporal,
            num_threads=num_threads,
            pin_memory=pin_memory,
            return_tensors=return_tensors,
            form=form,
            decode=decode,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        config, together = self.config, self.config.layout.together
        layout = native_layout(config, config.layout, self.reference)
        object.__setattr__(self, "_layout", layout)
        if together is not None:
            layout = native_layout(config, together, self.reference)
        object.__setattr__(self, "_together", layout if together is not None else None)

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
    ) -> BatchRows[Any]: ...
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
    ) -> BatchRows[torch.Tensor]: ...
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
    ) -> BatchRows[NDArray[Any]]: ...
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: ReturnTensors | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> BatchRows[Any]:
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
            :class:`~qvl_fast.ImageRows`, :class:`~qvl_fast.ImagePlanes` or
            :class:`~qvl_fast.PaddedRows`, by the form; each says what is in it.

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
        layout = self._layout
        if given:
            check_areas(self.config.layout, given)
            config = self.config.override(**given)
            layout = native_layout(config, config.layout, self.reference)
        batch = Batch(self._writer, into_out=out is not None)
        groups = samples(images)
        for sample in groups:
            together = self._together if len(sample) > 1 else None
            for image in sample:
                batch.add_image(image, together or layout)
        grids = np.array(batch.grids, np.int64)
        padded = self._padded(grids)
        count = batch.rows if padded is None else padded * len(grids)
        rows, out = self._storage(count, out, batch.arrays)
        batch.write(
            rows, num_threads=self._threads(), reduced=self.decode == "scaled", padded=padded
        )
        pixel_values: Any = hand_out(rows, self.dtype, form, out)
        if padded is not None:
            pixel_values = pixel_values.reshape(len(grids), padded, -1)
        if self.form == "planes":
            tile: Any = self.config.layout.tile
            pixel_values = pixel_values.reshape(*pixel_values.shape[:-1], 3, *tile)
        companions = self._companions(
            grids, batch.sizes, [len(sample) for sample in groups], padded
        )
        entries: dict[str, Any] = {"pixel_values": pixel_values}
        entries |= {name: hand_out(value, "int64", form) for name, value in companions.items()}
        kinds: dict[Form, Any] = {"rows": ImageRows, "planes": ImagePlanes, "padded": PaddedRows}
        return kinds[self.form](entries)

    def _padded(self, grids: NDArray[np.int64]) -> int | None:
        """Rows that each image of a batch is given; None if it has those of its own only."""
        fit = self.config.layout.fit
        if self.form == "padded" and isinstance(fit, PatchBudget):
            # Without resizing an image may have more, which the stock processor does not cut.
            return max(fit.most, int(grids.prod(axis=1).max()))
        if self.form == "planes" and self.config.layout.stack == "padded":
            return int(grids[:, 0].max())
        return None

    def _companions(
        self,
        grids: NDArray[np.int64],
        sizes: list[tuple[int, int]],
        samples: list[int],
        padded: int | None,
    ) -> dict[str, NDArray[Any]]:
        """What a model needs to know of a batch beside its pixels.

        Args:
            grids: of each image, in tiles and patches.
            sizes: of each, before any resizing.
            samples: how many images each has.
            padded: rows that each image was given, if it was given others than its own.
        """
        layout = self.config.layout
        companions: dict[str, NDArray[Any]] = {}
        if layout.sized:
            companions["image_sizes"] = np.array(sizes, np.int64)
        if self._together is not None:
            companions["batch_num_images"] = np.array(samples, np.int64)
        match self.form:
            case "rows":
                companions["image_grid_thw"] = grids
            case "planes":
                if layout.stack == "flat":
                    companions["num_patches"] = grids[:, 0].copy()
            case "padded":
                mask = np.arange(padded or 0) < grids.prod(axis=1)[:, np.newaxis]
                companions["pixel_attention_mask"] = mask.astype(np.int32)
                companions["spatial_shapes"] = grids[:, 1:].copy()
        return companions

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

    def num_tokens(self, height: int, width: int, *, images: int = 1) -> int:
        """Tokens that an image of ``height`` by ``width`` pixels becomes in the language model.

        Args:
            height: of the image in pixels.
            width: of the image in pixels.
            images: of its sample, where a layout depends on that (LLaVA-OneVision).

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`. Or the layout does not say
                what becomes of a tile.
        """
        native, layout = self._layout, self.config.layout
        if positive_integer("images", images) > 1 and layout.together is not None:
            native, layout = cast("_native.Layout", self._together), layout.together
        match layout.tokens:
            case TileTokens(count, after):
                tiles, _, _ = native.grid(self._writer, height, width)
                return tiles * count + after
            case AnyresTokens(side, most_tiles):
                return native.anyres_tokens(side, most_tiles, height, width)
            case LineTokens(around):
                _, *patches = native.grid(self._writer, height, width)
                lines, blocks = (side // self.config.merge_size for side in patches)
                return lines * (blocks + 1) + around
            case None if layout.tile is not None:
                raise ValueError("tokens must be given in the layout to count them, got None")
            case None:
                return self.num_patches(height, width) // self.config.merge_size**2
