"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.source import ImageBatch, flatten
from qvl_fast._output.batch import ImageRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import DType, Rows, Temporal, check_form, hand_out
from qvl_fast.config import AnyImageConfig, ImageConfig, image_config
from qvl_fast.config.checks import check_choice
from qvl_fast.processors.base import Decode, Processor, Reference
from qvl_fast.processors.writing import Batch

if TYPE_CHECKING:
    import torch


class ImageProcessor(Processor[ImageConfig]):
    """Images to patch rows and grids, equal bit for bit to the processors in transformers.

    With ``reference="torchvision"`` equal to ``Qwen2VLImageProcessor``, with ``"pillow"`` to
    ``Qwen2VLImageProcessorPil``, on the CPU. Its settings cannot be changed, so threads may share
    it. It pickles, as do subclasses, and is cheap to make again.

    Args:
        config: a preset's name, a :class:`ModelConfig`, an :class:`ImageConfig`, or a processor of
            transformers.
        reference: ``"torchvision"``, or ``"pillow"`` for the pass order of the installed Pillow,
            resolved here and shown in the repr; ``"pillow-12"`` and ``"pillow-13"`` force one.
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

    __slots__ = ("decode",)

    OPTIONS: ClassVar[tuple[str, ...]] = (*Processor.OPTIONS, "decode")

    decode: Decode

    def __init__(
        self,
        config: AnyImageConfig,
        *,
        reference: Reference = "torchvision",
        dtype: DType | torch.dtype = "float32",
        temporal: Temporal = "full",
        num_threads: int | None = None,
        pin_memory: bool = False,
        decode: Decode = "exact",
        return_tensors: ReturnTensors = "pt",
        **overrides: Any,
    ) -> None:
        check_choice("decode", decode, Decode)
        self._make(
            image_config(config).override(**overrides),
            reference=reference,
            dtype=dtype,
            temporal=temporal,
            num_threads=num_threads,
            pin_memory=pin_memory,
            return_tensors=return_tensors,
            decode=decode,
        )

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
    ) -> ImageRows[Any]: ...
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
    ) -> ImageRows[torch.Tensor]: ...
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
    ) -> ImageRows[NDArray[Any]]: ...
    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: ReturnTensors | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size: Mapping[str, int] | None = None,
    ) -> ImageRows[Any]:
        """Turn images into rows.

        Args:
            images: an image, several as a list or from a generator, a list of lists, or a 4-D
                array. An image is a path, bytes, a stream, a PIL image, a mapping with ``"bytes"``
                or a ``"path"``, or a uint8 array or CPU tensor with 1, 3 or 4 channels first or
                last (first where both could be).
            out: where to write the rows, an array or CPU tensor of at least N rows. No array among
                the images may share memory with it; a PIL image may, and is copied first.
            return_tensors: ``"pt"`` for torch tensors, ``"np"`` for arrays; either over the memory
                of ``out`` where that is given. The processor's by default.
            min_pixels: least area of a resized image, for this call.
            max_pixels: largest area of a resized image, for this call.
            size: both, as ``{"shortest_edge": ..., "longest_edge": ...}``.

        Returns:
            ``pixel_values``: ``(N, columns)`` of the processor's dtype. ``image_grid_thw``: int64
            ``(images, 3)``.

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
        config = self.config.override(**given) if given else self.config
        budget = _budget(config)
        batch = Batch(self._writer, into_out=out is not None)
        for image in flatten(images):
            batch.add_image(image, lambda size: self._writer.target(*size, budget))
        grids = np.array(batch.grids, np.int64)
        rows, out = self._storage(batch.rows, out, batch.arrays)
        batch.write(rows, num_threads=self._threads(), reduced=self.decode == "scaled")
        return ImageRows(
            pixel_values=hand_out(rows, self.dtype, form, out),
            image_grid_thw=hand_out(grids, "int64", form),
        )

    def resized_size(self, height: int, width: int) -> tuple[int, int]:
        """``(height, width)`` in pixels that an image of this size is resized to.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        return self._writer.target(height, width, _budget(self.config))

    def num_patches(self, height: int, width: int) -> int:
        """Rows that an image of ``height`` by ``width`` pixels fills.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        t, h, w = self._writer.grid(1, *self.resized_size(height, width))
        return t * h * w

    def num_tokens(self, height: int, width: int) -> int:
        """Tokens that an image of ``height`` by ``width`` pixels becomes in the language model.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        return self.num_patches(height, width) // self.config.merge_size**2


def _budget(config: ImageConfig) -> tuple[int, int] | None:
    return (config.min_pixels, config.max_pixels) if config.do_resize else None
