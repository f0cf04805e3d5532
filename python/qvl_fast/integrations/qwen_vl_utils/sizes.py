"""The sizes that ``qwen_vl_utils`` 0.0.14 resizes images and frames to, from what messages say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from qvl_fast import _native
from qvl_fast.integrations.qwen_vl_utils.constants import constant

_logger = logging.getLogger(__name__)


def smart_resize(
    height: int,
    width: int,
    factor: int,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
) -> tuple[int, int]:
    """The multiples of ``factor`` closest to a size, of an area within bounds.

    Semantics: ``smart_resize`` of ``qwen_vl_utils``.

    Args:
        height: in pixels.
        width: in pixels.
        factor: pixels along the side of one token.
        min_pixels: least area; ``IMAGE_MIN_TOKEN_NUM`` tokens if None.
        max_pixels: largest area; ``IMAGE_MAX_TOKEN_NUM`` tokens if None.

    Returns:
        ``(height, width)``. A side that is much shorter than the other may become 0.

    Raises:
        AssertionError: ``min_pixels`` exceeds ``max_pixels``.
        ValueError: a side is not positive, or more than 200 times the other.

    Example:
        >>> smart_resize(1080, 1920, factor=28)
        (1092, 1932)
    """
    token = factor**2
    least: float = constant("IMAGE_MIN_TOKEN_NUM") * token if min_pixels is None else min_pixels
    most: float = constant("IMAGE_MAX_TOKEN_NUM") * token if max_pixels is None else max_pixels
    if least > most:
        raise AssertionError(f"min_pixels must be at most max_pixels={most}, got {least}")
    constant("MAX_RATIO")
    # No area is less than 1: bounds below that, 0 among them, are none.
    return _native.utilities_smart_resize(height, width, factor, max(least, 1), most)


def image_target(
    element: Mapping[str, Any], size: tuple[int, int], image_patch_size: int
) -> tuple[int, int]:
    """``(height, width)`` that ``fetch_image`` resizes an image of a size to.

    Args:
        element: of a message, with the image's bounds.
        size: ``(height, width)``.
        image_patch_size: side of a patch in pixels.

    Raises:
        AssertionError, ValueError: as :func:`smart_resize`.
    """
    factor = int(image_patch_size * constant("SPATIAL_MERGE_SIZE"))
    if asked := _asked_size(element):
        return smart_resize(*asked, factor)
    return smart_resize(*size, factor, element.get("min_pixels"), element.get("max_pixels"))


def frame_target(
    element: Mapping[str, Any], frames: int, size: tuple[int, int], image_patch_size: int
) -> tuple[int, int]:
    """``(height, width)`` that ``fetch_video`` resizes each frame of a video to.

    All frames share ``total_pixels``; a frame has at least ``min_pixels`` and 5 % more of room.

    Args:
        element: of a message, with the video's bounds.
        frames: how many were sampled.
        size: ``(height, width)`` of one.
        image_patch_size: side of a patch in pixels.

    Raises:
        AssertionError, ValueError: as :func:`smart_resize`.
    """
    factor = image_patch_size * constant("SPATIAL_MERGE_SIZE")
    if asked := _asked_size(element):
        return smart_resize(*asked, factor)
    token = factor * factor
    min_pixels = element.get("min_pixels", constant("VIDEO_MIN_TOKEN_NUM") * token)
    total_pixels = element.get("total_pixels", constant("MODEL_SEQ_LEN") * token * 0.9)
    constant("FRAME_FACTOR")
    limit = _native.utilities_frame_pixels(
        frames, min_pixels, constant("VIDEO_MAX_TOKEN_NUM") * token, total_pixels
    )
    max_pixels = element.get("max_pixels", limit)
    if max_pixels > limit:
        _logger.warning("max_pixels=%s of a video exceeds its limit of %s", max_pixels, limit)
    return smart_resize(*size, factor, min_pixels, min(max_pixels, limit))


def _asked_size(element: Mapping[str, Any]) -> tuple[int, int] | None:
    if "resized_height" in element and "resized_width" in element:
        return element["resized_height"], element["resized_width"]
    return None
