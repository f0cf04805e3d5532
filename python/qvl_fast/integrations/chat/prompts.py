"""The ids of conversations, their placeholders expanded."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from qvl_fast.index.placeholders import expand_placeholders
from qvl_fast.integrations.chat.request import Request
from qvl_fast.integrations.chat.videos import VideoRows


def prompt_ids(
    request: Request,
    image_tokens: Sequence[Sequence[int]],
    videos: Sequence[Sequence[VideoRows]],
) -> list[NDArray[np.int64]]:
    """The ids of each conversation, int64 ``(S,)``.

    Equal to the ids of the expanded text, without the cost of tokenising it.

    Args:
        request: the texts.
        image_tokens: tokens of each image, of each conversation.
        videos: of each conversation.

    Raises:
        ValueError: a text does not have one placeholder for each image or video.
    """
    processor = request.processor
    texts = request.texts
    if request.family == "qwen3-vl":
        texts = [
            _with_timestamps(text, request, clips)
            for text, clips in zip(texts, videos, strict=True)
        ]
    merged = processor.video_processor.merge_size**2
    result: list[NDArray[np.int64]] = []
    for ids, tokens, clips in zip(
        processor.tokenizer(texts)["input_ids"], image_tokens, videos, strict=True
    ):
        expanded = np.asarray(ids, np.int64)
        groups = [_groups(clip, request) for clip in clips]
        video_tokens = [prod(grid) // merged for grids in groups for grid in grids]
        for token_id, counts in (
            (processor.image_token_id, tokens),
            (processor.video_token_id, video_tokens),
        ):
            # As in transformers, a placeholder that belongs to nothing stays as it is.
            if counts:
                expanded, _ = expand_placeholders(expanded, token_id, counts)
        result.append(expanded)
    return result


def _groups(clip: VideoRows, request: Request) -> list[tuple[int, int, int]]:
    """The grids that have a placeholder each: Qwen3-VL reads each group of frames by itself."""
    t, h, w = clip.grid
    return [(1, h, w)] * t if request.family == "qwen3-vl" else [clip.grid]


def _with_timestamps(text: str, request: Request, clips: Sequence[VideoRows]) -> str:
    """A text with a timestamp and a placeholder for each group of frames."""
    processor = request.processor
    placeholder: str = processor.video_token
    parts = text.split(placeholder)
    if not clips:
        return text
    if len(parts) != len(clips) + 1:
        raise ValueError(
            f"the text must have one {placeholder} for each of {len(clips)} videos, got "
            f"{len(parts) - 1}"
        )
    marked = processor.vision_start_token + placeholder + processor.vision_end_token
    size = processor.video_processor.temporal_patch_size
    for place, clip in enumerate(clips, 1):
        stamps = "".join(stamp + marked for stamp in clip.timestamps(size))
        parts[place] = stamps + parts[place]
    return "".join(parts)
