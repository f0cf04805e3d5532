"""What of an image a model sees: padded to a square, resized, put on a canvas, cut into tiles."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .resize import Reference, resize

Size = tuple[int, int]  # (height, width)


def padded_to_square(image: NDArray[np.uint8], colour: Sequence[int]) -> NDArray[np.uint8]:
    """Put an image in the middle of a square; an odd pixel goes below or right of it.

    Args:
        image: uint8 (H, W, 3).
        colour: three levels.

    Returns:
        uint8 (S, S, 3) with S = max(H, W).

    Source: `pad_to_square` of `LlavaImageProcessor` in transformers.
    """
    height, width, _ = image.shape
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = colour
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def shortest(height: int, width: int, edge: int) -> Size:
    """The shorter side becomes `edge`, the other keeps the aspect ratio and is rounded down.

    Source: `get_resize_output_image_size` of transformers.
    """
    if width <= height:
        return edge * height // width, edge
    return edge, edge * width // height


def best_canvas(height: int, width: int, canvases: Sequence[Size]) -> Size:
    """The canvas that keeps most pixels of an image and wastes least; the first of equals.

    Source: `select_best_resolution` of transformers.
    """
    best, most, least = canvases[0], -1, math.inf
    for canvas in canvases:
        scale = min(canvas[1] / width, canvas[0] / height)
        effective = min(int(width * scale) * int(height * scale), width * height)
        wasted = canvas[0] * canvas[1] - effective
        if effective > most or (effective == most and wasted < least):
            best, most, least = canvas, effective, wasted
    return best


def inside(height: int, width: int, canvas: Size) -> Size:
    """The size of an image that was fitted into a canvas; rounded up, unlike above.

    Source: `get_patch_output_size` of transformers.
    """
    scale_h, scale_w = canvas[0] / height, canvas[1] / width
    if scale_w < scale_h:
        return min(math.ceil(height * scale_w), canvas[0]), canvas[1]
    return canvas[0], min(math.ceil(width * scale_h), canvas[1])


def best_grid(height: int, width: int, tile: Size, least: int, most: int) -> Size:
    """Rows and columns of tiles whose aspect ratio, by difference, is nearest to an image's.

    Source: `get_optimal_tiled_canvas` of `GotOcr2ImageProcessor` in transformers.
    """
    grids = [
        (rows, columns)
        for columns in range(1, most + 1)
        for rows in range(1, most + 1)
        if least <= rows * columns <= most
    ]
    best, distance = (1, 1), math.inf
    for rows, columns in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        there = abs(width / height - columns / rows)
        half = 0.5 * tile[0] * tile[1] * rows * columns
        if there < distance or (there == distance and width * height > half):
            best, distance = (rows, columns), there
    return best


def anyres_tokens(
    height: int, width: int, grid: Size, side: int, most_tiles: int | None = None
) -> int:
    """Tokens of an image whose tiles are put together again and cut to its aspect ratio.

    As many lines of features are cut off before as after, so that an odd surplus leaves one that
    shows padding. Each line that is left ends with a newline; the overview comes besides.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        grid: rows and columns of tiles.
        side: features along a side of a tile.
        most_tiles: of whose features there are as many at most; beyond, they are scaled down.

    Source: `_get_unpadded_features` of the processors of LLaVA-NeXT and LLaVA-OneVision.
    """
    rows, columns = side * grid[0], side * grid[1]
    if width / height > columns / rows:
        shown = int(round(height * (columns / width), 7))
        rows -= (rows - shown) // 2 * 2
    else:
        shown = int(round(width * (rows / height), 7))
        columns -= (columns - shown) // 2 * 2
    if most_tiles is not None:
        ratio = math.sqrt(rows * columns / (most_tiles * side**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
    return side**2 + rows * (columns + 1)


def on_canvas(image: NDArray[np.uint8], canvas: Size, top: int, left: int) -> NDArray[np.uint8]:
    """Put an image on black; what lies outside the canvas is cropped.

    Args:
        image: uint8 (H, W, 3).
        canvas: its height and width.
        top: where the first line lies, negative if it is cropped.
        left: likewise for columns.

    Returns:
        uint8 (height, width, 3).
    """
    out = np.zeros((*canvas, 3), np.uint8)
    height, width, _ = image.shape
    rows = slice(max(top, 0), min(top + height, canvas[0]))
    columns = slice(max(left, 0), min(left + width, canvas[1]))
    out[rows, columns] = image[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return out


def cropped(image: NDArray[np.uint8], tile: Size, reference: Reference) -> NDArray[np.uint8]:
    """The middle of an image. Where it is smaller, the references differ in the odd pixel.

    Source: `center_crop` of the two backends of transformers.
    """

    def offset(length: int, side: int) -> int:
        if side < length:
            return -((length - side) // 2)
        missing = side - length
        return missing // 2 if reference == "torchvision" else -(-missing // 2)

    height, width, _ = image.shape
    return on_canvas(image, tile, offset(height, tile[0]), offset(width, tile[1]))


def centred(
    image: NDArray[np.uint8], canvases: Sequence[Size], reference: Reference
) -> NDArray[np.uint8]:
    """An image in the middle of its best canvas (LLaVA-NeXT, LLaVA-OneVision)."""
    canvas = best_canvas(image.shape[0], image.shape[1], canvases)
    height, width = inside(image.shape[0], image.shape[1], canvas)
    resized = resize(image, height, width, reference)
    return on_canvas(resized, canvas, (canvas[0] - height) // 2, (canvas[1] - width) // 2)


def tiles(canvas: NDArray[np.uint8], tile: Size) -> NDArray[np.uint8]:
    """Cut a canvas into tiles, row by row.

    Args:
        canvas: uint8 (rows * height, columns * width, 3).
        tile: height and width.

    Returns:
        uint8 (tiles, height, width, 3).
    """
    rows, columns = canvas.shape[0] // tile[0], canvas.shape[1] // tile[1]
    cut = canvas.reshape(rows, tile[0], columns, tile[1], 3)
    return cut.transpose(0, 2, 1, 3, 4).reshape(-1, *tile, 3)
