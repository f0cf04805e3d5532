"""A video file, read where and as the caller asks."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import integer_array
from qvl_fast._input.errors import VideoError
from qvl_fast._input.video.place import place_of
from qvl_fast._input.video.process import ProcessReader
from qvl_fast._input.video.reading import reader_of
from qvl_fast.config.checks import positive_integer, positive_number

if TYPE_CHECKING:
    from qvl_fast._input.video.metadata import VideoMetadata
    from qvl_fast._input.video.place import VideoSource
    from qvl_fast._input.video.reading import Reader


class VideoFile:
    """The frames of a video file, decoded as they are asked for.

    Pixels, count, rate and duration are those of ``torchcodec.decoders.VideoDecoder``: every format
    that FFmpeg decodes becomes RGB, upright as the file says. Animated WebP is read by Pillow. In
    memory are the times of the frames, and a few frames.

    Close it, or use it in a ``with`` statement.

    Args:
        source: a path, the bytes of a file, or a file object that can seek, from its beginning.
        num_threads: that decode.
        timeout: seconds that opening, and then each frame, may take before TimeoutError. The file
            is then read in a process of its own, started in some tenths of a second and killed when
            it stalls or is done; a file object cannot be read so. None: no limit, in this process.
            On Windows there is no timeout.

    Raises:
        VideoError: it is not a video that can be decoded, or has no frames.
        OSError: a path that cannot be read.
        TimeoutError: opening took longer than ``timeout``.
        ImportError: PyAV is not installed.
        TypeError, ValueError: another argument is wrong.
    """

    def __init__(
        self, source: VideoSource, *, num_threads: int = 1, timeout: float | None = None
    ) -> None:
        num_threads = positive_integer("num_threads", num_threads)
        self._source = source
        self._closed = False
        place = place_of(source)
        self._reader: Reader
        if timeout is None:
            self._reader = reader_of(source, place, num_threads)
        elif isinstance(place, str | bytes):
            timeout = positive_number("timeout", timeout)
            self._reader = ProcessReader(source, place, num_threads, timeout)
        else:
            raise TypeError(
                f"timeout={timeout} takes a path or bytes, which another process can read, got a "
                f"{type(source).__name__}"
            )

    @property
    def metadata(self) -> VideoMetadata:
        """What is known of the video without decoding its frames."""
        return self._reader.metadata

    def frames(self, indices: Any) -> Generator[NDArray[np.uint8]]:
        """Decodes frames, one by one as the result is iterated over.

        Args:
            indices: integers (n,) from 0 to the number of frames less one, not decreasing; repeats
                give the same frame again.

        Yields:
            For each index the frame, uint8 (H, W, 3); not to be written to.

        Raises:
            ValueError: an index is not there, or they decrease.
            VideoError: the file was closed; while iterating also: a frame that cannot be decoded,
                or that has not the size of the first one.
            TimeoutError: while iterating: a frame took longer than ``timeout``.
        """
        self._check_open()
        wanted = integer_array("indices", indices)
        if wanted.ndim != 1:
            raise ValueError(f"indices must have one dimension, got shape {wanted.shape}")
        count = self.metadata.total_num_frames
        if len(strays := wanted[(wanted < 0) | (wanted >= count)]):
            raise ValueError(f"indices must be from 0 to {count - 1}, got {strays[0]}")
        if len(drops := np.flatnonzero(np.diff(wanted) < 0)):
            before, after = wanted[drops[0]], wanted[drops[0] + 1]
            raise ValueError(f"indices must not decrease, got {after} after {before}")
        return self._of_one_size(wanted)

    def close(self) -> None:
        """Lets go of the file, which gives no more frames; its metadata stays."""
        self._closed = True
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _of_one_size(self, indices: NDArray[np.int64]) -> Generator[NDArray[np.uint8]]:
        # Of a closed file, a reader in another process would start one that nobody ends.
        self._check_open()
        size = self.metadata.height, self.metadata.width
        for index, frame in zip(indices, self._reader.frames(indices), strict=True):
            if frame.shape[:2] != size:
                raise VideoError.about(
                    self._source,
                    f"changes its size (height, width) from {size} to {frame.shape[:2]} at or "
                    f"before frame {index}",
                )
            yield frame
            self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError.about(self._source, "was closed")
