"""The clips that the tests of video make: small, and between them what files in the wild do."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

# What a stream says of its colours, by the numbers of ITU-T H.273.
BT709, BT601, BT2020 = 1, 6, 9
FULL_RANGE = 2


_FORMATS = {"mkv": "matroska", "ts": "mpegts"}


@dataclass(frozen=True)
class Clip:
    """How a clip is encoded.

    Attributes:
        codec: the encoder.
        suffix: of the file, which decides on the container.
        size: ``(height, width)`` in pixels.
        count: how many frames are encoded.
        clock: ticks per second.
        times: of the frames, in ticks.
        colours: attributes of the codec's context.
        options: of the encoder.
        container: options of the container.
        rotation: counterclockwise, in degrees, as the container says it.
        cut: how many frames an edit list cuts off the beginning.
        beside: a second video stream and a sound are muxed beside it.
    """

    codec: str = "libx264"
    suffix: str = "mp4"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 96)
    count: int = 30
    clock: int = 30
    times: Callable[[int], int] = lambda number: number
    colours: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    cut: int = 0
    beside: bool = False

    @property
    def kept(self) -> tuple[int, int]:
        """The first of the frames that are shown, and the number of frames."""
        return self.cut, self.count

    def write(self, target: Path | io.BytesIO) -> None:
        """Encodes the clip."""
        file = str(target) if isinstance(target, Path) else target
        kind = _FORMATS.get(self.suffix, self.suffix)
        with av.open(file, "w", format=kind, container_options=self.container) as output:
            streams = [self._add_stream(output)]
            if self.beside:
                small = Clip(size=(32, 64), count=self.count)
                streams = [small._add_stream(output), *streams]
                sound = output.add_stream("aac", rate=48000)
            height, width = self.size
            for number, picture in enumerate(moving_pictures(height, width, self.count)):
                for stream in streams:
                    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                        stream.width, stream.height, stream.pix_fmt
                    )
                    frame.pts, frame.time_base = self.times(number), Fraction(1, self.clock)
                    self._mux(output, stream.encode(frame))
                if self.beside:
                    samples = np.zeros((1, 1600 * 2), np.int16)
                    silence = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
                    silence.rate, silence.pts = 48000, 1600 * number
                    self._mux(output, sound.encode(silence))
            for stream in [*streams, *([sound] if self.beside else [])]:
                self._mux(output, stream.encode(None))

    def _add_stream(self, output: Any) -> Any:
        quiet = {"libx265": {"x265-params": "log-level=none"}}.get(self.codec, {})
        stream = output.add_stream(self.codec, rate=30, options={**quiet, **self.options})
        stream.height, stream.width = self.size
        stream.pix_fmt = self.pixels
        stream.codec_context.time_base = Fraction(1, self.clock)
        for name, value in self.colours.items():
            setattr(stream.codec_context, name, value)
        if self.rotation:
            stream.set_display_rotation(self.rotation)
        return stream

    def _mux(self, output: Any, packets: list[Any]) -> None:
        for packet in packets:
            early = int(Fraction(self.cut, self.clock) / packet.time_base)
            packet.pts -= early
            packet.dts -= early
            output.mux(packet)


def copy_packets(source: Path, target: Path, without: int | None = None) -> None:
    """Puts the packets of a file, but for one, into another container of the target's suffix."""
    kind = _FORMATS.get(target.suffix[1:], target.suffix[1:])
    with av.open(str(source)) as file, av.open(str(target), "w", format=kind) as output:
        stream = output.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(file.demux(video=0)):
            if packet.size and number != without:
                packet.stream = stream
                output.mux(packet)


def moving_pictures(height: int, width: int, count: int) -> Iterator[np.ndarray]:
    """``count`` pictures (height, width, 3) of something that moves over noise."""
    rng = np.random.default_rng([height, width])
    coarse = rng.integers(0, 256, (height // 4 + 12, width // 4 + 12, 3), np.uint8)
    scene = coarse.repeat(6, axis=0).repeat(6, axis=1)
    for number in range(count):
        y, x = number % (height // 2), 2 * number % (width // 2)
        picture = scene[y : y + height, x : x + width].copy()
        picture[y : y + height // 4, -x - width // 4 :] ^= 255
        noise = rng.integers(0, 12, picture.shape, np.uint8)
        yield np.maximum(picture, noise) - noise


# In ticks of the stream: rounded to milliseconds, the last frame is shorter for older FFmpeg.
_EDIT_LIST = {"use_editlist": "1", "avoid_negative_ts": "disabled", "movie_timescale": "15360"}
_X264 = {"preset": "veryfast", "threads": "1"}
_B_FRAMES = {**_X264, "bf": "3", "g": "12", "b-pyramid": "normal", "refs": "3"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"}
_AV1 = {"preset": "12", "svtav1-params": "lp=1"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"}


def _unevenly(number: int) -> int:
    return 2 * number + number * number // 7 % 2 + number // 10 * 37


def _x265(params: str) -> dict[str, str]:
    return {**_X265, "x265-params": f"{_X265['x265-params']}:{params}"}


CLIPS = {
    "h264": Clip(options=_X264),
    "h264 b-frames": Clip(options=_B_FRAMES, count=60),
    "h264 open gops": Clip(
        suffix="mkv", options={**_B_FRAMES, "x264-params": "open-gop=1"}, count=60
    ),
    "h264 one gop": Clip(
        options={**_X264, "g": "500", "bf": "2", "x264-params": "b-adapt=0:scenecut=0"}, count=120
    ),
    "h264 intra": Clip(options={**_X264, "g": "1"}),
    "h264 4:2:2": Clip(pixels="yuv422p", options=_X264),
    "h264 4:4:4 odd": Clip(pixels="yuv444p", size=(53, 75), options=_X264),
    "h264 grey": Clip(pixels="gray", options=_X264),
    "h264 10 bit": Clip(pixels="yuv420p10le", options=_B_FRAMES),
    "h264 4:2:2 10 bit": Clip(pixels="yuv422p10le", size=(64, 90), options=_X264),
    "h264 601": Clip(options=_X264, colours={"colorspace": BT601}),
    "h264 709": Clip(options=_X264, colours={"colorspace": BT709}),
    "h264 709 full": Clip(options=_X264, colours={"colorspace": BT709, "color_range": FULL_RANGE}),
    "h264 full": Clip(options=_X264, colours={"color_range": FULL_RANGE}),
    "h264 2020 10 bit": Clip(
        pixels="yuv420p10le",
        options=_X264,
        colours={"colorspace": BT2020, "color_primaries": BT2020},
    ),
    "h264 rotated 90": Clip(options=_X264, rotation=90),
    "h264 rotated 180": Clip(options=_X264, rotation=180),
    "h264 rotated 270": Clip(options=_X264, rotation=-90),
    "h264 variable": Clip(
        options=_X264 | {"bf": "0"}, clock=60, times=lambda n: 2 * n + n * n // 7 % 2 + n // 10 * 37
    ),
    "h264 variable mkv": Clip(
        suffix="mkv", options=_B_FRAMES, clock=60, times=lambda n: 3 * n + n % 3
    ),
    "h264 matroska": Clip(suffix="mkv", options=_B_FRAMES),
    "h264 no times": Clip(suffix="avi", options=_X264 | {"bf": "0"}),
    "mpeg2 matroska": Clip(codec="mpeg2video", suffix="mkv", options={"bf": "2", "g": "10"}),
    "mpeg4 matroska": Clip(codec="mpeg4", suffix="mkv", options={"bf": "2", "g": "10"}),
    "h264 late": Clip(options=_B_FRAMES, times=lambda n: n + 50),
    "h264 fragments": Clip(options=_B_FRAMES, container={"movflags": "frag_keyframe+empty_moov"}),
    "h264 edit list": Clip(
        options=_X264 | {"g": "12", "bf": "0"},
        container=_EDIT_LIST,
        cut=5,
    ),
    "h264 edit list b-frames": Clip(
        options=_B_FRAMES,
        container=_EDIT_LIST,
        cut=5,
    ),
    "h264 beside others": Clip(options=_B_FRAMES, beside=True),
    "h264 interlaced": Clip(options=_B_FRAMES | {"flags": "+ilme+ildct"}),
    "h264 one frame": Clip(options=_X264, count=1),
    "hevc": Clip(codec="libx265", options=_X265),
    "hevc b-frames": Clip(
        codec="libx265", options=_x265("bframes=4:keyint=16:b-pyramid=1"), count=60
    ),
    "hevc open gops": Clip(
        codec="libx265", suffix="mkv", options=_x265("open-gop=1:keyint=16:bframes=3"), count=60
    ),
    "hevc 10 bit 2020": Clip(
        codec="libx265", pixels="yuv420p10le", options=_X265, colours={"colorspace": BT2020}
    ),
    "hevc 4:4:4": Clip(codec="libx265", pixels="yuv444p", options=_X265),
    "hevc 4:2:2 10 bit": Clip(codec="libx265", pixels="yuv422p10le", options=_X265),
    "vp9 odd": Clip(codec="libvpx-vp9", suffix="webm", size=(53, 75), options=_VP9),
    "vp9 hidden frames": Clip(
        codec="libvpx-vp9",
        suffix="webm",
        options={
            "cpu-used": "8",
            "auto-alt-ref": "1",
            "lag-in-frames": "16",
            "g": "32",
            "b": "80k",
        },
        count=60,
    ),
    "vp9 4:4:4": Clip(codec="libvpx-vp9", suffix="webm", pixels="yuv444p", options=_VP9),
    "av1": Clip(codec="libsvtav1", suffix="mkv", options=_AV1),
    "av1 10 bit": Clip(codec="libsvtav1", pixels="yuv420p10le", options=_AV1, count=40),
    "mpeg4 odd": Clip(codec="mpeg4", size=(51, 77)),
    "mpeg4 b-frames": Clip(codec="mpeg4", options={"bf": "2", "g": "10"}),
    "mpeg4 raw": Clip(codec="mpeg4", suffix="m4v", options={"bf": "2", "g": "10"}),
    "motion jpeg": Clip(codec="mjpeg", suffix="avi", pixels="yuvj420p"),
    "ffv1 rgb": Clip(codec="ffv1", suffix="mkv", pixels="bgr0", size=(53, 75)),
    "prores": Clip(codec="prores_ks", suffix="mov", pixels="yuv422p10le", count=8),
    "gif": Clip(codec="gif", suffix="gif", pixels="rgb8", count=12),
}

# Clips, and the suffix of a container that says less of times, or that is hard to seek in, to which
# their packets are copied.
COPIES = {
    "h264 transport stream": ("h264 matroska", "ts"),
    "h264 no times b-frames": ("h264 transport stream", "avi"),
    "h264 raw": ("h264 matroska", "h264"),
    "mpeg2 transport stream": ("mpeg2 matroska", "ts"),
    "mpeg4 no times": ("mpeg4 matroska", "avi"),
    "hevc transport stream": ("hevc open gops", "ts"),
}
