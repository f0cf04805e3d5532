"""A file that stalls is given up, with the process that reads it."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl_fast._input.errors import VideoError
from qvl_fast._input.video import VideoFile, process
from qvl_fast.cli import main
from qvl_fast.store import Dataset

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the time limit takes POSIX")

NAME = "h264 b-frames"
PATIENT, IMPATIENT = 100, 0.3


@pytest.fixture(scope="module")
def path(clip):
    return clip(NAME)


def child(video):
    return video._reader._process


@pytest.mark.parametrize("wrap", [str, Path.read_bytes], ids=["path", "bytes"])
def test_frames_are_the_same(wrap, path):
    with VideoFile(path) as here, VideoFile(wrap(path), timeout=PATIENT, num_threads=2) as there:
        assert there.metadata == here.metadata
        for indices in ([0, 4, 4, 50], [2], []):
            frames = list(there.frames(indices))
            for got, want in zip(frames, here.frames(indices), strict=True):
                assert got.dtype == np.uint8
                assert np.array_equal(got, want)


def test_a_rotated_frame_crosses(clip):
    path = clip("h264 rotated 90")
    with VideoFile(path) as here, VideoFile(path, timeout=PATIENT) as there:
        for got, want in zip(there.frames([1]), here.frames([1]), strict=True):
            assert np.array_equal(got, want)


def test_frames_after_others_were_left(path):
    with VideoFile(path) as here, VideoFile(path, timeout=PATIENT) as there:
        next(there.frames(range(20)))
        for got, want in zip(there.frames([7, 30]), here.frames([7, 30]), strict=True):
            assert np.array_equal(got, want)


@pytest.mark.parametrize("timeout", [None, PATIENT])
def test_a_closed_file_gives_no_frames(path, timeout):
    video = VideoFile(path, timeout=timeout)
    begun, waiting = video.frames(range(60)), video.frames([3])
    next(begun)
    video.close()
    for late in (lambda: next(begun), lambda: next(waiting), lambda: video.frames([0])):
        with pytest.raises(VideoError, match=r"h264 b-frames\.mp4' was closed"):
            late()
    assert timeout is None or child(video).returncode == -signal.SIGKILL  # and no other began
    assert video.metadata.total_num_frames == 60
    video.close()


@pytest.mark.parametrize("size", [0, 10_000_000])
def test_opening_stalls(size, path, monkeypatch):
    monkeypatch.setattr(process, "_PROGRAM", "import time; time.sleep(1000)")
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    with pytest.raises(TimeoutError, match=r"video .* gave nothing for 0\.3 s"):
        VideoFile(bytes(size) or path, timeout=IMPATIENT)
    assert started[0].wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("command", ["inspect", "preprocess"])
def test_a_command_goes_on_after_a_video_that_stalls(command, path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(process, "_PROGRAM", "import time; time.sleep(1000)")
    image, out = tmp_path / "a.png", tmp_path / "out"
    Image.new("RGB", (90, 60)).save(image)
    where = ["-o", str(out)] if command == "preprocess" else []
    assert main([command, str(path), str(image), *where, "--timeout", str(IMPATIENT)]) == 1
    shown = capsys.readouterr()
    assert f"failed: 1\n  {path}: " in shown.err
    assert "gave nothing for 0.3 s" in shown.err
    if command == "preprocess":
        assert [entry.path for entry in Dataset(out).entries] == [str(image)]
    else:
        assert str(image) in shown.out


def test_a_frame_stalls(path):
    with VideoFile(path, timeout=PATIENT) as video:
        frames = video.frames(range(60))
        next(frames)
        stalled = child(video)
        os.kill(stalled.pid, signal.SIGSTOP)
        video._reader._timeout = IMPATIENT
        with pytest.raises(TimeoutError, match="gave nothing for"):
            list(frames)
        assert stalled.wait(10) == -signal.SIGKILL
        video._reader._timeout = PATIENT
        assert len(list(video.frames([1, 2]))) == 2  # of a new process


HALF_A_FRAME = """
import pickle, socket, sys, time
sys.path[:] = {path!r}
import numpy
connection = socket.socket(fileno={descriptor})
stream = connection.makefile("rwb")
pickle.load(stream)
pickle.dump(None, stream)
stream.flush()
pickle.load(stream)
frame = pickle.dumps(numpy.zeros((480, 640, 3), "uint8"), protocol=5)
stream.write(frame[: len(frame) // 2])
stream.flush()
{then}
"""


@pytest.fixture
def half_a_frame(path, monkeypatch):
    def begun(then):
        monkeypatch.setattr(process, "_PROGRAM", HALF_A_FRAME.replace("{then}", then))
        reader = process.ProcessReader(path, str(path), 1, PATIENT)
        return reader, reader.frames(np.arange(1))

    return begun


def test_the_middle_of_a_frame_stalls(half_a_frame):
    reader, frames = half_a_frame("time.sleep(1000)")
    reader._timeout = IMPATIENT
    with pytest.raises(TimeoutError, match="gave nothing for"):
        next(frames)
    assert reader._process.wait(10) == -signal.SIGKILL


def test_half_a_frame_is_none(half_a_frame):
    _reader, frames = half_a_frame("sys.exit(7)")
    with pytest.raises(VideoError, match="ended the process that read it, with 7"):
        next(frames)


def test_a_crash_is_an_error(path):
    with VideoFile(path, timeout=PATIENT) as video:
        frames = video.frames(range(60))
        next(frames)
        os.kill(child(video).pid, signal.SIGSEGV)
        with pytest.raises(VideoError, match="ended the process that read it, with -11"):
            list(frames)


def test_errors_cross(tmp_path, capfd):
    with pytest.raises(VideoError, match=r"^video \(7 bytes\) cannot be decoded: Invalid data"):
        VideoFile(b"nothing", timeout=PATIENT)
    with pytest.raises(FileNotFoundError):
        VideoFile(tmp_path / "missing.mp4", timeout=PATIENT)
    assert capfd.readouterr() == ("", "")


def test_a_file_object_cannot_be_limited(path):
    with pytest.raises(TypeError, match=r"timeout=3 takes a path or bytes.* got a BytesIO"):
        VideoFile(io.BytesIO(path.read_bytes()), timeout=3)


def test_nothing_stays(path):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(2):
        with VideoFile(path, timeout=PATIENT) as video:
            reading = child(video)
            next(video.frames(range(60)))
        assert reading.returncode == -signal.SIGKILL
        with pytest.raises(VideoError):
            VideoFile(b"nothing", timeout=PATIENT)
        assert descriptors() == before


IN_A_DAEMON = """
import multiprocessing
from qvl_fast._input.video import VideoFile

def count(path):
    assert multiprocessing.current_process().daemon
    with VideoFile(path, timeout=100) as video:
        return len(list(video.frames([0, 9])))

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(count, ({path!r},)))
"""


def test_in_a_daemonic_process_such_as_a_worker_of_a_data_loader(path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(IN_A_DAEMON.format(path=str(path)))
    assert subprocess.check_output([sys.executable, program], text=True) == "2\n"
