"""Resized frames to patch rows: normalize, cut into patches, round to a smaller type."""

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from .resize import Reference

Temporal = Literal["full", "compact"]
Element = TypeVar("Element", np.uint8, np.float32)


def normalization_table(
    reference: Reference,
    rescale_factor: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> NDArray[np.float32]:
    """Tabulate rescaling and normalization for all 256 levels x of the three channels.

    Every operation rounds to float32 unless it is marked f64; r is the rescale factor:

        steps       torchvision                                pillow
        both        (x - mean * f32(1/r)) / (std * f32(1/r))   (f32(f64(x) * r) - mean) / std
        rescale     x * f32(r)                                 f32(f64(x) * r)
        normalize   (x - mean) / std                           (x - mean) / std
        neither     x                                          x

    Args:
        reference: whose order of operations; the two Pillow versions agree here.
        rescale_factor: usually 1/255; None leaves the step out (`do_rescale=False`).
        mean: one value for each channel; None, for both it and std, leaves the step out
            (`do_normalize=False`).
        std: one value for each channel.

    Returns:
        float32 (3, 256): table[c, x] is the value of level x in channel c.

    Raises:
        ValueError: only one of mean and std is given, either does not have three values, a
            value is not finite, or rescale_factor or a value of std is 0.

    Source: `rescale_and_normalize` of `TorchvisionBackend`, `rescale` and `normalize` of
    `PilBackend`, both in `transformers.image_processing_backends`.
    """
    _check_normalization(rescale_factor, mean, std)
    levels = np.arange(256, dtype=np.float32)

    # Extreme arguments overflow to infinity, as in the references.
    with np.errstate(all="ignore"):
        if mean is None or std is None:
            return np.stack([_rescale(levels, reference, rescale_factor)] * 3)

        mean_column = np.array(mean, dtype=np.float32)[:, np.newaxis]  # (3, 1)
        std_column = np.array(std, dtype=np.float32)[:, np.newaxis]
        if reference == "torchvision" and rescale_factor is not None:
            # Folded: the levels stay as they are, mean and std move to the scale of the levels.
            fold = np.float32(1.0 / rescale_factor)
            mean_column *= fold
            std_column *= fold
            values = levels
        else:
            values = _rescale(levels, reference, rescale_factor)
        return (values - mean_column) / std_column


def _rescale(
    levels: NDArray[np.float32], reference: Reference, rescale_factor: float | None
) -> NDArray[np.float32]:
    if rescale_factor is None:
        return levels
    if reference == "torchvision":
        return levels * np.float32(rescale_factor)
    return (levels.astype(np.float64) * rescale_factor).astype(np.float32)


def _check_normalization(
    rescale_factor: float | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    if rescale_factor is not None and (rescale_factor == 0 or not math.isfinite(rescale_factor)):
        raise ValueError(f"rescale_factor must be finite and not 0, got {rescale_factor}")
    if (mean is None) != (std is None):
        raise ValueError(f"mean and std go together, got mean={mean} and std={std}")
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if len(values) != 3:
            raise ValueError(f"{name} must have 3 values, got {len(values)}")
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"{name} must be finite, got {values}")
    if std is not None and 0 in std:
        raise ValueError(f"std must not contain 0, got {std}")


def patchify(
    frames: NDArray[np.uint8],
    table: NDArray[np.float32],
    patch_size: int,
    temporal_patch_size: int,
    merge_size: int,
    temporal: Temporal = "full",
) -> NDArray[np.float32]:
    """Normalize frames and cut them into patch rows.

    With p, k and m for the three sizes, and the last frame repeated until k divides T, the
    frames form a grid of T/k by H/p by W/p patches. The N rows follow the grid, except that the
    patches that the model later merges, m by m of them, are consecutive:

        row     (frame group, block row, block column, row in block, column in block)
        column  (channel, frame in group, y, x)

    Args:
        frames: uint8 (T, H, W, 3), T at least 1, H and W multiples of p * m.
        table: float32 (3, 256), see `normalization_table`.
        patch_size: p, in pixels.
        temporal_patch_size: k, in frames.
        merge_size: m, in patches.
        temporal: "full" gives 3*k*p*p columns. A still image holds every patch k times there;
            "compact" gives it once, as 3*p*p columns, and takes a single frame only.

    Returns:
        float32 (N, columns), N = ceil(T/k) * (H/p) * (W/p).

    Raises:
        TypeError: the frames are not uint8 or the table is not float32.
        ValueError: a shape or size does not fit, or "compact" got several frames.

    Source: `patchify` of `Qwen2VLImageProcessor` (one frame) and of `Qwen2VLVideoProcessor`.
    """
    if table.dtype != np.float32:
        raise TypeError(f"table must be float32, got {table.dtype}")
    if table.shape != (3, 256):
        raise ValueError(f"table must have shape (3, 256), got {table.shape}")
    _check_frames(frames, patch_size, temporal_patch_size, merge_size, temporal)
    channel = np.arange(3)
    values = table[channel, frames]  # (T, H, W, 3): values[..., c] = table[c, frames[..., c]]
    return _arrange(values, patch_size, temporal_patch_size, merge_size, temporal)


def patchify_raw(
    frames: NDArray[np.uint8],
    patch_size: int,
    temporal_patch_size: int,
    merge_size: int,
    temporal: Temporal = "full",
) -> NDArray[np.uint8]:
    """Cut frames into patch rows without normalizing them.

    Arguments, order and errors are those of `patchify`; the result is uint8 (N, columns).
    """
    _check_frames(frames, patch_size, temporal_patch_size, merge_size, temporal)
    return _arrange(frames, patch_size, temporal_patch_size, merge_size, temporal)


def _check_frames(
    frames: NDArray[np.uint8],
    patch_size: int,
    temporal_patch_size: int,
    merge_size: int,
    temporal: Temporal,
) -> None:
    sizes = {
        "patch_size": patch_size,
        "temporal_patch_size": temporal_patch_size,
        "merge_size": merge_size,
    }
    for name, value in sizes.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if frames.dtype != np.uint8:
        raise TypeError(f"frames must be uint8, got {frames.dtype}")
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
        raise ValueError(f"frames must have shape (T, H, W, 3), none of them 0, got {frames.shape}")
    block = patch_size * merge_size
    if frames.shape[1] % block or frames.shape[2] % block:
        raise ValueError(
            f"frames must have sides that are multiples of patch_size * merge_size = {block}, "
            f"got {frames.shape[1]}x{frames.shape[2]}"
        )
    if temporal not in ("full", "compact"):
        raise ValueError(f"temporal must be 'full' or 'compact', got {temporal!r}")
    if temporal == "compact" and len(frames) > 1:
        raise ValueError(f"temporal='compact' takes a single frame, got {len(frames)}")


def _arrange(
    frames: NDArray[Element],
    patch_size: int,
    temporal_patch_size: int,
    merge_size: int,
    temporal: Temporal,
) -> NDArray[Element]:
    """Reorder (T, H, W, 3) into (N, columns), see `patchify`."""
    p, m = patch_size, merge_size
    k = 1 if temporal == "compact" else temporal_patch_size
    missing = -len(frames) % k
    frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])

    groups = len(frames) // k
    block_rows = frames.shape[1] // (m * p)
    block_columns = frames.shape[2] // (m * p)
    # axes:                  0       1  2           3  4  5              6  7  8
    patches = frames.reshape(groups, k, block_rows, m, p, block_columns, m, p, 3)
    row_axes = (0, 2, 5, 3, 6)
    column_axes = (8, 1, 4, 7)
    patches = patches.transpose(*row_axes, *column_axes)
    return patches.reshape(groups * block_rows * block_columns * m * m, 3 * k * p * p)


def round_to_float16(rows: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round float32 to IEEE half precision: to nearest, ties to even.

    Too large a value becomes infinity, small ones become subnormals or zero, the sign is kept,
    NaN stays NaN (its other bits are unspecified, as they are in torch).

    Args:
        rows: float32, any shape.

    Returns:
        float16, same shape.

    Source: `torch.Tensor.to(torch.float16)` on the CPU.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return rows.astype(np.float16)


def round_to_bfloat16(rows: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to bfloat16, its upper half: to nearest, ties to even.

    For bits b, read as an integer, and u = bit 16 of b: the result is (b + 0x7fff + u) >> 16.
    Adding just under half of the last kept place carries exactly if the dropped bits exceed a
    half, and u makes a tie carry only from an odd value. A carry out of the significand raises the
    exponent, and from the largest one gives infinity. NaN becomes 0x7fc0 (in torch its bits are
    unspecified).

    Args:
        rows: float32, any shape.

    Returns:
        uint16, same shape: the bit patterns, since NumPy has no bfloat16.

    Source: `torch.Tensor.to(torch.bfloat16)` on the CPU.
    """
    bits = rows.view(np.uint32).astype(np.uint64)
    last_kept_bit = (bits >> 16) & 1
    rounded = (bits + 0x7FFF + last_kept_bit) >> 16
    return np.where(np.isnan(rows), 0x7FC0, rounded).astype(np.uint16)
