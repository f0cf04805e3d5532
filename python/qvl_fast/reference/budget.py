"""Which size an image gets where a family has a rule of its own for a budget."""

import math

from .geometry import MAX_ASPECT_RATIO

Size = tuple[int, int]  # (height, width)


def area_of_frames(
    height: int, width: int, factor: int, pixels: tuple[int, int], frames: int
) -> Size:
    """Like `smart_resize`, with the area counted once for each of `frames` frames.

    Images with a side below `factor` are enlarged first, both sides alike and rounded down.

    Raises:
        ValueError: one side is more than 200 times the other.

    Source: `smart_resize` of the image processor of GLM-4V in transformers.
    """
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    return _within(height, width, factor, pixels, frames)


def area_of_enlarged_sides(height: int, width: int, factor: int, pixels: tuple[int, int]) -> Size:
    """Like `smart_resize`, after one side and then the other has been enlarged to `factor`.

    Source: `smart_resize` of the image processor of PaddleOCR-VL in transformers.
    """
    if height < factor:
        height, width = factor, round(width * factor / height)
    if width < factor:
        height, width = round(height * factor / width), factor
    return _within(height, width, factor, pixels, 1)


def _within(height: int, width: int, factor: int, pixels: tuple[int, int], frames: int) -> Size:
    least, most = pixels
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise ValueError(f"sides may differ at most {MAX_ASPECT_RATIO}-fold, got {height}x{width}")
    sides = height, width
    rounded = round(height / factor) * factor, round(width / factor) * factor
    volume = frames * rounded[0] * rounded[1]
    if volume > most:
        shrink = math.sqrt(frames * height * width / most)
        rounded = tuple(max(factor, math.floor(s / shrink / factor) * factor) for s in sides)
    elif volume < least:
        grow = math.sqrt(least / (frames * height * width))
        rounded = tuple(math.ceil(side * grow / factor) * factor for side in sides)
    return rounded[0], rounded[1]


def shrunk(height: int, width: int, patch: int, patches: int, side: int) -> Size:
    """No more than `patches` patches in all and `side` along a side; never larger than it was.

    Source: `navit_resize` of Kimi-K2.5 in transformers.
    """
    whole = max(1, height // patch) * max(1, width // patch)
    longest = side * patch
    scale = min(1.0, math.sqrt(patches / whole), longest / height, longest / width)
    resized_height, resized_width = (
        min(max(1, int(length * scale)), longest) for length in (height, width)
    )
    return resized_height, resized_width


def within_tokens(
    height: int, width: int, factor: int, tokens: tuple[int, int], frames: int
) -> tuple[Size, Size]:
    """The size of an image, and of the canvas of whole tokens that it is padded to.

    The canvas is that of the image rounded up. Below the least number of tokens both sides grow
    alike first; above the largest, the canvas is that of the tallest reduced image that fits.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        factor: side of a token.
        tokens: the least number of them, and the largest.
        frames: that a still image is repeated for.

    Returns:
        The two sizes. Only an image of fewer pixels than the least number of tokens grows.

    Source: `smart_resize` and `resize` of the image processor of GLM-5 in transformers.
    """

    def aligned(side: int) -> int:
        return math.ceil(side / factor) * factor

    least, most = (frames * factor**2 * count for count in tokens)
    pixels = frames * height * width
    canvas = aligned(height), aligned(width)
    if frames * canvas[0] * canvas[1] < least:
        grow = math.sqrt(least / pixels)
        canvas = aligned(math.ceil(height * grow)), aligned(math.ceil(width * grow))
    if frames * canvas[0] * canvas[1] > most:
        canvas = factor, factor
        low, high = 1, height
        while low <= high:
            middle = (low + high) // 2
            tried = aligned(middle), aligned(max(1, width * middle // height))
            if frames * tried[0] * tried[1] <= most:
                canvas, low = tried, middle + 1
            else:
                high = middle - 1
    scale = min(canvas[0] / height, canvas[1] / width)
    if pixels >= least:
        scale = min(scale, 1.0)
    content_height, content_width = (
        max(1, min(whole, math.floor(side * scale)))
        for side, whole in zip((height, width), canvas, strict=True)
    )
    return (content_height, content_width), canvas


def most_patches(height: int, width: int, patch: int, most: int) -> Size:
    """The largest size of whole patches of which there are at most `most`, by bisection.

    Source: `get_image_size_for_max_num_patches` of SigLIP 2 in transformers.
    """

    def scaled(scale: float) -> Size:
        target_height, target_width = (
            max(patch, math.ceil(side * scale / patch) * patch) for side in (height, width)
        )
        return target_height, target_width

    precision = 1e-5
    low, high = precision / 10, 100.0
    while high - low >= precision:
        middle = (low + high) / 2
        target = scaled(middle)
        if (target[0] // patch) * (target[1] // patch) <= most:
            low = middle
        else:
            high = middle
    return scaled(low)


def halved(height: int, width: int, factor: int, pixels: tuple[int, int]) -> Size:
    """Half of a size whose sides lie between the roots of two areas, in multiples of `factor`.

    Raises:
        ValueError: a side is below `factor`, or more than four times the other.

    Source: `smart_resize` of the image processor of GLM-Image in transformers.
    """
    short, long = min(height, width), max(height, width)
    if short < factor or long > 4 * short:
        raise ValueError(f"sides must be at least {factor} and differ 4-fold at most")
    shortest, longest = (round(math.sqrt(area)) for area in pixels)
    scale = max(1.0, shortest / short)
    if long * scale > longest:
        scale = longest / long
    sides = [max(factor, round(side // 2 * scale / factor) * factor) for side in (height, width)]
    if max(sides) > longest:
        excess = max(sides) / longest
        sides = [max(factor, math.floor(side / excess / factor) * factor) for side in sides]
    return sides[0], sides[1]
