"""What is known of a video, and which frames were taken of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from qvl_fast._input.arrays import integer_array
from qvl_fast.config.checks import number, positive_integer, positive_number

# What transformers takes for the rate of a video that does not tell its own.
DEFAULT_FPS = 24


@dataclass(frozen=True)
class VideoMetadata:
    """What is known of a video. The names are those of transformers' class.

    ``dict(metadata)`` and ``transformers.video_utils.VideoMetadata(**metadata)`` work.

    Attributes:
        total_num_frames: frames of the whole video; where the Qwen utilities made it up from the
            rates of a list of frames, it need not be whole.
        fps: frames of the whole video in a second, on average; None if not known.
        width: of a frame in pixels, as it is seen; None if not known.
        height: likewise.
        duration: in seconds; None if not known.
        frames_indices: which frames of the whole video were taken; None if that is not known or
            none were yet.
        video_backend: what has read it, with its version; None if nothing had to.
    """

    total_num_frames: float
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    frames_indices: list[int] | None = None
    video_backend: str | None = None

    @property
    def timestamps(self) -> list[float]:
        """When each frame that was taken is shown, in seconds.

        Raises:
            ValueError: the rate or the frames are not known.
        """
        if self.fps is None or self.frames_indices is None:
            raise ValueError("timestamps need fps and frames_indices, of which one is not known")
        return [index / self.fps for index in self.frames_indices]

    @property
    def sampled_fps(self) -> float:
        """Frames that were taken of a second; 24 if the rate of the video is not known."""
        if self.fps is None or self.frames_indices is None:
            return self.fps or DEFAULT_FPS
        return len(self.frames_indices) / self.total_num_frames * self.fps

    def keys(self) -> Iterator[str]:
        """The names of the attributes, as those of a mapping."""
        return (entry.name for entry in fields(self))

    def __getitem__(self, name: str) -> Any:
        if name in self.keys():
            return getattr(self, name)
        raise KeyError(name)

    def with_frames(self, indices: list[int]) -> VideoMetadata:
        """A copy that says which frames were taken.

        Args:
            indices: their numbers in the whole video.
        """
        return replace(self, frames_indices=indices)


def to_metadata(value: Any) -> VideoMetadata:
    """Metadata as servers send it: ours, that of transformers, or a mapping with its keys.

    Other keys are passed over, as several servers add their own.

    Raises:
        TypeError: something else, or a value of the wrong type.
        ValueError: a value out of range; names it.
    """
    if not isinstance(value, Mapping | VideoMetadata):
        raise TypeError(
            f"video_metadata must be a VideoMetadata or a mapping, got {type(value).__name__}"
        )
    given: dict[str, Any] = dict(cast("Mapping[str, Any]", value))
    known: dict[str, Any] = {entry.name: given.get(entry.name) for entry in fields(VideoMetadata)}
    if known["total_num_frames"] is None:
        raise ValueError(f"video_metadata must have total_num_frames, got the keys {list(given)}")
    known["total_num_frames"] = _count(known["total_num_frames"])
    if known["fps"] is not None:
        known["fps"] = positive_number("fps of video_metadata", known["fps"])
    if known["duration"] is not None:
        known["duration"] = _seconds(known["duration"])
    for name in ("width", "height"):
        if known[name] is not None:
            known[name] = positive_integer(f"{name} of video_metadata", known[name])
    if known["frames_indices"] is not None:
        known["frames_indices"] = _indices(known["frames_indices"])
    return VideoMetadata(**known)


def _count(value: Any) -> float:
    count = number("total_num_frames of video_metadata", value)
    if not 0 < count < float("inf"):
        raise ValueError(f"total_num_frames of video_metadata must be positive, got {value}")
    return int(count) if count.is_integer() else count


def _seconds(value: Any) -> float:
    seconds = number("duration of video_metadata", value)
    if not 0 <= seconds < float("inf"):  # 0 where no frame says how long it is shown
        raise ValueError(f"duration of video_metadata must not be negative, got {value}")
    return seconds


def _indices(value: Any) -> list[int]:
    indices = integer_array("frames_indices of video_metadata", value)
    if indices.ndim != 1:
        raise ValueError(
            f"frames_indices of video_metadata must have shape (n,), got {indices.shape}"
        )
    if indices.size and indices.min() < 0:
        raise ValueError(
            f"frames_indices of video_metadata must not be negative, got {indices.min()}"
        )
    return indices.tolist()
