"""Which tokens of an image show a place."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast.boxes.spaces import Spaces, convert
from qvl_fast.config import ModelConfig


def tokens_at(
    points: ArrayLike, size: tuple[int, int], config: str | ModelConfig
) -> NDArray[np.int64]:
    """The token that shows each point.

    Args:
        points: (N, 2) pixels of the original image, x before y.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`.

    Returns:
        int64 (N,): places among the tokens of the image, line after line and without tokens that
        only end lines. Points on the right and the lower edge belong to the last.

    Raises:
        BoxError, ValueError, TypeError: as :func:`convert`.
    """
    places = convert(points, size, config, source="original", target="tokens")
    if places.shape[-1] != 2:
        raise ValueError(f"points must be (N, 2), got shape {places.shape}")
    columns, rows = _grid(size, config)
    x, y = np.floor(places).astype(np.int64).T
    return np.minimum(y, rows - 1) * columns + np.minimum(x, columns - 1)


def tokens_under(
    boxes: ArrayLike, size: tuple[int, int], config: str | ModelConfig
) -> NDArray[np.int64]:
    """The block of tokens that shows anything of each box.

    Args:
        boxes: (N, 4) pixels of the original image, as two corners.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`.

    Returns:
        int64 (N, 4): first column, first row, and those after the last. No box is without a token.

    Raises:
        BoxError, ValueError, TypeError: as :func:`convert`.
    """
    places = convert(boxes, size, config, source="original", target="tokens")
    if places.shape[-1] != 4:
        raise ValueError(f"boxes must be (N, 4), got shape {places.shape}")
    grid = np.array(_grid(size, config))
    first = np.minimum(np.floor(places[..., :2]).astype(np.int64), grid - 1)
    last = np.maximum(np.ceil(places[..., 2:]).astype(np.int64), first + 1)
    return np.concatenate([first, last], axis=-1)


def rectangles(
    tokens: ArrayLike, size: tuple[int, int], config: str | ModelConfig
) -> NDArray[np.float64]:
    """The part of the original image that each token shows.

    Args:
        tokens: (N,) places among the tokens of the image.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`.

    Returns:
        float64 (N, 4): boxes in pixels of the original image.

    Raises:
        IndexError: the image has no such token.
        ValueError, TypeError: as :func:`convert`.
    """
    columns, rows = _grid(size, config)
    numbers = np.asarray(tokens)
    if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(f"tokens must be integers, got {numbers.dtype}")
    outside = (numbers < 0) | (numbers >= columns * rows)
    if outside.any():
        raise IndexError(f"the image has {columns * rows} tokens, got {numbers[outside].flat[0]}")
    y, x = np.divmod(numbers.astype(np.int64), columns)
    places = np.stack([x, y, x + 1, y + 1], axis=-1)
    return convert(places, size, config, source="tokens", target="original")


def _grid(size: tuple[int, int], config: str | ModelConfig) -> tuple[int, int]:
    """Columns and rows of tokens."""
    columns, rows = Spaces.of(size, config).extent("tokens")
    return int(columns), int(rows)
