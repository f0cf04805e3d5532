"""Frames as torchcodec shows them: RGB by FFmpeg's filter graph, and upright."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame


def quarter_turns(frame: VideoFrame) -> int:
    """Counterclockwise quarter turns that make a frame upright, to the nearest."""
    return round(frame.rotation / 90) % 4


class RGBConverter:
    """Converts frames, which mostly are alike.

    PyAV's own conversion interpolates the chroma of 10-bit and of odd-sized frames differently.
    """

    def __init__(self) -> None:
        self._format: tuple[object, ...] | None = None
        self._graph = Graph()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The pixels of a frame, uint8 (H, W, 3); a view of memory that it keeps."""
        form = (
            frame.format.name,
            frame.width,
            frame.height,
            frame.colorspace,
            frame.color_range,
        )
        if form != self._format:
            self._graph = _graph_for(frame)
            self._format = form
        self._graph.vpush(frame)
        plane = self._graph.vpull().planes[0]
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        pixels = lines[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)
        return np.rot90(pixels, quarter_turns(frame))


def _graph_for(frame: VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1  # of the time that a frame takes, this is little
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1),
    )
    rgb, sink = graph.add("format", "rgb24"), graph.add("buffersink")
    graph.link_nodes(source, rgb, sink).configure()
    return graph
