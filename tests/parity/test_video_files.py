"""Video files to rows, against transformers, which reads them by torchcodec."""

import numpy as np
import pytest
import torch
from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

from qvl_fast import VideoConfig, VideoError, VideoProcessor
from qvl_fast.config.video import QWEN3_VL_DEFAULTS

av = pytest.importorskip("av")
pytestmark = pytest.mark.usefixtures("torchcodec")

CLIP = "../shared/data/cookbook/v_rBMQFpHspmo.mp4"


@pytest.fixture(scope="module")
def clip(pytestconfig):
    file = pytestconfig.rootpath / CLIP
    if not file.is_file():
        pytest.skip(f"{CLIP} is not there")
    return file


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short video with B-frames, 53 frames of 10 a second."""
    file = tmp_path_factory.mktemp("videos") / "made.mp4"
    y, x = np.mgrid[:112, :144]
    with av.open(file, "w") as container:
        stream = container.add_stream("libx264", rate=10, width=144, height=112)
        for number in range(53):
            planes = [x + 3 * number, y - number, 128 + 90 * np.sin((x + y + 5 * number) / 17)]
            pixels = np.stack(planes, axis=-1) % 256
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


CASES = [
    (Qwen2VLVideoProcessor, VideoConfig(), {"fps": 2.0}),
    (Qwen2VLVideoProcessor, VideoConfig(), {"num_frames": 10}),
    (Qwen3VLVideoProcessor, QWEN3_VL_DEFAULTS, {"fps": 2.0}),
    (Qwen3VLVideoProcessor, QWEN3_VL_DEFAULTS, {"fps": 0.5}),
]


def assert_equal(got, want):
    assert torch.equal(got.video_grid_thw, want["video_grid_thw"])
    assert torch.equal(got.pixel_values_videos, want["pixel_values_videos"])
    for ours, theirs in zip(got.video_metadata, want["video_metadata"], strict=True):
        assert ours.frames_indices == np.asarray(theirs.frames_indices).tolist()
        for name in ("total_num_frames", "fps", "duration", "height", "width", "sampled_fps"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.video_backend.startswith("pyav")


@pytest.mark.parametrize(("kind", "config", "sampling"), CASES)
def test_a_real_video(clip, kind, config, sampling):
    stock = kind(
        **sampling, do_sample_frames=True, size={"shortest_edge": 4096, "longest_edge": 200_000}
    )
    want = stock(str(clip), return_tensors="pt", return_metadata=True)
    options = {**sampling, "min_pixels": 4096, "max_pixels": 200_000}
    assert_equal(VideoProcessor(config, **options)(clip), want)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize(("kind", "config", "sampling"), CASES)
def test_a_batch_of_files_however_they_come(made, kind, config, sampling, num_threads):
    stock = kind(**sampling, do_sample_frames=True)
    want = stock([str(made)] * 3, return_tensors="pt", return_metadata=True)
    with made.open("rb") as stream:
        ours = VideoProcessor(config, **sampling, num_threads=num_threads)
        assert_equal(ours([made, made.read_bytes(), stream]), want)


def test_all_frames_of_a_file(made):
    want = Qwen2VLVideoProcessor()(str(made), return_tensors="pt", return_metadata=True)
    got = VideoProcessor(VideoConfig())(made)
    assert_equal(got, want)
    chunks = list(VideoProcessor(VideoConfig()).iter_rows(made, frames_per_chunk=8))
    rows = torch.cat([chunk.pixel_values_videos for chunk in chunks])
    assert torch.equal(rows, want["pixel_values_videos"])


def test_a_bad_file_names_itself_and_its_place(made, tmp_path):
    processor = VideoProcessor("qwen3-vl")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(made.read_bytes()[:2000])
    with pytest.raises(VideoError, match=r"broken\.mp4") as caught:
        processor([made, broken])
    assert (caught.value.index, caught.value.source) == (1, broken)
    with pytest.raises(FileNotFoundError) as caught:
        processor([made, made, tmp_path / "nowhere.mp4"])
    assert caught.value.index == 2
    with pytest.raises(VideoError, match="video_metadata is for frames"):
        processor((made, {"total_num_frames": 53}))


def test_a_time_limit_that_is_kept_changes_nothing(made):
    rows = VideoProcessor("qwen3-vl", timeout=60)(made).pixel_values_videos
    assert torch.equal(rows, VideoProcessor("qwen3-vl")(made).pixel_values_videos)
