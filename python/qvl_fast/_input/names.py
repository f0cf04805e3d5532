"""Short names of images for messages: bounded, and the same in every run."""

from __future__ import annotations

import os
from ast import literal_eval
from collections.abc import Mapping
from reprlib import Repr
from typing import Any, cast

from PIL import Image

from qvl_fast._input.arrays import is_array

# Of a longer path the beginning and the end are shown.
_short = Repr()
_short.maxstring = 240


def describe(source: Any) -> str:
    """What a message calls an image."""
    kind = type(source).__name__
    if isinstance(source, str | os.PathLike):
        return _short.repr(os.fspath(cast("str | os.PathLike[str]", source)))
    if isinstance(source, bytes | bytearray):
        return f"({len(source)} bytes)"
    if isinstance(source, memoryview):
        return f"({cast('memoryview', source).nbytes} bytes)"
    if isinstance(source, Image.Image):
        return f"(PIL, mode {source.mode}, {source.height}x{source.width})"
    if is_array(source):
        return f"({kind}, {source.dtype}, {tuple(source.shape)})"
    if isinstance(source, Mapping):
        name = cast("Mapping[str, Any]", source).get("path")
    else:
        name = getattr(source, "name", None)
    # Not a repr of what has no name: it may hold an address, and be of any length.
    return _short.repr(name) if isinstance(name, str) else f"({kind})"


def named(description: str) -> str:
    """The path in a description, or the description if it has none, or not all of it."""
    if description.startswith("(") or len(description) >= _short.maxstring:
        return description
    return str(literal_eval(description))
