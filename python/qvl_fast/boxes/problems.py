"""Coordinates that cannot be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one of several boxes.

    Attributes:
        index: its place among them.
        reason: what is wrong, in words.
    """

    index: int
    reason: str


class BoxError(ValueError):
    """Boxes that lie outside the image, have their corners swapped, or cannot be right otherwise.

    Attributes:
        problems: the index of each, and what is wrong with it.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        shown = "; ".join(
            f"boxes[{problem.index}] {problem.reason}" for problem in self.problems[:5]
        )
        more = f"; and {len(self.problems) - 5} more" if len(self.problems) > 5 else ""
        super().__init__(shown + more)

    def __reduce__(self) -> tuple[type[BoxError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


def check(coordinates: NDArray[np.float64], extent: tuple[float, float], meaning: str) -> None:
    """Refuse what is not inside the image, or has its corners swapped.

    Args:
        coordinates: (N, 2 * points), x before y. Four in a row are two corners.
        extent: the largest x and y.
        meaning: of the extent, for the message.

    Raises:
        BoxError: names every one of them.
    """
    x, y = coordinates[:, 0::2], coordinates[:, 1::2]
    # Written so that not a number is outside.
    inside = (x >= 0) & (x <= extent[0]) & (y >= 0) & (y <= extent[1])
    outside = ~np.asarray(inside.all(axis=1))
    swapped = np.zeros_like(outside)
    if coordinates.shape[1] == 4:
        swapped = (x[:, 1] < x[:, 0]) | (y[:, 1] < y[:, 0])
    problems: list[Problem] = []
    for index in np.flatnonzero(outside | swapped).tolist():
        rule = "must name its upper left corner first"
        if outside[index]:
            rule = f"must lie within {extent[0]:g} x {extent[1]:g}, {meaning}"
        problems.append(Problem(index, f"{rule}, got {_shown(coordinates[index])}"))
    if problems:
        raise BoxError(problems)


def _shown(places: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{place:g}" for place in places[:8])
    return f"({shown}{', ...' if len(places) > 8 else ''})"
