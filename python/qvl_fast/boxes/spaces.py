"""The spaces that a place in an image can be told in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast.boxes.problems import check
from qvl_fast.config import ModelConfig, model_config
from qvl_fast.config.checks import check_choice, image_sides
from qvl_fast.config.grounding import GroundingConfig
from qvl_fast.config.layout import AnyresTokens, TileTokens
from qvl_fast.processors.base import native_layout

Space: TypeAlias = Literal["original", "resized", "patches", "tokens", "model"]

_MEANING = {
    "original": "the original image",
    "resized": "the resized image",
    "patches": "the grid of patches",
    "tokens": "the grid of tokens",
}


@dataclass(frozen=True, slots=True)
class Spaces:
    """An image of one size as one model sees it.

    Attributes:
        original: (width, height) of the image in pixels.
        canvas: (width, height) of what it is resized to, or put on, in pixels.
        config: the model.
    """

    original: tuple[int, int]
    canvas: tuple[int, int]
    config: ModelConfig
    _resized: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def of(cls, size: Any, config: str | ModelConfig) -> Spaces:
        """The spaces of an image of ``size``, which is (height, width).

        Raises:
            ValueError, TypeError: a size that is none, or that the model cannot take.
        """
        model = model_config(config)
        height, width = image_sides("size", size)
        layout = native_layout(model.image, model.image.layout, "torchvision")
        down, across = layout.placement(height, width)
        frame, before, resized, offset = np.array([across, down], np.float64).T
        canvas = layout.canvas(height, width)
        return cls(
            (width, height),
            (canvas[1], canvas[0]),
            model,
            (resized, before * resized + offset * frame, frame),
        )

    def extent(self, space: Space) -> tuple[float, float]:
        """The largest x and y."""
        if space == "original":
            return self.original
        if space == "model" and (scale := grounding(self.config).scale) is not None:
            return scale, scale
        unit = self._unit(space)
        return self.canvas[0] / unit, self.canvas[1] / unit

    def scale(
        self, space: Space
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``a``, ``b`` and ``c`` of each axis: ``x`` of the original is at ``(x * a + b) / c``."""
        if space == "original":
            return np.ones(2), np.zeros(2), np.ones(2)
        if space == "model" and (scale := grounding(self.config).scale) is not None:
            return np.full(2, float(scale)), np.zeros(2), np.array(self.original, np.float64)
        a, b, c = self._resized
        return a, b, c * self._unit(space)

    def meaning(self, space: Space) -> str:
        """What lies within the extent, for a message."""
        if space != "model":
            return _MEANING[space]
        if grounding(self.config).scale is None:
            return "the resized image, whose pixels are this model's coordinates"
        return "this model's coordinates whatever the size of the image"

    def _unit(self, space: Space) -> int:
        """Pixels of the canvas that are one in a space.

        Raises:
            ValueError: the model has no grid of tokens.
        """
        image = self.config.image
        if space == "patches":
            return image.patch_size
        if space == "tokens":
            if isinstance(image.layout.tokens, (TileTokens, AnyresTokens)):
                raise ValueError(
                    f"config {self.config.name!r} has no grid of tokens over the whole image"
                )
            return image.factor
        return 1


def convert(
    boxes: ArrayLike,
    size: tuple[int, int],
    config: str | ModelConfig,
    *,
    source: Space,
    target: Space,
) -> NDArray[np.float64]:
    """Places in one space, converted to another.

    Args:
        boxes: points (N, 2), boxes (N, 4) as two corners, or outlines (N, 2 * points), x before y;
            also one of them alone, or points grouped as (..., points, 2).
        size: (height, width) of the original image, turned upright, as
            :func:`qvl_fast.image_size` tells it.
        config: a preset's name or a :class:`ModelConfig`; it decides the resized size and how the
            model writes places.
        source: ``"original"`` and ``"resized"`` are pixels, the latter of the canvas where an image
            is cropped, padded or cut into tiles; ``"patches"`` and ``"tokens"`` columns and rows of
            the grid; ``"model"`` what the model reads and writes.
        target: likewise.

    Returns:
        float64 of the same shape, not rounded. What a crop leaves out lies outside the canvas.

    Raises:
        BoxError: boxes outside the image or with corners swapped, each by its index.
        ValueError: an unknown space or preset, a shape that cannot be boxes, a size that the model
            cannot take, or a space that it does not have.
        TypeError: a value has the wrong type.
    """
    check_choice("source", source, Space)
    check_choice("target", target, Space)
    places = as_places(boxes)
    spaces = Spaces.of(size, config)
    extent = spaces.extent(source)
    check(_rows(places), extent, spaces.meaning(source))
    (a, b, c), (to_a, to_b, to_c) = spaces.scale(source), spaces.scale(target)
    # One rounding for the product and one for the quotient: whole thousandths come back whole.
    moved = ((places.reshape(-1, 2) * c - b) * to_a + a * to_b) / (a * to_c)
    return moved.reshape(places.shape)


def as_places(boxes: ArrayLike) -> NDArray[np.float64]:
    """Coordinates as an array whose last axis alternates x and y.

    Raises:
        ValueError: they are ragged, or an odd number of them stands together.
        TypeError: they are not numbers.
    """
    try:
        places = np.asarray(boxes)
    except ValueError:
        raise ValueError(
            "boxes must all have the same number of points; pass outlines of different lengths one "
            "by one"
        ) from None
    if places.size == 0:
        return np.zeros(places.shape if places.ndim > 1 else (0, 4))
    if not np.issubdtype(places.dtype, np.number) or np.iscomplexobj(places):
        raise TypeError(f"boxes must be numbers, got {places.dtype}")
    if places.ndim == 0 or places.shape[-1] % 2:
        raise ValueError(f"the last axis of boxes must alternate x and y, got shape {places.shape}")
    return places.astype(np.float64)


def _rows(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row for each thing that an index names."""
    things = 1 if places.ndim == 1 else len(places)
    return places.reshape(things, places.size // max(things, 1))


def grounding(config: str | ModelConfig) -> GroundingConfig:
    """How a model writes places.

    Raises:
        ValueError: the configuration does not say.
        TypeError: as :func:`model_config`.
    """
    model = model_config(config)
    if model.grounding is None:
        raise ValueError(f"config {model.name!r} does not say how the model writes boxes")
    return model.grounding
