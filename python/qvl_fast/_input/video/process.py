"""Reading in a process of its own, which can be ended when it stalls.

A thread that waits for a file or a decoder cannot be stopped from outside; a process can, also
where a library crashes on a file or never returns. It is started as a program, not by
``multiprocessing``, which allows a DataLoader's workers no processes and runs the caller's main
module again.
"""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import BufferedRWPair
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.errors import VideoError
from qvl_fast._input.names import describe
from qvl_fast._input.video.reading import reader_of

if TYPE_CHECKING:
    from qvl_fast._input.video.metadata import VideoMetadata
    from qvl_fast._input.video.place import Place, VideoSource

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from qvl_fast._input.video.process import serve
serve({descriptor})
"""


class ProcessReader:
    """A reader in another process, which is killed when it takes too long.

    Args:
        source: as it was passed, for messages.
        place: where it is: a path or bytes.
        num_threads: that decode.
        timeout: seconds that opening, and then each frame, may take.

    Raises:
        TimeoutError: opening took longer.
        ValueError: as of the reader.
    """

    def __init__(self, source: VideoSource, place: Place, num_threads: int, timeout: float) -> None:
        self._source = source
        self._timeout = timeout
        self._place = place
        self._num_threads = num_threads
        self._start()

    @property
    def metadata(self) -> VideoMetadata:
        """As the reader in the process has it."""
        return self._metadata

    def frames(self, indices: NDArray[np.int64]) -> Generator[NDArray[np.uint8]]:
        """The frames of these indices, in memory of their own.

        Raises:
            TimeoutError: one took longer than it may.
        """
        if self._process.poll() is not None or self._sending:
            self.close()  # what still comes is of indices that were asked for before
            self._start()
        self._sending = True
        self._ask(indices)
        for _ in indices:
            yield self._answer()
        self._sending = False

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        with suppress(OSError):  # of what was asked and not yet taken
            self._stream.close()
        self._socket.close()
        self._wait()

    def _start(self) -> None:
        self._sending = False
        self._socket, theirs = socket.socketpair()
        self._stream = self._socket.makefile("rwb")
        with theirs, TemporaryFile() as contents:
            is_path = isinstance(self._place, str)
            if isinstance(self._place, bytes):
                # Through the socket, a process that does not read would stop this one.
                contents.write(self._place)
                contents.seek(0)
            descriptor = theirs.fileno()
            program = _PROGRAM.format(path=sys.path, descriptor=descriptor)
            self._process = subprocess.Popen(
                [sys.executable, "-c", program], stdin=contents, pass_fds=[descriptor]
            )
        self._ask((self._place if is_path else None, self._num_threads))
        self._metadata: VideoMetadata = self._answer()

    def _ask(self, request: Any) -> None:
        with self._limited():
            _send(self._stream, request)

    def _answer(self) -> Any:
        """The next answer, or the error that the process met."""
        with self._limited():
            answer = pickle.load(self._stream)
        if isinstance(answer, Exception):
            self.close()
            raise answer
        return answer

    @contextmanager
    def _limited(self) -> Generator[None]:
        """Ends a process that neither takes nor gives anything, be it amid a frame."""
        self._socket.settimeout(self._timeout)
        try:
            yield
        except TimeoutError:
            self.close()
            raise TimeoutError(
                f"video {describe(self._source)} gave nothing for {self._timeout} s"
            ) from None
        except (EOFError, ConnectionError, pickle.UnpicklingError):
            self._wait()
            self.close()
            raise VideoError.about(
                self._source, f"ended the process that read it, with {self._process.returncode}"
            ) from None

    def _wait(self) -> None:
        # One that waits for a broken disk does not die; it is not waited for.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)


def serve(descriptor: int) -> None:
    """What the process does: reads what it is told to until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who waits, and ends this one
    with suppress(EOFError, ConnectionError), socket.socket(fileno=descriptor) as connection:
        stream = connection.makefile("rwb")
        path, num_threads = pickle.load(stream)
        try:
            place = sys.stdin.buffer.read() if path is None else path
            reader = reader_of(place, place, num_threads)
            _send(stream, reader.metadata)
            while True:
                for pixels in reader.frames(pickle.load(stream)):
                    _send(stream, np.ascontiguousarray(pixels))
        except Exception as error:
            _send(stream, error)


def _send(stream: BufferedRWPair[Any, Any], message: Any) -> None:
    pickle.dump(message, stream, protocol=5)  # which does not copy pixels
    stream.flush()
