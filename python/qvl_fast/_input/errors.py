"""What goes wrong with an image or a video, and whose fault it is."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, ClassVar, Self, cast

from PIL import Image

from qvl_fast._input.names import describe, named

# The line that an exception about one image or video of a batch ends with.
_NOTE = re.compile(r"^(?:images|videos)\[(\d+)\] is (.*)$", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last)"
_NOT_DECODED = "cannot be decoded: "


class SourceError(ValueError, TypeError):
    """An image or a video that cannot be used.

    It is a ValueError and a TypeError, since either may be wrong with a source. It pickles, and
    crosses a DataLoader with its index and reason, whatever the source is.

    Attributes:
        index: the source's place in the batch; None if it was not one of a batch.
        source: the source as it was passed; in another process its path, or a short description.
        reason: what is wrong, without the name of the source.
    """

    kind: ClassVar[str]
    index: int | None
    source: Any
    reason: str

    def __init__(
        self, message: str, *, index: int | None = None, source: Any = None, reason: str = ""
    ) -> None:
        super().__init__(message)
        if _TRACEBACK in message:
            index, source, reason = self._read(message)
        self.index = index
        self.source = source
        self.reason = reason or message

    @classmethod
    def about(cls, source: Any, reason: str) -> Self:
        """The error of a source: its kind, its name, and what is wrong with it."""
        return cls(f"{cls.kind} {describe(source)} {reason}", source=source, reason=reason)

    @classmethod
    def undecodable(cls, source: Any, reason: str) -> Self:
        """The error of a file that a decoder does not understand, and why it does not."""
        error = cls.about(source, _NOT_DECODED + reason)
        error.reason = reason
        return error

    @classmethod
    def _read(cls, traceback: str) -> tuple[int | None, str | None, str]:
        """Index, source and reason in the text of a traceback.

        A DataLoader makes the exception of a worker anew from nothing else.
        """
        note = _NOTE.search(traceback)
        message = traceback[: note.start()] if note else traceback
        reason = re.split(rf"^[\w.]*\b{cls.__name__}: ", message, flags=re.MULTILINE)[-1].strip()
        if note is None:
            return None, None, reason
        reason = reason.removeprefix(f"{cls.kind} {note[2]} ").removeprefix(_NOT_DECODED)
        return int(note[1]), named(note[2]), reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "source": _portable(self.source)}


class ImageError(SourceError):
    """An image that cannot be used, a ValueError and a TypeError.

    Attributes:
        index: the image's place in the batch; None if it was not one of a batch.
        source: the image as it was passed; in another process its path, or a short description.
        reason: what is wrong, without the name of the image.
    """

    kind = "image"


class VideoError(SourceError):
    """A video that cannot be used, with the attributes of :class:`ImageError`."""

    kind = "video"


def about_image(error: Exception, index: int, source: Any) -> Exception:
    """See :func:`_about`."""
    return _about(ImageError, error, index, source)


def about_video(error: Exception, index: int, source: Any) -> Exception:
    """See :func:`_about`."""
    return _about(VideoError, error, index, source)


def _about(kind: type[SourceError], error: Exception, index: int, source: Any) -> Exception:
    """The exception to raise instead of ``error``, which one item of a batch is to blame for.

    What a stream raised, what the system says of a path, and a lack of memory keep their type and
    get ``index`` and ``source``. An exception of somebody else, such as a signal handler's, stays
    as it is: no item is to blame for it.
    """
    streams = hasattr(error, "source") and not isinstance(error, SourceError)
    if raised_elsewhere(error) and not streams:
        return error
    if isinstance(error, kind):
        error.index, error.source = index, source
    elif isinstance(error, ValueError | TypeError) and not streams:
        # A frame of a video may be an image that cannot be used.
        reason = error.reason if isinstance(error, SourceError) else ""
        error = kind(str(error), index=index, source=source, reason=reason)
    else:
        vars(error).update(index=index, source=_portable(source))
    error.add_note(f"{kind.kind}s[{index}] is {describe(source)}")
    return error


@contextmanager
def reading(stream: Any) -> Generator[None]:
    """Puts a stream's name on what it raises, so that it is not taken for somebody else's."""
    try:
        yield
    except Exception as error:
        vars(error)["source"] = describe(stream)
        raise


def raised_elsewhere(error: BaseException) -> bool:
    """Whether an exception was raised in code that is neither ours nor a decoder's.

    The innermost frame tells. Decoders are written in Python and C; C has no frames of its own, and
    from Python they call the standard library.
    """
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    if not modules:
        return False
    decoders = {factory.__module__.partition(".")[0] for factory, _ in Image.OPEN.values()}
    return modules[-1].partition(".")[0] not in {
        "qvl_fast",
        "PIL",
        *decoders,
        *sys.stdlib_module_names,
    }


def _portable(source: Any) -> Any:
    return cast("Any", source) if isinstance(source, str | os.PathLike) else describe(source)
