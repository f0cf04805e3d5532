"""Image files: opened, read, and refused where they cannot be decoded.

Reading and decoding can both fail, and only the second says something about the image. What a
stream or the system raises while a file is read is passed on as it is.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from PIL import Image

from qvl_fast._input.errors import ImageError, SourceError, raised_elsewhere, reading
from qvl_fast._input.paths import checked_path

if TYPE_CHECKING:
    from qvl_fast._input.source import File

T = TypeVar("T")


class CoreFile(bytes):
    """The contents of a file that nobody but the core may decode.

    For who must equal another decoder than Pillow: on files that are odd or damaged they differ.
    """


@contextmanager
def opened(
    file: File, contents: bytes | None = None, error: type[SourceError] = ImageError
) -> Generator[Image.Image]:
    """The image in a file, opened by Pillow; closed afterwards, except a stream of the caller's.

    Args:
        file: where it is.
        contents: what was read from there before, if it was.
        error: what is raised of a file that cannot be decoded.

    Raises:
        ValueError: it is not a readable image file, a text that is no path, or a :class:`CoreFile`.
        OSError: a path that cannot be read.
    """
    if isinstance(file, CoreFile):
        raise error.about(file, "is not decoded by the core")
    with ExitStack() as stack:
        stream: Any
        if contents is not None:
            stream = io.BytesIO(contents)
        elif isinstance(file, str | os.PathLike):
            # Given a path, Pillow maps raw files into memory: it gets sideways TIFFs wrong, and a
            # file that shrinks meanwhile would kill the process.
            stream = stack.enter_context(checked_path(file, error).open("rb"))
        elif isinstance(file, bytes | bytearray):
            stream = io.BytesIO(file)
        else:
            stream = _Watched(file)
        with refusing(file, stream, error):
            image = stack.enter_context(Image.open(stream))
            if image.format == "EPS":
                # Whoever sends one must not have it run.
                reason = "is a PostScript program, not pixels; pass a PIL image of it"
                raise error.about(file, reason)
            yield image


def read_file(file: File) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: a text that is no path.
        OSError: a path that cannot be read.
    """
    if isinstance(file, bytes | bytearray):
        return bytes(file)
    if isinstance(file, str | os.PathLike):
        return checked_path(file, ImageError).read_bytes()
    with reading(file):
        file.seek(0)
        contents = cast("object", file.read())
    if not isinstance(contents, bytes):
        kind = type(contents).__name__
        raise ImageError.about(file, f"must be a binary stream, but reading it gives {kind}")
    return contents


@contextmanager
def refusing(
    source: Any, stream: Any = None, error: type[SourceError] = ImageError
) -> Generator[None]:
    """Turns what a decoder raises on a bad file into an error that names the file.

    Not what the system or a stream raises while it is read, nor what a signal handler does.
    """
    try:
        yield
    except Exception as failure:
        if isinstance(stream, _Watched) and stream.error is not None:
            raise stream.error from stream.error.__cause__
        if isinstance(failure, MemoryError | SourceError) or raised_elsewhere(failure):
            raise
        if isinstance(failure, TimeoutError | ConnectionError) or (
            isinstance(failure, OSError) and failure.errno is not None
        ):
            raise  # the system's, about the path or what a PIL image is still to be read from
        raise error.undecodable(source, _reason(failure)) from failure


class _Watched:
    """A stream that remembers what it raised, which Pillow may hide or change."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def read(self, *size: int) -> bytes:
        return self._watch(self._stream.read, *size)

    def readline(self, *size: int) -> bytes:
        return self._watch(self._stream.readline, *size)

    def seek(self, *place: int) -> int:
        return self._watch(self._stream.seek, *place)

    def tell(self) -> int:
        return self._watch(self._stream.tell)

    def _watch(self, method: Callable[..., T], *arguments: int) -> T:
        try:
            with reading(self._stream):
                return method(*arguments)
        except Exception as error:
            self.error = error
            raise


def _reason(error: Exception) -> str:
    # Pillow shows the object it reads from, often with an address, which differs from run to run.
    return re.sub(r" <(_io\.|[^<>]* at 0x)[^<>]*>", "", str(error)) or type(error).__name__
