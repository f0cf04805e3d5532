"""What an image says of itself before it is decoded."""

from __future__ import annotations

import io
import warnings
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from qvl_fast import _native
from qvl_fast._input.arrays import is_array, pixel_array
from qvl_fast._input.files import opened

if TYPE_CHECKING:
    from qvl_fast._input.source import File, Prepared

_CHANNELS = (1, 3, 4)
# EXIF orientations that exchange height and width.
_SIDEWAYS = (5, 6, 7, 8)


class Encoding(NamedTuple):
    """A file that the core decodes: its format, its size as stored and its EXIF orientation."""

    format: str
    size: tuple[int, int]
    orientation: int


class Header(NamedTuple):
    """What is known of an image before a file is decoded.

    Attributes:
        size: ``(height, width)`` in pixels, as the image is seen.
        encoding: for a file that the core decodes.
        pixels: ``(H, W, C)`` of an array or tensor.
    """

    size: tuple[int, int]
    encoding: Encoding | None = None
    pixels: NDArray[np.uint8] | None = None


def read_header(source: Prepared) -> Header:
    """What an image says of itself; no file's pixels are decoded.

    Raises:
        TypeError: an array that is not uint8.
        ValueError: not a readable image file, or an array without a channel axis.
        OSError: a path that cannot be read.
    """
    if isinstance(source, Image.Image):
        return Header((source.height, source.width))
    if is_array(source):
        pixels = _channels_last(pixel_array("image", source))
        height, width, _ = pixels.shape
        return Header((height, width), pixels=pixels)
    with opened(cast("File", source)) as image:
        stored = image.height, image.width
        orientation = _orientation(image)
        size = (image.width, image.height) if orientation in _SIDEWAYS else stored
        return Header(size, _encoding(image, stored, orientation))


def _channels_last(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view with the channel axis last, which is inferred as the reference does."""
    if array.ndim != 3:
        raise ValueError(
            f"image must have 3 dimensions, (H, W, C) or (C, H, W), got shape {array.shape}"
        )
    if array.shape[0] in _CHANNELS:
        if array.shape[2] in _CHANNELS:
            warnings.warn(
                f"either the first or the last axis of image shape {array.shape} could be its "
                "channels; the first is taken, as transformers does",
                stacklevel=4,
            )
        return array.transpose(1, 2, 0)
    if array.shape[2] in _CHANNELS:
        return array
    raise ValueError(f"image must have 1, 3 or 4 channels first or last, got shape {array.shape}")


def _encoding(image: Image.Image, size: tuple[int, int], orientation: int) -> Encoding | None:
    """How the core may decode an opened file; None if only Pillow can."""
    # The first image of an MPO file is a JPEG.
    format_ = "JPEG" if image.format == "MPO" else image.format
    if format_ not in _native.decoded_formats() or image.mode not in ("RGB", "L"):
        return None
    if image.info.get("transparency") is not None:
        return None
    return Encoding(format_, size, orientation)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied to an opened file."""
    if image.format == "TIFF" and ExifTags.Base.Orientation in cast("Any", image).tag_v2:
        return 1  # Pillow applies it while decoding and reports the upright size.
    # In a TIFF without that tag an XMP packet may hold one, which the size does not yet reflect.
    if image.format == "PNG" and not _has_metadata_after_pixels(cast("Any", image).fp):
        # The method of PNG files decodes the pixels to reach metadata that may follow them.
        exif = Image.Image.getexif(image)
    else:
        exif = image.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return int(orientation) if orientation in range(1, 9) else 1


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
