"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

from functools import partial
from typing import Any, TypedDict

import numpy as np

from qvl_fast import _native
from qvl_fast._input.errors import about_image
from qvl_fast._input.header import read_header
from qvl_fast._input.source import ImageBatch, flatten, prepare
from qvl_fast._output.rows import (
    DType,
    ReturnTensors,
    Rows,
    Temporal,
    check_form,
    check_pinning,
    hand_out,
    pinned,
    storage,
)
from qvl_fast.config import ImageConfig, ModelConfig, image_config, positive_integer
from qvl_fast.config.checks import check_choice
from qvl_fast.processors.base import Decode, Reference, resolve_reference, row_writer
from qvl_fast.processors.writing import Item, write_images
from qvl_fast.threads import default_num_threads


class ImageRows(TypedDict):
    """What :class:`ImageProcessor` returns; works as ``model(**batch)``.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches.
    """

    pixel_values: Any
    image_grid_thw: Any


class ImageProcessor:
    """Images to patch rows and grids, equal bit for bit to the processors in transformers.

    With ``reference="torchvision"`` equal to ``Qwen2VLImageProcessor``, with ``"pillow"`` to
    ``Qwen2VLImageProcessorPil``, on the CPU. Immutable and safe to share between threads; pickles.

    Args:
        config: a preset's name, a :class:`ModelConfig` or an :class:`ImageConfig`.
        reference: ``"torchvision"``, or ``"pillow"`` for the pass order of the installed Pillow,
            resolved here and shown in the repr; ``"pillow-12"`` and ``"pillow-13"`` force one.
        dtype: ``"float32"``, ``"float16"``, ``"bfloat16"`` (both rounded from float32 to nearest
            even) or ``"uint8"``, the resized pixels without rescaling and normalisation.
        temporal: ``"full"`` stores a patch for each of ``temporal_patch_size`` frames as the
            reference does, ``"compact"`` once.
        num_threads: how many threads a call may use. By default one in a DataLoader's worker or a
            daemonic process, elsewhere ``QVL_FAST_NUM_THREADS`` or as many as the process may use
            processors. Concurrent calls share these.
        pin_memory: write the rows to page-locked memory, from which a device copies without
            waiting; needs torch with an accelerator.
        decode: ``"exact"``, or ``"scaled"`` to let a JPEG that is to shrink to half or less be
            decoded at a fraction of its size. That is faster, and the rows are then not those of
            the reference. Without the JPEG decoder (see ``qvl-fast doctor``) it changes nothing.
        **overrides: settings of :class:`ImageConfig` to change, and ``size``; see
            :meth:`ImageConfig.override`.

    Raises:
        ValueError: an unknown name, or a value that cannot be computed with.
        TypeError: an unknown setting or a value of the wrong type.
        ImportError: ``pin_memory`` without torch.
        RuntimeError: ``pin_memory`` without an accelerator.
    """

    def __init__(
        self,
        config: str | ModelConfig | ImageConfig,
        *,
        reference: Reference = "torchvision",
        dtype: DType = "float32",
        temporal: Temporal = "full",
        num_threads: int | None = None,
        pin_memory: bool = False,
        decode: Decode = "exact",
        **overrides: Any,
    ) -> None:
        self.config: ImageConfig = image_config(config).override(**overrides)
        self.reference: Reference = resolve_reference(reference)
        self.dtype: DType = dtype
        self.temporal: Temporal = temporal
        self.num_threads = (
            None if num_threads is None else positive_integer("num_threads", num_threads)
        )
        self.pin_memory = pin_memory
        if pin_memory:
            check_pinning()
        check_choice("decode", decode, Decode)
        self.decode: Decode = decode
        self._writer = row_writer(self.config, dtype, temporal, self.reference)

    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: ReturnTensors = "pt",
    ) -> ImageRows:
        """Turn images into rows.

        Args:
            images: an image, a list of images, a list of such lists, or a 4-D array. An image is a
                path, bytes, file object, PIL image, or uint8 array or CPU tensor with 1, 3 or 4
                channels first or last (first where both could be).
            out: where to write the rows, an array or CPU tensor of at least N rows.
            return_tensors: ``"pt"`` for torch tensors, ``"np"`` for arrays; either over the memory
                of ``out`` where that is given.

        Returns:
            ``pixel_values``: ``(N, columns)`` of the processor's dtype. ``image_grid_thw``: int64
            ``(images, 3)``.

        Raises:
            ValueError, TypeError, OSError: an image or argument is not valid. If an image is to
                blame, the exception has its place in ``.index`` and the image in ``.source``.
            ImportError: torch tensors are asked for and torch is not installed.
        """
        check_form(return_tensors, self.dtype)
        items: list[Item] = []
        targets: list[tuple[int, int]] = []
        passed = flatten(images)
        grids = np.empty((len(passed), 3), np.int64)
        for index, image in enumerate(passed):
            try:
                source = prepare(image)
                items.append(Item(image, source, read_header(source)))
                targets.append(self.resized_size(*items[-1].header.size))
                grids[index] = self._writer.grid(1, *targets[-1])
            except Exception as error:
                raise about_image(error, index, image) from error.__cause__
        shape = int(grids.prod(axis=1).sum()), self.columns
        if out is None and self.pin_memory:
            out = pinned(shape, self.dtype)
        arrays = [item.header.pixels for item in items]
        rows = storage(shape, self.dtype, out, [array for array in arrays if array is not None])
        write_images(
            self._writer,
            items,
            targets,
            rows,
            num_threads=self.num_threads or default_num_threads(),
            reduced=self.decode == "scaled",
        )
        return {
            "pixel_values": hand_out(rows, self.dtype, return_tensors, out),
            "image_grid_thw": hand_out(grids, "int64", return_tensors),
        }

    @property
    def columns(self) -> int:
        """Elements in a row: ``3 * frames * patch_size**2``, one frame if compact."""
        return self._writer.columns

    def resized_size(self, height: int, width: int) -> tuple[int, int]:
        """``(height, width)`` in pixels that an image of this size is resized to.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        if not self.config.do_resize:
            return positive_integer("height", height), positive_integer("width", width)
        config = self.config
        return _native.smart_resize(
            height, width, config.factor, config.min_pixels, config.max_pixels
        )

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

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"ImageProcessor({self.config!r}, {options})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(ImageProcessor, **self._options()), (self.config,)

    def _options(self) -> dict[str, Any]:
        """The arguments beside ``config`` that make a processor like this one."""
        return {
            "reference": self.reference,
            "dtype": self.dtype,
            "temporal": self.temporal,
            "num_threads": self.num_threads,
            "pin_memory": self.pin_memory,
            "decode": self.decode,
        }
