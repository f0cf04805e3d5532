"""The files that rows are made of: found below folders, and told apart from later versions."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from qvl_fast._input.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Recognised by Pillow but not decoded: measurements, Windows metafiles, video.
_NOT_DECODED = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "WMF"})
# What the names of videos end in. GIF and WebP are images, as for an image processor.
_VIDEOS = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


class Source(NamedTuple):
    """A file to process, and by what a later run tells that it is still the same.

    Attributes:
        path: absolute.
        size: in bytes.
        mtime_ns: time of the last change.
    """

    path: Path
    size: int
    mtime_ns: int

    @property
    def is_video(self) -> bool:
        """See :func:`is_video`."""
        return is_video(self.path)


class Failure(NamedTuple):
    """A file that could not be used.

    Attributes:
        path: the file.
        error: what its use raised.
    """

    path: Path
    error: Exception

    @property
    def reason(self) -> str:
        """What went wrong, without the path."""
        if isinstance(self.error, OSError) and self.error.strerror:
            return self.error.strerror
        if isinstance(self.error, SourceError):
            return self.error.reason
        return str(self.error) or type(self.error).__name__


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video, by its name; any other is taken for an image."""
    return path.suffix.lower() in _VIDEOS


def collect(paths: Iterable[Path], *, videos: bool = False) -> tuple[list[Source], list[Failure]]:
    """The files among and below ``paths``, each once, and those that cannot be looked at.

    Folders are searched with all that is below them, in sorted order, for the file names of images
    that Pillow reads, and of videos if ``videos``. A file that is named itself is taken whatever
    its name. Links to folders are followed where they are named, and not below.
    """
    suffixes = _image_suffixes() | _VIDEOS if videos else _image_suffixes()
    failures: list[Failure] = []
    found: dict[Path, None] = {}
    for path in paths:
        try:
            if path.is_dir():
                found |= dict.fromkeys(sorted(_files_below(path.resolve(), suffixes, failures)))
            else:
                # Only the folder is resolved: a link's own name is the one that tells images apart.
                found[path.parent.resolve() / path.name] = None
        except (OSError, ValueError, RuntimeError) as error:  # the last of links in a circle
            failures.append(Failure(path, error))
    sources: list[Source] = []
    for path in found:
        try:
            sources.append(_look_at(path))
        except (OSError, ValueError) as error:
            failures.append(Failure(path, error))
    return sources, failures


def _image_suffixes() -> frozenset[str]:
    formats = Image.registered_extensions()
    # MPO files are opened by the plugin of JPEG.
    readable = (Image.OPEN.keys() | {"MPO"}) - _NOT_DECODED
    return frozenset(suffix for suffix, name in formats.items() if name in readable)


def _files_below(folder: Path, suffixes: frozenset[str], failures: list[Failure]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        failures.append(Failure(Path(error.filename), error))

    for parent, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if Path(name).suffix.lower() in suffixes:
                yield Path(parent, name)


def _look_at(path: Path) -> Source:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe would wait for its other end.
        raise OSError("not a regular file")
    return Source(path, status.st_size, status.st_mtime_ns)
