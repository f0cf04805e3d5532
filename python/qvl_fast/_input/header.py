"""What an image says of itself before it is decoded."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from qvl_fast._input.arrays import is_array, pixel_array
from qvl_fast._input.files import opened
from qvl_fast.warning import warn

if TYPE_CHECKING:
    from qvl_fast._input.source import File, Prepared

_CHANNELS = (1, 3, 4)
# EXIF orientations that exchange height and width.
_SIDEWAYS = (5, 6, 7, 8)


def image_size(source: Prepared, contents: bytes | None = None) -> tuple[int, int]:
    """``(height, width)`` in pixels, as an image is seen; no file's pixels are decoded.

    Args:
        source: the image.
        contents: what was read from a file before, if it was.

    Raises:
        TypeError: an array that is not uint8.
        ValueError: not a readable image file, or an array without a channel axis.
        OSError: a path that cannot be read.
    """
    if isinstance(source, Image.Image):
        return source.height, source.width
    if is_array(source):
        return image_pixels(source).shape[:2]
    with opened(cast("File", source), contents) as image:
        return upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """``(height, width)`` of an opened file, as its image is seen."""
    if orientation(image) in _SIDEWAYS:
        return image.width, image.height
    return image.height, image.width


def image_pixels(array: Any) -> NDArray[np.uint8]:
    """A view ``(H, W, C)`` of an array or tensor, its channels inferred as the reference does.

    Raises:
        TypeError: it is not uint8.
        ValueError: it has no channel axis.
    """
    pixels = pixel_array("image", array)
    if pixels.ndim != 3:
        raise ValueError(
            f"image must have 3 dimensions, (H, W, C) or (C, H, W), got shape {pixels.shape}"
        )
    return channels_last("image", pixels, _CHANNELS)


def channels_last(
    name: str, array: NDArray[np.uint8], channels: tuple[int, ...]
) -> NDArray[np.uint8]:
    """A view with the channel axis last, which is inferred as the reference does.

    Args:
        name: of the argument.
        array: ``(..., H, W, C)`` or ``(..., C, H, W)``.
        channels: how many there may be.

    Raises:
        ValueError: neither axis can be the channels.
    """
    if array.shape[-3] in channels:
        if array.shape[-1] in channels:
            warn(
                f"either the first or the last axis of {name} shape {array.shape[-3:]} could be "
                "its channels; the first is taken, as transformers does"
            )
        return np.moveaxis(array, -3, -1)
    if array.shape[-1] in channels:
        return array
    raise ValueError(f"{name} must have 1, 3 or 4 channels first or last, got shape {array.shape}")


def orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied to an opened file."""
    if image.format == "TIFF" and ExifTags.Base.Orientation in cast("Any", image).tag_v2:
        return 1  # Pillow applies it while decoding and reports the upright size.
    # In a TIFF without that tag an XMP packet may hold one, which the size does not yet reflect.
    if image.format == "PNG" and not _has_metadata_after_pixels(cast("Any", image).fp):
        # The method of PNG files decodes the pixels to reach metadata that may follow them.
        exif = Image.Image.getexif(image)
    else:
        exif = image.getexif()
    value = exif.get(ExifTags.Base.Orientation, 1)
    return int(value) if value in range(1, 9) else 1


def _has_metadata_after_pixels(png: IO[bytes]) -> bool:
    """Whether a chunk that may hold an orientation follows the first pixels of a PNG file."""
    png.seek(8)
    in_pixels = False
    while len(header := png.read(8)) == 8:
        length, kind = int.from_bytes(header[:4]), header[4:]
        if in_pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            return True
        in_pixels |= kind == b"IDAT"
        png.seek(length + 4, io.SEEK_CUR)
    return False
