"""One placeholder an image or video in a prompt, expanded to one a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast import _native
from qvl_fast._input.arrays import integer_array
from qvl_fast._output.forms import ReturnTensors, form
from qvl_fast.config.checks import integer, positive_integer, positive_number

if TYPE_CHECKING:
    import torch

# What transformers takes for the rate of a video that does not tell its own.
_DEFAULT_FPS = 24


@overload
def expand_placeholders(
    input_ids: ArrayLike | torch.Tensor,
    token_id: int,
    counts: ArrayLike | torch.Tensor,
    *,
    return_tensors: Literal["np"] = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
@overload
def expand_placeholders(
    input_ids: ArrayLike | torch.Tensor,
    token_id: int,
    counts: ArrayLike | torch.Tensor,
    *,
    return_tensors: Literal["pt"],
) -> tuple[torch.Tensor, torch.Tensor]: ...
def expand_placeholders(
    input_ids: ArrayLike | torch.Tensor,
    token_id: int,
    counts: ArrayLike | torch.Tensor,
    *,
    return_tensors: ReturnTensors = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | tuple[torch.Tensor, torch.Tensor]:
    """Repeat each placeholder of a tokenised prompt as often as its item has tokens.

    Gives what tokenising the expanded text gives, placeholders being special tokens, without the
    cost of tokenising them.

    Args:
        input_ids: integers ``(S,)`` with one placeholder for each item.
        token_id: the placeholder.
        counts: integers ``(n,)``: tokens of each item, in order; see
            :meth:`qvl_fast.ImageProcessor.num_tokens`.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(expanded,)``: the ids; int64 ``(n, 2)``: where each item starts and ends in them.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: placeholders and counts differ in number (both are named), or a count is not
            positive.

    Example:
        >>> expand_placeholders([7, 99, 8], 99, [3])
        (array([ 7, 99, 99, 99,  8]), array([[1, 4]]))
    """
    ids = integer_array("input_ids", input_ids)
    items = integer_array("counts", counts)
    for name, array in (("input_ids", ids), ("counts", items)):
        if array.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    expanded = _native.expand_placeholders(ids, integer("token_id", token_id), items)
    return form(expanded, return_tensors)


def video_timestamps(
    frame_indices: Sequence[int],
    fps: float | None = None,
    *,
    temporal_patch_size: int = 2,
) -> list[str]:
    """The timestamps that Qwen3-VL reads before each group of frames, as ``<1.6 seconds>``.

    A group's time is the mean of its first and last frame's; the last frame is repeated to fill its
    group. One decimal, rounded half to even as Python formats. Semantics:
    ``Qwen3VLProcessor._calculate_timestamps`` of transformers.

    Args:
        frame_indices: the sampled frames, by their number in the whole video.
        fps: frames per second of the whole video; 24 if not known.
        temporal_patch_size: frames in a group.

    Returns:
        One string for each group of frames.

    Raises:
        TypeError: ``frame_indices`` does not hold integers.
        ValueError: there is no frame, or ``fps`` is not positive.

    Example:
        >>> video_timestamps([0, 24, 48, 72], fps=24)
        ['<0.5 seconds>', '<2.5 seconds>']
    """
    indices = integer_array("frame_indices", frame_indices)
    if indices.ndim != 1 or indices.size == 0:
        raise ValueError(f"frame_indices must have shape (n,) with n > 0, got {indices.shape}")
    if indices.min() < 0:
        raise ValueError(f"frame_indices must not be negative, got {indices.min()}")
    rate = positive_number("fps", _DEFAULT_FPS if fps is None else fps)
    size = positive_integer("temporal_patch_size", temporal_patch_size)
    last = len(indices) - 1
    seconds = [index / rate for index in indices.tolist()]
    return [
        f"<{(seconds[first] + seconds[min(first + size - 1, last)]) / 2:.1f} seconds>"
        for first in range(0, len(seconds), size)
    ]
