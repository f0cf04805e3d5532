"""What becomes of a video, as far as that is known without its pixels."""

from __future__ import annotations

from typing import NamedTuple

from qvl_fast._input.video.metadata import VideoMetadata
from qvl_fast.config import VideoConfig
from qvl_fast.index.placeholders import video_timestamps


class Outline(NamedTuple):
    """The frames, the size and the times of a video as a model will see it.

    Attributes:
        metadata: of the video, with the frames that are taken.
        resized: ``(height, width)`` in pixels that they are resized to.
        bound: the setting that decided on that; see :meth:`VideoProcessor.size_bound`.
        grid: ``(t, h, w)``: groups of frames, and patches.
        timestamps: see :func:`timestamps`.
        second_per_grid_ts: see :func:`seconds_per_group`; None where the model is not told.
    """

    metadata: VideoMetadata
    resized: tuple[int, int]
    bound: str | None
    grid: tuple[int, int, int]
    timestamps: list[str]
    second_per_grid_ts: float | None


def timestamps(config: VideoConfig, metadata: VideoMetadata) -> list[str]:
    """What the prompt of a Qwen3-VL says before each group of frames."""
    return video_timestamps(
        metadata.frames_indices or [],
        metadata.fps,
        temporal_patch_size=config.temporal_patch_size,
    )


def seconds_per_group(config: VideoConfig, metadata: VideoMetadata) -> float:
    """Seconds from one group of frames to the next, as Qwen2.5-VL is told."""
    return config.temporal_patch_size / metadata.sampled_fps
