"""Arrays of one, three or four channels to RGB."""

import numpy as np
from numpy.typing import NDArray

from .resize import Reference


def to_rgb(image: NDArray[np.uint8], reference: Reference) -> NDArray[np.uint8]:
    """Repeat grey three times, keep RGB, composite RGBA over white.

    Args:
        image: uint8 (H, W, C), C in {1, 3, 4}.
        reference: whose arithmetic composites; the two Pillow versions agree here.

    Returns:
        uint8 (H, W, 3); the input itself if it has three channels.

    Raises:
        TypeError: the image is not uint8.
        ValueError: the image is not (H, W, 1), (H, W, 3) or (H, W, 4).

    Source, for arrays (PIL images are composited by Pillow, by yet another rule):
    `TorchvisionBackend.convert_to_rgb` of `transformers.image_processing_backends` and
    `convert_to_rgb` of `transformers.image_transforms`.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(f"image must have shape (H, W, 1, 3 or 4), got {image.shape}")

    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    if channels == 3:
        return image
    color, alpha = image[..., :3], image[..., 3:]  # (H, W, 3), (H, W, 1)
    if reference == "torchvision":
        return _over_white_torchvision(color, alpha)
    return _over_white_pillow(color, alpha)


def _over_white_torchvision(
    color: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Composite in float32 on the scale [0, 1], one rounding for each operation.

    c = color * f32(1/255), a = alpha * f32(1/255), result = trunc((c*a + (1 - a)) * f32(255.999)).
    The last factor is torchvision's way to give each of the 256 levels an equal share of [0, 1].
    """
    unit = np.float32(1 / 255)
    c = color.astype(np.float32) * unit
    a = alpha.astype(np.float32) * unit
    composite = c * a + (np.float32(1) - a)
    return (composite * np.float32(255 + 1 - 1e-3)).astype(np.uint8)


def _over_white_pillow(color: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Composite in float64 on the scale [0, 255]: rint(a*color + (1 - a)*255), a = alpha / 255."""
    a = alpha.astype(np.float64) / 255
    composite = a * color.astype(np.float64) + (1 - a) * 255
    return np.rint(composite).astype(np.uint8)
