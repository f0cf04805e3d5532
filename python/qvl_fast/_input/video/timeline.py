"""When the frames of a stream are shown, which its packets say without being decoded.

Frame i is the i-th that is shown, and a stream has as many frames as packets, less those that an
edit list cuts off; so torchcodec counts (``VideoDecoder`` with ``seek_mode="exact"``).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import Packet, VideoStream


@dataclass(frozen=True)
class Timeline:
    """The frames of a stream in the order in which they are shown.

    Attributes:
        times: int64 (n,), in ticks of the stream; the numbers of the frames if it is not timed.
        timed: whether every packet says when its frame is shown.
        duration: in seconds; None if no packet has any time.
        cut_off: whether the last packet is incomplete.
        key_times: when the frames are shown that can be decoded alone; ascending.
        key_packets: the numbers of their packets.
    """

    times: NDArray[np.int64]
    timed: bool
    duration: float | None
    cut_off: bool
    key_times: list[int]
    key_packets: list[int]

    def first_packet(self, time: int) -> int:
        """Number of the packet from which on the frame of a time can be decoded."""
        place = bisect_right(self.key_times, time) - 1
        return self.key_packets[place] if place >= 0 else 0


def timeline_of(packets: Iterable[Packet[VideoStream]], tick: Fraction) -> Timeline:
    """The timeline of a stream.

    Args:
        packets: all of the stream's.
        tick: the unit of their times, in seconds.
    """
    timed, cut_off = True, False
    count = 0
    times, ends = array("q"), array("q")
    keys: list[tuple[int, int]] = []
    for number, packet in enumerate(packets):
        timed &= packet.pts is not None
        cut_off = packet.is_corrupt
        if packet.is_keyframe and packet.pts is not None:
            keys.append((packet.pts, number))
        if packet.is_discard:
            continue
        count += 1
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            times.append(time)
            ends.append(time + (packet.duration or 0))
    duration = None
    if times:
        # Of each a product and a quotient in float64, as torchcodec computes seconds.
        begin, end = (
            float(time) * tick.numerator / tick.denominator for time in (min(times), max(ends))
        )
        duration = end - begin
    keys.sort()
    return Timeline(
        times=np.sort(times) if timed else np.arange(count),
        timed=timed,
        duration=duration,
        cut_off=cut_off,
        key_times=[time for time, _ in keys],
        key_packets=[number for _, number in keys],
    )
