"""The frames that are taken of a video, wherever it comes from."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from qvl_fast._input.video.clips import Given, Pictures, are_files, frames_of, is_file
from qvl_fast._input.video.file import VideoFile
from qvl_fast._input.video.metadata import VideoMetadata
from qvl_fast.config import VideoConfig
from qvl_fast.processors.sampling import choose, of_frames
from qvl_fast.processors.writing import Batch, Stream


@dataclass(frozen=True)
class TakenFrames:
    """The frames that are taken of a video.

    Attributes:
        frames: where they come from.
        size: ``(height, width)`` of each, where that is known before they are read.
        metadata: of the video, with these frames.
    """

    frames: Stream | list[Any]
    size: tuple[int, int]
    metadata: VideoMetadata

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.metadata.frames_indices or ())

    def add(self, batch: Batch, numbers: range) -> tuple[int, int]:
        """Hands some of them to a batch; returns the size of each."""
        if isinstance(self.frames, Stream):
            batch.add_frames(self.frames, numbers, self.size)
            return self.size
        return batch.add_pictures(self.frames[numbers.start : numbers.stop])


def take_frames(
    given: Given, config: VideoConfig, files: ExitStack, num_threads: int, timeout: float | None
) -> TakenFrames:
    """Chooses the frames of a video; a file is opened, and closed by ``files``."""
    if is_file(given.video):
        if given.metadata is not None:
            raise ValueError("video_metadata is for frames; a file says itself what it has")
        file = files.enter_context(VideoFile(given.video, num_threads=num_threads, timeout=timeout))
        metadata = choose(config, file.metadata)
        indices = np.array(metadata.frames_indices, np.int64)
        return TakenFrames(Stream(file.frames(indices)), size_of(file.metadata), metadata)
    frames = frames_of(given.video)
    metadata, sampled = of_frames(frames.metadata, given.metadata)
    numbers = range(frames.count)
    if not sampled:
        if config.do_sample_frames and metadata.fps is None and are_files(frames):
            raise ValueError(
                "frames from files are not sampled without knowing their rate: pass "
                "video_metadata, or do_sample_frames=False to take all of them"
            )
        metadata = choose(config, metadata)
        numbers = metadata.frames_indices or []
    if isinstance(frames, Pictures):
        return TakenFrames([frames.images[number] for number in numbers], (0, 0), metadata)
    pixels = [frames.frames[number] for number in numbers]
    return TakenFrames(Stream(iter(pixels), memory=pixels), frames.size, metadata)


def size_of(metadata: VideoMetadata) -> tuple[int, int]:
    """Height and width of frames.

    Raises:
        ValueError: they are not known.
    """
    if metadata.height is None or metadata.width is None:
        raise ValueError(f"metadata must have height and width, got {dict(metadata)}")
    return metadata.height, metadata.width
