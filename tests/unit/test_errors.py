"""Whose fault an exception is, what it says, and that it crosses processes."""

import copy
import io
import pickle
import signal
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import GifImagePlugin, Image
from torch.utils.data import DataLoader, Dataset

from qvl_fast import ImageError, ImageProcessor, image_size

process = ImageProcessor("qwen2.5-vl")
GOOD = np.zeros((56, 56, 3), np.uint8)


def encoded(image_format="PNG"):
    file = io.BytesIO()
    Image.fromarray(GOOD).save(file, image_format)
    return file.getvalue()


class AlarmError(Exception):
    """What a signal handler raises."""


@pytest.fixture
def alarm():
    """Raises what it is given in the main thread, 50 ms later."""

    def start(error):
        def handler(*_):
            raise error

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.getsignal(signal.SIGALRM)
    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", [AlarmError, TimeoutError, ValueError, OSError])
@pytest.mark.parametrize(
    ("call", "step"), [(process, "_open"), (image_size, "_open"), (process, "load")]
)
def test_no_image_is_to_blame_for_a_signal_handler(kind, call, step, alarm, monkeypatch):
    def slow(*_):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            pass

    file = encoded("GIF")
    monkeypatch.setattr(GifImagePlugin.GifImageFile, step, slow)
    error = kind("too late")
    alarm(error)
    with pytest.raises(kind) as caught:
        call(file)
    assert caught.value is error
    assert not hasattr(error, "index")
    assert not hasattr(error, "__notes__")


class Connection(io.BytesIO):
    """A stream that fails at its n-th read."""

    def __init__(self, data, error, reads):
        super().__init__(data)
        self.error, self.reads = error, reads

    def read(self, size=-1, /):
        self.reads -= 1
        if self.reads < 0:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, ValueError, SyntaxError])
@pytest.mark.parametrize("image_format", ["PNG", "GIF", "TIFF"])
@pytest.mark.parametrize("reads", [0, 1, 3])
def test_a_streams_exception_keeps_its_type(kind, image_format, reads):
    error = kind("the other side is gone")
    with pytest.raises(kind) as caught:
        image_size(Connection(encoded(image_format), error, reads))
    assert caught.value is error


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, ValueError, SyntaxError])
def test_a_streams_exception_has_its_place(kind):
    error = kind("the other side is gone")
    with pytest.raises(kind) as caught:
        process([GOOD, Connection(encoded(), error, 0)])
    assert caught.value is error
    assert (error.index, error.source) == (1, "(Connection)")


def test_a_socket_that_times_out():
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream:
        theirs.sendall(encoded()[:20])
        ours.settimeout(0.05)
        with pytest.raises(TimeoutError):
            process(stream)


def test_a_pil_image_of_a_stream_that_times_out():
    class Stream(io.BytesIO):
        pass

    stream = Stream(encoded())
    with Image.open(stream) as image:
        # Its frame is one of the standard library's, as that of a socket's file is.
        stream.read = Mock(side_effect=TimeoutError("too late"))
        with pytest.raises(TimeoutError) as caught:
            process(image)
    assert type(caught.value) is TimeoutError
    assert caught.value.index == 0


def bad_file(tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(encoded()[:-30])
    return path


def test_an_error_of_a_batch_has_its_index_and_source(tmp_path):
    path = bad_file(tmp_path)
    for image in (path, path.read_bytes(), path.open("rb"), GOOD.astype(np.float32), 5):
        with pytest.raises(ImageError) as caught:
            process([GOOD, GOOD, image])
        assert caught.value.index == 2
        assert caught.value.source is image
        if hasattr(image, "close"):
            image.close()


def test_errors_pickle_and_copy_with_index_and_source(tmp_path):
    path = bad_file(tmp_path)
    with path.open("rb") as file:
        for image, name in ((str(path), str(path)), (file, repr(str(path)))):
            with pytest.raises(ImageError) as caught:
                process([GOOD, image])
            for other in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
                assert type(other) is ImageError
                assert str(other) == str(caught.value)
                assert other.reason == caught.value.reason
                assert (other.index, other.source) == (1, name)
                assert other.__notes__ == caught.value.__notes__
    for image in (tmp_path / "missing.png", str(tmp_path / "missing.png")):
        with pytest.raises(FileNotFoundError) as caught:
            process([GOOD, image])
        other = pickle.loads(pickle.dumps(caught.value))
        assert type(other) is FileNotFoundError
        assert (other.index, other.source) == (1, image)


def process_opened(path):
    with path.open("rb") as file:
        return process([GOOD, file])


def test_errors_cross_a_process_pool(tmp_path):
    path = bad_file(tmp_path)
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
        pytest.raises(ImageError) as caught,
    ):
        pool.submit(process_opened, path).result()
    assert (caught.value.index, caught.value.source) == (1, repr(str(path)))


def test_errors_cross_a_data_loader(tmp_path):
    path = str(bad_file(tmp_path))
    long = f"{tmp_path}/{'./' * 200}bad.png"
    narrow = np.zeros((2, 1000, 3), np.uint8)
    for image in (path, long, b"no image", narrow, narrow.astype(np.float32)):
        with pytest.raises(ImageError) as here:
            process([GOOD, image])
        loader = DataLoader([GOOD, image], 2, collate_fn=process, num_workers=1)
        with pytest.raises(ImageError) as caught:
            next(iter(loader))
        assert (caught.value.index, caught.value.reason) == (1, here.value.reason)
        expected = image if image is path else here.value.__notes__[0].removeprefix("images[1] is ")
        assert caught.value.source == expected
        assert "Traceback" in str(caught.value)


class Sizes(Dataset):
    """Images that are looked at and not read."""

    def __getitem__(self, index):
        return image_size(b"no image")


def test_an_error_without_a_batch_crosses_a_data_loader():
    with pytest.raises(ImageError) as here:
        image_size(b"no image")
    with pytest.raises(ImageError) as caught:
        next(iter(DataLoader(Sizes(), None, sampler=[0], num_workers=1)))
    assert (caught.value.index, caught.value.source) == (None, None)
    assert caught.value.reason == str(here.value)


class Bare:
    """Without a name, and with an address in its repr."""

    def read(self, size=-1, /):
        return b"no image"


@pytest.mark.parametrize(
    "image",
    [
        Bare(),
        io.BytesIO(b"no image"),
        b"no image",
        "x" * 5_000_000,
        "data:image/png;base64," + "A" * 5_000_000,
        [[[0] * 10_000] * 1_000],
        {"bytes": b"no image", "path": None},
    ],
    ids=lambda image: type(image).__name__,
)
def test_messages_are_short_and_the_same_in_every_run(image):
    with pytest.raises(ImageError) as caught:
        process([image])
    text = "\n".join([str(caught.value), repr(caught.value), *caught.value.__notes__])
    assert len(text) < 2000
    assert "0x" not in text
