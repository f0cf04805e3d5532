"""Prompts in which each image or video stands for as many tokens as it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import integer_array
from qvl_fast.config import ModelConfig, model_config
from qvl_fast.config.checks import positive_integer, two_sides
from qvl_fast.config.layout import TileTokens
from qvl_fast.config.placeholder import Placeholder, VideoPlaceholder
from qvl_fast.index.placeholders import expand_placeholders
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
    """Repeat the placeholder of each image in a prompt for each of its tokens.

    Equal to what the processors of transformers make of it: ``LlavaProcessor``,
    ``LlavaNextProcessor``, ``LlavaOnevisionProcessor``, ``InternVLProcessor``, ``Blip2Processor``,
    ``IdeficsProcessor`` and those of Qwen-VL.

    Args:
        prompt: a text, or its token ids, int ``(S,)``. Those of BLIP-2 must be ids: the tokens of
            the image come before the token that the tokenizer puts first.
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
    return _expanded_ids(_ids(prompt), counts, placeholder, model.name)


@overload
def expand_videos(prompt: str, frames: Sequence[int], config: str | ModelConfig) -> str: ...
@overload
def expand_videos(
    prompt: Sequence[int] | NDArray[Any] | torch.Tensor,
    frames: Sequence[int],
    config: str | ModelConfig,
) -> NDArray[np.int64]: ...
def expand_videos(
    prompt: str | Sequence[int] | NDArray[Any] | torch.Tensor,
    frames: Sequence[int],
    config: str | ModelConfig,
) -> str | NDArray[np.int64]:
    r"""Repeat the placeholder of each video in a prompt for each of its tokens.

    Equal to what ``LlavaOnevisionProcessor`` and ``InternVLProcessor`` of transformers make of it.
    Where a prompt has images too, expand these first: a frame of InternVL becomes what an image
    does. Those of Qwen-VL are expanded by :func:`qvl_fast.prepare`.

    Args:
        prompt: a text, or its token ids, int ``(S,)``. Those of InternVL must be a text: frames are
            numbered in words.
        frames: how many are taken of each video of this prompt, in their order.
        config: see :func:`expand_images`.

    Returns:
        The text, or int64 ``(expanded,)``, as the prompt was.

    Raises:
        ValueError: placeholders and videos differ in number (both are named), a number is not
            positive, or the model's tokens are not known.
        TypeError: ``prompt``, ``frames`` or ``config`` is something else.

    Example:
        >>> expand_videos("<video>What?", [8], "llava-onevision").count("<video>")
        1569
        >>> expand_videos("<video>?", [2], "internvl").replace("<IMG_CONTEXT>" * 256, "...")
        'Frame1: <img>...</img>\nFrame2: <img>...</img>?'
    """
    model = model_config(config)
    if not isinstance(cast("object", frames), Iterable):
        raise TypeError(f"frames must be how many each video has, got {frames!r:.80}")
    counts = [positive_integer(f"frames[{place}]", count) for place, count in enumerate(frames)]
    placeholder, tokens = model.video_placeholder, model.video and model.video.layout.tokens
    if placeholder is None:
        raise ValueError(f"config {model.name!r} does not say what stands for a video in a prompt")
    if not isinstance(tokens, TileTokens):
        raise ValueError(f"config {model.name!r} does not say what a frame becomes")
    if isinstance(prompt, str):
        first, *rest = prompt.split(placeholder.token)
        _check_number(len(rest), len(counts), placeholder.token, "frames")
        videos = (_video(count, tokens, placeholder) for count in counts)
        return first + "".join(map(str.__add__, videos, rest))
    ids = _ids(prompt)
    if placeholder.frame is not None:
        raise ValueError(
            "prompt must be a text for this model, got ids: its frames are numbered in words"
        )
    if placeholder.token_id is None:
        raise ValueError(_unknown(placeholder.token, model.name))
    places = int((ids == placeholder.token_id).sum())
    _check_number(places, len(counts), placeholder.token, "frames")
    lengths = [count * tokens.count + tokens.after for count in counts]
    expanded, _ = expand_placeholders(ids, placeholder.token_id, lengths)
    return expanded


def _video(frames: int, tokens: TileTokens, placeholder: VideoPlaceholder) -> str:
    """What becomes of the placeholder of a video in a text."""
    frame = placeholder.frame
    if frame is None:
        return placeholder.token * (frames * tokens.count + tokens.after)
    image = frame.before + frame.token * tokens.count + frame.after
    return "\n".join(f"Frame{number}: {image}" for number in range(1, frames + 1))


def _sizes(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    if not isinstance(cast("object", sizes), Iterable):
        raise TypeError(f"sizes must be (height, width) of each image, got {sizes!r:.80}")
    return [two_sides(f"sizes[{place}]", size) for place, size in enumerate(sizes)]


def _ids(prompt: Any) -> NDArray[np.int64]:
    ids = integer_array("prompt", prompt)
    if ids.ndim != 1:
        raise ValueError(f"prompt must have one dimension, got shape {ids.shape}")
    return ids


def _expanded_text(prompt: str, counts: Sequence[int], placeholder: Placeholder) -> str:
    if placeholder.place == "front":
        raise ValueError(
            "prompt must be token ids for this model, got a text: its image comes before what the "
            "tokenizer begins with"
        )
    first, *rest = prompt.split(placeholder.token)
    _check_number(len(rest), len(counts), placeholder.token, "sizes")
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
    _check_number(len(places), len(counts), placeholder.token, "sizes")
    ends = [*places, len(ids)]
    parts = [ids[: ends[0]]]
    for count, place, end in zip(counts, places, ends[1:], strict=True):
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
        raise ValueError(_unknown(text, name))
    return [number] if text else []


def _unknown(token: str, name: str) -> str:
    return (
        f"config {name!r} does not know the id of {token!r}; pass a text, or what "
        "ModelConfig.from_pretrained reads from a checkpoint"
    )


def _check_number(placeholders: int, items: int, token: str, argument: str) -> None:
    if placeholders != items:
        raise ValueError(
            f"prompt must have one {token} for each of {items} {argument}, got {placeholders}"
        )
