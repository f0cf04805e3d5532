"""Places in what a model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from qvl_fast.boxes.problems import BoxError, check
from qvl_fast.boxes.spaces import as_places, grounding
from qvl_fast.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Region:
    """A place that a model named.

    Attributes:
        coordinates: x and y in turn, in the model's own numbers: two for a point, four for a box,
            more for an outline.
        label: what the model calls it, None if it does not say.
        problem: why the coordinates cannot be right, None if they can.
    """

    coordinates: tuple[float, ...]
    label: str | None = None
    problem: str | None = None

    @property
    def kind(self) -> Literal["point", "box", "outline"]:
        """What the coordinates describe."""
        points = len(self.coordinates) // 2
        return "point" if points == 1 else "box" if points == 2 else "outline"


def parse(text: str, config: str | ModelConfig) -> list[Region]:
    """The places in a model's answer.

    Keeps what is whole: an answer may be cut off in the middle, stand in a fence, be one object or
    a list, and have prose around it. JSON that is broken by quotes in a label is read as far as it
    can be. Takes time in proportion to the text, whatever the text is.

    Args:
        text: what the model wrote. The tags of Qwen2-VL are special tokens: decode with
            ``skip_special_tokens=False`` to keep them. Without them boxes are found, but no labels.
        config: a preset's name or a :class:`ModelConfig`.

    Returns:
        The places in their order. Those that cannot be right, such as a number above
        1000 where a thousand is the whole image, are there too and say so in ``problem``.

    Raises:
        ValueError: an unknown preset, or a configuration that does not say how the model writes.
        TypeError: text that is no string.

    Example:
        >>> parse('[{"bbox_2d": [10, 20, 30, 40], "label": "cup"}]', "qwen2.5-vl")
        [Region(coordinates=(10.0, 20.0, 30.0, 40.0), label='cup', problem=None)]
    """
    if not isinstance(cast("object", text), str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    convention = grounding(config)
    found = _in_json(text) if convention.markup == "json" else _in_tags(text)
    limit = float("inf") if convention.scale is None else convention.scale
    return [Region(places, label, _problem(places, limit)) for places, label in found]


class _Found(NamedTuple):
    coordinates: tuple[float, ...]
    label: str | None


def _problem(places: tuple[float, ...], limit: float) -> str | None:
    try:
        check(as_places([places]), (limit, limit), "this model's coordinates")
    except BoxError as error:
        return error.problems[0].reason
    return None


# Tags

_NUMBER = r"\s*+(\d{1,9}(?:\.\d{1,9})?)\s*+"
_PAIR = re.compile(rf"\({_NUMBER},{_NUMBER}\)")
_SPACE = re.compile(r"\s*+")
_NOTHING = re.compile("")
_NAME_OR_PAIRS = re.compile(
    r"(?P<name_start><ref>|<\|object_ref_start\|>)"
    r"|(?P<name_end></ref>|<\|object_ref_end\|>)"
    r"|(?P<start><box>|<quad>|<\|box_start\|>|<\|quad_start\|>)?"
    rf"(?P<pairs>{_PAIR.pattern}(?:,\s*+{_PAIR.pattern})*+)"
    r"(?P<end></box>|</quad>|<\|box_end\|>|<\|quad_end\|>)?"
)


def _in_tags(text: str) -> Iterator[_Found]:
    """Pairs in brackets, under the name that stands before them."""
    label: str | None = None
    name_start = None
    # What may stand between a name and its places, and between those.
    follows, done = _SPACE, 0
    for match in _NAME_OR_PAIRS.finditer(text):
        if match["name_start"]:
            name_start = match.end()
        elif match["name_end"]:
            label = None if name_start is None else text[name_start : match.start()].strip()
            name_start = None
            follows, done = _SPACE, match.end()
        elif name_start is None:
            if not follows.fullmatch(text, done, match.start()):
                label = None  # It was that of other places.
            follows, done = _NOTHING, match.end()
            numbers = [float(n) for pair in _PAIR.findall(match["pairs"]) for n in pair]
            # Between tags, both must be there. Without, one pair may be prose as well.
            if match["end"] if match["start"] else len(numbers) > 2:
                yield _Found(tuple(numbers), label)


# JSON

_KEYS = ("bbox_2d", "bbox", "point_2d", "point", "polygon")
_LABELS = ("label", "text_content", "name")

# What matters for the ends of objects. A string ends at its line, as JSON has it, so that a stray
# quote spoils no more than that.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|[{}]')

# Answers are flat; this much nesting is none, and bounds the work on hostile text.
_DEEPEST = 8

# In an object that is no JSON: the places, and a label up to the last quote before the end.
_BROKEN_PLACES = re.compile(
    rf'["\'](?P<key>{"|".join(_KEYS)})["\']\s*+:\s*+(?P<value>\[[-\d.,\s\[\]]*+)'
)
_LAST_COMMA = re.compile(r",\s*+(?=\])")
_BROKEN_LABEL = re.compile(rf'["\'](?:{"|".join(_LABELS)})["\']\s*+:\s*+["\']')
_LABEL_END = re.compile(r'["\']\s*+(?:,\s*+["\'}]|\})')


class _Object:
    """A pair of braces and those inside."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.end: int | None = None
        self.inside: list[_Object] = []


def _in_json(text: str) -> Iterator[_Found]:
    for item in _objects(text):
        yield from _places_of(text, item)


def _objects(text: str) -> list[_Object]:
    """The outermost objects that are whole, those of an object that is cut off included."""
    whole: list[_Object] = []
    unfinished: list[_Object] = []
    position = text.find("{")
    while position >= 0 and (match := _TOKEN.search(text, position)):
        position = match.end()
        if match[0] == "{":
            if len(unfinished) == _DEEPEST:
                del unfinished[0]
            unfinished.append(_Object(match.start()))
        elif match[0] == "}" and unfinished:
            item = unfinished.pop()
            item.end = match.end()
            (unfinished[-1].inside if unfinished else whole).append(item)
        if not unfinished:
            # Quotes in prose are no strings.
            position = text.find("{", position)
    for item in unfinished:
        whole.extend(item.inside)
    return sorted(whole, key=lambda item: item.start)


def _places_of(text: str, item: _Object) -> Iterator[_Found]:
    source = text[item.start : item.end]
    try:
        content = json.loads(source)
    except (ValueError, RecursionError):
        if item.inside:
            for inner in item.inside:
                yield from _places_of(text, inner)
        else:
            yield from _places_of_broken(source)
        return
    yield from _places_in(content)


def _places_in(content: Any) -> Iterator[_Found]:
    """Every object in a value of JSON that names a place."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(cast("list[Any]", value)))
        elif isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            label = next((fields[key] for key in _LABELS if isinstance(fields.get(key), str)), None)
            for key in _KEYS:
                for numbers in _coordinates(fields.get(key), key):
                    yield _Found(numbers, label)
            waiting.extend(reversed(fields.values()))


def _coordinates(value: Any, key: str) -> list[tuple[float, ...]]:
    """Those of one place, or of several in a list; an outline may be a list of its points."""
    if not isinstance(value, list) or not value:
        return []
    items = cast("list[Any]", value)
    places = [_numbers(item) for item in ([items] if _is_number(items[0]) else items)]
    if not all(places):
        return []
    if len(places) > 1 and not key.startswith("point") and all(len(place) == 2 for place in places):
        return [sum(places, ())]
    return places


def _numbers(value: Any) -> tuple[float, ...]:
    """Pairs of numbers, nothing if it is something else."""
    if not isinstance(value, list):
        return ()
    items = cast("list[Any]", value)
    if len(items) % 2 or not all(_is_number(item) for item in items):
        return ()
    return tuple(float(item) for item in items)


def _is_number(value: Any) -> bool:
    # Larger ones are no coordinates, and may be larger than a float can be.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _places_of_broken(source: str) -> Iterator[_Found]:
    """The places and the label of one object whose quotes do not pair."""
    label = None
    if opening := _BROKEN_LABEL.search(source):
        ending = _LABEL_END.search(source, opening.end())
        label = ending and source[opening.end() : ending.start()]
    for places in _BROKEN_PLACES.finditer(source):
        try:
            value = json.loads(_LAST_COMMA.sub("", places["value"].rstrip(", \n\t")))
        except (ValueError, RecursionError):
            continue
        for coordinates in _coordinates(value, places["key"]):
            yield _Found(coordinates, label)
