"""What a reader of videos is, and which one reads a source."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.video.place import beginning

if TYPE_CHECKING:
    from qvl_fast._input.video.metadata import VideoMetadata
    from qvl_fast._input.video.place import Place, VideoSource

Frames: TypeAlias = "Generator[NDArray[np.uint8]]"


class Reader(Protocol):
    """A source that is open."""

    @property
    def metadata(self) -> VideoMetadata:
        """What it says of itself."""
        ...

    def frames(self, indices: NDArray[np.int64]) -> Frames:
        """The frames of these indices, which exist and do not decrease: uint8 (H, W, 3) each."""
        ...

    def close(self) -> None:
        """Lets go of everything, from any state."""
        ...


def reader_of(source: VideoSource, place: Place, num_threads: int) -> Reader:
    """The reader of a source in this process: FFmpeg's, or Pillow's for WebP.

    FFmpeg decodes no animated WebP.
    """
    if beginning(place, 12)[8:] == b"WEBP":
        from qvl_fast._input.video.webp import WebPReader

        return WebPReader(place)
    from qvl_fast._input.video.ffmpeg import FFmpegReader

    return FFmpegReader(source, place, num_threads)
