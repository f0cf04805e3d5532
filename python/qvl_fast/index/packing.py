"""Sequences of several items each (NaViT packing), and the mask that keeps the items apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast import _native
from qvl_fast._input.arrays import integer_array
from qvl_fast._output.forms import ReturnTensors, form
from qvl_fast.config.checks import check_choice, integer, positive_integer

if TYPE_CHECKING:
    import torch


Strategy = Literal["sequential", "best"]


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Items distributed over sequences.

    Attributes:
        bins: for each sequence, the items in it, in increasing order.
        cu_seqlens: for each sequence, int32 ``(items + 1,)``: the boundaries of its items.
        padded_length: the length that the sequences have once padded: that of the longest.
    """

    bins: tuple[tuple[int, ...], ...]
    cu_seqlens: tuple[NDArray[np.int32], ...]
    padded_length: int


def pack(
    lengths: ArrayLike | torch.Tensor,
    capacity: int,
    *,
    strategy: Strategy = "sequential",
) -> Packing:
    """Distribute items over as few sequences as the strategy finds.

    Args:
        lengths: integers ``(n,)``, the length of each item.
        capacity: how long a sequence may become.
        strategy: ``"sequential"`` keeps the order and opens a sequence when the next item does not
            fit (next fit; fewer than twice the fewest possible). ``"best"`` takes the longest first
            and puts each into the fullest sequence that it fits, of equally full ones into the one
            filled last (best fit decreasing; at most 11/9 of the fewest possible + 4; D. Johnson,
            1973).

    Returns:
        The packing; with no items, one without sequences.

    Raises:
        TypeError: ``lengths`` or ``capacity`` does not hold integers.
        ValueError: an item is longer than the capacity or not positive, or the strategy unknown.

    Example:
        >>> pack([5, 3, 4, 2], 8, strategy="best").bins
        ((0, 1), (2, 3))
    """
    items = integer_array("lengths", lengths)
    if items.ndim != 1:
        raise ValueError(f"lengths must have shape (n,), got {items.shape}")
    check_choice("strategy", strategy, Strategy)
    bins = _native.pack(items, positive_integer("capacity", capacity), strategy)
    boundaries = tuple(
        np.concatenate(([0], items[members].cumsum())).astype(np.int32) for members in bins
    )
    return Packing(
        bins=tuple(map(tuple, bins)),
        cu_seqlens=boundaries,
        padded_length=max((int(ends[-1]) for ends in boundaries), default=0),
    )


@overload
def block_diagonal_mask(
    cu_seqlens: ArrayLike | torch.Tensor,
    length: int | None = None,
    *,
    return_tensors: Literal["np"] = "np",
) -> NDArray[np.bool_]: ...
@overload
def block_diagonal_mask(
    cu_seqlens: ArrayLike | torch.Tensor,
    length: int | None = None,
    *,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def block_diagonal_mask(
    cu_seqlens: ArrayLike | torch.Tensor,
    length: int | None = None,
    *,
    return_tensors: ReturnTensors = "np",
) -> NDArray[np.bool_] | torch.Tensor:
    """The attention mask of a packed sequence: True where query and key belong to one item.

    Args:
        cu_seqlens: integers ``(items + 1,)`` from 0, never decreasing.
        length: that of the padded sequence; the last boundary if not given. Padding attends to
            nothing and nothing to it.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        bool ``(length, length)``.

    Raises:
        TypeError: ``cu_seqlens`` does not hold integers.
        ValueError: it does not start with 0 or decreases, or ``length`` is shorter.

    Example:
        >>> block_diagonal_mask([0, 1, 3]).astype(int).tolist()
        [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    """
    ends = integer_array("cu_seqlens", cu_seqlens)
    if ends.ndim != 1 or ends.size == 0 or ends[0] != 0 or (np.diff(ends) < 0).any():
        raise ValueError(f"cu_seqlens must start with 0 and never decrease, got {ends.tolist()}")
    total = int(ends[-1])
    length = total if length is None else integer("length", length)
    if length < total:
        raise ValueError(f"length must be at least the last boundary {total}, got {length}")
    item = np.full(length, -1)
    item[:total] = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    return form((item[:, np.newaxis] == item) & (item >= 0), return_tensors)
