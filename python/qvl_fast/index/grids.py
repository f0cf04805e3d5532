"""Index tensors of a vision tower, computed from grids alone.

A grid is ``(t, h, w)``: groups of frames, and patches from top to bottom and left to right. Patches
follow each other in the order of their rows; see :func:`qvl_fast.patchify`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast import _native
from qvl_fast._input.arrays import integer_array
from qvl_fast._output.forms import ReturnTensors, form
from qvl_fast.config import positive_integer

if TYPE_CHECKING:
    import torch

Grids: TypeAlias = "ArrayLike | torch.Tensor"


@overload
def cu_seqlens(
    grid_thw: Grids,
    *,
    return_tensors: Literal["np"] = "np",
) -> NDArray[np.int32]: ...
@overload
def cu_seqlens(
    grid_thw: Grids,
    *,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def cu_seqlens(
    grid_thw: Grids,
    *,
    return_tensors: ReturnTensors = "np",
) -> NDArray[np.int32] | torch.Tensor:
    """Boundaries between attention segments: each group of frames attends to itself.

    Semantics: ``get_vision_cu_seqlens`` of transformers.

    Args:
        grid_thw: integers ``(n, 3)``, an array, nested list or CPU tensor; n may be 0.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int32 ``(segments + 1,)`` in patches, starting with 0.

    Raises:
        TypeError: ``grid_thw`` does not hold integers.
        ValueError: it has another shape, an entry below 1, or more patches than an int32 counts.

    Example:
        >>> cu_seqlens([[1, 4, 6], [2, 4, 4]])
        array([ 0, 24, 40, 56], dtype=int32)
    """
    return form(_native.cu_seqlens(grid_array(grid_thw)), return_tensors)


@overload
def position_ids(
    grid_thw: Grids,
    merge_size: int = 2,
    *,
    return_tensors: Literal["np"] = "np",
) -> NDArray[np.int64]: ...
@overload
def position_ids(
    grid_thw: Grids,
    merge_size: int = 2,
    *,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def position_ids(
    grid_thw: Grids,
    merge_size: int = 2,
    *,
    return_tensors: ReturnTensors = "np",
) -> NDArray[np.int64] | torch.Tensor:
    """Where each patch lies in its frame, for the tower's rotary embedding.

    Semantics: ``get_vision_position_ids`` of transformers.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        merge_size: side, in patches, of the blocks that the model merges.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(N, 2)``: line and column of each patch.

    Raises:
        TypeError, ValueError: as :func:`cu_seqlens`, or a side is not divisible.

    Example:
        >>> position_ids([[1, 2, 4]])[:4].tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    merge = positive_integer("merge_size", merge_size)
    return form(_native.position_ids(grid_array(grid_thw), merge), return_tensors)


@overload
def window_index(
    grid_thw: Grids,
    window_size: int = 112,
    patch_size: int = 14,
    merge_size: int = 2,
    *,
    return_tensors: Literal["np"] = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int32]]: ...
@overload
def window_index(
    grid_thw: Grids,
    window_size: int = 112,
    patch_size: int = 14,
    merge_size: int = 2,
    *,
    return_tensors: Literal["pt"],
) -> tuple[torch.Tensor, torch.Tensor]: ...
def window_index(
    grid_thw: Grids,
    window_size: int = 112,
    patch_size: int = 14,
    merge_size: int = 2,
    *,
    return_tensors: ReturnTensors = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int32]] | tuple[torch.Tensor, torch.Tensor]:
    """The order in which the windows of Qwen2.5-VL's tower are contiguous, and their boundaries.

    Windows at the edges are smaller, none is empty. Semantics: ``get_vision_window_index`` of
    transformers.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        window_size: side of a window in pixels.
        patch_size: side of a patch in pixels.
        merge_size: side, in patches, of the blocks that the model merges.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(tokens,)``: the token (merged block of patches) at each place of the new order;
        int32 ``(windows + 1,)``: boundaries in patches.

    Raises:
        TypeError, ValueError: as :func:`position_ids`, or a window holds no token.

    Example:
        >>> index, boundaries = window_index([[1, 4, 20]])
        >>> index.shape, boundaries.tolist()
        ((20,), [0, 32, 64, 80])
    """
    merge = positive_integer("merge_size", merge_size)
    patch = positive_integer("patch_size", patch_size)
    window = positive_integer("window_size", window_size) // merge // patch
    if window == 0:
        raise ValueError(
            f"window_size must be at least patch_size * merge_size = {patch * merge}, so that a "
            f"window holds a token, got {window_size}"
        )
    return form(_native.window_index(grid_array(grid_thw), window, merge), return_tensors)


@overload
def interpolation_taps(
    grid_thw: Grids,
    side: int = 48,
    merge_size: int = 2,
    *,
    return_tensors: Literal["np"] = "np",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
@overload
def interpolation_taps(
    grid_thw: Grids,
    side: int = 48,
    merge_size: int = 2,
    *,
    return_tensors: Literal["pt"],
) -> tuple[torch.Tensor, torch.Tensor]: ...
def interpolation_taps(
    grid_thw: Grids,
    side: int = 48,
    merge_size: int = 2,
    *,
    return_tensors: ReturnTensors = "np",
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | tuple[torch.Tensor, torch.Tensor]:
    """Where Qwen3-VL's tower reads its square table of learned positions, and with what weights.

    The table is stretched over each frame with corners aligned. Semantics:
    ``get_vision_interpolation_indices_and_weights`` of transformers, bilinear.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        side: side of the table.
        merge_size: side, in patches, of the blocks that the model merges.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(N, 4)``: entries of the flattened table; float32 ``(N, 4)``: their weights.

    Raises:
        TypeError, ValueError: as :func:`position_ids`, or ``side`` is not between 1 and 65536.

    Example:
        >>> indices, weights = interpolation_taps([[1, 4, 4]])
        >>> indices.shape, weights.sum(axis=1).tolist() == [1.0] * 16
        ((16, 4), True)
    """
    taps = _native.interpolation_taps(
        grid_array(grid_thw),
        positive_integer("side", side),
        positive_integer("merge_size", merge_size),
    )
    return form(taps, return_tensors)


def grid_array(grid_thw: Grids, name: str = "grid_thw") -> NDArray[np.int64]:
    """Grids as int64 ``(n, 3)`` in C order.

    Raises:
        TypeError: ``grid_thw`` does not hold integers.
        ValueError: another shape.
    """
    array = integer_array(name, grid_thw)
    if array.shape == (0,):  # An empty list has no columns.
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"{name} must have shape (n, 3), got {array.shape}")
    return array
