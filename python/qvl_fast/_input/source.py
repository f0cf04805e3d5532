"""Images as people have them, turned into pixels: the rule for files, modes, alpha and layouts.

A path, bytes or a file object is opened as Pillow opens it and turned upright by its EXIF
orientation; a PIL image is taken as it is. Alpha or transparency is composited on white, every
other mode is converted to RGB (``convert_to_rgb`` of ``image_transforms`` in transformers). Arrays
and tensors keep their channels: the core repeats grey and composites RGBA as it reads them.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from qvl_fast import _native
from qvl_fast._input.arrays import is_tensor, pixel_array

if TYPE_CHECKING:
    import torch

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8] | torch.Tensor"
)
ImageBatch: TypeAlias = "ImageSource | Sequence[ImageSource] | Sequence[Sequence[ImageSource]]"

_CHANNELS = (1, 3, 4)
# Of a strip that is copied at a time; it stays in cache, and Pillow's memory for it is recycled.
_STRIP_BYTES = 1 << 20
_PILLOW = int(PIL.__version__.split(".")[0])
# EXIF orientations that exchange height and width.
_SIDEWAYS = (5, 6, 7, 8)


def flatten(images: ImageBatch) -> list[ImageSource]:
    """One list of single images: one level of nesting is dissolved, 4-D arrays are split.

    A stream that cannot seek is read into memory, since files are opened once for the size and once
    for the pixels.

    Raises:
        ValueError: there is no image.
    """
    items: list[Any] = list(images) if isinstance(images, list | tuple) else [images]
    if all(isinstance(item, list | tuple) for item in items):
        items = [image for nested in items for image in nested]
    singles = [image for item in items for image in (item if _is_stack(item) else [item])]
    if not singles:
        raise ValueError(f"images must hold at least one image, got {images!r:.80}")
    return [_rewindable(image) for image in singles]


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


def read_header(source: ImageSource) -> Header:
    """What an image says of itself; no file's pixels are decoded.

    Raises:
        TypeError: not an image, or not of uint8.
        ValueError: not a readable image file, or an array without a channel axis.
        OSError: a path that cannot be read.
    """
    if isinstance(source, Image.Image):
        return Header((source.height, source.width))
    if is_array(source):
        pixels = _channels_last(pixel_array("image", source))
        height, width, _ = pixels.shape
        return Header((height, width), pixels=pixels)
    with _opened(source) as image:
        stored = image.height, image.width
        orientation = _orientation(image)
        size = (image.width, image.height) if orientation in _SIDEWAYS else stored
        return Header(size, _encoding(image, stored, orientation))


def read_pixels(source: ImageSource) -> NDArray[np.uint8]:
    """The pixels of a file or PIL image by Pillow, ``(H, W, 3)``.

    Raises:
        ValueError: a file that cannot be decoded.
        OSError: a path that cannot be read.
    """
    if isinstance(source, Image.Image):
        with _refusing(source):
            return _rgb(source)
    with _opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def read_file(source: str | os.PathLike[str] | bytes | IO[bytes]) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: a file object that cannot be read.
        OSError: a path that cannot be read.
    """
    if isinstance(source, bytes | bytearray):
        return bytes(source)
    with _refusing(source):
        if isinstance(source, str | os.PathLike):
            return Path(source).read_bytes()
        source.seek(0)
        return source.read()


def is_array(value: Any) -> bool:
    """Whether ``value`` holds pixels in memory: an array or a tensor."""
    return isinstance(value, np.ndarray) or is_tensor(value)


def _is_stack(value: Any) -> bool:
    return is_array(value) and value.ndim == 4


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


@contextmanager
def _opened(source: Any) -> Generator[Image.Image]:
    """The file behind a path, bytes or file object."""
    if isinstance(source, str) and source.startswith(("http://", "https://", "data:")):
        raise ValueError(f"image {source!r:.80} is a URL; fetch it and pass its bytes")
    with _refusing(source), ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            # Given a path, Pillow maps raw files into memory: it gets sideways TIFFs wrong, and a
            # file that shrinks meanwhile would kill the process.
            file: Any = stack.enter_context(Path(cast("str", source)).open("rb"))
        elif isinstance(source, bytes | bytearray):
            file = io.BytesIO(source)
        elif hasattr(source, "read"):
            file = source
        else:
            raise TypeError(
                "image must be a path, bytes, a file object, a PIL image, an array or a tensor, "
                f"got {type(source).__name__}"
            )
        yield stack.enter_context(Image.open(file))


def _rewindable(source: Any) -> Any:
    if hasattr(source, "seekable"):
        with _refusing(source):
            return source if source.seekable() else io.BytesIO(source.read())
    return source


@contextmanager
def _refusing(source: Any) -> Generator[None]:
    """Turns whatever a decoder raises on a bad file into a ValueError that names the file."""
    try:
        yield
    except (MemoryError, TypeError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's, about the path
        reason = str(error) or type(error).__name__
        raise ValueError(f"image {describe(source)} cannot be decoded: {reason}") from error


def describe(source: Any) -> str:
    """A short name of an image for messages."""
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(cast("str | os.PathLike[str]", source)))
    if isinstance(source, bytes | bytearray):
        return f"({len(source)} bytes)"
    if isinstance(source, Image.Image):
        return f"(PIL, mode {source.mode}, {source.height}x{source.width})"
    if is_array(source):
        return f"({type(source).__name__}, {source.dtype}, {tuple(source.shape)})"
    name = getattr(source, "name", None)
    return repr(name if isinstance(name, str) else source)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if 0 in image.size:
        raise ValueError(f"it has no pixels: height {image.height}, width {image.width}")
    # A transparency of 0 is one: only None means that there is none.
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
    if image.format == "TIFF":
        return 1  # Pillow applies it while decoding and reports the upright size.
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
