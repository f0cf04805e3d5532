"""Where the bytes of a video are."""

from __future__ import annotations

import io
import os
from typing import IO, TypeAlias

from qvl_fast._input.errors import VideoError, reading
from qvl_fast._input.paths import checked_path
from qvl_fast._input.source import seekable

VideoSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"
Place: TypeAlias = "str | bytes | IO[bytes]"


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


def beginning(place: Place, length: int) -> bytes:
    """Its first bytes."""
    if isinstance(place, bytes):
        return place[:length]
    if isinstance(place, str):
        with open(place, "rb") as file:  # noqa: PTH123
            return file.read(length)
    with reading(place):
        place.seek(0, io.SEEK_SET)
        return place.read(length)
