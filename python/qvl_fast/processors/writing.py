"""The one place that hands a batch of images to the core."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from numpy.typing import NDArray

from qvl_fast._input.errors import ImageError, about_image
from qvl_fast._input.files import read_file
from qvl_fast._input.names import describe
from qvl_fast._input.pixels import read_pixels

if TYPE_CHECKING:
    import numpy as np

    from qvl_fast import _native
    from qvl_fast._input.header import Encoding, Header
    from qvl_fast._input.source import File, Prepared


class Item(NamedTuple):
    """An image of a batch.

    Attributes:
        image: as it was passed.
        source: in a form that can be read twice.
        header: what it says of itself.
    """

    image: Any
    source: Prepared
    header: Header


def write_images(
    writer: _native.RowWriter,
    items: Sequence[Item],
    targets: Sequence[tuple[int, int]],
    rows: NDArray[Any],
    *,
    num_threads: int,
    reduced: bool,
) -> None:
    """Decode and resize images, and write the rows of all of them one after another.

    Args:
        writer: of the configuration.
        items: the images.
        targets: ``(height, width)`` in pixels that each is resized to.
        rows: ``(N, columns)``, exactly those of the targets.
        num_threads: that the call may use.
        reduced: whether a JPEG may be decoded at a fraction of its size.

    Raises:
        Exception: what an image is to blame for; see :func:`about_image`.
    """
    try:
        writer.write_images(
            [item.header.pixels for item in items],
            _Loader(items),
            targets,
            rows,
            num_threads=num_threads,
            reduced=reduced,
        )
    except Exception as error:
        # The core notes on an exception which image it was at.
        index: int | None = vars(error).pop("index", None)
        if index is None:
            raise
        raise about_image(error, index, items[index].image) from error.__cause__


class _Loader:
    """What the core asks for an image that is not in memory as an array; see ``write_images``."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        # Images that are read from the same stream must not be read by two threads at once.
        self._origins = [_origin(item.source) for item in items]
        self._locks = {origin: Lock() for origin in self._origins}

    def __call__(self, index: int, encoded: bool) -> NDArray[np.uint8] | tuple[bytes, Encoding]:
        image, source, header = self._items[index]
        with self._locks[self._origins[index]]:
            if encoded and header.encoding is not None:
                return read_file(cast("File", source)), header.encoding
            pixels = read_pixels(cast("File", source))
        if pixels.shape[:2] != header.size:
            raise ImageError(
                f"image {describe(image)} has {pixels.shape[:2]} pixels, but its header says "
                f"{header.size}"
            )
        return pixels


def _origin(source: Any) -> int:
    """Tells apart what images are read from: a PIL image may still have to read its file."""
    return id(getattr(source, "fp", None) or source)
