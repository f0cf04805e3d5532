"""Which size an image is resized to."""

import math

MAX_ASPECT_RATIO = 200


def smart_resize(
    height: int,
    width: int,
    factor: int = 28,
    min_pixels: int = 3136,
    max_pixels: int = 1003520,
) -> tuple[int, int]:
    """Choose a size whose sides are multiples of `factor` and whose area fits the budget.

    Each side is rounded to the nearest multiple of `factor`, ties to the even multiple. Only if
    the area H*W of that result leaves [min_pixels, max_pixels] are the *original* sides scaled:

        area > max_pixels:  b = sqrt(height * width / max_pixels)
                            side -> max(factor, floor(side / b / factor) * factor)
        area < min_pixels:  b = sqrt(min_pixels / (height * width))
                            side -> ceil(side * b / factor) * factor

    All in float64, in this order. The result is not checked again: long thin images can leave
    the budget, as they do in the original.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        factor: patch size times merge size, in pixels.
        min_pixels: the smallest area, in pixels.
        max_pixels: the largest area, in pixels.

    Returns:
        (height, width), each a positive multiple of `factor`.

    Raises:
        ValueError: an argument is not positive, min_pixels > max_pixels, or one side is more
            than 200 times the other.

    Source: `smart_resize` of `transformers.models.qwen2_vl.image_processing_qwen2_vl`.
    """
    arguments = {"height": height, "width": width, "factor": factor, "min_pixels": min_pixels}
    for name, value in arguments.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if min_pixels > max_pixels:
        raise ValueError(
            f"min_pixels must not exceed max_pixels, got min_pixels={min_pixels} "
            f"and max_pixels={max_pixels}"
        )
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise ValueError(
            f"height and width may differ at most {MAX_ASPECT_RATIO}-fold, "
            f"got height={height} and width={width}"
        )

    # Python's round() sends ties to the even neighbour. A side below factor / 2 becomes 0 here;
    # the area is then 0 < min_pixels, so the last branch repairs it.
    target_height = round(height / factor) * factor
    target_width = round(width / factor) * factor
    area = target_height * target_width

    if area > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        target_height = max(factor, math.floor(height / shrink / factor) * factor)
        target_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif area < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        target_height = math.ceil(height * grow / factor) * factor
        target_width = math.ceil(width * grow / factor) * factor
    return target_height, target_width


def video_size(
    frames: int,
    height: int,
    width: int,
    *,
    factor: int,
    min_pixels: int,
    max_pixels: int,
    budget: str,
    temporal_patch_size: int = 2,
    max_video_tokens: int | None = None,
) -> tuple[int, int]:
    """Choose the size of the frames of a video.

    With `budget="frame"` the bounds are areas of a frame (Qwen2-VL), and :func:`smart_resize`
    chooses. With `budget="clip"` they are volumes, areas of all frames together (Qwen3-VL), and:

    1. A size with a side below `factor` is enlarged until both have it, rounded down.
    2. The volume compared with the bounds is that of the rounded sides and of `frames` rounded to
       whole groups, ties to the even number of them; what sides are scaled by comes from `frames`.

    `max_video_tokens` caps a frame as the Qwen utilities do: for the budget of a frame at an even
    share of nine tenths of so many tokens, for that of a clip at so many tokens or at an even share
    of `max_pixels`; but never below 1.05 times `min_pixels`.

    Returns:
        (height, width), each a positive multiple of `factor`.

    Raises:
        ValueError: as :func:`smart_resize`, and for a clip of less than one group.

    Source: `resize` of `Qwen2VLVideoProcessor` and `Qwen3VLVideoProcessor` in transformers.
    """
    floor = int(min_pixels * 1.05)
    if budget == "frame":
        if max_video_tokens is not None:
            total = int(max_video_tokens * factor * factor * 0.9)
            max_pixels = max(min(max_pixels, total * temporal_patch_size // frames), floor)
        return smart_resize(height, width, factor, min_pixels, max_pixels)

    if frames < temporal_patch_size:
        raise ValueError(f"a clip has at least {temporal_patch_size} frames, got {frames}")
    if max_video_tokens is not None:
        frame = min(max_video_tokens * factor * factor, max_pixels // frames)
        max_pixels = max(frame, floor) * frames
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise ValueError(f"sides may differ at most {MAX_ASPECT_RATIO}-fold, got {height}x{width}")
    target_height = round(height / factor) * factor
    target_width = round(width / factor) * factor
    whole_groups = round(frames / temporal_patch_size) * temporal_patch_size
    volume = whole_groups * target_height * target_width
    if volume > max_pixels:
        shrink = math.sqrt(frames * height * width / max_pixels)
        target_height = max(factor, math.floor(height / shrink / factor) * factor)
        target_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif volume < min_pixels:
        grow = math.sqrt(min_pixels / (frames * height * width))
        target_height = math.ceil(height * grow / factor) * factor
        target_width = math.ceil(width * grow / factor) * factor
    return target_height, target_width
