"""Checks that the configurations share; each error names the setting and its value."""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, cast, get_args

# Integers up to here are exact in the float64 arithmetic of `smart_resize`.
MAX_INTEGER = 2**53


def integer(name: str, value: Any, least: int = -MAX_INTEGER) -> int:
    """``value`` as an int from ``least`` to :data:`MAX_INTEGER`.

    Raises:
        TypeError, ValueError: it is not one; names the argument and the value.
    """
    try:
        result = operator.index(value)
    except TypeError:
        result = None
    if result is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not least <= result <= MAX_INTEGER:
        raise ValueError(f"{name} must be between {least} and 2**53, got {result}")
    return result


def positive_integer(name: str, value: Any) -> int:
    """:func:`integer` from 1 on."""
    return integer(name, value, 1)


def two_sides(name: str, value: Any) -> tuple[Any, Any]:
    """``value`` as the height and width of an image, whatever those are.

    Raises:
        TypeError: they are no two.
    """
    try:
        height, width = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be (height, width), got {value!r:.80}") from None
    return height, width


def image_sides(name: str, value: Any) -> tuple[int, int]:
    """:func:`two_sides` as positive integers.

    Raises:
        TypeError, ValueError: they are none.
    """
    height, width = two_sides(name, value)
    return positive_integer("height", height), positive_integer("width", width)


def sizes_listed(name: str, value: Any) -> tuple[tuple[int, int], ...]:
    """``value`` as heights and widths of at least one size.

    Raises:
        TypeError, ValueError: it holds none, or something else.
    """
    try:
        pairs = [two_sides(name, pair) for pair in value]
    except TypeError:
        raise TypeError(f"{name} must be a list of (height, width), got {value!r:.80}") from None
    if not pairs:
        raise ValueError(f"{name} must not be empty, got {value!r}")
    return tuple(
        (positive_integer(name, height), positive_integer(name, width)) for height, width in pairs
    )


def positive_number(name: str, value: Any) -> float:
    """``value`` as a float above zero.

    Raises:
        TypeError, ValueError: it is not one, or not finite.
    """
    result = number(name, value)
    if not 0 < result < float("inf"):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return result


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Refuse a value that a ``Literal`` does not list.

    Raises:
        ValueError: names the argument, its value and the choices.
    """
    if not isinstance(value, str) or value not in get_args(choices):
        known = ", ".join(map(repr, get_args(choices)))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")


def number(name: str, value: Any) -> float:
    """``value`` as a float.

    Raises:
        TypeError, ValueError: it is not a number, or too large for one.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a finite number, got {value}") from None


def read_json(path: Path) -> Mapping[str, Any] | None:
    """The object in a JSON file, None where there is no file."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {content!r:.80}")
    return cast("dict[str, Any]", content)


def section(settings: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object that a JSON file has by the first of these names; empty if it has none.

    Raises:
        TypeError: it is something else.
    """
    for name in names:
        if value := settings.get(name):
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} must be an object, got {value!r:.80}")
            return cast("Mapping[str, Any]", value)
    return {}


def checkpoint_directory(directory: str | os.PathLike[str]) -> Path:
    """The path of a checkpoint's directory.

    Raises:
        FileNotFoundError: it is not there, and is written as the name of a model on the Hub is.
    """
    # An owner and a name, as no path of a checkpoint directory that exists is written.
    name = os.fspath(directory)
    if not Path(name).is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
        raise FileNotFoundError(
            f"directory {name!r} is not there; if this is the name of a model on the Hugging "
            f"Face Hub, pass what huggingface_hub.snapshot_download({name!r}) returns"
        )
    return Path(name)


def listed(names: Iterable[str]) -> str:
    """Names for a message, in order."""
    return ", ".join(sorted(names))
