"""Memory of large results: how much there is, how much may wait, and how to give it back."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from qvl_fast import _native, environment
from qvl_fast.threads import is_one_of_many

# A process that is one of many gets this part of what others get.
_SHARE_OF_ONE_OF_MANY = 8

# What this process, or the one it was forked from, was told.
_limit: int | None = None


def memory_stats() -> dict[str, int]:
    """What the large results of this package, of 32 KiB or more, hold and have held.

    Memory of a result, array or tensor, waits for the next one when nothing refers to it any more.

    Returns:
        ``in_use_bytes``: held by results that are alive. ``idle_bytes``: waiting for a result, of
        at most ``idle_limit_bytes``; see :func:`release_memory`. ``fresh`` and ``recycled``: how
        many results got memory from the system, and memory of an earlier result.

    Raises:
        ValueError: ``QVL_FAST_MEMORY_LIMIT`` is not a number of bytes.

    Example:
        >>> sorted(memory_stats())
        ['fresh', 'idle_bytes', 'idle_limit_bytes', 'in_use_bytes', 'recycled']
    """
    return _native.memory_stats()


def release_memory(*, limit: SupportsIndex | None = None) -> int:
    """Give memory that waits for a result back to the system.

    Tables for the sizes of the last images, a few megabytes, go with it; they are not counted.

    Args:
        limit: bytes that may wait from now on, in this process and in those forked from it; 0
            keeps none. None leaves it as it is: what the last call said, else the environment
            variable ``QVL_FAST_MEMORY_LIMIT``, else 2 GiB. Whatever is said, no more may wait than
            a quarter of the memory of the machine, or of a control group of this process (a
            container) that has less; on Linux, as it was when the limit was first looked at. A
            process that is one of many, a DataLoader's worker or a daemonic one, has an eighth of
            that if neither a call nor the variable says anything: 256 MiB, or less.
            :func:`memory_stats` shows the limit.

    Returns:
        the bytes that were given back.

    Raises:
        TypeError: ``limit`` is no integer.
        ValueError: ``limit`` is negative.

    Example:
        >>> released = release_memory()
        >>> memory_stats()["idle_bytes"]
        0
    """
    global _limit
    if limit is None:
        return _native.release_memory()
    _limit = _checked(limit)
    released = _native.release_memory()
    settle_limit()
    return released


def settle_limit() -> None:
    """Set the limit of this process. The core has it done before the first result of a process.

    Raises:
        ValueError: ``QVL_FAST_MEMORY_LIMIT`` is not a number of bytes.
    """
    said = environment.memory_limit() if _limit is None else _limit
    limit = _native.set_memory_limit(said)
    if said is None and is_one_of_many():
        _native.set_memory_limit(limit // _SHARE_OF_ONE_OF_MANY)


def _checked(limit: SupportsIndex) -> int:
    try:
        number = operator.index(limit)
    except TypeError:
        raise TypeError(f"limit must be an integer or None, got {limit!r:.80}") from None
    if number < 0:
        raise ValueError(f"limit must be 0 or more, got {number}")
    # More than any machine has.
    return min(number, 1 << 60)
