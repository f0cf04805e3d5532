"""What is known of a video before its frames are decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoMetadata:
    """What a video says of itself.

    Attributes:
        total_num_frames: how many frames it has.
        fps: frames per second, on average; None if it does not say.
        width: in pixels, as it is seen.
        height: in pixels, as it is seen.
        duration: in seconds.
        frames_indices: which frames of the source these are; None for all of them.
        video_backend: what reads it.
    """

    total_num_frames: int
    fps: float | None
    width: int | None
    height: int | None
    duration: float | None
    frames_indices: list[int] | None = None
    video_backend: str | None = None
