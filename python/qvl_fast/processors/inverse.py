"""From rows back to the pixels that they are made of."""

from __future__ import annotations

import hashlib
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast._output.rows import DType, Rows, row_memory, rows_dtype
from qvl_fast.config import AnyImageConfig, ImageConfig, image_config
from qvl_fast.index.grids import Grids, grid_array
from qvl_fast.processors.base import Reference, resolve_reference
from qvl_fast.processors.functional import patchify

if TYPE_CHECKING:
    from collections.abc import Sequence

# So many rows are looked up at a time, so that what is in between stays small.
_CHUNK = 4096


def unpatchify(
    rows: Rows,
    grid_thw: Grids,
    config: AnyImageConfig,
    *,
    reference: Reference = "torchvision",
) -> list[NDArray[np.uint8]]:
    """The frames that rows were made of: :func:`patchify` undone.

    :func:`patchify` makes the same rows of them again. uint8 and float32 rows, and float16 rows of
    released checkpoints, give the very pixels that the model sees. bfloat16 holds some pixel values
    of the Qwen2-VL and Qwen2.5-VL normalisation only in pairs; of those the darker one comes back.

    Args:
        rows: ``(N, columns)`` in any form that a processor writes, full or compact in time, an
            array or CPU tensor.
        grid_thw: integers ``(items, 3)``, the grid of each image or video.
        config: as for :class:`ImageProcessor`; that which the rows were made with.
        reference: that which the rows were made with.

    Returns:
        For each item its frames, uint8 ``(frames, height, width, 3)``. Full rows have
        ``temporal_patch_size`` frames for each of the grid's groups, so that a still image is there
        twice; compact rows have one.

    Raises:
        TypeError: ``rows`` is not an array or CPU tensor of a type that rows have.
        ValueError: rows, grids and configuration do not fit each other, or a value is not one that
            the configuration makes of any pixel.

    Example:
        >>> image = np.arange(28 * 56 * 3, dtype=np.uint8).reshape(1, 28, 56, 3)
        >>> rows = patchify(image, "qwen2.5-vl")
        >>> frames = unpatchify(rows, [[1, 2, 4]], "qwen2.5-vl")
        >>> frames[0].shape, (frames[0] == image).all().item()
        ((2, 28, 56, 3), True)
    """
    settings = image_config(config)
    pixels = _pixels(rows, settings, reference)
    grids = grid_array(grid_thw)
    patch = settings.patch_size
    merge = 1 if settings.layout.raster else settings.merge_size
    if (grids < 1).any() or (grids[:, 1:] % merge).any():
        raise ValueError(
            f"grid_thw must be positive with sides divisible by merge_size {merge}, got "
            f"{grids.tolist()}"
        )
    counts: list[int] = [prod(grid) for grid in grids.tolist()]
    if sum(counts) != len(pixels):
        raise ValueError(
            f"grid_thw must stand for the {len(pixels)} rows, but stands for {sum(counts)}"
        )
    frames = pixels.shape[2]
    result: list[NDArray[np.uint8]] = []
    first = 0
    for (t, h, w), count in zip(grids.tolist(), counts, strict=True):
        item = pixels[first : first + count]
        first += count
        # Rows: groups, lines and columns of blocks, lines and columns of patches in a block; in
        # each a channel, its frames, their lines and columns.
        item = item.reshape(t, h // merge, w // merge, merge, merge, 3, frames, patch, patch)
        item = item.transpose(0, 6, 1, 3, 7, 2, 4, 8, 5)
        result.append(item.reshape(t * frames, h * patch, w * patch, 3))
    return result


def fingerprint(
    rows: Rows,
    config: AnyImageConfig,
    *,
    reference: Reference = "torchvision",
) -> str:
    """A short text that is the same for the same pixels, whatever the form of the rows.

    A trainer and a server that compare it know whether their models see the same. It is computed
    from the resized pixels in the order of the rows, and stays the same from machine to machine and
    version to version. So these agree:

    - float32, float16 and uint8 rows;
    - rows that are full and compact in time; a video whose every pair of frames is equal, too;
    - rows of both references, if the resized pixels are the same;
    - bfloat16 rows as well, if the normalisation keeps all 256 pixel values apart in bfloat16. That
      of Qwen3-VL does; that of Qwen2-VL and Qwen2.5-VL does not, and such rows are refused: take
      the fingerprint before they are cast.

    Grids are not part of it: compare them beside it.

    Args:
        rows: as for :func:`unpatchify`.
        config: that which the rows were made with.
        reference: that which the rows were made with.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError, ValueError: as :func:`unpatchify`; also a ValueError for rows of a type that
            cannot tell all pixel values apart.

    Example:
        >>> image = np.zeros((1, 56, 84, 3), np.uint8)
        >>> full = patchify(image, "qwen2.5-vl")
        >>> compact = patchify(image, "qwen2.5-vl", dtype="uint8", temporal="compact")
        >>> fingerprint(full, "qwen2.5-vl") == fingerprint(compact, "qwen2.5-vl")
        True
    """
    settings = image_config(config)
    dtype = rows_dtype(rows)
    if dtype != "uint8":
        table = _pixel_values(settings, dtype, resolve_reference(reference))
        apart = min(len(values) for values, _ in table)
        if apart < 256:
            raise ValueError(
                f"rows have dtype {dtype}, in which this normalisation keeps only {apart} of 256 "
                "pixel values apart; take the fingerprint of uint8, float16 or float32 rows"
            )
    pixels = _pixels(rows, settings, reference)
    if (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, :1]
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _pixels(rows: Rows, config: ImageConfig, reference: Reference) -> NDArray[np.uint8]:
    """The pixels of rows, ``(N, 3, frames, patch * patch)``."""
    dtype = rows_dtype(rows)
    area = config.patch_size**2
    widths = {3 * frames * area: frames for frames in (1, config.temporal_patch_size)}
    if rows.ndim != 2 or rows.shape[1] not in widths:
        expected = " or ".join(map(str, sorted(widths)))
        raise ValueError(
            f"rows must have shape (N, {expected}) for this configuration, got {tuple(rows.shape)}"
        )
    values = _planes(row_memory(rows), config, widths[rows.shape[1]])
    if dtype == "uint8":
        return values
    table = _pixel_values(config, dtype, resolve_reference(reference))
    pixels = np.empty(values.shape, np.uint8)
    for first in range(0, len(values), _CHUNK):
        for channel, (known, levels) in enumerate(table):
            wanted = _as_float(values[first : first + _CHUNK, channel])
            place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            if (strange := known[place] != wanted).any():
                raise ValueError(
                    f"rows have the value {wanted[strange][0]} in channel {channel}, which this "
                    "configuration makes of no pixel"
                )
            pixels[first : first + _CHUNK, channel] = levels[place]
    return pixels


def _planes(rows: NDArray[Any], config: ImageConfig, frames: int) -> NDArray[Any]:
    """The columns of rows apart: ``(N, 3, frames, patch * patch)``."""
    if config.layout.channels_last:
        return rows.reshape(len(rows), config.patch_size**2, 3, frames).transpose(0, 2, 3, 1)
    return rows.reshape(len(rows), 3, frames, config.patch_size**2)


@cache
def _pixel_values(
    config: ImageConfig, dtype: DType, reference: Reference
) -> Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """For each channel the values that rows can have, in order, and the least pixel of each.

    Found by writing every pixel value, so that there is one arithmetic.
    """
    side = config.factor * -(-16 // config.factor)
    every = np.arange(side * side).reshape(1, side, side, 1) % 256
    frames = every.repeat(3, axis=3).astype(np.uint8)
    made = patchify(frames, config, dtype=dtype, temporal="compact", reference=reference)
    channels = _planes(_as_float(row_memory(made)), config, 1).swapaxes(0, 1)
    pixels = np.asarray(patchify(frames, config, dtype="uint8", temporal="compact"))
    levels = _planes(pixels, config, 1)[:, 0].ravel()
    order = np.argsort(levels, kind="stable")
    table: list[tuple[NDArray[np.float32], NDArray[np.uint8]]] = []
    for channel in channels:
        known, first = np.unique(channel.ravel()[order], return_index=True)
        table.append((known, levels[order][first]))
    return table


def _as_float(values: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers of :func:`row_memory` as the float32 that they stand for."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
