"""Boxes in a picture, and what the model can still resolve of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike

from qvl_fast.boxes import BoxError, Region, convert, parse, tokens_under
from qvl_fast.boxes.spaces import as_places

if TYPE_CHECKING:
    from qvl_fast.views.seen import Seen


@dataclass(frozen=True)
class Place:
    """A box, a point or an outline in an image.

    Attributes:
        label: its name, None if it has none.
        resized: x and y in turn, in pixels of the resized image; None if it cannot be drawn.
        note: its size for the model, or why it cannot be drawn.
    """

    label: str | None
    resized: tuple[float, ...] | None
    note: str

    @property
    def shown(self) -> dict[str, Any]:
        """For the page."""
        return {"label": self.label, "resized": self.resized, "note": self.note}


def places_of(boxes: ArrayLike | str | Sequence[Region], seen: Seen) -> list[Place]:
    """The places that :func:`view` was given.

    Raises:
        BoxError, ValueError, TypeError: boxes of the caller that are none; see :func:`convert`.
    """
    if isinstance(boxes, str):
        boxes = parse(boxes, seen.config)
    # An answer without places is an empty list of them.
    if isinstance(boxes, Sequence) and all(isinstance(box, Region) for box in boxes):
        return [_answered(region, seen) for region in cast("Sequence[Region]", boxes)]
    original = as_places(cast("ArrayLike", boxes))
    original = original.reshape(-1, original.shape[-1])
    resized = convert(original, seen.original, seen.config, source="original", target="resized")
    return [
        Place(None, tuple(place), _note(corners, place, seen))
        for corners, place in zip(original.tolist(), resized.tolist(), strict=True)
    ]


def _answered(region: Region, seen: Seen) -> Place:
    places = [region.coordinates]
    size, config = seen.original, seen.config
    try:
        (resized,) = convert(places, size, config, source="model", target="resized").tolist()
        (original,) = convert(places, size, config, source="model", target="original").tolist()
    except BoxError as error:
        return Place(region.label, None, error.problems[0].reason)
    return Place(region.label, tuple(resized), _note(original, resized, seen))


def _note(original: list[float], resized: list[float], seen: Seen) -> str:
    if len(resized) != 4:
        return ""
    x0, y0, x1, y1 = resized
    pixels = f"{x1 - x0:.0f} x {y1 - y0:.0f} pixels of what the model sees"
    if seen.cell == "tile":
        return pixels
    ((left, top, right, bottom),) = tokens_under([original], seen.original, seen.config).tolist()
    return f"{right - left} x {bottom - top} tokens, {pixels}"
