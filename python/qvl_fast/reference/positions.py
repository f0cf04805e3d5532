"""Where each patch lies: in its frame, and in a square table of learned positions."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Grid: TypeAlias = tuple[int, int, int]  # (t, h, w): groups of frames, patches down, patches across

INT32_MAX = 2**31 - 1


def position_ids(grid_thw: Sequence[Grid], merge_size: int = 2) -> NDArray[np.int64]:
    """List line and column of every patch, in the order of the rows of `patchify`.

    Args:
        grid_thw: one (t, h, w) for each image or video, in patches.
        merge_size: m; h and w are multiples of it.

    Returns:
        int64 (N, 2), N the sum of t * h * w: (line, column) within the frame. Every group of
        frames of a video has the same ones.

    Raises:
        ValueError: see `check_grids`.

    Source: `get_vision_position_ids` of `transformers.vision_utils`.
    """
    check_grids("grid_thw", grid_thw, merge_size)
    places = [place for t, h, w in grid_thw for _ in range(t) for place in _frame(h, w, merge_size)]
    return np.array(places, np.int64).reshape(-1, 2)


def interpolation_taps(
    grid_thw: Sequence[Grid], side: int = 48, merge_size: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Say how to read a table of side * side positions, stretched over each frame.

    Along an axis of n patches, patch i lies at this place p of the table, whose corners are the
    corners of the frame; it lies between the entries a and b, which weigh A and B:

        p = i * (side - 1) / max(n - 1, 1)
        a = floor(p)                            b = min(a + 1, side - 1)
        A = max(1 - |p - a|, 0)                 B = max(1 - |p - a - 1|, 0)

    every operation rounded to float32, from left to right. Both axes together, a and b now with
    the axis: entry y * side + x of the flattened table weighs Y * X, in the order

        (a_h, a_w), (a_h, b_w), (b_h, a_w), (b_h, b_w)

    Args:
        grid_thw: one (t, h, w) for each image or video, in patches.
        side: of the table, 1 to 65536.
        merge_size: m; h and w are multiples of it. It decides the order of the patches only.

    Returns:
        int64 (N, 4), the entries, and float32 (N, 4), their weights; patches in the order of
        `position_ids`.

    Raises:
        ValueError: see `check_grids`, or the side is out of range.

    Source: `get_vision_interpolation_indices_and_weights` of `transformers.vision_utils`, bilinear
    and with aligned corners.
    """
    check_grids("grid_thw", grid_thw, merge_size)
    if not 1 <= side <= 2**16:
        raise ValueError(f"side must be between 1 and 65536, got {side}")
    entries: list[list[int]] = []
    weights: list[list[np.float32]] = []
    for t, h, w in grid_thw:
        lines = [_axis(i, h, side) for i in range(h)]
        columns = [_axis(i, w, side) for i in range(w)]
        for line, column in [*_frame(h, w, merge_size)] * t:
            pairs = [(down, across) for down in lines[line] for across in columns[column]]
            entries.append([y * side + x for (y, _), (x, _) in pairs])
            weights.append([y_weight * x_weight for (_, y_weight), (_, x_weight) in pairs])
    return (
        np.array(entries, np.int64).reshape(-1, 4),
        np.array(weights, np.float32).reshape(-1, 4),
    )


def check_grids(name: str, grid_thw: Sequence[Grid], merge_size: int) -> None:
    """Refuse grids that no model has.

    Raises:
        ValueError: an entry is not positive, h or w is not a multiple of `merge_size`, merge_size
            is not between 1 and 1024, or there are more patches than an int32 can count, which is
            the type of boundaries between them.
    """
    if not 1 <= merge_size <= 1024:
        raise ValueError(f"merge_size must be between 1 and 1024, got {merge_size}")
    for grid in grid_thw:
        if min(grid) < 1:
            raise ValueError(f"{name} must be positive, got {grid}")
        if grid[1] % merge_size or grid[2] % merge_size:
            raise ValueError(f"{name} must be divisible by merge_size={merge_size}, got {grid}")
    if (patches := sum(t * h * w for t, h, w in grid_thw)) > INT32_MAX:
        raise ValueError(f"{name} must have at most {INT32_MAX} patches, got {patches}")


def _frame(h: int, w: int, merge_size: int) -> Iterator[tuple[int, int]]:
    """(line, column) of the patches of a frame: block by block, and line by line in a block."""
    for top in range(0, h, merge_size):
        for left in range(0, w, merge_size):
            for line in range(top, top + merge_size):
                for column in range(left, left + merge_size):
                    yield line, column


def _axis(index: int, length: int, side: int) -> list[tuple[int, np.float32]]:
    """The two entries that patch `index` of `length` lies between, and their weights."""
    place = np.float32(index) * np.float32(side - 1) / np.float32(max(length - 1, 1))
    low = np.floor(place)
    one, zero = np.float32(1), np.float32(0)
    return [
        (int(low), max(one - abs(place - low), zero)),
        (min(int(low) + 1, side - 1), max(one - abs(place - low - one), zero)),
    ]
