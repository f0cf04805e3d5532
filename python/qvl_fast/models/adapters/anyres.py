"""The tiles of an image put together again, as LLaVA-NeXT and LLaVA-OneVision do it."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor


def pack_anyres(
    tokens: Tensor,
    image_size: tuple[int, int],
    grid: tuple[int, int],
    newline: Tensor | None = None,
    *,
    max_tiles: int | None = None,
) -> Tensor:
    """The tokens of an image: the overview's, then those of its tiles, line by line across them.

    What only padding became is dropped. Semantics: ``pack_image_features`` of
    ``LlavaNextModel`` and, with ``max_tiles``, of ``LlavaOnevisionModel``.

    Args:
        tokens: ``(1 + rows * columns, s * s, C)``, the overview first, after the projector; or
            ``(1, s * s, C)`` for an image without tiles.
        image_size: height and width of the image in pixels before it was resized.
        grid: rows and columns of tiles.
        newline: ``(C,)``, the token at the end of each line, and after an image without tiles.
        max_tiles: shrink an image with more than 1.1 times as many tokens along a side as this many
            tiles have (9 for ``"anyres_max_9"``).

    Returns:
        ``(T, C)``.

    Raises:
        ValueError: there are not as many tiles as the grid has, or they are not square.
    """
    rows, columns = grid
    tiles, patches, channels = tokens.shape
    ends = None if newline is None else newline.to(tokens)
    if tiles == 1:
        return tokens[0] if ends is None else torch.cat((tokens[0], ends[None]))
    side = round(sqrt(patches))
    if tiles != 1 + rows * columns or patches != side**2:
        raise ValueError(
            f"tokens must have shape (1 + {rows} * {columns}, s * s, C), got {tuple(tokens.shape)}"
        )
    plane = tokens[1:].view(rows, columns, side, side, channels).permute(4, 0, 2, 1, 3)
    plane = _unpadded(plane.reshape(channels, rows * side, columns * side), image_size)
    height, width = plane.shape[1:]
    if max_tiles is not None and (ratio := sqrt(height * width / (max_tiles * side**2))) > 1.1:
        size = (int(height // ratio), int(width // ratio))
        plane = F.interpolate(plane[None], size, mode="bilinear", align_corners=False)[0]
    if ends is not None:
        plane = torch.cat((plane, ends[:, None, None].expand(-1, plane.shape[1], 1)), dim=2)
    return torch.cat((tokens[0], plane.flatten(1).T))


def _unpadded(plane: Tensor, image_size: tuple[int, int]) -> Tensor:
    """``(C, h, w)`` without the lines or columns at both sides that the image does not reach."""
    height, width = plane.shape[1:]
    image_height, image_width = image_size
    if image_width / image_height > width / height:
        cut = (height - int(round(image_height * (width / image_width), 7))) // 2
        return plane[:, cut : height - cut]
    cut = (width - int(round(image_width * (height / image_height), 7))) // 2
    return plane[:, :, cut : width - cut]
