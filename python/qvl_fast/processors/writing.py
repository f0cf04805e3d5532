"""The one place that hands a batch of images to the core."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from numpy.typing import NDArray
from PIL import Image

from qvl_fast import _native
from qvl_fast._input.arrays import is_array
from qvl_fast._input.errors import ImageError, about_image
from qvl_fast._input.files import opened, read_file
from qvl_fast._input.header import image_pixels, image_size, orientation
from qvl_fast._input.names import describe
from qvl_fast._input.pixels import Pieces, is_borrowed, read_pixels
from qvl_fast._input.source import prepare

if TYPE_CHECKING:
    import numpy as np

    from qvl_fast._input.source import File, ImageSource, Prepared


class Item(NamedTuple):
    """An image of a batch.

    Attributes:
        image: as it was passed.
        source: in a form that can be read twice.
        contents: of a file; it is read once.
    """

    image: Any
    source: Prepared
    contents: bytes | None = None


class Batch:
    """Images on their way to rows.

    Args:
        writer: of the configuration.
        into_out: whether the rows are written to memory of the caller's.
    """

    def __init__(self, writer: _native.RowWriter, *, into_out: bool) -> None:
        self._batch = _native.Batch(writer)
        self._into_out = into_out
        self._items: list[Item] = []
        self.arrays: list[NDArray[np.uint8]] = []

    def add(self, image: ImageSource, layout: _native.Layout) -> None:
        """Takes one more image, which ``layout`` says what becomes of.

        Raises:
            Exception: what the image is to blame for; see :func:`about_image`.
        """
        try:
            self._items.append(self._added(image, layout))
        except Exception as error:
            raise about_image(error, len(self._items), image) from error.__cause__

    @property
    def rows(self) -> int:
        """Rows of all images."""
        return self._batch.rows

    @property
    def grids(self) -> list[tuple[int, int, int]]:
        """``(tiles, h, w)`` of each image, in patches of a tile."""
        return self._batch.grids

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """``(height, width)`` of each image in pixels, before any resizing."""
        return self._batch.sizes

    def write(
        self, rows: NDArray[Any], *, num_threads: int, reduced: bool, padded: int | None = None
    ) -> None:
        """Decode and resize the images, and write the rows of all of them one after another.

        Args:
            rows: ``(N, columns)``, exactly those of the images.
            num_threads: that the call may use.
            reduced: whether a JPEG may be decoded at a fraction of its size.
            padded: rows that each image has, those beyond its own being zeros; None if it has no
                others.

        Raises:
            Exception: what an image is to blame for; see :func:`about_image`.
        """
        opener = _Opener(self._items)
        try:
            self._batch.write(rows, opener, num_threads=num_threads, reduced=reduced, padded=padded)
        except Exception as error:
            # The core notes on an exception which image it was at.
            index: int | None = vars(error).pop("index", None)
            if index is None:
                raise
            raise about_image(error, index, self._items[index].image) from error.__cause__

    def _added(self, image: ImageSource, layout: _native.Layout) -> Item:
        source = prepare(image)
        if is_array(source):
            pixels = image_pixels(source)
            self._batch.add_pixels(pixels, layout)
            self.arrays.append(pixels)
            return Item(image, source)
        if isinstance(source, Image.Image):
            if self._into_out and is_borrowed(source):
                # It may lie in that memory, and Pillow does not say where it lies.
                source = source.copy()
            self._batch.add_opened(source.height, source.width, layout)
            return Item(image, source)
        file = cast("File", source)
        contents = read_file(file)
        header = _native.image_header(contents)
        if header is None or _is_a_bomb(header):
            self._batch.add_opened(*image_size(file, contents), layout)
        else:
            turned = header.orientation
            if turned is None:
                with opened(file, contents) as by_pillow:
                    turned = orientation(by_pillow)
            self._batch.add_file(contents, header, turned, layout)
        return Item(image, source, contents)


class _Opener:
    """What the core asks for an image that is not in memory as an array, or not decoded there."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        # Images that are read from the same stream must not be read by two threads at once.
        self._origins = [_origin(item.source) for item in items]
        self._locks = {origin: Lock() for origin in self._origins}

    def __call__(self, index: int, height: int, width: int) -> NDArray[np.uint8] | Pieces:
        image, source, contents = self._items[index]
        with self._locks[self._origins[index]]:
            pixels = read_pixels(cast("File", source), contents)
        size = pixels.size if isinstance(pixels, Pieces) else pixels.shape[:2]
        if size != (height, width):
            raise ImageError(
                f"image {describe(image)} has {size} pixels, but its header says {(height, width)}"
            )
        return pixels


def _origin(source: Any) -> int:
    """Tells apart what images are read from: a PIL image may still have to read its file."""
    return id(getattr(source, "fp", None) or source)


def _is_a_bomb(header: _native.ImageHeader) -> bool:
    """Whether Pillow has to be asked if an image of so many pixels may be decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and header.height * header.width > limit
