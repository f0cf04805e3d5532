"""One pass over a stream that decodes as little as the wanted frames need.

Packets before the group of pictures of the next wanted frame are read and dropped: reading costs a
hundredth of decoding or less, and unlike a seek it always arrives. Frames that no other frame
refers to are skipped unless they are wanted.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream

    from qvl_fast._input.video.demuxer import Demuxer
    from qvl_fast._input.video.timeline import Timeline

# What FFmpeg leaves undecoded of the packets that are not wanted (its `skip_frame`).
SKIPPED: Literal["NONREF", "DEFAULT"] = "NONREF"


class Decoded(NamedTuple):
    """A frame, and when it is shown: in ticks, or by number if the stream is not timed."""

    time: int
    frame: VideoFrame


class DecodingPass:
    """Decodes a stream from its beginning on.

    Args:
        demuxer: the file, just opened; closed with the pass.
        timeline: of the stream.
        wanted: the times of the frames that will be asked for; None to leave out nothing.
    """

    def __init__(self, demuxer: Demuxer, timeline: Timeline, wanted: frozenset[int] | None) -> None:
        self._demuxer = demuxer
        self._timeline = timeline
        self._wanted = wanted
        self._first = 0  # packets before this one are dropped
        self._frames = self._decode()
        self._last: Decoded | None = None

    def frame(self, time: int) -> Decoded | None:
        """The first frame that is shown at a time or later; None if there is none.

        Times must not decrease from call to call.
        """
        if self._wanted is not None:
            self._first = self._timeline.first_packet(time)
        while self._last is None or self._last.time < time:
            if (decoded := next(self._frames, None)) is None:
                return None
            self._last = decoded
        return self._last

    def close(self) -> None:
        """Ends the pass."""
        self._frames.close()
        self._demuxer.close()

    def _decode(self) -> Generator[Decoded]:
        count = 0
        for packet in self._needed_packets():
            with self._demuxer.blaming():
                frames = self._demuxer.decoder.decode(packet)
            for frame in frames:
                time = frame.dts if frame.pts is None else frame.pts
                if not self._timeline.timed:
                    time = count
                count += 1
                if time is not None:
                    yield Decoded(time, frame)

    def _needed_packets(self) -> Generator[Packet[VideoStream] | None]:
        """The packets to decode, with the decoder set for each, and None at the end."""
        dropped = False
        for number, packet in enumerate(self._demuxer.packets()):
            if number < self._first:
                dropped = True
                continue
            if dropped:
                self._demuxer.decoder.flush_buffers()
                dropped = False
            unwanted = self._wanted is not None and packet.pts not in self._wanted
            self._demuxer.decoder.skip_frame = SKIPPED if unwanted else "DEFAULT"
            if packet.size:  # FFmpeg would take an empty one for the end
                yield packet
        yield None
