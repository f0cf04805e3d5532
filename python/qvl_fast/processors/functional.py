"""The steps of a processor as functions of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native, environment
from qvl_fast._input import header
from qvl_fast._input.arrays import is_tensor, pixel_array
from qvl_fast._input.errors import ImageError
from qvl_fast._input.names import describe
from qvl_fast._input.source import prepare, seekable
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import (
    DType,
    Rows,
    Temporal,
    check_form,
    dtype_name,
    hand_out,
    storage,
)
from qvl_fast.config import (
    MAX_INTEGER,
    AnyImageConfig,
    image_config,
    positive_integer,
)
from qvl_fast.processors.base import Reference, resolve_reference, row_writer

if TYPE_CHECKING:
    import torch

    from qvl_fast._input.source import ImageSource


def image_size(source: ImageSource) -> tuple[int, int]:
    """The size that an image processor will see, read from the header alone.

    A stream is left where it was.

    Args:
        source: a path, bytes, stream that can seek, PIL image, array or CPU tensor, or a mapping
            with ``"bytes"`` or a ``"path"``. Files are turned upright by their EXIF orientation;
            PIL images are taken as they are.

    Returns:
        ``(height, width)`` in pixels, before any resizing.

    Raises:
        TypeError: not an image.
        ImageError: an image that cannot be used, or a stream that cannot seek; a ValueError and a
            TypeError.
        OSError: a path that cannot be read.

    Example:
        >>> image_size("samples/coffee.png")
        (400, 600)
    """
    if not hasattr(source, "read"):
        return header.image_size(prepare(source))
    if not seekable(source):
        raise ImageError(
            f"image {describe(source)} is a stream that cannot seek, so its header could not be "
            "put back; pass its bytes",
            source=source,
        )
    stream: Any = source
    place = stream.tell()
    try:
        return header.image_size(stream)
    finally:
        stream.seek(place)


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

    Example:
        >>> resize(np.zeros((60, 90, 3), np.uint8), 28, 56).shape
        (28, 56, 3)
    """
    pixels = pixel_array("image", image)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"image must have shape (H, W, 3), got {pixels.shape}")
    sides = positive_integer("height", height), positive_integer("width", width)
    if sides[0] * sides[1] > MAX_INTEGER:
        raise ValueError(f"height * width must be at most 2**53, got {height} * {width}")
    resolved = resolve_reference(reference)
    out = _native.empty((*sides, 3), "uint8")
    _native.resize_into(pixels, out, resolved, environment.isa())
    return out


def patchify(
    frames: NDArray[np.uint8] | torch.Tensor,
    config: AnyImageConfig,
    *,
    dtype: DType | torch.dtype = "float32",
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
        config: as for :class:`ImageProcessor`.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"`` (rounded to nearest even, as torch
            casts), or ``"uint8"``: the pixels as they are. Also torch's own, such as
            ``torch.bfloat16``.
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

    Example:
        >>> patchify(np.zeros((1, 56, 84, 3), np.uint8), "qwen2.5-vl").shape
        (24, 1176)
    """
    settings = image_config(config)
    dtype = dtype_name(dtype)
    return_tensors: ReturnTensors = "pt" if dtype == "bfloat16" or is_tensor(out) else "np"
    writer = row_writer(settings, dtype, temporal, resolve_reference(reference))
    check_form(return_tensors, dtype)
    pixels = pixel_array("frames", frames)
    if pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"frames must have shape (T, H, W, 3), got {pixels.shape}")
    count, height, width, _ = pixels.shape
    t, h, w = writer.grid(count, height, width)
    filled = storage((t * h * w, writer.columns), dtype, out, [pixels])
    writer.write(pixels, height, width, filled)
    return hand_out(filled, dtype, return_tensors)
