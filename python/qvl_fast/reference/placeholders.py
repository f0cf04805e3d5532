"""What stands in the prompt for images and videos: one token for each place, and timestamps."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def expand_placeholders(
    input_ids: Sequence[int], token_id: int, counts: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Repeat the i-th placeholder counts[i] times; every other token stays.

    Args:
        input_ids: token ids, with one placeholder for each item.
        token_id: the placeholder.
        counts: tokens of each item, positive.

    Returns:
        int64 (expanded,), the ids, and int64 (n, 2), for each item where its placeholders start
        and where they end.

    Raises:
        ValueError: there are not as many placeholders as counts, or a count is not positive.

    Source: `replace_image_token` and its like in the processors of transformers, on ids instead of
    text.
    """
    placeholders = list(input_ids).count(token_id)
    if placeholders != len(counts):
        raise ValueError(f"counts must be {placeholders}, one a placeholder, got {len(counts)}")
    if any(count < 1 for count in counts):
        raise ValueError(f"counts must be positive, got {counts}")
    remaining = iter(counts)
    expanded: list[int] = []
    offsets: list[tuple[int, int]] = []
    for token in input_ids:
        copies = next(remaining) if token == token_id else 1
        if token == token_id:
            offsets.append((len(expanded), len(expanded) + copies))
        expanded += [token] * copies
    return np.array(expanded, np.int64), np.array(offsets, np.int64).reshape(-1, 2)


def token_types(
    input_ids: Sequence[Sequence[int]], image_token_id: int, video_token_id: int
) -> NDArray[np.int64]:
    """Type of each token: 1 for the placeholder of images, 2 for that of videos, 0 for text.

    Args:
        input_ids: token ids, (B, S).
        image_token_id: the placeholder of images.
        video_token_id: the placeholder of videos.

    Returns:
        int64 (B, S).

    Source: `mm_token_type_ids` of the processors of transformers.
    """
    types = {image_token_id: 1, video_token_id: 2}
    return np.array([[types.get(token, 0) for token in row] for row in input_ids], np.int64)


def video_timestamps(
    frame_indices: Sequence[int], fps: float = 24.0, temporal_patch_size: int = 2
) -> list[str]:
    """Write the time of each group of frames as Qwen3-VL reads it, like `<1.6 seconds>`.

    With k frames a group and the last frame repeated until k divides their number, the time of a
    group is, in float64,

        (first / fps + last / fps) / 2

    Its *exact* value, the fraction that the float64 stands for, is rounded to tenths, ties to the
    even one: 1.65, which is just under it, gives 1.6; 0.25 and 0.75 are ties and give 0.2 and 0.8.

    Args:
        frame_indices: the sampled frames, numbered from 0 through the video; at least one.
        fps: frames a second of the video.
        temporal_patch_size: k.

    Returns:
        ceil(n / k) strings.

    Source: `Qwen3VLProcessor._calculate_timestamps` of transformers, and Python's `:.1f`.
    """
    frames = list(frame_indices)
    frames += frames[-1:] * (-len(frames) % temporal_patch_size)
    timestamps: list[str] = []
    for start in range(0, len(frames), temporal_patch_size):
        first, last = frames[start], frames[start + temporal_patch_size - 1]
        tenths = round(Fraction((first / fps + last / fps) / 2) * 10)
        timestamps.append(f"<{tenths // 10}.{tenths % 10} seconds>")
    return timestamps
