"""Antialiased bicubic resize of uint8 images in fixed-point arithmetic.

Both references resize one axis at a time. Along an axis, each output pixel is a weighted sum of
neighbouring input pixels; the weights are computed in float64, rounded to integers, and the sum
is rounded and clipped to uint8 *between* the two passes. They differ in two points:

    reference     weights                                  first pass
    torchvision   16 bits, precision chosen for each axis  horizontal
    pillow-12     32 bits, precision 22                    horizontal
    pillow-13     32 bits, precision 22                    depends on the sizes

Sources: Pillow `src/libImaging/Resample.c` (the pass order changed in Pillow pull request 9549);
PyTorch `aten/src/ATen/native/cpu/UpSampleKernel.cpp`, which torchvision's `resize` calls.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Reference = Literal["torchvision", "pillow-12", "pillow-13"]

FILTER_RADIUS = 2.0
PILLOW_PRECISION = 22
TORCHVISION_MAX_PRECISION = 22
INT16_LIMIT = 2**15

VERTICAL, HORIZONTAL = 0, 1  # axes of an (H, W, 3) image


@dataclass(frozen=True)
class Coefficients:
    """The integer weights of one axis.

    Output pixel i is `sum(weights[i][j] * input[starts[i] + j]) / 2**precision`, rounded to the
    nearest integer (ties up) and clipped to [0, 255].
    """

    starts: list[int]
    weights: list[list[int]]
    precision: int


def resize(
    image: NDArray[np.uint8], height: int, width: int, reference: Reference
) -> NDArray[np.uint8]:
    """Resize an image as `reference` does.

    Args:
        image: uint8 (H, W, 3), H and W at least 1.
        height: of the result, in pixels.
        width: of the result, in pixels.
        reference: whose weights and pass order to use.

    Returns:
        uint8 (height, width, 3). An axis that keeps its length is not touched; if neither
        changes, the result is the input itself.

    Raises:
        TypeError: the image is not uint8.
        ValueError: the image has another shape or no pixels, or height or width is not positive.

    Source: `torchvision.transforms.v2.functional.resize(..., BICUBIC, antialias=True)` on uint8
    CPU tensors, and `PIL.Image.Image.resize(..., BICUBIC)`.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image must have shape (H, W, 3) with H, W >= 1, got {image.shape}")
    _require_positive(height=height, width=width)

    targets = {VERTICAL: height, HORIZONTAL: width}
    for axis in _pass_order(image.shape[0], image.shape[1], height, width, reference):
        if image.shape[axis] != targets[axis]:
            image = _resize_axis(
                image, axis, coefficients(image.shape[axis], targets[axis], reference)
            )
    return image


def coefficients(source: int, target: int, reference: Reference) -> Coefficients:
    """Compute the weights that resize an axis from `source` to `target` pixels.

    With scale = source / target, stretch = max(scale, 1) and center = (i + 1/2) * scale, output
    pixel i gathers the input pixels j whose middle j + 1/2 lies within 2 * stretch of its center.
    Their weights are K((j + 1/2 - center) / stretch), divided by the sum of all of them. K is
    the cubic below. A weight w is then stored as w * 2**precision, rounded to the nearest
    integer, ties away from zero.

    Args:
        source: length of the input axis, in pixels.
        target: length of the output axis, in pixels.
        reference: decides the precision.

    Returns:
        `target` starts and lists of weights. The lists are shorter at the borders, and some
        weights are 0.

    Raises:
        ValueError: a length is not positive.
    """
    _require_positive(source=source, target=target)

    starts, weights = _float_weights(source, target)
    precision = PILLOW_PRECISION
    if reference == "torchvision":
        precision = _torchvision_precision(max(max(window) for window in weights))
    fixed = [[_round_half_away(weight * 2**precision) for weight in window] for window in weights]
    return Coefficients(starts, fixed, precision)


def _float_weights(source: int, target: int) -> tuple[list[int], list[list[float]]]:
    """Return, for each output pixel, the first input pixel and the normalized float64 weights.

    The order of the float64 operations is that of both references: weights are nudged across a
    rounding boundary by any other.
    """
    scale = source / target
    stretch = max(scale, 1.0)
    support = FILTER_RADIUS * stretch
    inverse_stretch = 1.0 / stretch

    starts: list[int] = []
    weights: list[list[float]] = []
    for i in range(target):
        center = (i + 0.5) * scale
        start = max(int(center - support + 0.5), 0)  # int() truncates towards zero
        end = min(int(center + support + 0.5), source)
        window = [cubic((j - center + 0.5) * inverse_stretch) for j in range(start, end)]
        # Not sum(): from Python 3.12 on it compensates rounding errors, the references do not.
        total = 0.0
        for weight in window:
            total += weight
        starts.append(start)
        weights.append([weight / total for weight in window])
    return starts, weights


def cubic(x: float) -> float:
    """Evaluate the cubic convolution kernel with a = -1/2, which is 0 outside (-2, 2).

    Source: R. Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981.
    """
    a = -0.5
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return 0.0


def _torchvision_precision(largest_weight: float) -> int:
    """Return the highest precision, at most 22, at which the largest weight fits in 16 bits."""
    precision = 0
    while (
        precision < TORCHVISION_MAX_PRECISION
        and _round_half_away(largest_weight * 2 ** (precision + 1)) < INT16_LIMIT
    ):
        precision += 1
    return precision


def _round_half_away(x: float) -> int:
    return int(x + 0.5) if x >= 0 else int(x - 0.5)


def _pass_order(
    source_height: int, source_width: int, height: int, width: int, reference: Reference
) -> tuple[int, int]:
    """Return the axes in the order of the passes.

    Pillow 13 starts with the vertical pass if the image loses rows, and more than twice as many
    rows as columns. The differences are signed: a growing width always meets the second part.
    """
    rows_lost = source_height - height
    columns_lost = source_width - width
    if reference == "pillow-13" and rows_lost > 0 and rows_lost > 2 * columns_lost:
        return VERTICAL, HORIZONTAL
    return HORIZONTAL, VERTICAL


def _resize_axis(
    image: NDArray[np.uint8], axis: int, coefficients: Coefficients
) -> NDArray[np.uint8]:
    """Run one pass: out[i] = clip((half + sum_j weights[i][j] * in[starts[i] + j]) >> precision).

    half = 2**(precision - 1), so the shift, which rounds down, rounds to nearest.
    """
    lines = np.moveaxis(image, axis, 0).astype(np.int64)  # (source, other axis, 3)
    half = 2 ** (coefficients.precision - 1)
    output = np.empty((len(coefficients.starts), *lines.shape[1:]), dtype=np.uint8)
    windows = zip(coefficients.starts, coefficients.weights, strict=True)
    for i, (start, weights) in enumerate(windows):
        total = np.full(lines.shape[1:], half, dtype=np.int64)
        for j, weight in enumerate(weights, start):
            total += weight * lines[j]
        output[i] = np.clip(total >> coefficients.precision, 0, 255)
    return np.ascontiguousarray(np.moveaxis(output, 0, axis))


def _require_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
