"""Videos from frames: what is taken, what is said of it, and what is refused."""

import pickle
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.video_utils import VideoMetadata as StockMetadata

import qvl_fast
from qvl_fast import VideoConfig, VideoError, VideoMetadata, VideoProcessor
from qvl_fast.processors.writing import Batch, Stream

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 60, 90, 3), np.uint8)
LOADED = {"total_num_frames": 12, "fps": 6.0, "frames_indices": list(range(12))}
# Six frames that somebody took from a long video.
TAKEN = {"total_num_frames": 300, "fps": 30.0, "frames_indices": [0, 60, 120, 180, 240, 299]}


@pytest.fixture(scope="module")
def qwen2_5():
    return VideoProcessor("qwen2.5-vl", return_tensors="np")


@pytest.fixture(scope="module")
def qwen3():
    return VideoProcessor("qwen3-vl", return_tensors="np")


# -------------------------------------------------------------------------------- what is taken


def test_frames_that_were_sampled_are_not_sampled_again(qwen3):
    for given in (None, True, False):
        batch = qwen3(FRAMES[:6], video_metadata=TAKEN, do_sample_frames=given)
        assert batch.video_metadata[0].frames_indices == TAKEN["frames_indices"]
        assert batch.timestamps == [["<1.0 seconds>", "<5.0 seconds>", "<9.0 seconds>"]]
    # The reference would take two seconds out of six frames, each of which stands for two.
    assert batch.video_grid_thw[0, 0] == 3


def test_times_come_from_the_rate_of_the_source(qwen2_5):
    batch = qwen2_5(FRAMES[:6], video_metadata=TAKEN)
    assert batch.second_per_grid_ts.tolist() == [2 / (6 / 300 * 30.0)]
    assert batch.video_metadata[0].sampled_fps == 6 / 300 * 30.0
    assert qwen2_5(FRAMES[:6]).second_per_grid_ts.tolist() == [2 / 24]


def test_a_rate_or_a_number_means_that_frames_are_sampled(qwen2_5):
    assert len(qwen2_5(FRAMES, video_metadata=LOADED).video_metadata[0].frames_indices) == 12
    sampled = qwen2_5(FRAMES, video_metadata=LOADED, fps=2)
    assert sampled.video_metadata[0].frames_indices == [0, 3, 6, 9]
    assert qwen2_5(FRAMES, num_frames=6).video_metadata[0].frames_indices == [0, 2, 4, 6, 8, 10]
    assert VideoConfig(fps=2).override(num_frames=4).fps is None
    assert VideoConfig().override(fps=2).do_sample_frames
    assert not VideoConfig().override(fps=2, do_sample_frames=False).do_sample_frames


def test_a_rate_that_is_made_up_is_told(qwen3):
    with pytest.warns(UserWarning, match="24 frames a second"):
        batch = qwen3(FRAMES)
    assert batch.video_metadata[0].fps == 24
    assert batch.video_metadata[0].frames_indices == [0, 4, 7, 11]


def test_sampled_frames_repeat_as_often_as_they_are_taken(qwen3):
    batch = qwen3(FRAMES[:3], num_frames=6)
    assert batch.video_metadata[0].frames_indices == [0, 0, 1, 1, 2, 2]
    every = qwen3(FRAMES[[0, 0, 1, 1, 2, 2]], do_sample_frames=False)
    assert np.array_equal(batch.pixel_values_videos, every.pixel_values_videos)


# ------------------------------------------------------------------------------ forms of a video


def test_however_frames_come_their_rows_are_the_same(qwen2_5, tmp_path):
    files = []
    for number, frame in enumerate(FRAMES):
        files.append(tmp_path / f"{number:02}.png")
        Image.fromarray(frame).save(files[-1])
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    expected = qwen2_5(FRAMES)
    for video in (
        torch.from_numpy(FRAMES),
        FRAMES.transpose(0, 3, 1, 2),
        list(FRAMES),
        [torch.from_numpy(frame) for frame in FRAMES],
        pictures,
        tuple(pictures),
        files,
        [str(file) for file in files],
        [*pictures[:4], *files[4:]],
        (FRAMES, LOADED),
    ):
        batch = qwen2_5(video)
        assert np.array_equal(batch.pixel_values_videos, expected.pixel_values_videos)
        assert batch.video_grid_thw.tolist() == expected.video_grid_thw.tolist()


def test_batches_may_be_nested(qwen2_5):
    short = FRAMES[:3]
    for videos in (
        [FRAMES, short],
        (FRAMES, short),
        [[FRAMES], [short]],
        [(FRAMES, LOADED), (short, None)],
        [list(FRAMES), [Image.fromarray(frame) for frame in short]],
    ):
        assert qwen2_5(videos).video_grid_thw[:, 0].tolist() == [6, 2]
    stacked = qwen2_5(np.stack([FRAMES, FRAMES]))
    assert stacked.video_grid_thw[:, 0].tolist() == [6, 6]
    assert qwen2_5(FRAMES[0]).video_grid_thw[0, 0] == 1
    assert qwen2_5(Image.fromarray(FRAMES[0])).video_grid_thw[0, 0] == 1


def test_metadata_in_every_shape_that_servers_send(qwen2_5):
    stock = StockMetadata(**TAKEN)
    ours = VideoMetadata(**TAKEN)
    as_arrays = {**TAKEN, "frames_indices": np.array(TAKEN["frames_indices"])}
    as_tensors = {**TAKEN, "frames_indices": torch.tensor(TAKEN["frames_indices"])}
    with_more = {**TAKEN, "do_sample_frames": False, "video_backend": "opencv"}
    for one in (TAKEN, stock, ours, as_arrays, as_tensors, with_more):
        for metadata in (one, [one], [[one]]):
            batch = qwen2_5(FRAMES[:6], video_metadata=metadata)
            assert batch.video_metadata[0].timestamps == [0, 2, 4, 6, 8, 299 / 30]
        batch = qwen2_5([(FRAMES[:6], one)])
        assert batch.video_metadata[0].timestamps == [0, 2, 4, 6, 8, 299 / 30]
    assert dict(ours) == {name: ours[name] for name in ours.keys()}  # noqa: SIM118
    assert StockMetadata(**ours) == stock


def test_metadata_of_the_utilities_need_not_be_whole(qwen2_5):
    metadata = {"fps": 25, "frames_indices": [0, 1, 2, 3], "total_num_frames": 4 / 3 * 25}
    batch = qwen2_5(FRAMES[:4], video_metadata=metadata)
    assert batch.second_per_grid_ts[0] == 2 / StockMetadata(**metadata).sampled_fps


# --------------------------------------------------------------------------- forms of the result


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_every_type_is_that_of_the_steps_one_by_one(dtype):
    processor = VideoProcessor("qwen2.5-vl", dtype=dtype)
    batch = processor(FRAMES)
    size = processor.resized_size(12, 60, 90)
    resized = np.stack([qvl_fast.resize(frame, *size) for frame in FRAMES])
    rows = qvl_fast.patchify(resized, processor.config, dtype=dtype)
    assert torch.equal(batch.pixel_values_videos, torch.as_tensor(rows))


def test_rows_can_be_written_to_memory_of_the_callers(qwen2_5):
    expected = qwen2_5([FRAMES, FRAMES[:5]])
    out = np.empty((expected.pixel_values_videos.shape[0] + 3, qwen2_5.columns), np.float32)
    batch = qwen2_5([FRAMES, FRAMES[:5]], out=out)
    assert np.shares_memory(batch.pixel_values_videos, out)
    assert np.array_equal(batch.pixel_values_videos, expected.pixel_values_videos)
    raw = VideoProcessor("qwen2.5-vl", dtype="uint8", return_tensors="np")
    rows = np.zeros((200, raw.columns), np.uint8)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        raw(rows.reshape(-1)[: FRAMES.size].reshape(FRAMES.shape), out=rows)


def test_a_batch_splits_moves_and_pickles(qwen2_5):
    batch = qwen2_5([FRAMES, FRAMES[:5]], video_metadata=[LOADED, None])
    for copied in (pickle.loads(pickle.dumps(batch)), batch.to("cpu")):
        assert copied.video_metadata == batch.video_metadata
        assert copied.timestamps == batch.timestamps
    first, second = batch.split()
    assert second.timestamps == batch.timestamps[1:]
    assert first.second_per_grid_ts[0] == batch.second_per_grid_ts[0]
    alone = qwen2_5(FRAMES[:5])
    assert np.array_equal(second.pixel_values_videos, alone.pixel_values_videos)
    # As trainers rebuild a batch, from its entries alone.
    rebuilt = type(batch)(dict(batch)).split()[1]
    assert np.array_equal(rebuilt.pixel_values_videos, alone.pixel_values_videos)
    assert not hasattr(rebuilt, "timestamps")


def test_a_processor_pickles_and_cannot_be_changed():
    processor = VideoProcessor("qwen3-vl", fps=4, dtype="uint8", timeout=9)
    again = pickle.loads(pickle.dumps(processor))
    assert repr(again) == repr(processor)
    for name in ("fps", "timeout", "config", "size", "max_pixels"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(again, name, 1)


@pytest.mark.parametrize("frames_per_chunk", [2, 4, 10, 100])
def test_chunks_one_after_another_are_the_whole(qwen2_5, frames_per_chunk):
    video = FRAMES[:11]
    expected = qwen2_5(
        video, video_metadata={**LOADED, "total_num_frames": 11, "frames_indices": list(range(11))}
    )
    chunks = qwen2_5.iter_rows(
        video,
        video_metadata=expected.video_metadata[0],
        frames_per_chunk=frames_per_chunk,
        out=np.empty_like(expected.pixel_values_videos),
    )
    chunks = [(chunk, chunk.pixel_values_videos.copy()) for chunk in chunks]
    rows = np.concatenate([rows for _, rows in chunks])
    assert np.array_equal(rows, expected.pixel_values_videos)
    assert [time for chunk, _ in chunks for time in chunk.timestamps[0]] == expected.timestamps[0]
    groups = sum(chunk.video_grid_thw[0, 0] for chunk, _ in chunks)
    assert groups == expected.video_grid_thw[0, 0]
    for chunk, rows in chunks:
        assert len(rows) == chunk.video_grid_thw.prod()
        assert chunk.second_per_grid_ts == expected.second_per_grid_ts


@pytest.mark.parametrize("num_threads", [2, 4])
def test_threads_change_nothing(num_threads):
    videos = [np.tile(FRAMES, (3, 4, 4, 1)), FRAMES, [Image.fromarray(frame) for frame in FRAMES]]
    one = VideoProcessor("qwen2.5-vl", num_threads=1, return_tensors="np")(videos)
    several = VideoProcessor("qwen2.5-vl", num_threads=num_threads, return_tensors="np")(videos)
    assert np.array_equal(one.pixel_values_videos, several.pixel_values_videos)


class LetsGo:
    """What frames lie in, and lets go of the GIL as it goes."""

    def __init__(self, frame):
        self.__array_interface__ = frame.__array_interface__
        self._frame = frame

    def __del__(self):
        threading.Event().wait(1e-4)


def test_frames_may_let_go_of_python_as_they_go():
    """With FFmpeg's frames, two threads once waited for each other for ever."""
    frames = np.tile(FRAMES, (20, 4, 4, 1))
    processor = VideoProcessor("qwen2.5-vl", num_threads=4, return_tensors="np")
    expected = processor(frames).pixel_values_videos
    batch = Batch(processor._writer, into_out=False)
    stream = Stream(np.asarray(LetsGo(frame)) for frame in frames)
    batch.add_frames(stream, range(len(frames)), frames.shape[1:3])
    batch.end_video(None, processor.resized_size(*frames.shape[:3]))
    rows = np.empty_like(expected)
    batch.write(rows, num_threads=4)
    assert np.array_equal(rows, expected)


# ------------------------------------------------------------------------------------ arithmetic


@pytest.mark.parametrize("preset", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
def test_tokens_are_known_from_the_metadata(preset):
    processor = VideoProcessor(preset, return_tensors="np", max_pixels=200_000)
    metadata = {**LOADED, "height": 60, "width": 90, "frames_indices": None}
    batch = processor(FRAMES, video_metadata=metadata)
    assert processor.num_patches(metadata) == len(batch.pixel_values_videos)
    assert processor.num_tokens(metadata) == len(batch.pixel_values_videos) // 4
    taken = {**TAKEN, "height": 60, "width": 90}
    batch = processor(FRAMES[:6], video_metadata=taken)
    assert processor.num_patches(taken) == len(batch.pixel_values_videos)


def test_what_decides_about_a_size_is_told():
    qwen3 = VideoProcessor("qwen3-vl", return_tensors="np")
    assert qwen3.size_bound(8, 480, 640) is None
    assert qwen3.size_bound(768, 1080, 1920) == "max_pixels"
    assert qwen3.size_bound(2, 32, 32) == "min_pixels"
    capped = VideoProcessor("qwen3-vl", cap_pixels_per_frame=True, return_tensors="np")
    assert capped.size_bound(8, 1080, 1920) == "max_video_tokens"


def test_total_pixels_of_the_utilities_count_a_pair_of_frames_once():
    config = VideoProcessor("qwen3-vl", total_pixels=1_000_000, return_tensors="np").config
    assert config.max_pixels == 2_000_000


# ------------------------------------------------------------------------------------- refusals


def refused(message):
    return pytest.raises(VideoError, match=re.escape(message))


def test_bad_frames_are_refused(qwen2_5, qwen3):
    for video, message in [
        (FRAMES[:0], "at least one frame"),
        (FRAMES[0, 0], "video must have shape (T, H, W, 3)"),
        (FRAMES.astype(np.float32), "video has dtype float32"),
        (FRAMES[..., :2], "must have 1, 3 or 4 channels"),
        ([FRAMES[0], FRAMES[0, :30]], "frames of one size"),
        ([Image.new("RGB", (9, 9)), Image.new("RGB", (9, 8))], "other frames have"),
        ([Image.new("RGB", (9, 9)), "nowhere.png"], "nowhere.png"),
        (7, "video must be a path, bytes"),
    ]:
        with pytest.raises((VideoError, OSError), match=re.escape(message)) as caught:
            qwen2_5([FRAMES[:2], video])
        assert caught.value.index == 1
    with refused("frames must be at least temporal_patch_size=2, got 1"):
        qwen3(FRAMES[:1], do_sample_frames=False)
    with refused("aspect ratio"):
        qwen2_5(np.zeros((2, 2, 403, 3), np.uint8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 0}, "fps of video_metadata must be positive and finite, got 0"),
        ({"fps": -3.0}, r"fps of video_metadata must be positive and finite, got -3\.0"),
        ({"total_num_frames": 0}, "total_num_frames of video_metadata must be positive, got 0"),
        ({"frames_indices": [-1] * 6}, "frames_indices of video_metadata must not be negative"),
        ({"duration": -1.0}, "duration of video_metadata must not be negative"),
    ],
)
def test_metadata_of_ours_is_checked_as_any_other(qwen2_5, changes, message):
    for given in (VideoMetadata(**{**TAKEN, **changes}), {**TAKEN, **changes}):
        with pytest.raises(ValueError, match=message):
            qwen2_5(FRAMES[:6], video_metadata=given)


def test_indices_of_metadata_may_be_an_array_and_files_may_last_no_time(qwen2_5):
    given = VideoMetadata(**{**TAKEN, "frames_indices": np.array(TAKEN["frames_indices"])})
    batch = qwen2_5(FRAMES[:6], video_metadata=given)
    assert batch.video_metadata[0].frames_indices == TAKEN["frames_indices"]
    still = VideoMetadata(total_num_frames=1, width=90, height=60, duration=0.0)
    for known in (still, dict(still)):
        assert qwen2_5.outline(known).metadata.duration == 0


def test_metadata_that_disagrees_is_refused(qwen2_5):
    for metadata, message in [
        ({"total_num_frames": 300, "fps": 30}, "add their frames_indices"),
        ({**TAKEN, "frames_indices": [1, 2]}, "2 frames_indices for 12 frames"),
    ]:
        with refused(message):
            qwen2_5(FRAMES, video_metadata=metadata)
    for metadata, message in [
        ([LOADED, LOADED], "one entry for each of 1 videos, got 2"),
        ({"fps": 30}, "must have total_num_frames"),
        ({**LOADED, "fps": 0}, "fps of video_metadata must be positive"),
        ({**LOADED, "total_num_frames": -1}, "must be positive"),
        ({**LOADED, "frames_indices": [-1]}, "must not be negative"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            qwen2_5(FRAMES, video_metadata=metadata)
    with pytest.raises(TypeError, match="must be a VideoMetadata or a mapping"):
        qwen2_5(FRAMES, video_metadata="6 fps")
    with pytest.raises(ValueError, match="given twice"):
        qwen2_5((FRAMES, LOADED), video_metadata=LOADED)


def test_samples_that_cannot_be_taken_are_refused(qwen2_5, tmp_path):
    for settings, message in [
        ({"num_frames": 16}, "num_frames must be at most total_frames=12, got 16"),
        ({"fps": 2}, "own rate is known"),
        ({"do_sample_frames": True}, "fps must be given, or num_frames"),
    ]:
        with refused(message):
            qwen2_5(FRAMES, **settings)
    with refused("total_frames must be at least temporal_patch_size=2, got 1"):
        qwen2_5(FRAMES[:1], video_metadata={"total_num_frames": 1, "fps": 30}, fps=2)
    with pytest.raises(ValueError, match="fps and num_frames must not be given together"):
        qwen2_5(FRAMES, fps=2, num_frames=4)
    Image.fromarray(FRAMES[0]).save(tmp_path / "0.png")
    with refused("frames from files are not sampled without knowing their rate"):
        VideoProcessor("qwen3-vl")([tmp_path / "0.png"] * 6)


def test_settings_that_cannot_be_are_refused(qwen2_5):
    for settings, message in [
        ({"budget": "second"}, "budget must be one of"),
        ({"fps": -1}, "fps must be positive"),
        ({"max_frames": 0}, "max_frames must be between 1"),
        ({"total_pixels": 9}, "for the budget of a clip"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            VideoProcessor("qwen2.5-vl", **settings)
    for settings in ({"frames": 4}, {"cap_pixels_per_frame": 1}, {"do_sample_frames": "yes"}):
        with pytest.raises(TypeError):
            VideoProcessor("qwen2.5-vl", **settings)
    with pytest.raises(TypeError, match="a call has no setting patch_size"):
        qwen2_5(FRAMES, patch_size=16)
    with pytest.raises(ValueError, match="frames_per_chunk must be a multiple"):
        qwen2_5.iter_rows(FRAMES, frames_per_chunk=3)
    with pytest.raises(ValueError, match="video must be one video, got 2"):
        qwen2_5.iter_rows([FRAMES, FRAMES], frames_per_chunk=2)
    with refused('"compact" is for one frame, got 2'):
        VideoProcessor("qwen2.5-vl", temporal="compact")(FRAMES)
    with pytest.raises(ValueError, match="must hold at least one video"):
        qwen2_5([])
