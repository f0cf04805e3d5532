"""Places in the original image to the numbers that a model reads and writes, and back."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast.boxes.problems import check
from qvl_fast.boxes.spaces import as_places, convert
from qvl_fast.config import ModelConfig
from qvl_fast.config.checks import check_choice, image_sides, positive_integer

Rounding: TypeAlias = Literal["nearest", "floor", "none"]


def to_model(
    boxes: ArrayLike,
    size: tuple[int, int],
    config: str | ModelConfig,
    *,
    rounding: Rounding = "nearest",
) -> NDArray[Any]:
    """Pixels of the original image to what the model writes.

    Args:
        boxes: points (N, 2), boxes (N, 4) as two corners, or outlines (N, 2 * points), x before y.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`. Pixels of the resized image depend on
            its budget: pass ``replace(ModelConfig.preset(name), image=processor.config)`` for that
            of a processor.
        rounding: ``"nearest"`` (half to even), ``"floor"``, or ``"none"`` for floats.

    Returns:
        The same shape; int64, or float64 with ``rounding="none"``.

    Raises:
        BoxError, ValueError, TypeError: as :func:`convert`.

    Example:
        >>> to_model([[0, 0, 960, 540]], (1080, 1920), "qwen3-vl").tolist()
        [[0, 0, 500, 500]]
    """
    return _rounded(convert(boxes, size, config, source="original", target="model"), rounding)


def from_model(
    boxes: ArrayLike,
    size: tuple[int, int],
    config: str | ModelConfig,
    *,
    rounding: Rounding = "none",
) -> NDArray[Any]:
    """What the model wrote to pixels of the original image; the inverse of :func:`to_model`.

    Args:
        boxes: what :func:`to_model` returns, or the coordinates of :func:`parse`.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`, as in :func:`to_model`.
        rounding: ``"none"`` for floats, ``"nearest"`` (half to even) or ``"floor"``.

    Returns:
        The same shape; float64, or int64 if rounded. A place that went to the model and back is
        off by at most half of the model's unit if it was rounded to nearest.

    Raises:
        BoxError, ValueError, TypeError: as :func:`convert`.
    """
    return _rounded(convert(boxes, size, config, source="model", target="original"), rounding)


def turn(
    boxes: ArrayLike, size: tuple[int, int], orientation: int, *, back: bool = False
) -> NDArray[np.float64]:
    """Boxes drawn on the pixels as a file stores them, to the upright image that a model sees.

    A camera that is held sideways stores the image on its side, and says so in EXIF. Tools that
    ignore this draw boxes on the stored pixels.

    Args:
        boxes: points (N, 2) or boxes (N, 4); corners stay upper left and lower right.
        size: (height, width) of the upright image.
        orientation: 1 to 8, the EXIF tag 0x0112.
        back: from the upright image to the stored pixels.

    Returns:
        float64 of the same shape.

    Raises:
        BoxError: boxes outside the image or with corners swapped, each by its index.
        ValueError: an orientation that is none, or outlines: they have no corners to keep in order.
        TypeError: a value has the wrong type.
    """
    orientation = positive_integer("orientation", orientation)
    if orientation > 8:
        raise ValueError(f"orientation must be between 1 and 8, got {orientation}")
    places = as_places(boxes)
    if places.shape[-1] not in (2, 4):
        raise ValueError(f"boxes must be (..., 2) or (..., 4), got shape {places.shape}")
    height, width = image_sides("size", size)
    on_its_side = orientation > 4
    extent = (height, width) if on_its_side and not back else (width, height)
    check(places.reshape(-1, places.shape[-1]), extent, "the image that they are drawn on")
    x, y = places[..., 0::2], places[..., 1::2]
    # Transposed first and then mirrored; back, mirrored first.
    if on_its_side and not back:
        x, y = y, x
    if orientation in (2, 3, 6, 7):
        x = width - x
    if orientation in (3, 4, 7, 8):
        y = height - y
    if on_its_side and back:
        x, y = y, x
    turned = np.empty_like(places)
    # A mirror swaps the corners of a box.
    turned[..., 0::2], turned[..., 1::2] = np.sort(x, axis=-1), np.sort(y, axis=-1)
    return turned


def _rounded(places: NDArray[np.float64], rounding: Rounding) -> NDArray[Any]:
    check_choice("rounding", rounding, Rounding)
    if rounding == "none":
        return places
    return (np.rint if rounding == "nearest" else np.floor)(places).astype(np.int64)
