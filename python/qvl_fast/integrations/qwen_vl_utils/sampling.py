"""Which frames of a video ``qwen_vl_utils`` 0.0.14 takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qvl_fast import _native
from qvl_fast._output.torch import import_torch
from qvl_fast.integrations.qwen_vl_utils.constants import constant


def sampled_indices(element: Mapping[str, Any], total: int, fps: float) -> tuple[list[int], int]:
    """The frames to take of a video, evenly spread.

    Semantics: ``smart_nframes`` and ``calculate_video_frame_range``. Torch itself spreads them, as
    it depends on the processor which of two frames it takes now and then.

    Args:
        element: of a message: ``video_start`` and ``video_end`` in seconds, and ``nframes`` or
            ``fps`` with ``min_frames`` and ``max_frames``.
        total: frames of the video.
        fps: frames a second.

    Returns:
        Numbers of frames, and how many frames are between start and end.

    Raises:
        AssertionError: both ``fps`` and ``nframes`` are given.
        ValueError: the range is empty, or too few frames are left or too many asked for.
        ImportError: torch is not installed.
    """
    first, last = _frame_range(element, total, fps)
    among = last - first + 1
    count = smart_nframes(element, among, fps)
    return import_torch().linspace(first, last, count).round().long().tolist(), among


def smart_nframes(element: Mapping[str, Any], total_frames: int, video_fps: float) -> int:
    """How many frames to take of a video; an even number.

    Args:
        element: of a message, as for :func:`sampled_indices`.
        total_frames: of the video.
        video_fps: frames a second of the video.

    Raises:
        AssertionError: both ``fps`` and ``nframes`` are given.
        ValueError: the number is not between 2 and ``total_frames``.
    """
    if "fps" in element and "nframes" in element:
        raise AssertionError(
            f"a video takes fps or nframes, got fps={element['fps']} and "
            f"nframes={element['nframes']}"
        )
    constant("FRAME_FACTOR")
    rates = None
    if "nframes" not in element:
        rates = element.get("fps", constant("FPS")), video_fps
    return _native.utilities_nframes(
        total_frames,
        element.get("nframes"),
        rates,
        min_frames=element.get("min_frames", constant("FPS_MIN_FRAMES")),
        max_frames=element.get("max_frames", min(constant("FPS_MAX_FRAMES"), total_frames)),
    )


def _frame_range(element: Mapping[str, Any], total: int, fps: float) -> tuple[int, int]:
    """The first and the last frame between ``video_start`` and ``video_end``."""
    if fps <= 0 or total <= 0:
        raise ValueError(f"a video must have frames and a rate, got {total} and {fps} a second")
    start, end = element.get("video_start"), element.get("video_end")
    if start is None and end is None:
        return 0, total - 1
    duration = total / fps
    first, last = 0, total - 1
    if start is not None:
        first = math.ceil(max(0.0, min(start, duration)) * fps)
    if end is not None:
        last = min(math.floor(max(0.0, min(end, duration)) * fps), last)
    if first >= last:
        raise ValueError(
            f"video_start={start} and video_end={end} leave no frames of a video of {duration:.2f} "
            "seconds"
        )
    return first, last
