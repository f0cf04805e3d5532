"""The pixels of files and PIL images, by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from qvl_fast import _native
from qvl_fast._input.files import opened, refusing

if TYPE_CHECKING:
    from qvl_fast._input.source import File

# Of a strip that is copied at a time; it stays in cache, and Pillow's memory for it is recycled.
_STRIP_BYTES = 1 << 20
_PILLOW = int(PIL.__version__.split(".")[0])


def read_pixels(source: File | Image.Image) -> NDArray[np.uint8]:
    """The pixels of a file or PIL image by Pillow, ``(H, W, 3)``.

    Raises:
        ValueError: a file that cannot be decoded.
        OSError: a path that cannot be read.
    """
    if isinstance(source, Image.Image):
        with refusing(source):
            return _rgb(source)
    with opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if 0 in image.size:
        raise ValueError(f"it has no pixels: height {image.height}, width {image.width}")
    # A transparency of 0 counts: it says that palette entry 0, or black, is transparent.
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    if image.mode != "RGB":
        image = image.convert("RGB")
    image.load()
    try:
        return _four_byte_pixels(image)[..., :3]
    except ValueError:
        return np.asarray(image)


def _four_byte_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an RGB image as Pillow keeps them: ``(H, W, 4)``, the last without meaning.

    Raises:
        ValueError: they lie in another way.
    """
    try:
        return _shared_pixels(image)
    except ValueError:
        # A large image lies in several pieces, but a strip of it as a rule does not.
        pixels = _native.empty((image.height, image.width, 4), "uint8")
        lines = max(1, _STRIP_BYTES // (4 * image.width))
        for top in range(0, image.height, lines):
            bottom = min(top + lines, image.height)
            pixels[top:bottom] = _shared_pixels(image.crop((0, top, image.width, bottom)))
        return pixels


def _shared_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The memory of an RGB image, ``(H, W, 4)``.

    Raises:
        ValueError: it does not lie in one piece.
    """
    if _PILLOW < 13 or cast("Any", Image.core).get_alignment() != 1:
        # Older versions export padded lines as if they were not, and fail on borrowed memory.
        raise ValueError("Pillow does not say where the pixels are")
    _, capsule = cast("Any", image).__arrow_c_array__()
    return _native.arrow_pixels(capsule, image.height, image.width)
