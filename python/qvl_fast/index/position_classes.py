"""What position ids mean, by version of transformers.

Between versions the same tokens got other ids, and a model that was trained with some and is served
with others answers worse without a word. Versions that agree form a class, known by one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from qvl_fast._input.arrays import is_tensor, number_array
from qvl_fast.warning import warn

if TYPE_CHECKING:
    from qvl_fast.config import RopeConfig

Advance = Literal["spatial", "spatiotemporal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionClass:
    """The rules of ``get_rope_index`` in a range of versions of transformers.

    Attributes:
        name: the version that the class is known by.
        since: the first version with these rules.
        advance: how far an item moves the count: by its longer side, or past all of its ids.
        frames: whether the time ids of a video's groups of frames are ``"apart"``, or ``"alike"``:
            the count times the interval, for all of them.
        padding: the ids of padding.
        deltas: whether deltas are relative to the number of tokens ``"kept"`` or to the
            ``"length"`` of the row, and there perhaps not negative.
        seconds: how ids are made of a group's number, seconds a group and ids a second: the first
            two multiplied and then by the third (``"in turn"``), by the product of the last two
            (``"product"``), or with seconds truncated first, in integers (``"whole"``).
        images: time ids between the groups of frames of an image, in models with ids a second; None
            if images use up seconds of the list as videos do.
    """

    name: str
    since: tuple[int, int, int]
    advance: Advance
    frames: Literal["apart", "alike"] = "apart"
    padding: Literal[0, 1] = 0
    deltas: Literal["kept", "length", "length, not negative"] = "kept"
    seconds: Literal["in turn", "whole", "product"]
    images: Literal[0, 1] | None = 1


_CLASSES = (
    PositionClass(
        name="4.49",
        since=(4, 45, 0),
        advance="spatiotemporal",
        padding=1,
        deltas="length",
        seconds="in turn",
        images=0,
    ),
    PositionClass(
        name="4.57",
        since=(4, 52, 0),
        advance="spatiotemporal",
        padding=1,
        deltas="length",
        seconds="whole",
        images=0,
    ),
    PositionClass(
        name="5.2",
        since=(5, 2, 0),
        advance="spatiotemporal",
        deltas="length",
        seconds="whole",
        images=0,
    ),
    PositionClass(
        name="5.3",
        since=(5, 3, 0),
        advance="spatial",
        frames="alike",
        seconds="whole",
        images=None,
    ),
    PositionClass(
        name="5.5.4", since=(5, 5, 4), advance="spatial", frames="alike", seconds="whole"
    ),
    PositionClass(name="5.6", since=(5, 6, 0), advance="spatial", seconds="whole"),
    PositionClass(name="5.18", since=(5, 18, 0), advance="spatial", seconds="product"),
)
_NEWEST = _CLASSES[-1]


def resolve(positions: str | None, advance: Advance | None, settings: RopeConfig) -> PositionClass:
    """The class that ``positions`` and ``advance`` name for a model.

    Raises:
        TypeError: ``positions`` is not a string.
        ValueError: it is no version, or one that is older than the model; or both are given.
    """
    if advance is not None:
        if positions is not None:
            raise ValueError(
                f"advance must not be given with positions, which decides it, got {advance!r} and "
                f"{positions!r}"
            )
        return replace(_NEWEST, advance=advance)
    since = _first_version(settings)
    if positions is None:
        installed = _installed()
        release = _NEWEST.since if installed is None or installed < since else installed
    else:
        release = parse_release(positions)
        if release < since:
            raise ValueError(
                f"positions must be {'.'.join(map(str, since[:2]))} or later, the first version of "
                f"transformers with this model, got {positions!r}"
            )
    found = next(rules for rules in reversed(_CLASSES) if rules.since <= release)
    if found.name == "5.2" and _is_qwen2(settings):
        return replace(found, deltas="length, not negative")
    return found


def warn_of_bugs(rules: PositionClass, settings: RopeConfig, images: int, videos: int) -> None:
    """Warn where a class numbers items of this batch as no model was meant to see them."""
    if rules.frames == "apart" or settings.videos_in_groups:
        return
    wrong = ["all frames of a video have one time id"] if videos else []
    if images and rules.images is None and settings.tokens_per_second is not None:
        wrong.append("images are numbered with the seconds of videos")
    if wrong:
        warn(f"positions {rules.name!r} reproduce a bug of transformers: {' and '.join(wrong)}")


class Intervals(NamedTuple):
    """Time ids between the groups of frames of items.

    Attributes:
        image: of every image, or None if images take theirs from the list.
        listed: of each item that takes one, in the order of the tokens: factors that the number of
            a group is multiplied by one after the other.
        precision: what the products are computed in.
    """

    image: int | None
    listed: list[tuple[float, float]]
    precision: Literal["single", "double", "whole"]


def intervals(
    rules: PositionClass, settings: RopeConfig, seconds: Any, images: int, videos: int
) -> Intervals:
    """What ``second_per_grid_ts`` makes of the time ids of a batch.

    Raises:
        TypeError: it does not hold numbers, or is of float16.
        ValueError: it has another length than it needs, or a number that is not between 0 and a
            million; or ids a second are not whole where the class computes in integers.
    """
    if settings.videos_in_groups:  # Each group is the first of its item.
        return Intervals(1, [], "whole")
    per_second = settings.tokens_per_second
    if per_second is None:
        return Intervals(1, [(1, 1)] * videos, "whole")
    takers = videos + (images if rules.images is None else 0)
    if rules.seconds == "whole" and per_second != int(per_second):
        raise ValueError(
            f"tokens_per_second must be whole for positions {rules.name!r}, got {per_second}"
        )
    values = np.ones(takers, np.float32)
    if seconds is not None:
        values = number_array("second_per_grid_ts", seconds)
        _check_seconds(
            values, takers, "videos" if rules.images is not None else "images and videos"
        )
    if rules.seconds == "whole":
        listed, precision = np.trunc(values.astype(np.float64)), "whole"
        return Intervals(
            rules.images, [(value, per_second) for value in listed.tolist()], precision
        )
    # The original computes in the precision of a tensor; with anything else, which is a list there,
    # in float32.
    double = values.dtype == np.float64 and is_tensor(seconds)
    precision = "double" if double else "single"
    if rules.seconds == "in turn":
        return Intervals(
            rules.images, [(value, per_second) for value in values.tolist()], precision
        )
    if values.dtype == np.float32:
        products = np.float32(per_second) * values
    else:
        products = per_second * values.astype(np.float64)
    return Intervals(rules.images, [(product, 1) for product in products.tolist()], precision)


def _check_seconds(values: np.ndarray[Any, np.dtype[Any]], takers: int, named: str) -> None:
    if values.shape != (takers,):
        raise ValueError(
            f"second_per_grid_ts must have one entry for each of the {takers} {named}, got shape "
            f"{values.shape}"
        )
    if values.dtype == np.float16:
        raise TypeError(
            "second_per_grid_ts has dtype float16, in which the reference rounds ids; pass float32"
        )
    if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1e6).all()):
        raise ValueError(
            f"second_per_grid_ts must be between 0 and a million seconds, got {values.tolist()}"
        )


def _is_qwen2(settings: RopeConfig) -> bool:
    return settings.tokens_per_second is None and not settings.videos_in_groups


def _first_version(settings: RopeConfig) -> tuple[int, int, int]:
    """The first version of transformers with the model that has these settings."""
    if settings.videos_in_groups:
        return (4, 57, 0)
    return (4, 45, 0) if _is_qwen2(settings) else (4, 49, 0)


def parse_release(text: Any) -> tuple[int, int, int]:
    """The numbers of a version; what follows them, as in ``5.3.0.dev0``, says nothing here."""
    if not isinstance(text, str):
        raise TypeError(
            f"positions must be a version in quotes, such as '5.10', got {type(text).__name__}"
        )
    found = re.match(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?", text)
    if found is None:
        raise ValueError(f"positions must be a version such as '4.57' or '5.5.4', got {text!r}")
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


@cache
def _installed() -> tuple[int, int, int] | None:
    """The installed version of transformers, which is not imported for it."""
    try:
        return parse_release(version("transformers"))
    except PackageNotFoundError:
        return None
