"""Files of images that need not be decoded by transformers."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, cast

import torch

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
    return None if header is None or header.orientation is None else CoreFile(contents)


def _contents(text: str) -> bytes:
    """The bytes of a file that a text names or holds, as ``load_image_as_tensor`` reads texts."""
    if text.startswith(("http://", "https://")):
        raise ValueError("it is not here")
    if os.path.isfile(text):  # noqa: PTH113 - a Path raises on a text that is too long for one
        return Path(text).read_bytes()
    if text.startswith("data:image/"):
        text = text.split(",")[1]
    return base64.decodebytes(text.encode())
