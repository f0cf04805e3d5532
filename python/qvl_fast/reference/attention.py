"""Which patches attend to each other: frames, and the windows of Qwen2.5-VL."""

from collections.abc import Sequence
from itertools import accumulate, groupby

import numpy as np
from numpy.typing import NDArray

from .positions import Grid, check_grids


def cu_seqlens(grid_thw: Sequence[Grid]) -> NDArray[np.int32]:
    """Count patches up to each boundary between segments; every group of frames is a segment.

    Args:
        grid_thw: one (t, h, w) for each image or video, in patches.

    Returns:
        int32 (segments + 1,): 0, then the running sum of h * w, each taken t times.

    Raises:
        ValueError: see `check_grids`.

    Source: `get_vision_cu_seqlens` of `transformers.vision_utils`.
    """
    check_grids("grid_thw", grid_thw, 1)
    lengths = [h * w for t, h, w in grid_thw for _ in range(t)]
    return np.array([0, *accumulate(lengths)], np.int32)


def window_index(
    grid_thw: Sequence[Grid], window_size: int = 112, patch_size: int = 14, merge_size: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Order the tokens so that those of a window are consecutive.

    A token is a block of m * m patches, m the merge size. Tokens are numbered frame by frame and
    line by line through the whole batch. With v = window_size // m // patch_size tokens along the
    side of a window, the token at (y, x) of a frame belongs to window (y // v, x // v) of it;
    windows at the lower and right edges have fewer. The order is

        item, group of frames, window row, window column, y, x

    Args:
        grid_thw: one (t, h, w) for each image or video, in patches.
        window_size: side of a window in pixels.
        patch_size: side of a patch in pixels.
        merge_size: m; h and w are multiples of it.

    Returns:
        int64 (tokens,): the number of the token at each place of this order; int32 (windows + 1,):
        0, then the running sum of the windows' sizes, in patches.

    Raises:
        ValueError: see `check_grids`, or a window is smaller than a token.

    Source: `get_vision_window_index` of `transformers.vision_utils`.
    """
    check_grids("grid_thw", grid_thw, merge_size)
    side = window_size // merge_size // patch_size
    if side < 1:
        raise ValueError(
            f"window_size must be at least {patch_size * merge_size}, got {window_size}"
        )
    places = [
        (item, frame, y, x)
        for item, (t, h, w) in enumerate(grid_thw)
        for frame in range(t)
        for y in range(h // merge_size)
        for x in range(w // merge_size)
    ]

    def window(token: int) -> tuple[int, int, int, int]:
        item, frame, y, x = places[token]
        return item, frame, y // side, x // side

    # sorted() keeps the tokens of a window in the order of their numbers: line by line.
    order = sorted(range(len(places)), key=window)
    sizes = [sum(1 for _ in tokens) * merge_size**2 for _, tokens in groupby(order, window)]
    return np.array(order, np.int64), np.array([0, *accumulate(sizes)], np.int32)


def reverse_index(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Invert a permutation: `reverse_index(index)[index] == arange(len(index))`.

    Args:
        index: int64 (tokens,), see `window_index`.

    Returns:
        int64 (tokens,).
    """
    reverse = np.zeros_like(index)
    reverse[index] = np.arange(len(index))
    return reverse
