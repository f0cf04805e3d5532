"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import PIL
from numpy.typing import NDArray

from qvl_fast import _native, environment
from qvl_fast.arrays import is_tensor, pixel_array
from qvl_fast.config import (
    MAX_INTEGER,
    ImageConfig,
    ModelConfig,
    image_config,
    positive_integer,
)
from qvl_fast.config.checks import check_choice
from qvl_fast.rows import (
    DType,
    ReturnTensors,
    Rows,
    Temporal,
    check_form,
    hand_out,
    storage,
)
from qvl_fast.source import (
    ImageBatch,
    ImageSource,
    describe,
    flatten,
    is_array,
    read_pixels,
    read_size,
)

if TYPE_CHECKING:
    import torch

Reference = Literal["torchvision", "pillow", "pillow-12", "pillow-13"]


class ImageRows(TypedDict):
    """What :class:`ImageProcessor` returns; works as ``model(**batch)``.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches.
    """

    pixel_values: Any
    image_grid_thw: Any


def image_size(source: ImageSource) -> tuple[int, int]:
    """The size that :class:`ImageProcessor` will see, read from the header alone.

    Args:
        source: a path, bytes, file object, PIL image, array or CPU tensor. Files are turned upright
            by their EXIF orientation; PIL images are taken as they are.

    Returns:
        ``(height, width)`` in pixels, before any resizing.

    Raises:
        TypeError: not an image, or an array that is not uint8.
        ValueError: not a readable image file.
        OSError: a path that cannot be read.
    """
    return read_size(source)


def resize(
    image: NDArray[np.uint8] | torch.Tensor,
    height: int,
    width: int,
    *,
    reference: Reference = "torchvision",
) -> NDArray[np.uint8]:
    """Resize with the exact antialiased bicubic filter of the reference.

    Args:
        image: uint8 ``(H, W, 3)`` of any strides, an array or CPU tensor.
        height: lines of the result, in pixels.
        width: columns of the result, in pixels.
        reference: ``"torchvision"`` equals ``torchvision.transforms.v2.functional.resize`` of a
            uint8 CPU tensor with ``BICUBIC`` and ``antialias=True``; ``"pillow"`` equals
            ``PIL.Image.resize`` with ``BICUBIC`` of the installed Pillow, ``"pillow-12"`` and
            ``"pillow-13"`` that of Pillow before 13 and from 13 on.

    Returns:
        uint8 ``(height, width, 3)``, C-contiguous.

    Raises:
        TypeError: ``image`` is not a uint8 array or CPU tensor, or a side is not an integer.
        ValueError: ``image`` is not ``(H, W, 3)`` or empty, or a side is not positive.
    """
    pixels = pixel_array("image", image)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"image must have shape (H, W, 3), got {pixels.shape}")
    sides = positive_integer("height", height), positive_integer("width", width)
    if sides[0] * sides[1] > MAX_INTEGER:
        raise ValueError(f"height * width must be at most 2**53, got {height} * {width}")
    resolved = resolve_reference(reference)
    out = np.empty((*sides, 3), np.uint8)
    _native.resize_into(pixels[np.newaxis], out, resolved, environment.isa())
    return out


def patchify(
    frames: NDArray[np.uint8] | torch.Tensor,
    config: str | ModelConfig | ImageConfig,
    *,
    dtype: DType = "float32",
    temporal: Temporal = "full",
    out: Rows | None = None,
    reference: Reference = "torchvision",
) -> Rows:
    """Rescale, normalise and cut frames that already have their final size into patch rows.

    Frames are grouped ``temporal_patch_size`` at a time; the last is repeated to fill its group, so
    that a single frame is doubled. Semantics: ``patchify`` of the Qwen2-VL image and video
    processors in transformers.

    Args:
        frames: uint8 ``(T, H, W, 3)`` of any strides, sides multiples of ``config.factor``.
        config: a preset's name, a :class:`ModelConfig` or an :class:`ImageConfig`.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"`` (rounded to nearest even, as torch
            casts), or ``"uint8"``: the pixels as they are.
        temporal: ``"full"``, or ``"compact"`` to store a single frame once instead of
            ``temporal_patch_size`` times.
        out: where to write, an array or CPU tensor of at least N rows.
        reference: whose rounding of the normalisation to reproduce; see :func:`resize`.

    Returns:
        ``(N, columns)`` with N = groups * H/p * W/p and columns = 3 * temporal_patch_size * p * p
        (3 * p * p if compact): an array, or a tensor if ``out`` is one or ``dtype`` is bfloat16,
        which NumPy lacks. The filled part of ``out``, if given.

    Raises:
        TypeError: ``frames`` or ``out`` has the wrong type or dtype.
        ValueError: a shape, side, name or setting is not valid.
        ImportError: bfloat16 without torch.
    """
    settings = image_config(config)
    return_tensors: ReturnTensors = "pt" if dtype == "bfloat16" or is_tensor(out) else "np"
    writer = _row_writer(settings, dtype, temporal, resolve_reference(reference))
    check_form(return_tensors, dtype)
    pixels = pixel_array("frames", frames)
    if pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"frames must have shape (T, H, W, 3), got {pixels.shape}")
    count, height, width, _ = pixels.shape
    t, h, w = writer.grid(count, height, width)
    filled = storage((t * h * w, writer.columns), dtype, out, [pixels])
    writer.write(pixels, height, width, filled)
    return hand_out(filled, dtype, return_tensors)


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
        **overrides: settings of :class:`ImageConfig` to change, and ``size``; see
            :meth:`ImageConfig.override`.

    Raises:
        ValueError: an unknown name, or a value that cannot be computed with.
        TypeError: an unknown setting or a value of the wrong type.
    """

    def __init__(
        self,
        config: str | ModelConfig | ImageConfig,
        *,
        reference: Reference = "torchvision",
        dtype: DType = "float32",
        temporal: Temporal = "full",
        **overrides: Any,
    ) -> None:
        self.config: ImageConfig = image_config(config).override(**overrides)
        self.reference: Reference = resolve_reference(reference)
        self.dtype: DType = dtype
        self.temporal: Temporal = temporal
        self._writer = _row_writer(self.config, dtype, temporal, self.reference)

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
        sources = flatten(images)
        grids = np.empty((len(sources), 3), np.int64)
        sizes: list[tuple[int, int]] = []
        for index, source in enumerate(sources):
            with _blaming(index, source):
                sizes.append(read_size(source))
                grids[index] = self._writer.grid(1, *self.resized_size(*sizes[-1]))
        ends = grids.prod(axis=1).cumsum().tolist()
        inputs = [pixel_array("image", source) for source in sources if is_array(source)]
        rows = storage((ends[-1], self.columns), self.dtype, out, inputs)
        start = 0
        for index, (source, size, end) in enumerate(zip(sources, sizes, ends, strict=True)):
            with _blaming(index, source):
                pixels = read_pixels(source)
                if pixels.shape[:2] != size:
                    raise ValueError(
                        f"image {describe(source)} has {pixels.shape[:2]} pixels, but its header "
                        f"says {size}"
                    )
                self._writer.write(pixels[np.newaxis], *self.resized_size(*size), rows[start:end])
            start = end
        return {
            "pixel_values": hand_out(rows, self.dtype, return_tensors),
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
        return (
            f"ImageProcessor({self.config!r}, reference={self.reference!r}, dtype={self.dtype!r}, "
            f"temporal={self.temporal!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(
            ImageProcessor, reference=self.reference, dtype=self.dtype, temporal=self.temporal
        )
        return made, (self.config,)


def resolve_reference(reference: Reference) -> Literal["torchvision", "pillow-12", "pillow-13"]:
    """The reference with ``"pillow"`` replaced by the pass order of the installed Pillow.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("reference", reference, Reference)
    if reference != "pillow":
        return reference
    return "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"


def _row_writer(
    config: ImageConfig, dtype: DType, temporal: Temporal, reference: str
) -> _native.RowWriter:
    check_choice("dtype", dtype, DType)
    check_choice("temporal", temporal, Temporal)
    return _native.RowWriter(
        config.patch_size,
        config.temporal_patch_size,
        config.merge_size,
        temporal=temporal,
        dtype=dtype,
        reference=reference,
        rescale_factor=config.rescale_factor if config.do_rescale else None,
        mean_std=(config.image_mean, config.image_std) if config.do_normalize else None,
        isa=environment.isa(),
    )


@contextmanager
def _blaming(index: int, source: ImageSource) -> Generator[None]:
    """Notes on an exception which image of a batch it is about."""
    try:
        yield
    except Exception as error:
        error.__dict__.update(index=index, source=source)
        error.add_note(f"images[{index}] is {describe(source)}")
        raise
