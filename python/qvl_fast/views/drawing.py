"""Layers over the picture that a model sees: tokens, windows, scores, boxes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from qvl_fast.views.seen import Seen

# Okabe and Ito's colours, which the colour-blind can tell apart. Windows that touch get different
# ones of four.
WINDOW_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
GRID_COLOUR = "#ffffff"
SCORE_COLOUR = "#d55e00"
BOX_COLOUR = "#f0e442"
DIFFERENCE_COLOUR = "#d55e00"


def draw(
    seen: Seen,
    *,
    boxes: Sequence[Sequence[float]] = (),
    scores: NDArray[np.float64] | None = None,
    patches: NDArray[np.int64] | None = None,
) -> Image.Image:
    """The picture with its layers, of the size that the model sees.

    Args:
        seen: the picture.
        boxes: points, boxes and outlines, x and y in turn, in pixels of the resized image.
        scores: (tokens,) from 0 to 1; the higher, the stronger the colour.
        patches: int64 (n, 2), row and column of patches to be framed.
    """
    size = seen.token_size
    drawn = Image.fromarray(seen.pixels)
    if seen.windows is not None:
        colours = np.array([ImageColor.getrgb(colour) for colour in WINDOW_COLOURS], np.uint8)
        drawn = Image.blend(drawn, _spread(colours[window_colours(seen)], drawn), 0.2)
    if scores is not None:
        strength = np.rint(255 * 0.85 * scores.reshape(seen.tokens)).astype(np.uint8)
        drawn.paste(SCORE_COLOUR, mask=_spread(strength, drawn))
    # The first pixels of each token, so that a line lies where the token begins.
    lines = np.zeros((drawn.height, drawn.width), np.uint8)
    lines[::size] = lines[:, ::size] = 128
    drawn.paste(GRID_COLOUR, mask=Image.fromarray(lines))
    pen = ImageDraw.Draw(drawn)
    side = seen.patch_size
    framed: list[list[int]] = [] if patches is None else patches.tolist()
    for row, column in framed:
        x, y = column * side, row * side
        pen.rectangle([x, y, x + side - 1, y + side - 1], outline=DIFFERENCE_COLOUR, width=2)
    for places in boxes:
        _outline(pen, places)
    return drawn


def png(picture: Image.Image) -> bytes:
    """The file of a picture, as notebooks take it."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def window_colours(seen: Seen) -> NDArray[np.int64]:
    """(rows, columns): the place of each token's colour among those of windows.

    Raises:
        ValueError: the tower has no windows.
    """
    if seen.windows is None:
        raise ValueError(f"config {seen.config.name!r} has no windows")
    windows = seen.windows.reshape(seen.tokens)
    # A window begins where its number is not that of the neighbour.
    down = np.cumsum(np.diff(windows[:, 0], prepend=windows[0, 0]) != 0)
    across = np.cumsum(np.diff(windows[0], prepend=windows[0, 0]) != 0)
    return 2 * (down[:, None] % 2) + across % 2


def _outline(pen: ImageDraw.ImageDraw, places: Sequence[float]) -> None:
    """A cross, a box or an outline, yellow on black so that it is seen on any picture."""
    points = list(zip(places[::2], places[1::2], strict=True))
    if len(points) == 1:
        (x, y) = points[0]
        strokes = [[(x - 7, y), (x + 7, y)], [(x, y - 7), (x, y + 7)]]
    elif len(points) == 2:
        (x0, y0), (x1, y1) = points
        strokes = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]]
    else:
        strokes = [[*points, points[0]]]
    for colour, width in (("black", 4), (BOX_COLOUR, 2)):
        for stroke in strokes:
            pen.line(stroke, fill=colour, width=width)


def _spread(values: NDArray[np.uint8], picture: Image.Image) -> Image.Image:
    """A value or colour of each token to each of its pixels."""
    return Image.fromarray(values).resize(picture.size, Image.Resampling.NEAREST)
