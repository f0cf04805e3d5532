"""Video files by FFmpeg, frame for frame and bit for bit as torchcodec reads them.

The reference is ``torchcodec.decoders.VideoDecoder`` in its exact mode. Where its seeks go astray
(transport streams, files that do not say when frames are shown), the i-th frame that is shown is
what is returned here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from qvl_fast._input.errors import VideoError
from qvl_fast._input.video.decoding import Decoded, DecodingPass
from qvl_fast._input.video.demuxer import Demuxer
from qvl_fast._input.video.metadata import VideoMetadata
from qvl_fast._input.video.rgb import RGBConverter, quarter_turns
from qvl_fast._input.video.timeline import timeline_of

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoFrame, VideoStream

    from qvl_fast._input.video.place import Place, VideoSource


class FFmpegReader:
    """A video file that has been read through once, and is opened anew to decode frames.

    Args:
        source: as it was passed, for messages.
        place: where it is.
        num_threads: that decode.

    Raises:
        ValueError: it is not a file that FFmpeg decodes, or has no frames.
    """

    def __init__(self, source: VideoSource, place: Place, num_threads: int) -> None:
        self._source = source
        self._place = place
        self._num_threads = num_threads
        with closing(self._open()) as demuxer:
            stream = demuxer.stream
            found: list[VideoFrame] = []
            packets = _watched(demuxer.packets(), demuxer.decoder, found)
            self._timeline = timeline_of(packets, stream.time_base or Fraction(1))
            rate, stated = stream.guessed_rate, stream.frames
        if not len(self._timeline.times):
            raise VideoError.about(source, "has no frames")
        if self._timeline.cut_off and stated > len(self._timeline.times):
            # Only of a file with an index: a recording may end anywhere.
            found_here = f"of {stated} frames {len(self._timeline.times)} are there"
            raise VideoError.about(source, f"is truncated: {found_here}, the last in part")
        if not found:
            raise VideoError.about(source, "has no frame that can be decoded")
        self._metadata = self._describe(found[0], float(rate) if rate else None)

    @property
    def metadata(self) -> VideoMetadata:
        """Count, average rate and duration as torchcodec has them."""
        return self._metadata

    def frames(self, indices: NDArray[np.int64]) -> Generator[NDArray[np.uint8]]:
        """The frames of these indices, which do not decrease; each keeps its memory alive."""
        convert = RGBConverter()
        times = self._timeline.times[indices].tolist()
        sparing = self._timeline.timed
        decoding = self._begin(frozenset(times) if sparing else None)
        last: Decoded | None = None
        pixels = np.empty((0, 0, 3), np.uint8)
        try:
            for index, time in zip(indices.tolist(), times, strict=True):
                decoded = decoding.frame(time)
                if sparing and (decoded is None or decoded.time != time):
                    # A frame that has another time than its packet, or is broken: torchcodec takes
                    # the next one, which may have been left out.
                    sparing = False
                    decoding.close()
                    decoding = self._begin(None)
                    decoded = decoding.frame(time)
                if decoded is None:
                    raise VideoError.about(self._source, f"ends before its frame {index}")
                if decoded is not last:
                    pixels, last = convert(decoded.frame), decoded
                yield pixels
        finally:
            decoding.close()

    def close(self) -> None:
        """Nothing is open between the frames of one call."""

    def _open(self) -> Demuxer:
        return Demuxer(self._source, self._place, self._num_threads)

    def _begin(self, wanted: frozenset[int] | None) -> DecodingPass:
        return DecodingPass(self._open(), self._timeline, wanted)

    def _describe(self, frame: VideoFrame, rate: float | None) -> VideoMetadata:
        """The metadata, with the rate that the file states where its packets give none."""
        count, duration = len(self._timeline.times), self._timeline.duration
        fps = count / duration if duration else rate
        if duration is None and fps:
            duration = count / fps
        sideways = quarter_turns(frame) % 2
        height, width = (frame.width, frame.height) if sideways else (frame.height, frame.width)
        return VideoMetadata(
            total_num_frames=count,
            fps=fps,
            width=width,
            height=height,
            duration=duration,
            video_backend="pyav",
        )


def _watched(
    packets: Iterable[Packet[VideoStream]], decoder: VideoCodecContext, found: list[VideoFrame]
) -> Iterator[Packet[VideoStream]]:
    """Passes packets on, and decodes them until there is a frame.

    A broken packet is no matter here: its frame may never be asked for.
    """
    for packet in packets:
        if not found and packet.size:
            with suppress(FFmpegError):
                found += decoder.decode(packet)
        yield packet
    if not found:
        with suppress(FFmpegError):
            found += decoder.decode(None)
