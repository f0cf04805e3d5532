"""Frames, count, rate and duration of files are torchcodec's."""

from itertools import product

import numpy as np
import pytest
from clips import CLIPS, COPIES, copy_packets

from qvl_fast._input.video import VideoFile, decoding


def every_frame(decoder):
    return [decoder.get_frame_at(index).data.numpy() for index in range(len(decoder))]


def sampled(count):
    """Indices at three densities, the last one with repeats."""
    yield np.arange(count)
    yield np.linspace(0, count - 1, 7).round().astype(np.int64)
    yield np.array([count // 3, count // 3, count * 2 // 3, count - 1, count - 1])


@pytest.fixture(params=["NONREF", "DEFAULT"], ids=["skipping", "decoding all"])
def skipping(request, monkeypatch):
    monkeypatch.setattr(decoding, "SKIPPED", request.param)


def assert_equal_frames(path, expected):
    for indices, num_threads in product(sampled(len(expected)), (1, 3)):
        with VideoFile(path, num_threads=num_threads) as video:
            frames = list(video.frames(indices))
        assert len(frames) == len(indices)
        for index, frame in zip(indices, frames, strict=True):
            assert frame.dtype == np.uint8
            assert np.array_equal(frame, expected[index]), (index, indices, num_threads)


@pytest.mark.parametrize("name", [*CLIPS, *COPIES])
def test_metadata(name, clip, torchcodec):
    with VideoFile(clip(name)) as video:
        got = video.metadata
    assert got.video_backend == "pyav"
    if name == "h264 raw":  # torchcodec does not open it
        assert (got.total_num_frames, got.fps, got.duration) == (30, 30, 1)
        return
    want = torchcodec(clip(name)).metadata
    assert (got.total_num_frames, got.fps, got.duration, got.height, got.width) == (
        want.num_frames,
        want.average_fps,
        want.duration_seconds,
        want.height,
        want.width,
    )


@pytest.mark.usefixtures("skipping")
@pytest.mark.parametrize("name", CLIPS)
def test_frames(name, clip, torchcodec):
    assert_equal_frames(clip(name), every_frame(torchcodec(clip(name))))


@pytest.mark.usefixtures("skipping")
@pytest.mark.parametrize("name", COPIES)
def test_frames_where_torchcodec_goes_astray(name, clip, torchcodec):
    """It is right about the same packets in a container that says when each frame is shown."""
    original = name
    while original in COPIES:
        original, _ = COPIES[original]
    expected = every_frame(torchcodec(clip(original)))
    assert_equal_frames(clip(name), expected)
    try:
        astray = every_frame(torchcodec(clip(name)))
    except RuntimeError:
        return
    assert not all(map(np.array_equal, astray, expected)), "torchcodec reads this one now"


@pytest.mark.usefixtures("skipping")
@pytest.mark.parametrize("lost", [0, 1, 2, 13])
def test_a_packet_that_is_lost(lost, clip, torchcodec, tmp_path):
    """Frames that depend on it are concealed, or the next one is shown in their place."""
    path = tmp_path / "lost.mkv"
    copy_packets(clip("h264 b-frames"), path, without=lost)
    # A decoder for each frame: which frame torchcodec decoded before would make a difference.
    expected = [torchcodec(path).get_frame_at(index).data.numpy() for index in range(59)]
    assert_equal_frames(path, expected)


@pytest.mark.usefixtures("skipping")
def test_a_real_clip(torchcodec, pytestconfig):
    path = pytestconfig.rootpath / "../shared/data/cookbook/v_rBMQFpHspmo.mp4"
    if not path.exists():
        pytest.skip("../shared/data/cookbook is not there")
    decoder = torchcodec(path)
    indices = np.linspace(0, len(decoder) - 1, 40).round().astype(np.int64)
    with VideoFile(path) as video:
        assert video.metadata.fps == decoder.metadata.average_fps
        for index, frame in zip(indices, video.frames(indices), strict=True):
            assert np.array_equal(frame, decoder.get_frame_at(int(index)).data.numpy())
