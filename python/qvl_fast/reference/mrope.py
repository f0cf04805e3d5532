"""Position ids of the language model, which count in three axes (M-RoPE)."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .positions import Grid, check_grids

Advance = Literal["spatial", "spatiotemporal"]
Positions = Literal["4.49", "4.57", "5.2", "5.3", "5.5.4", "5.6", "5.18"]
Seconds = Sequence[float] | NDArray[np.float32] | NDArray[np.float64]

TEXT, IMAGE, VIDEO = 0, 1, 2


def mrope_position_ids(
    token_types: Sequence[Sequence[int]],
    *,
    image_grid_thw: Sequence[Grid] = (),
    video_grid_thw: Sequence[Grid] = (),
    second_per_grid_ts: Seconds | None = None,
    mask: Sequence[Sequence[bool]] | None = None,
    merge_size: int = 2,
    tokens_per_second: float | None = None,
    videos_in_groups: bool = False,
    positions: Positions = "5.18",
    advance: Advance | None = None,
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
    `videos_in_groups`, a video is T items of one group each.

    What differs between versions of transformers is known by one version of each class; k is
    `tokens_per_second`, s the seconds of a video, 1 if there are none, and trunc rounds to zero:

        positions   n grows by      time(t) with k      padding   delta: largest id + 1, minus
        4.49        spatiotemporal  in turn             1         the row's length
        4.57        spatiotemporal  whole               1         the row's length
        5.2         spatiotemporal  whole               0         the row's length
        5.3, 5.5.4  spatial         alike               0         the number of tokens that count
        5.6         spatial         whole               0         the number of tokens that count
        5.18        spatial         product             0         the number of tokens that count

        time(t)     s in a list         float32 array       float64 array
        in turn     trunc(t * s * k), each product rounded to float32, or float64 for such an array
        whole       t * trunc(s) * k, k being whole
        product     trunc(t * p), with p = k * s: computed in float64 for a list, otherwise in the
                    array's precision, as is t * p; float32 for a list
        alike       not n + time(t), but n * k * trunc(s), for the groups of a video together, whose
                    H/m lines then come each T times in a row

    An array is a tensor in the original. Without k, and for images, time(t) is t; "alike" also
    holds without k, which is then 1. But:

    - images of models with k have time(t) = 0 up to 5.2, and in 5.3 take the next s like videos, in
      the order of the tokens;
    - without k and `videos_in_groups`, a delta of 5.2 that is below 0 becomes 0;
    - where there are no items at all, the padding's 1 takes part in the largest id.

    Args:
        token_types: (B, S), 0 text, 1 image, 2 video.
        image_grid_thw: one (t, h, w) for each image of the batch, in patches.
        video_grid_thw: one for each video.
        second_per_grid_ts: seconds from one group of frames to the next, for each video.
        mask: (B, S), False where a token is padding; at least one is True in each row.
        merge_size: m; h and w are multiples of it.
        tokens_per_second: ids in a second of video (Qwen2.5-VL), or None.
        videos_in_groups: whether text stands between the groups of frames (Qwen3-VL).
        positions: see above.
        advance: what to put in the place of the column "n grows by".

    Returns:
        int64 (3, B, S), the ids; int64 (B, 1), the deltas.

    Raises:
        ValueError: see `check_grids`; a type is unknown, a row has no tokens, a run does not have
            as many tokens as its item, or there are not as many runs as items.

    Source: `get_rope_index` of `Qwen2VLModel`, `Qwen2_5_VLModel` and `Qwen3VLModel` in
    transformers.
    """
    if positions not in get_args(Positions):
        raise ValueError(f"positions must be one of {get_args(Positions)}, got {positions!r}")
    if advance not in (*get_args(Advance), None):
        raise ValueError(f"advance must be 'spatial' or 'spatiotemporal', got {advance!r}")
    check_grids("image_grid_thw", image_grid_thw, merge_size)
    check_grids("video_grid_thw", video_grid_thw, merge_size)
    if videos_in_groups:
        video_grid_thw = [(1, h, w) for t, h, w in video_grid_thw for _ in range(t)]
        tokens_per_second = None  # Each is the first group of its run.
    takers = len(video_grid_thw) + (len(image_grid_thw) if positions == "5.3" else 0)
    times = _Times(positions, tokens_per_second, second_per_grid_ts, takers)
    grids = {IMAGE: iter(image_grid_thw), VIDEO: iter(video_grid_thw)}
    before_5_3 = positions in ("4.49", "4.57", "5.2")
    advance = advance or ("spatiotemporal" if before_5_3 else "spatial")

    shape = (len(token_types), len(token_types[0]))
    position_ids = np.full((3, *shape), 1 if positions in ("4.49", "4.57") else 0, np.int64)
    deltas = np.zeros((shape[0], 1), np.int64)
    for row, types in enumerate(token_types):
        kept = [token for token in range(shape[1]) if mask is None or mask[row][token]]
        if not kept:
            raise ValueError(f"mask must keep a token of each row, but keeps none of row {row}")
        ids = _row_ids([types[token] for token in kept], grids, merge_size, times, advance)
        position_ids[:, row, kept] = np.array(ids).T
        counted = kept if image_grid_thw or video_grid_thw else range(shape[1])
        largest = int(position_ids[:, row, counted].max())
        deltas[row] = largest + 1 - (shape[1] if before_5_3 else len(kept))
    if positions == "5.2" and tokens_per_second is None and not videos_in_groups:
        deltas = np.maximum(deltas, 0)
    if unused := [kind for kind, rest in grids.items() if any(True for _ in rest)]:
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
    types: Sequence[int],
    grids: dict[int, Iterator[Grid]],
    merge_size: int,
    times: "_Times",
    advance: Advance,
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
        grid = next(grids.get(kind, iter(())), None)
        if grid is None:
            raise ValueError(f"token_types must have an item for each run, has none of type {kind}")
        groups, height, width = grid[0], grid[1] // merge_size, grid[2] // merge_size
        if groups * height * width != length:
            raise ValueError(f"run must have the tokens of its item {grid}, got {length}")
        rows, columns = range(count, count + height), range(count, count + width)
        if times.alike:
            time = times.alike_at(count, kind)
            item_ids = [(time, y, x) for y in rows for _ in range(groups) for x in columns]
        else:
            frames = [count + time for time in times.apart(groups, kind)]
            item_ids = [(time, y, x) for time in frames for y in rows for x in columns]
        ids += item_ids
        if advance == "spatial":
            count += max(height, width)
        else:
            count = max(map(max, item_ids)) + 1
    return ids


class _Times:
    """The time ids of items, which it must be asked for in the order of the tokens.

    Args:
        positions: see `mrope_position_ids`.
        tokens_per_second: ids in a second, or None.
        seconds: from one group of frames to the next, of each item that takes them.
        takers: how many those are.
    """

    def __init__(
        self,
        positions: Positions,
        tokens_per_second: float | None,
        seconds: Seconds | None,
        takers: int,
    ) -> None:
        self.alike = positions in ("5.3", "5.5.4")
        self._positions = positions
        self._per_second = tokens_per_second
        if tokens_per_second is None:
            return
        if positions not in ("4.49", "5.18") and tokens_per_second != int(tokens_per_second):
            raise ValueError(f"tokens_per_second must be whole, got {tokens_per_second}")
        if seconds is None:
            seconds = [1.0] * takers
        if len(seconds) != takers:
            raise ValueError(f"seconds must be {takers}, one an item, got {len(seconds)}")
        for value in seconds:
            if not 0 <= value <= 1e6:
                raise ValueError(f"seconds must be between 0 and a million, got {value}")
        self._seconds = iter(seconds)
        in_double = isinstance(seconds, np.ndarray) and seconds.dtype == np.float64
        self._precision = np.float64 if in_double else np.float32

    def alike_at(self, count: int, kind: int) -> int:
        """The time id of all groups of an item that starts at a count."""
        if self._per_second is None or (kind == IMAGE and self._positions != "5.3"):
            return count
        return count * int(self._per_second) * int(next(self._seconds))

    def apart(self, groups: int, kind: int) -> list[int]:
        """The time ids of the groups of an item, counted from its first."""
        if self._per_second is None:
            return [*range(groups)]
        if kind == IMAGE:
            still = self._positions in ("4.49", "4.57", "5.2")
            return [0] * groups if still else [*range(groups)]
        seconds = next(self._seconds)
        if self._positions == "4.49":
            f = self._precision
            return [int(f(group) * f(seconds) * f(self._per_second)) for group in range(groups)]
        if self._positions == "5.18":
            if isinstance(seconds, np.floating):
                product = self._precision(self._per_second) * seconds
            else:
                product = self._precision(np.float64(self._per_second) * np.float64(seconds))
            return [int(self._precision(group) * product) for group in range(groups)]
        return [group * int(seconds) * int(self._per_second) for group in range(groups)]
