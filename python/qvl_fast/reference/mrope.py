"""Position ids of the language model, which count in three axes (M-RoPE)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .positions import Grid, check_grids

Advance = Literal["spatial", "spatiotemporal"]

TEXT, IMAGE, VIDEO = 0, 1, 2


@dataclass(frozen=True)
class Item:
    """What one run of tokens stands for: an image, a video, or a group of frames of a video.

    `times` are the time ids of its groups of frames, counted from its first one; `height` and
    `width` are in tokens.
    """

    times: list[int]
    height: int
    width: int


def mrope_position_ids(
    token_types: Sequence[Sequence[int]],
    *,
    image_grid_thw: Sequence[Grid] = (),
    video_grid_thw: Sequence[Grid] = (),
    second_per_grid_ts: Sequence[float] | NDArray[np.float32] | NDArray[np.float64] | None = None,
    mask: Sequence[Sequence[bool]] | None = None,
    merge_size: int = 2,
    tokens_per_second: float | None = None,
    videos_in_groups: bool = False,
    advance: Advance = "spatial",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the tokens of a batch in time, height and width.

    In each row, tokens that the mask drops are passed over. The others form runs of one type. With
    n the count so far, 0 at first, and m the merge size:

        run of L text tokens    (n + i, n + i, n + i) for i < L
        run of an item (T,H,W)  (n + time(t), n + y, n + x) for t < T, y < H/m, x < W/m, in this
                                order

        after it                n grows by
        text                    L
        spatial                 max(H, W) / m
        spatiotemporal          its largest id + 1 - n

    Items are used up in order through the whole batch, images and videos each on their own. If
    `videos_in_groups`, a video is T items of one group each. time(t) is t, or, for videos of
    models with `tokens_per_second` and if `second_per_grid_ts` is given, truncated:

        second_per_grid_ts    time(t)
        list                  f32(t) * f32(f64(tokens_per_second) * f64(seconds))
        float32 array         f32(t) * (f32(tokens_per_second) * seconds)
        float64 array         f64(t) * (f64(tokens_per_second) * seconds)

    Without it, such a model takes 1 second. A list is a Python list in the original, an array is a
    tensor; each rounds as torch does there.

    Args:
        token_types: (B, S), 0 text, 1 image, 2 video.
        image_grid_thw: one (t, h, w) for each image of the batch, in patches.
        video_grid_thw: one for each video.
        second_per_grid_ts: seconds from one group of frames to the next, for each video.
        mask: (B, S), False where a token is padding; at least one is True in each row.
        merge_size: m; h and w are multiples of it.
        tokens_per_second: ids in a second of video (Qwen2.5-VL), or None.
        videos_in_groups: whether text stands between the groups of frames (Qwen3-VL).
        advance: see above; "spatial" is the rule of transformers 5, "spatiotemporal" that of 4.

    Returns:
        int64 (3, B, S), the ids, 0 where the mask is False; int64 (B, 1): the largest id of the
        row, plus 1, minus the number of tokens that count.

    Raises:
        ValueError: see `check_grids`; a type is unknown, a row has no tokens, a run does not have
            as many tokens as its item, or there are not as many runs as items.

    Source: `get_rope_index` of `Qwen2VLModel`, `Qwen2_5_VLModel` and `Qwen3VLModel` in
    transformers.
    """
    if advance not in ("spatial", "spatiotemporal"):
        raise ValueError(f"advance must be 'spatial' or 'spatiotemporal', got {advance!r}")
    check_grids("image_grid_thw", image_grid_thw, merge_size)
    check_grids("video_grid_thw", video_grid_thw, merge_size)
    frame_times = _frame_times(video_grid_thw, tokens_per_second, second_per_grid_ts)
    images = [
        Item([*range(t)], height // merge_size, width // merge_size)
        for t, height, width in image_grid_thw
    ]
    videos = [
        Item(times, height // merge_size, width // merge_size)
        for (t, height, width), whole in zip(video_grid_thw, frame_times, strict=True)
        for times in ([[0]] * t if videos_in_groups else [whole])
    ]
    items = {IMAGE: iter(images), VIDEO: iter(videos)}

    shape = (len(token_types), len(token_types[0]))
    position_ids = np.zeros((3, *shape), np.int64)
    deltas = np.zeros((shape[0], 1), np.int64)
    for row, types in enumerate(token_types):
        kept = [token for token in range(shape[1]) if mask is None or mask[row][token]]
        if not kept:
            raise ValueError(f"mask must keep a token of each row, but keeps none of row {row}")
        ids = _row_ids([types[token] for token in kept], items, advance)
        position_ids[:, row, kept] = np.array(ids).T
        deltas[row] = max(map(max, ids)) + 1 - len(kept)
    if unused := [kind for kind, rest in items.items() if any(True for _ in rest)]:
        raise ValueError(f"token_types must have a run for each item, has too few of {unused}")
    return position_ids, deltas


def mrope_decode_position_ids(
    deltas: Sequence[int], numbers: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Number later text tokens: each has its number in its row, plus the row's delta, three times.

    Args:
        deltas: of the rows of `mrope_position_ids`.
        numbers: (B, S), how many tokens that count precede each. B may be a multiple of the number
            of deltas, each of which then holds for that many neighbouring rows.

    Returns:
        int64 (3, B, S).

    Source: `compute_3d_position_ids` of `Qwen2VLModel` in transformers, with a cache.
    """
    copies = len(numbers) // len(deltas)
    ids = [[number + deltas[b // copies] for number in row] for b, row in enumerate(numbers)]
    return np.array([ids] * 3, np.int64)


def _row_ids(
    types: Sequence[int], items: dict[int, Iterator[Item]], advance: Advance
) -> list[tuple[int, int, int]]:
    """The ids of the tokens of one row; takes the items that it needs."""
    ids: list[tuple[int, int, int]] = []
    count = 0
    for kind, run in groupby(types):
        length = sum(1 for _ in run)
        if kind == TEXT:
            ids += [(number, number, number) for number in range(count, count + length)]
            count += length
            continue
        item = next(items.get(kind, iter(())), None)
        if item is None:
            raise ValueError(f"token_types must have an item for each run, has none of type {kind}")
        item_ids = [
            (count + time, count + y, count + x)
            for time in item.times
            for y in range(item.height)
            for x in range(item.width)
        ]
        if len(item_ids) != length:
            raise ValueError(f"run must have the item's {len(item_ids)} tokens, got {length}")
        ids += item_ids
        if advance == "spatial":
            count += max(item.height, item.width)
        else:
            count = max(map(max, item_ids)) + 1
    return ids


def _frame_times(
    video_grid_thw: Sequence[Grid],
    tokens_per_second: float | None,
    seconds: Sequence[float] | NDArray[np.float32] | NDArray[np.float64] | None,
) -> list[list[int]]:
    """The time ids of the groups of frames of each video, counted from its first."""
    if tokens_per_second is None:
        return [[*range(t)] for t, _, _ in video_grid_thw]
    if seconds is None:
        seconds = [1.0] * len(video_grid_thw)
    if len(seconds) != len(video_grid_thw):
        raise ValueError(f"seconds must be {len(video_grid_thw)}, one a video, got {len(seconds)}")
    in_double = isinstance(seconds, np.ndarray) and seconds.dtype == np.float64
    in_single = isinstance(seconds, np.ndarray) and seconds.dtype == np.float32
    times: list[list[int]] = []
    for (t, _, _), value in zip(video_grid_thw, seconds, strict=True):
        if not 0 <= value <= 1e6:
            raise ValueError(f"seconds must be between 0 and a million, got {value}")
        if in_double:
            interval = np.float64(tokens_per_second) * np.float64(value)
        elif in_single:
            interval = np.float32(tokens_per_second) * np.float32(value)
        else:
            interval = np.float32(np.float64(tokens_per_second) * np.float64(value))
        times.append([int(type(interval)(frame) * interval) for frame in range(t)])
    return times
