"""Text as a stream can show it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO


def printable(value: str | Path, stream: TextIO) -> str:
    """One line of text, with escapes for what would control a terminal or is not in its encoding.

    Args:
        value: a text, or a path of any bytes.
        stream: where it is to be printed.
    """
    # Bytes that are no UTF-8, which Python keeps as lone surrogates, are shown as \xe9.
    text = os.fsencode(value).decode(errors="backslashreplace")
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    encoding = stream.encoding or "utf-8"
    return escaped.encode(encoding, "backslashreplace").decode(encoding)
