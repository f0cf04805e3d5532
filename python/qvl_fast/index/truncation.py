"""What is left of a prompt's images where a tokenizer cut it off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from qvl_fast._input.arrays import integer_array
from qvl_fast.config.checks import check_choice, integer, positive_integer
from qvl_fast.index.grids import Grids, grid_array

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike

    from qvl_fast._output.rows import Rows

TruncationSide = Literal["right", "left"]
Ids = TypeVar("Ids", bound="ArrayLike | torch.Tensor")
SomeGrids = TypeVar("SomeGrids", bound=Grids)


def drop_truncated(
    input_ids: Ids,
    rows: Rows,
    grid_thw: SomeGrids,
    *,
    token_id: int,
    merge_size: int = 2,
    truncation_side: TruncationSide = "right",
) -> tuple[Ids, Rows, SomeGrids]:
    """Drop the images of a prompt whose placeholders were cut off, wholly or in part.

    A model refuses a prompt with fewer placeholders than its images have tokens. What is left of an
    image that was cut is dropped too: its rows, its grid and its last placeholders. Cut labels and
    masks to the same length, at the same side.

    For a prompt with videos, call it once for the images and once for the videos.

    Args:
        input_ids: integers ``(S,)``, a list, array or CPU tensor, of one prompt without padding.
        rows: ``(N, columns)``, those of all its images before it was cut.
        grid_thw: integers ``(images, 3)``, likewise.
        token_id: the placeholder.
        merge_size: side, in patches, of the block that becomes one token.
        truncation_side: where it was cut, as tokenizers call it.

    Returns:
        What is left of the three, as views where slices are.

    Raises:
        TypeError: ``input_ids`` or ``grid_thw`` does not hold integers.
        ValueError: rows and grids disagree, there are more placeholders than the grids stand for,
            or they are missing elsewhere than at the end that was cut.

    Example:
        >>> rows = np.zeros((8, 1176), np.float32)
        >>> ids, rows, grids = drop_truncated(
        ...     [7, 99, 8, 99], rows, [[1, 2, 2], [1, 2, 2]], token_id=99
        ... )
        >>> len(ids), len(rows), len(grids)
        (4, 8, 2)
        >>> ids, rows, grids = drop_truncated(
        ...     [7, 99, 8], rows, [[1, 2, 2], [1, 2, 2]], token_id=99
        ... )
        >>> len(ids), len(rows), len(grids)
        (3, 4, 1)
    """
    tokens = integer_array("input_ids", input_ids)
    if tokens.ndim != 1:
        raise ValueError(f"input_ids must have shape (S,), got {tokens.shape}")
    check_choice("truncation_side", truncation_side, TruncationSide)
    grids = grid_array(grid_thw)
    patches = grids.prod(axis=1)
    if patches.sum() != len(rows):
        raise ValueError(
            f"grid_thw must stand for the {len(rows)} rows, but stands for {patches.sum()}"
        )
    is_left = truncation_side == "left"
    placeholders = tokens == integer("token_id", token_id)
    if is_left:  # Seen from the other end, it was cut at the right.
        placeholders, patches = placeholders[::-1], patches[::-1]
    ends = np.cumsum(patches // positive_integer("merge_size", merge_size) ** 2)
    found = int(placeholders.sum())
    if found > (ends[-1] if len(ends) else 0):
        raise ValueError(
            f"input_ids must have at most the {ends[-1] if len(ends) else 0} placeholders "
            f"{token_id} that grid_thw stands for, got {found}"
        )
    whole = int(np.searchsorted(ends, found, side="right"))
    part = found - (int(ends[whole - 1]) if whole else 0)
    if part and not placeholders[-part:].all():
        raise ValueError(
            f"input_ids must end where it was cut, at the {truncation_side}, with the {part} "
            f"placeholders {token_id} of an image that lost some, but other tokens follow them"
        )
    sizes = (len(tokens) - part, int(patches[:whole].sum()), whole)
    values: tuple[Any, ...] = (input_ids, rows, grid_thw)
    if is_left:
        input_ids, rows, grid_thw = (v[len(v) - n :] for v, n in zip(values, sizes, strict=True))
    else:
        input_ids, rows, grid_thw = (v[:n] for v, n in zip(values, sizes, strict=True))
    return input_ids, rows, grid_thw
