"""Files of images that need not be decoded by transformers."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Literal, cast

import torch
from PIL import ExifTags

from qvl_fast import _native
from qvl_fast._input.files import CoreFile


class StandIns:
    """Tensors without memory in the place of files, which go for images where stock looks at them.

    Attributes:
        files: by the ``id`` of what stands in for each.
    """

    def __init__(self) -> None:
        self.files: dict[int, CoreFile] = {}
        # An id is not used again while the tensor is there.
        self._tensors: list[torch.Tensor] = []

    def in_place_of_files(self, images: Any) -> Any:
        """The images in their nesting, with each text that names a file of ours replaced."""
        if isinstance(images, list | tuple):
            return [self.in_place_of_files(image) for image in cast("list[Any]", images)]
        file = _file(images) if isinstance(images, str) else None
        return images if file is None else self._stand_in(file)

    def _stand_in(self, file: CoreFile) -> torch.Tensor:
        tensor = torch.empty((3, 1, 1), device="meta")
        self._tensors.append(tensor)
        self.files[id(tensor)] = file
        return tensor


def _file(text: str) -> CoreFile | None:
    """What a text names, if it is a file on which the core and every decoder of stock agree."""
    try:
        contents = _contents(text)
    except (OSError, ValueError, IndexError):
        return None  # Stock says what is wrong.
    header = _native.image_header(contents)
    if header is None:
        return None
    if header.format == "JPEG":
        is_alike = header.orientation == _orientation(contents)
    else:
        is_alike = header.orientation == 1 and not _may_be_turned(contents)
    return CoreFile(contents) if is_alike else None


def _orientation(jpeg: bytes) -> int:
    """The orientation that stock's decoders see, which differs from Pillow's in odd files.

    They read the first APP1 segment as if it were EXIF, whatever its name says, and take the
    orientation whatever its type.
    """
    tiff = _first_app1(jpeg)[len(b"Exif\0\0") :]
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"

    def number(at: int, size: int = 2) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    directory = number(4, 4)
    entries = range(directory + 2, directory + 2 + 12 * number(directory), 12)
    values = (number(at + 8) for at in entries if number(at) == ExifTags.Base.Orientation)
    value = next(values, 1) if number(2) == 42 else 1
    return value if value in range(1, 9) else 1


def _may_be_turned(png: bytes) -> bool:
    """Whether EXIF of a PNG has an orientation in the eyes of any decoder.

    Which EXIF counts, and what is sound in it, each decoder decides for itself. None finds an
    orientation where the bytes of its tag are not, as in the screenshots of macOS.
    """
    first = png.find(b"eXIf")
    if first != png.rfind(b"eXIf"):
        return True  # Perhaps; a second one is unusual.
    start = first + len(b"eXIf")
    exif = png[start : start + int.from_bytes(png[first - 4 : first])] if first >= 0 else b""
    tag = ExifTags.Base.Orientation
    return tag.to_bytes(2, "big") in exif or tag.to_bytes(2, "little") in exif


def _first_app1(jpeg: bytes) -> bytes:
    """Empty if there is none. The segments up to the first scan are known to be sound."""
    at = 2
    while (marker := jpeg[at + 1]) != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if marker == 0xE1:
            return jpeg[at + 4 : end]
        at = at + 1 if marker == 0xFF else end  # any number of these may fill up
    return b""


def _contents(text: str) -> bytes:
    """The bytes of a file that a text names or holds, as ``load_image_as_tensor`` reads texts."""
    if text.startswith(("http://", "https://")):
        raise ValueError("it is not here")
    if os.path.isfile(text):  # noqa: PTH113 - a Path raises on a text that is too long for one
        return Path(text).read_bytes()
    if text.startswith("data:image/"):
        text = text.split(",")[1]
    return base64.decodebytes(text.encode())
