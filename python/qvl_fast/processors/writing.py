"""The one place that hands a batch of images or videos to the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from numpy.typing import NDArray
from PIL import Image

from qvl_fast import _native
from qvl_fast._input.arrays import is_array
from qvl_fast._input.errors import ImageError, about_image, about_video
from qvl_fast._input.files import opened, read_file
from qvl_fast._input.header import image_pixels, image_size, orientation
from qvl_fast._input.names import describe
from qvl_fast._input.pixels import Pieces, is_borrowed, read_pixels
from qvl_fast._input.source import prepare

if TYPE_CHECKING:
    import numpy as np

    from qvl_fast._input.source import File, ImageSource, Prepared


class Frame(NamedTuple):
    """A frame of a batch: an image, or an image of a video.

    Attributes:
        image: as it was passed.
        source: in a form that can be read twice.
        contents: of a file; it is read once.
        origin: of what it is read from; two threads must not read frames of one origin at once.
    """

    image: Any
    source: Prepared
    contents: bytes | None
    origin: int


class ClipFrame(NamedTuple):
    """A frame that a clip hands out when its turn comes.

    Attributes:
        stream: that it comes from.
        number: its place among the frames of the stream.
    """

    stream: Stream
    number: int


class Item(NamedTuple):
    """An image or a video of a batch.

    Attributes:
        source: as it was passed.
        blame: what is raised if it is to blame; see :func:`about_image`.
    """

    source: Any
    blame: Callable[[Exception, int, Any], Exception]


class Stream:
    """Frames that come one after another, and are asked for by several threads.

    Args:
        frames: uint8 ``(H, W, C)`` each.
        memory: the same, if they are in memory already.
    """

    def __init__(
        self, frames: Iterator[NDArray[np.uint8]], memory: Sequence[NDArray[np.uint8]] = ()
    ) -> None:
        self.memory = memory
        self._frames = frames
        self._lock = Lock()
        self._next = 0
        # Frames that were passed by on the way to one that was asked for before them.
        self._waiting: dict[int, NDArray[np.uint8]] = {}

    def frame(self, number: int) -> NDArray[np.uint8]:
        """A frame by its place, each of which is asked for once.

        Raises:
            ValueError: there are not so many.
        """
        with self._lock:
            while self._next <= number:
                pixels = next(self._frames, None)
                if pixels is None:
                    raise ValueError(f"video has {self._next} frames, fewer than it says")
                self._waiting[self._next] = pixels
                self._next += 1
            return self._waiting.pop(number)


class Batch:
    """Images or videos on their way to rows.

    Args:
        writer: of the configuration.
        into_out: whether the rows are written to memory of the caller's.
    """

    def __init__(self, writer: _native.RowWriter, *, into_out: bool) -> None:
        self._batch = _native.Batch(writer)
        self._into_out = into_out
        self._items: list[Item] = []
        self._frames: list[Frame | ClipFrame] = []
        self.arrays: list[NDArray[np.uint8]] = []

    def add_image(self, image: ImageSource, layout: _native.Layout) -> None:
        """Takes one more image.

        Args:
            image: the image.
            layout: says what becomes of it.

        Raises:
            Exception: what the image is to blame for; see :func:`about_image`.
        """
        item = Item(image, about_image)
        try:
            self._add_frame(image)
            self._batch.end_laid_out(layout)
        except Exception as error:
            raise about_image(error, len(self._items), image) from error.__cause__
        self._items.append(item)

    def add_pictures(self, images: Sequence[ImageSource]) -> tuple[int, int]:
        """Takes images as frames of a video, which :meth:`end_video` ends; returns their size.

        Raises:
            Exception: what an image is to blame for, or the others by their size.
        """
        sizes = {self._add_frame(image): image for image in images}
        if len(sizes) > 1:
            first, second, *_ = sizes
            raise ImageError(
                f"image {describe(sizes[second])} has {second} pixels, other frames have {first}"
            )
        return next(iter(sizes))

    def add_frames(self, stream: Stream, numbers: range, size: tuple[int, int]) -> None:
        """Takes frames of a stream as frames of a video, which :meth:`end_video` ends.

        Args:
            stream: where they come from.
            numbers: their places there.
            size: ``(height, width)`` of each.
        """
        self.arrays.extend(stream.memory)
        for number in numbers:
            self._batch.add_opened(*size)
            self._frames.append(ClipFrame(stream, number))

    def end_video(self, video: Any, target: tuple[int, int] | _native.Layout) -> None:
        """Makes a video of the frames that were added.

        Args:
            video: as it was passed.
            target: ``(height, width)`` that its frames are resized to, or what becomes of each.

        Raises:
            ValueError: they cannot be cut into patches.
        """
        if isinstance(target, _native.Layout):
            self._batch.end_laid_out(target)
        else:
            self._batch.end(*target)
        self._items.append(Item(video, about_video))

    @property
    def rows(self) -> int:
        """Rows of all of them."""
        return self._batch.rows

    @property
    def grids(self) -> list[tuple[int, int, int]]:
        """``(t, h, w)`` of each, in groups of frames, or tiles of an image, and in patches."""
        return self._batch.grids

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """``(height, width)`` of each in pixels, before any resizing."""
        return self._batch.sizes

    def write(
        self,
        rows: NDArray[Any],
        *,
        num_threads: int,
        reduced: bool = False,
        padded: int | None = None,
    ) -> None:
        """Decode and resize all frames, and write their rows one after another.

        Args:
            rows: ``(N, columns)``, exactly those of the images or videos.
            num_threads: that the call may use.
            reduced: whether a JPEG may be decoded at a fraction of its size.
            padded: rows that each image has, those beyond its own being zeros; None if it has no
                others.

        Raises:
            Exception: what an image or a video is to blame for; see :func:`about_image`.
        """
        opener = _Opener(self._frames)
        try:
            self._batch.write(rows, opener, num_threads=num_threads, reduced=reduced, padded=padded)
        except Exception as error:
            # The core notes on an exception which image or video it was at.
            index: int | None = vars(error).pop("index", None)
            if index is None:
                raise
            item = self._items[index]
            raise item.blame(error, index, item.source) from error.__cause__

    def _add_frame(self, image: ImageSource) -> tuple[int, int]:
        """Takes an image; returns its size."""
        source = prepare(image)
        contents = None
        if is_array(source):
            pixels = image_pixels(source)
            self.arrays.append(pixels)
            size = self._batch.add_pixels(pixels)
        elif isinstance(source, Image.Image):
            if self._into_out and is_borrowed(source):
                # It may lie in that memory, and Pillow does not say where it lies.
                source = source.copy()
            size = self._batch.add_opened(source.height, source.width)
        else:
            file = cast("File", source)
            contents = read_file(file)
            header = _native.image_header(contents)
            if header is not None and _is_a_bomb(header):
                image_size(file, contents)  # Pillow refuses it, or only warns.
            if header is None:
                size = self._batch.add_opened(*image_size(file, contents))
            else:
                turned = header.orientation
                if turned is None:
                    with opened(file, contents) as by_pillow:
                        turned = orientation(by_pillow)
                size = self._batch.add_file(contents, header, turned)
        # A PIL image may still have to read its file.
        origin = id(getattr(source, "fp", None) or source)
        self._frames.append(Frame(image, source, contents, origin))
        return size


class _Opener:
    """What the core asks for a frame that is not in memory as an array, or not decoded there."""

    def __init__(self, frames: Sequence[Frame | ClipFrame]) -> None:
        self._frames = frames
        self._locks: dict[int, Lock] = {}

    def __call__(self, index: int, height: int, width: int) -> NDArray[np.uint8] | Pieces:
        frame = self._frames[index]
        if isinstance(frame, ClipFrame):
            pixels = frame.stream.frame(frame.number)
            if pixels.shape[:2] != (height, width):
                raise ValueError(
                    f"video has a frame of {pixels.shape[:2]} pixels, but says {(height, width)}"
                )
            return pixels
        image, source, contents, origin = frame
        # One of the threads that come at once puts its lock there, in a step that is not divided.
        with self._locks.setdefault(origin, Lock()):
            pixels = read_pixels(cast("File", source), contents)
        size = pixels.size if isinstance(pixels, Pieces) else pixels.shape[:2]
        if size != (height, width):
            raise ImageError(
                f"image {describe(image)} has {size} pixels, but its header says {(height, width)}"
            )
        return pixels


def _is_a_bomb(header: _native.ImageHeader) -> bool:
    """Whether Pillow has to be asked if an image of so many pixels may be decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and header.height * header.width > limit
