"""Which items share a sequence of limited length."""

from collections.abc import Sequence
from typing import Literal


def pack(
    lengths: Sequence[int], capacity: int, strategy: Literal["sequential", "best"] = "sequential"
) -> list[list[int]]:
    """Distribute items over bins.

    Items are taken one after the other, and put into a bin with room for them, or else into a new
    one:

        strategy     order of the items                  bin
        sequential   as given                            the last one
        best         longest first, else as given        the fullest with room; of equally full
                                                         ones that which was filled last

    Args:
        lengths: of the items, each from 1 to `capacity`.
        capacity: of a bin, 1 to 2**31 - 1.
        strategy: see above.

    Returns:
        The numbers of the items in each bin, increasing; bins in the order of their opening.

    Raises:
        ValueError: a length, the capacity or the strategy is not as described.

    Source: next fit, and best fit decreasing, of the literature on bin packing.
    """
    if not 1 <= capacity < 2**31:
        raise ValueError(f"capacity must be between 1 and 2**31 - 1, got {capacity}")
    if any(not 1 <= length <= capacity for length in lengths):
        raise ValueError(f"lengths must be between 1 and capacity={capacity}, got {lengths}")
    if strategy not in ("sequential", "best"):
        raise ValueError(f"strategy must be 'sequential' or 'best', got {strategy!r}")
    items = list(range(len(lengths)))
    if strategy == "best":
        items.sort(key=lambda item: -lengths[item])  # stable
    bins: list[list[int]] = []

    def room(members: list[int]) -> int:
        return capacity - sum(lengths[member] for member in members)

    for item in items:
        candidates = bins if strategy == "best" else bins[-1:]
        fitting = [members for members in candidates if room(members) >= lengths[item]]
        if fitting:
            # A bin's last member tells when it was filled: later in `items` is more recent.
            chosen = min(fitting, key=lambda members: (room(members), -items.index(members[-1])))
            chosen.append(item)
        else:
            bins.append([item])
    return [sorted(members) for members in bins]
