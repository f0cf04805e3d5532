"""Image files: opened, read, and refused where they cannot be decoded.

Reading and decoding can both fail, and only the second says something about the image. What a
stream or the system raises while a file is read is passed on as it is.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from PIL import Image

from qvl_fast._input.errors import ImageError, raised_elsewhere, reading
from qvl_fast._input.names import describe

if TYPE_CHECKING:
    from qvl_fast._input.source import File

T = TypeVar("T")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:", re.ASCII)
# How the base64 texts of JPEG, PNG, GIF, WebP, BMP and TIFF files begin.
_BASE64 = re.compile(
    r"(/9j/|iVBORw0KGgo|R0lGOD|UklGR|Qk|SUkqA|TU0AK)[A-Za-z0-9+/\s]{20,}=*\s*", re.ASCII
)


@contextmanager
def opened(file: File, contents: bytes | None = None) -> Generator[Image.Image]:
    """The image in a file, opened by Pillow; closed afterwards, except a stream of the caller's.

    Args:
        file: where it is.
        contents: what was read from there before, if it was.

    Raises:
        ValueError: it is not a readable image file, or a text that is no path.
        OSError: a path that cannot be read.
    """
    with ExitStack() as stack:
        stream: Any
        if contents is not None:
            stream = io.BytesIO(contents)
        elif isinstance(file, str | os.PathLike):
            # Given a path, Pillow maps raw files into memory: it gets sideways TIFFs wrong, and a
            # file that shrinks meanwhile would kill the process.
            stream = stack.enter_context(_checked(file).open("rb"))
        elif isinstance(file, bytes | bytearray):
            stream = io.BytesIO(file)
        else:
            stream = _Watched(file)
        with refusing(file, stream):
            yield stack.enter_context(Image.open(stream))


def read_file(file: File) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: a text that is no path.
        OSError: a path that cannot be read.
    """
    if isinstance(file, bytes | bytearray):
        return bytes(file)
    if isinstance(file, str | os.PathLike):
        return _checked(file).read_bytes()
    with reading(file):
        file.seek(0)
        contents = cast("object", file.read())
    if not isinstance(contents, bytes):
        kind = type(contents).__name__
        raise _refused(file, f"must be a binary stream, but reading it gives {kind}")
    return contents


@contextmanager
def refusing(source: Any, stream: Any = None) -> Generator[None]:
    """Turns what a decoder raises on a bad file into an :class:`ImageError` that names the file.

    Not what the system or a stream raises while it is read, nor what a signal handler does.
    """
    try:
        yield
    except Exception as error:
        if isinstance(stream, _Watched) and stream.error is not None:
            raise stream.error from stream.error.__cause__
        if isinstance(error, MemoryError | ImageError) or raised_elsewhere(error):
            raise
        if isinstance(error, TimeoutError | ConnectionError) or (
            isinstance(error, OSError) and error.errno is not None
        ):
            raise  # the system's, about the path or what a PIL image is still to be read from
        reason = _reason(error)
        raise ImageError(
            f"image {describe(source)} cannot be decoded: {reason}", source=source, reason=reason
        ) from error


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


def _checked(text: str | os.PathLike[str]) -> Path:
    """A path that can be opened without waiting.

    Raises:
        ValueError: it is a URL, a base64 text, a pipe or a device.
        OSError: the system cannot look at it.
    """
    if isinstance(text, str) and (url := _URL.match(text)):
        raise _refused(text, f"is a URL ({url[0]}...); fetch it and pass its bytes")
    try:
        path = Path(text)
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if isinstance(text, str) and _BASE64.fullmatch(text):
            raise _refused(text, "is base64 text; pass base64.b64decode(text)") from None
        if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
            why = error.strerror if isinstance(error, OSError) else error
            raise _refused(text, f"is not a path: {why}") from None
        raise
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _refused(text, "is not a regular file; read it and pass its bytes")
    return path


def _refused(file: File, why: str) -> ImageError:
    return ImageError(f"image {describe(file)} {why}", source=file, reason=why)


def _reason(error: Exception) -> str:
    # Pillow shows the object it reads from, often with an address, which differs from run to run.
    return re.sub(r" <(_io\.|[^<>]* at 0x)[^<>]*>", "", str(error)) or type(error).__name__
