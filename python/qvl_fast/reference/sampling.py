"""Which frames of a video are taken."""

import math

import numpy as np


def arange_float32(total: int, step: float, start: float = 0.0) -> list[int]:
    """What ``torch.arange(start, total, step).int()`` counts, in its own arithmetic.

    Of 16 elements at a time, the first of each 8 is rounded to float32 before the other seven are
    counted from there in float64 and rounded again. The elements that are left over at the end are
    computed one by one. There are ``ceil((total - start) / step)`` of them.
    """
    count = math.ceil((total - start) / step)
    whole = count - count % 16
    values: list[float] = []
    for index in range(count):
        if index < whole:
            lane = index % 8
            values.append(float(np.float32(start + step * (index - lane))) + step * lane)
        else:
            values.append(start + step * index)
    return [int(np.float32(value)) for value in values]


def qwen2_frames(
    total: int,
    *,
    fps: float | None = None,
    source_fps: float | None = None,
    num_frames: int | None = None,
    min_frames: int = 4,
    max_frames: int = 768,
    temporal_patch_size: int = 2,
) -> list[int]:
    """The frames that Qwen2-VL and Qwen2.5-VL take, in whole groups of `temporal_patch_size`.

    Args:
        total: frames of the video.
        fps: frames to take of a second of it.
        source_fps: frames in a second of it.
        num_frames: frames to take, instead of `fps`.
        min_frames: least number that `fps` leads to.
        max_frames: largest number that it leads to.
        temporal_patch_size: frames of a group.

    Returns:
        Numbers of frames that do not decrease, the first 0. The last can be `total`: where the
        quotient `total / count` was rounded down, it may fit in once more.

    Raises:
        ValueError: there are not so many frames, or not one group.

    Source: `Qwen2VLVideoProcessor.sample_frames` of transformers.
    """
    group = temporal_patch_size
    if num_frames is not None:
        count = round(num_frames / group) * group
    elif fps is not None and source_fps is not None:
        most = math.floor(min(max_frames, total) / group) * group
        wanted = min(max(total / source_fps * fps, min_frames), most, total)
        count = math.floor(wanted / group) * group
    else:
        raise ValueError("num_frames, or fps and source_fps, must be given")
    if not 0 < count <= total:
        raise ValueError(f"cannot take {count} frames of {total}")
    return arange_float32(total, total / count)


def qwen3_frames(
    total: int,
    *,
    fps: float | None = None,
    source_fps: float | None = None,
    num_frames: int | None = None,
    min_frames: int = 4,
    max_frames: int = 768,
) -> list[int]:
    """The frames that Qwen3-VL takes, evenly from the first to the last; see `qwen2_frames`.

    `num_frames` is not bounded, and more frames than there are repeat some. Ties between two frames
    go to the even one.

    Source: `Qwen3VLVideoProcessor.sample_frames` of transformers.
    """
    if num_frames is not None:
        count = num_frames
    elif fps is not None and source_fps is not None:
        count = min(max(int(total / source_fps * fps), min_frames), max_frames, total)
    else:
        count = min(max(total, min_frames), max_frames)
    if count == 1:
        return [0]
    step = (total - 1) / (count - 1)
    return [*(round(index * step) for index in range(count - 1)), total - 1]


def onevision_frames(
    total: int,
    *,
    fps: float | None = None,
    source_fps: float | None = None,
    num_frames: int | None = None,
) -> list[int]:
    """The frames that LLaVA-OneVision takes, every so many-th; all if nothing is asked for.

    Raises:
        ValueError: there are not so many frames.

    Source: `default_sample_indices_fn` of transformers.
    """
    if num_frames is not None:
        count = num_frames
    elif fps is not None and source_fps is not None:
        count = max(1, int(total / source_fps * fps))
    else:
        count = total
    if count > total:
        raise ValueError(f"cannot take {count} frames of {total}")
    return [index * total // count for index in range(count)]


def internvl_frames(
    total: int,
    *,
    fps: float | None = None,
    source_fps: float | None = None,
    num_frames: int | None = None,
) -> list[int]:
    """The frames that InternVL takes, the middles of equal parts.

    Raises:
        ValueError: there are not so many frames, or not one is asked for.

    Source: `InternVLVideoProcessor.sample_frames` of transformers.
    """
    if num_frames is not None:
        count = num_frames
    elif fps is not None and source_fps is not None:
        count = int(total / source_fps * fps)
    else:
        raise ValueError("num_frames, or fps and source_fps, must be given")
    if not 0 < count <= total:
        raise ValueError(f"cannot take {count} frames of {total}")
    step = total / count
    return arange_float32(total, step, start=total / count / 2)


def utilities_nframes(
    total: int,
    *,
    fps: float | None = None,
    source_fps: float | None = None,
    nframes: int | None = None,
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> int:
    """How many frames the Qwen utilities take: an even number from 2 to `total`.

    Raises:
        ValueError: there is none.

    Source: `smart_nframes` of `qwen_vl_utils`.
    """
    if nframes is not None:
        count = round(nframes / 2) * 2
    elif fps is not None and source_fps is not None:
        least = math.ceil((4 if min_frames is None else min_frames) / 2) * 2
        most = math.floor((min(768, total) if max_frames is None else max_frames) / 2) * 2
        wanted = min(max(total / source_fps * fps, least), most, total)
        count = math.floor(wanted / 2) * 2
    else:
        raise ValueError("nframes, or fps and source_fps, must be given")
    if not 2 <= count <= total:
        raise ValueError(f"cannot take {count} frames of {total}")
    return count


def utilities_frames(start: int, end: int, count: int, *, fused: bool) -> list[int]:
    """The frames that the Qwen utilities take: `torch.linspace(start, end, count).round()`.

    In float32, counted from the nearer end. Where torch fuses the multiplication and the addition,
    only the sum is rounded; float64 holds the product of two float32 exactly, and the sum here.

    Source: `fetch_video` of `qwen_vl_utils`.
    """
    first, last = np.float32(start), np.float32(end)
    step = (last - first) / np.float32(count - 1) if count > 1 else np.float32(0)

    def value(base: np.float32, step: np.float32, steps: int) -> np.float32:
        if fused:
            return np.float32(float(base) + float(step) * steps)
        return base + step * np.float32(steps)

    values = [
        value(first, step, index) if index < count // 2 else value(last, -step, count - 1 - index)
        for index in range(count)
    ]
    return [int(np.rint(number)) for number in (values if count > 1 else [first])]
