"""Places as a model is trained to write them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from numpy.typing import ArrayLike

from qvl_fast.boxes.answers import parse
from qvl_fast.boxes.coordinates import from_model, to_model
from qvl_fast.boxes.problems import BoxError, Problem
from qvl_fast.boxes.spaces import as_places, grounding
from qvl_fast.config import ModelConfig
from qvl_fast.config.grounding import Markup

# Around a label, around a box, around an outline of four points.
_TAGS: dict[Markup, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "ref-box": (("<ref>", "</ref>"), ("<box>", "</box>"), ("<quad>", "</quad>")),
    "object-ref": (
        ("<|object_ref_start|>", "<|object_ref_end|>"),
        ("<|box_start|>", "<|box_end|>"),
        ("<|quad_start|>", "<|quad_end|>"),
    ),
}


def format(
    boxes: ArrayLike,
    size: tuple[int, int],
    config: str | ModelConfig,
    *,
    labels: Sequence[str | None] | None = None,
) -> str:
    """Places in an image as the model is trained to write them; the inverse of :func:`parse`.

    Args:
        boxes: points (N, 2), boxes (N, 4) or, where the model has tags for them, outlines of four
            points (N, 8), in pixels of the original image.
        size: (height, width) of the original image, turned upright.
        config: a preset's name or a :class:`ModelConfig`, as in :func:`to_model`.
        labels: one for each; None for a place without a name.

    Returns:
        A list of JSON in a fence, or tags one after the other.

    Raises:
        BoxError: boxes outside the image or with corners swapped, each by its index.
        ValueError: labels and boxes differ in number, a label holds one of the model's tags, or the
            model cannot write outlines.
        TypeError: a value has the wrong type.

    Example:
        >>> format([[0, 0, 960, 540]], (1080, 1920), "qwen2-vl", labels=["sky"])
        '<|object_ref_start|>sky<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>'
    """
    places = as_places(boxes)
    if places.ndim != 2:
        raise ValueError(f"boxes must be (N, 2), (N, 4) or (N, 8), got shape {places.shape}")
    names = [None] * len(places) if labels is None else list(labels)
    if len(names) != len(places):
        raise ValueError(f"labels must be one for each of {len(places)} boxes, got {len(names)}")
    numbers: list[list[int]] = to_model(places, size, config).tolist()
    return _written(numbers, names, grounding(config).markup)


def translate(
    text: str,
    size: tuple[int, int],
    source: str | ModelConfig,
    target: str | ModelConfig,
) -> str:
    r"""The answer of one model as another is trained to write it. Prose around it is left out.

    Args:
        text: as ``source`` writes it.
        size: (height, width) of the original image, turned upright.
        source: a preset's name or a :class:`ModelConfig`.
        target: likewise.

    Raises:
        BoxError: places that cannot be right, each by its index.
        ValueError, TypeError: as :func:`format`.

    Example:
        >>> old = "<ref>sky</ref><box>(0,0),(500,500)</box>"
        >>> translate(old, (1080, 1920), "qwen2-vl", "qwen3-vl")
        '```json\n[\n\t{"bbox_2d": [0, 0, 500, 500], "label": "sky"}\n]\n```'
    """
    regions = parse(text, source)
    numbers: list[list[int]] = []
    problems: list[Problem] = []
    for index, region in enumerate(regions):
        try:
            original = from_model([region.coordinates], size, source)
            numbers.extend(to_model(original, size, target).tolist())
        except BoxError as error:
            problems.append(Problem(index, error.problems[0].reason))
    if problems:
        raise BoxError(problems)
    return _written(numbers, [region.label for region in regions], grounding(target).markup)


def _written(numbers: Sequence[Sequence[int]], labels: Sequence[str | None], markup: Markup) -> str:
    places = zip(numbers, labels, strict=True)
    if markup == "json":
        return "```json\n[\n" + ",\n".join(_json(*place) for place in places) + "\n]\n```"
    return "".join(
        # A place that follows another at once shares its name.
        ("\n" if label is None and index else "") + _tagged(coordinates, label, markup)
        for index, (coordinates, label) in enumerate(places)
    )


def _json(numbers: Sequence[int], label: str | None) -> str:
    if len(numbers) > 4:
        raise ValueError(f"this model writes no outlines, got {len(numbers) // 2} points")
    fields: dict[str, object] = {"bbox_2d" if len(numbers) == 4 else "point_2d": list(numbers)}
    if label is not None:
        fields["label"] = label
    return "\t" + json.dumps(fields, ensure_ascii=False)


def _tagged(numbers: Sequence[int], label: str | None, markup: Markup) -> str:
    name, box, quad = _TAGS[markup]
    if len(numbers) not in (2, 4, 8):
        raise ValueError(f"this model writes outlines of 4 points, got {len(numbers) // 2}")
    tags = (*name, *box, *quad)
    if label is not None and any(tag in label for tag in tags):
        raise ValueError(f"labels must hold none of the model's tags, got {label!r}")
    pairs = ",".join(f"({x},{y})" for x, y in zip(numbers[::2], numbers[1::2], strict=True))
    start, end = quad if len(numbers) == 8 else box
    return f"{'' if label is None else label.join(name)}{start}{pairs}{end}"
