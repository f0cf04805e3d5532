"""Prompts in which each image stands for as many tokens as it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import integer_array
from qvl_fast.config import ModelConfig, model_config
from qvl_fast.config.checks import two_sides
from qvl_fast.config.placeholder import Placeholder
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    import torch


@overload
def expand_images(
    prompt: str, sizes: Sequence[tuple[int, int]], config: str | ModelConfig
) -> str: ...
@overload
def expand_images(
    prompt: Sequence[int] | NDArray[Any] | torch.Tensor,
    sizes: Sequence[tuple[int, int]],
    config: str | ModelConfig,
) -> NDArray[np.int64]: ...
def expand_images(
    prompt: str | Sequence[int] | NDArray[Any] | torch.Tensor,
    sizes: Sequence[tuple[int, int]],
    config: str | ModelConfig,
) -> str | NDArray[np.int64]:
    """Expand a prompt with one placeholder an image to one with a placeholder a token.

    Equal to what the processors of transformers make of it: ``LlavaProcessor``,
    ``LlavaNextProcessor``, ``LlavaOnevisionProcessor``, ``InternVLProcessor``, ``Blip2Processor``,
    ``IdeficsProcessor`` and those of Qwen-VL.

    Args:
        prompt: a text, or its token ids, int ``(S,)``. Those of BLIP-2 must be ids: the tokens of
            the image come before that which the tokenizer begins with.
        sizes: ``(height, width)`` of each image of this prompt in pixels, before any resizing, in
            their order.
        config: a preset's name or a :class:`ModelConfig`. For ids it must be that of a checkpoint,
            as :meth:`ModelConfig.from_pretrained` reads it, where presets do not know them.

    Returns:
        The text, or int64 ``(expanded,)``, as the prompt was.

    Raises:
        ValueError: placeholders and sizes differ in number (both are named), a size is not valid,
            or the model's tokens are not known.
        TypeError: ``prompt``, ``sizes`` or ``config`` is something else.

    Example:
        >>> expand_images("<image>What?", [(480, 640)], "llava-next").count("<image>")
        2340
    """
    model = model_config(config)
    images = _sizes(sizes)
    placeholder = model.placeholder
    if placeholder is None:
        raise ValueError(f"config {model.name!r} does not say what stands for an image in a prompt")
    if placeholder.place == "mark":
        counts = [1] * len(images)
    else:
        processor = ImageProcessor(model, return_tensors="np")
        counts = [processor.num_tokens(*size, images=len(images)) for size in images]
    if isinstance(prompt, str):
        return _expanded_text(prompt, counts, placeholder)
    return _expanded_ids(integer_array("prompt", prompt), counts, placeholder, model.name)


def _sizes(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    if not isinstance(cast("object", sizes), Iterable):
        raise TypeError(f"sizes must be (height, width) of each image, got {sizes!r:.80}")
    return [two_sides(f"sizes[{place}]", size) for place, size in enumerate(sizes)]


def _expanded_text(prompt: str, counts: Sequence[int], placeholder: Placeholder) -> str:
    if placeholder.place == "front":
        raise ValueError(
            "prompt must be token ids for this model, got a text: its image comes before what the "
            "tokenizer begins with"
        )
    first, *rest = prompt.split(placeholder.token)
    _check_number(len(rest), len(counts), placeholder)
    expanded, left = first, first
    for place, (count, part) in enumerate(zip(counts, rest, strict=True)):
        shared = placeholder.place == "mark" and place > 0 and not left
        before = "" if shared else placeholder.before
        expanded += before + placeholder.token * count + placeholder.after + part
        left = part
    return expanded


def _expanded_ids(
    ids: NDArray[np.int64], counts: Sequence[int], placeholder: Placeholder, name: str
) -> NDArray[np.int64]:
    if ids.ndim != 1:
        raise ValueError(f"prompt must have one dimension, got shape {ids.shape}")
    token, before, after = (
        _known(part, placeholder, name) for part in ("token", "before", "after")
    )
    places = np.flatnonzero(np.isin(ids, token))
    if placeholder.place == "front":
        if len(counts) != 1 or len(places):
            raise ValueError(
                f"prompt must have no placeholder and sizes one image for this model, got "
                f"{len(places)} and {len(counts)}"
            )
        return np.concatenate([np.array(token * counts[0], np.int64), ids])
    _check_number(len(places), len(counts), placeholder)
    parts = [ids[: places[0] if len(places) else None]]
    for count, place, end in zip(counts, places, [*places[1:], None], strict=True):
        shared = placeholder.place == "mark" and place > 0 and ids[place - 1] in token
        image = ([] if shared else before) + token * count + after
        parts += [np.array(image, np.int64), ids[place + 1 : end]]
    return np.concatenate(parts)


def _known(part: str, placeholder: Placeholder, name: str) -> list[int]:
    """The id of a part of a placeholder, none if there is no such part.

    Raises:
        ValueError: it is not known.
    """
    text, number = getattr(placeholder, part), getattr(placeholder, f"{part}_id")
    if text and number is None:
        raise ValueError(
            f"config {name!r} does not know the id of {text!r}; pass a text, or what "
            "ModelConfig.from_pretrained reads from a checkpoint"
        )
    return [number] if text else []


def _check_number(placeholders: int, images: int, placeholder: Placeholder) -> None:
    if placeholders != images:
        raise ValueError(
            f"prompt must have one {placeholder.token} for each of {images} sizes, got "
            f"{placeholders}"
        )
