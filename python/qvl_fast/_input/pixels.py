"""The pixels of files and PIL images, by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from qvl_fast import _native
from qvl_fast._input.files import opened, refusing

if TYPE_CHECKING:
    from collections.abc import Callable

    from qvl_fast._input.source import File

Pixels: TypeAlias = "NDArray[np.uint8]"

_PILLOW = int(PIL.__version__.split(".")[0])


def read_pixels(source: File | Image.Image, contents: bytes | None = None) -> Pixels | Pieces:
    """The pixels of a file or PIL image by Pillow, as the core takes them.

    Args:
        source: the file or image.
        contents: what was read from the file before, if it was.

    Returns:
        ``(H, W, 3)``, or an image that is handed out in pieces.

    Raises:
        ValueError: a file that cannot be decoded.
        OSError: a path that cannot be read.
    """
    return _read(source, contents, _pixels)


def read_rgb(source: File | Image.Image) -> Pixels:
    """The same as one array ``(H, W, 3)``."""
    return _read(source, None, rgb_pixels)


def _read(source: File | Image.Image, contents: bytes | None, pixels: Callable[..., Any]) -> Any:
    if isinstance(source, Image.Image):
        with refusing(source):
            return pixels(source)
    with opened(source, contents) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return pixels(image)


def is_borrowed(image: Image.Image) -> bool:
    """Whether the pixels of a PIL image lie in memory of somebody else's, who may change them."""
    # Of a file that has not been loaded it is true by default.
    return bool(image.readonly) and not isinstance(image, ImageFile.ImageFile)


class Pieces:
    """An image in several pieces of memory, of which Pillow copies some lines at a time.

    Attributes:
        size: ``(height, width)`` in pixels.
        has_alpha: whether the fourth byte of a pixel is alpha, to be blended over white as
            ``Image.alpha_composite`` does it, and not without meaning.
    """

    def __init__(self, image: Image.Image) -> None:
        image.load()  # once, before several threads ask for lines
        self.size = image.height, image.width
        self.has_alpha = image.mode == "RGBA"
        self._image = image

    def lines(self, first: int, last: int) -> Pixels:
        """``(last - first, W, 4)``."""
        strip = self._image.crop((0, first, self._image.width, last))
        try:
            return _shared_pixels(strip)
        except ValueError:  # Pillow has been told to keep smaller pieces than a strip.
            return np.asarray(strip if self.has_alpha else strip.convert("RGBX"))


def rgb_pixels(image: Image.Image) -> Pixels:
    """The pixels of a PIL image as one array ``(H, W, 3)``, transparency blended over white."""
    image = _with_alpha(image)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _pixels(image: Image.Image) -> Pixels | Pieces:
    """The pixels of a PIL image, ``(H, W, 3)`` or in pieces, in memory that may be the image's."""
    image = _with_alpha(image)
    # The core blends like Pillow, and neither makes nor reads an image of white for that.
    return Pieces(image) if image.mode == "RGBA" else pixels_of_rgb(image)


def _with_alpha(image: Image.Image) -> Image.Image:
    """An image as RGBA if anything in it may be transparent, or else as RGB.

    Raises:
        ValueError: it has no pixels.
    """
    if 0 in image.size:
        raise ValueError(f"it has no pixels: height {image.height}, width {image.width}")
    # A transparency of 0 counts: it says that palette entry 0, or black, is transparent.
    has_alpha = "A" in image.getbands() or image.info.get("transparency") is not None
    mode = "RGBA" if has_alpha else "RGB"
    return image if image.mode == mode else image.convert(mode)


def pixels_of_rgb(image: Image.Image) -> Pixels | Pieces:
    """The pixels of an image whose mode is RGB.

    Returns:
        ``(H, W, 3)``, over its memory where that is possible; or an image that lies in several
        pieces.
    """
    image.load()
    try:
        return _shared_pixels(image)[..., :3]
    except ValueError:
        return Pieces(image)


def _shared_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The memory of an image in RGB or RGBA, ``(H, W, 4)``.

    Raises:
        ValueError: it does not lie in one piece.
    """
    if _PILLOW < 13 or cast("Any", Image.core).get_alignment() != 1:
        # Older versions export padded lines as if they were not, and fail on borrowed memory.
        raise ValueError("Pillow does not say where the pixels are")
    schema, array = cast("Any", image).__arrow_c_array__()
    return _native.arrow_pixels(schema, array, image.mode, image.height, image.width)
