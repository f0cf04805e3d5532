"""A video file as FFmpeg sees it: a stream of packets."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from qvl_fast._input.errors import VideoError, reading

try:
    import av
    from av.container.core import Flags
    from av.error import FFmpegError
except ModuleNotFoundError as error:
    raise ImportError(
        "reading video files takes PyAV: pip install 'qvl-fast[video]'; "
        "or pass the frames, as an array (T, H, W, 3)"
    ) from error

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoStream

    from qvl_fast._input.video.place import Place, VideoSource

# Files that name others, such as playlists, lead to other files at most, and from memory nowhere.
_PROTOCOLS = {True: "file", False: "none"}


class Demuxer:
    """A file that FFmpeg has opened, and the video stream that it thinks best.

    Args:
        source: as it was passed, for messages.
        place: where it is.
        num_threads: that decode.

    Attributes:
        stream: the stream.
        decoder: of the stream.

    Raises:
        ValueError: FFmpeg cannot read the file, or there is no video in it.
    """

    stream: VideoStream
    decoder: VideoCodecContext

    def __init__(self, source: VideoSource, place: Place, num_threads: int) -> None:
        self._source = source
        # Given a path, FFmpeg reads without the GIL.
        is_path = isinstance(place, str)
        self._bytes = None if isinstance(place, str) else _Bytes(place)
        options = {"protocol_whitelist": _PROTOCOLS[is_path]}
        with self.blaming():
            self._container = av.open(
                f"file:{place}" if is_path else self._bytes, "r", container_options=options
            )
        # What the file does not say of times, PyAV would have FFmpeg guess.
        self._container.flags &= ~Flags.gen_pts.value
        try:
            self.stream, self.decoder = self._best_stream()
        except VideoError:
            self.close()
            raise
        self.decoder.thread_count = num_threads
        self.decoder.thread_type = "AUTO"

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the stream."""
        packets = self._container.demux(self.stream)
        while True:
            with self.blaming():
                packet = next(packets, None)
            if packet is None:
                return
            if packet.size or packet.dts is not None:  # not the one that PyAV ends with
                yield packet

    @contextmanager
    def blaming(self) -> Generator[None]:
        """Turns what FFmpeg raises into a :class:`VideoError`, or what the stream raised."""
        try:
            yield
        except FFmpegError as error:
            self._raise_from_bytes()
            if isinstance(error, MemoryError):
                raise
            raise VideoError.undecodable(self._source, error.strerror or str(error)) from error
        self._raise_from_bytes()

    def close(self) -> None:
        """Lets go of the file."""
        self._container.close()

    def _best_stream(self) -> tuple[VideoStream, VideoCodecContext]:
        stream = cast("VideoStream | None", self._container.streams.best("video"))
        if stream is None:
            raise VideoError.about(self._source, "has no video stream")
        decoder = cast("VideoCodecContext | None", stream.codec_context)
        if decoder is None:
            raise VideoError.about(self._source, "has video that FFmpeg has no decoder for")
        return stream, decoder

    def _raise_from_bytes(self) -> None:
        if self._bytes is not None and self._bytes.error is not None:
            raise self._bytes.error


class _Bytes:
    """A file in memory, or a file object, as PyAV may read it.

    PyAV copies what ``read`` returns without a look at its length, and drops an exception that is
    not an ``Exception``, such as KeyboardInterrupt. The place is kept here: several may read the
    same file object.

    Attributes:
        error: what reading raised; the file seems to end there.
    """

    error: BaseException | None = None

    def __init__(self, place: bytes | IO[bytes]) -> None:
        self._stream: Any = io.BytesIO(place) if isinstance(place, bytes) else place
        self._at = 0

    def read(self, size: int) -> bytes:
        try:
            with reading(self._stream):
                self._stream.seek(self._at)
                data = self._stream.read(size)
            if not isinstance(data, bytes):
                raise TypeError(f"video must be read as bytes, got {type(data).__name__}")
            if len(data) > size:
                raise ValueError(f"video was to be read {size} bytes, and gave {len(data)}")
        except BaseException as error:
            self.error = error
            return b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            with reading(self._stream):
                if whence == io.SEEK_CUR:
                    offset += self._at
                elif whence == io.SEEK_END:
                    offset = self._stream.seek(offset, io.SEEK_END)
        except BaseException as error:
            self.error = error
            return -1
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at
