"""Which paths can be opened, and which texts are no paths."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from qvl_fast._input.errors import SourceError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:", re.ASCII)
# How the base64 texts of JPEG, PNG, GIF, WebP, BMP and TIFF files begin.
_BASE64 = re.compile(
    r"(/9j/|iVBORw0KGgo|R0lGOD|UklGR|Qk|SUkqA|TU0AK)[A-Za-z0-9+/\s]{20,}=*\s*", re.ASCII
)


def checked_path(text: str | os.PathLike[str], error: type[SourceError]) -> Path:
    """A path that can be opened without waiting.

    Args:
        text: what may be a path.
        error: what is raised of a text that is no path.

    Raises:
        ValueError: it is a URL, a base64 text, a pipe or a device.
        OSError: the system cannot look at it.
    """
    if isinstance(text, str) and (url := _URL.match(text)):
        raise error.about(text, f"is a URL ({url[0]}...); fetch it and pass its bytes")
    try:
        path = Path(text)
        mode = path.stat().st_mode
    except (OSError, ValueError) as failure:
        if isinstance(text, str) and _BASE64.fullmatch(text):
            raise error.about(text, "is base64 text; pass base64.b64decode(text)") from None
        if isinstance(failure, ValueError) or failure.errno == errno.ENAMETOOLONG:
            why = failure.strerror if isinstance(failure, OSError) else failure
            raise error.about(text, f"is not a path: {why}") from None
        raise
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error.about(text, "is not a regular file; read it and pass its bytes")
    return path
