"""What a reader of videos is, and which one reads a source."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.errors import VideoError, reading
from qvl_fast._input.paths import checked_path
from qvl_fast._input.source import seekable

if TYPE_CHECKING:
    from qvl_fast._input.video.metadata import VideoMetadata

VideoSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"
Frames: TypeAlias = "Generator[NDArray[np.uint8]]"
# Where the bytes of a source are.
Place: TypeAlias = "str | bytes | IO[bytes]"


class Reader(Protocol):
    """A source that is open."""

    @property
    def metadata(self) -> VideoMetadata:
        """What it says of itself."""
        ...

    def frames(self, indices: NDArray[np.int64]) -> Frames:
        """The frames of these indices, which exist and do not decrease: uint8 (H, W, 3) each."""
        ...

    def close(self) -> None:
        """Lets go of everything, from any state."""
        ...


def place_of(source: VideoSource) -> Place:
    """A source that can be read, several times.

    Raises:
        ValueError: a text that is no path, or a stream that is closed or cannot seek.
        TypeError: something else.
        OSError: a path that cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        path = checked_path(source, VideoError)
        with path.open("rb"):  # what is wrong with a path, Python says better than FFmpeg
            return os.fsdecode(path)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not hasattr(source, "read"):
        raise TypeError(
            f"video must be a path, bytes or a file object, got {type(source).__name__}"
        )
    if getattr(source, "closed", False):
        raise VideoError.about(source, "is a closed file")
    if not seekable(source):
        raise VideoError.about(source, "is a stream that cannot seek; read it and pass its bytes")
    return source


def reader_of(source: VideoSource, place: Place, num_threads: int) -> Reader:
    """The reader of a source in this process: FFmpeg's, or Pillow's for WebP.

    FFmpeg decodes no animated WebP.
    """
    if _beginning(place, 12)[8:] == b"WEBP":
        from qvl_fast._input.video.webp import WebPReader

        return WebPReader(place)
    from qvl_fast._input.video.ffmpeg import FFmpegReader

    return FFmpegReader(source, place, num_threads)


def _beginning(place: Place, length: int) -> bytes:
    if isinstance(place, bytes):
        return place[:length]
    if isinstance(place, str):
        with open(place, "rb") as file:  # noqa: PTH123
            return file.read(length)
    with reading(place):
        place.seek(0, io.SEEK_SET)
        return place.read(length)
