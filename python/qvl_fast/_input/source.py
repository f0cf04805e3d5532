"""What an image, and a batch of them, may be.

A path, bytes or a file object is opened as Pillow opens it and turned upright by its EXIF
orientation; a PIL image is taken as it is. Alpha or transparency is composited on white, every
other mode is converted to RGB (``convert_to_rgb`` of ``image_transforms`` in transformers). Arrays
and tensors keep their channels: the core repeats grey and composites RGBA as it reads them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qvl_fast._input.arrays import is_array
from qvl_fast._input.errors import ImageError, reading
from qvl_fast._input.names import describe

if TYPE_CHECKING:
    import torch


class Readable(Protocol):
    """A stream of bytes that need not seek."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, all of them if ``size`` is negative."""
        ...


class EncodedImage(TypedDict):
    """An image of a Hugging Face data set that is not decoded; its bytes count if it has them."""

    bytes: bytes | None
    path: str | None


Pixels: TypeAlias = "NDArray[np.uint8] | torch.Tensor"
File: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | IO[bytes]"
ImageSource: TypeAlias = "File | memoryview | Readable | EncodedImage | Image.Image | Pixels"
ImageBatch: TypeAlias = "ImageSource | Iterable[ImageSource] | Iterable[Sequence[ImageSource]]"
# An image that can be read twice, once for its size and once for its pixels.
Prepared: TypeAlias = "File | Image.Image | Pixels"


def samples(images: ImageBatch) -> list[list[Any]]:
    """The single images of each sample: a nested list holds those of one, 4-D arrays are split.

    Images that are not nested are samples of their own.

    Raises:
        ValueError: there is no image.
    """
    items: list[Any] = list(cast("Any", images)) if _is_batch(images) else [images]
    nested = all(isinstance(item, list | tuple) for item in items)
    groups = [_singles(item) for item in items] if nested else [[one] for one in _singles(items)]
    if not any(groups):
        raise ValueError(f"images must hold at least one image, got {images!r:.80}")
    return groups


def _singles(items: Iterable[Any]) -> list[Any]:
    return [image for item in items for image in (item if _is_stack(item) else [item])]


def prepare(source: ImageSource) -> Prepared:
    """A source that can be read twice, for its size and for its pixels.

    A stream that cannot seek is read into memory.

    Raises:
        ValueError: an empty path, or a mapping without bytes and path.
        TypeError: not an image.
    """
    item: Any = source
    if is_array(item):
        return cast("Prepared", item)
    if isinstance(item, Mapping):
        item = _of_mapping(cast("Mapping[str, Any]", item))
    if isinstance(item, memoryview):
        return cast("memoryview", item).tobytes()
    if isinstance(item, str) and not item:
        raise ImageError("image must not be an empty string, got ''", source=source)
    if isinstance(item, Image.Image | str | os.PathLike | bytes | bytearray):
        return cast("Prepared", item)
    if not hasattr(item, "read"):
        raise TypeError(
            "image must be a path, bytes, a file object, a PIL image, an array or a tensor, got "
            f"{type(item).__name__}"
        )
    if seekable(item):
        return item
    with reading(item):
        return io.BytesIO(item.read())


def seekable(stream: Any) -> bool:
    """Whether a stream can be read more than once.

    Raises:
        ValueError: it is closed.
    """
    if getattr(stream, "closed", False):
        raise ImageError(f"image {describe(stream)} is a closed file", source=stream)
    return hasattr(stream, "seek") and getattr(stream, "seekable", lambda: True)()


def _is_batch(images: object) -> bool:
    if isinstance(images, list | tuple):
        return True
    if is_array(images) or isinstance(images, Image.Image):
        return False
    if isinstance(images, str | bytes | bytearray | memoryview | Mapping):
        return False
    return not hasattr(images, "read") and isinstance(images, Iterable)


def _is_stack(value: Any) -> bool:
    return is_array(value) and value.ndim == 4


def _of_mapping(encoded: Mapping[str, Any]) -> Any:
    contents = encoded.get("bytes")
    if isinstance(contents, bytes | bytearray | memoryview):
        return cast("Any", contents)
    if contents is not None:
        # A text would be opened as a path, which who fetches paths for a server does not look for.
        raise ImageError(
            f"image must have bytes as its 'bytes', got {contents!r:.80}", source=encoded
        )
    if encoded.get("path") is not None:
        return encoded["path"]
    raise ImageError(
        f"image must have 'bytes' or a 'path', got a {type(encoded).__name__} with the keys "
        f"{list(encoded)!r:.80}",
        source=encoded,
    )
