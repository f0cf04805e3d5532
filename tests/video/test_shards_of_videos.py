"""``qvl-fast preprocess`` and ``qvl_fast.store`` with videos, alone and beside images."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import Clip
from PIL import Image
from safetensors import safe_open

from qvl_fast import ImageProcessor, ImageRows, VideoProcessor, VideoRows
from qvl_fast.cli import main
from qvl_fast.store import Dataset, write_shards

SCRIPT = Path(sys.executable).with_name("qvl-fast")
# 24 rows for a pair of frames of 64 x 96, which Qwen2.5-VL resizes to 56 x 84.
LENGTHS = {"a.mp4": 60, "b/c.MKV": 31, "d.webm": 9}
FAST = {"preset": "veryfast", "threads": "1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for name, count in LENGTHS.items():
        suffix = Path(name).suffix[1:].lower()
        codec, options = ("libvpx-vp9", {}) if suffix == "webm" else ("libx264", FAST)
        clip = Clip(codec=codec, suffix=suffix, options=options, count=count)
        (folder / name).parent.mkdir(exist_ok=True)
        clip.write(folder / name)
    return folder


@pytest.fixture
def videos(made, tmp_path):
    """Three videos below a folder, which tests may change."""
    paths = [tmp_path / "in" / name for name in LENGTHS]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((made / path.relative_to(tmp_path / "in")).read_bytes())
    return paths


@pytest.fixture
def images(tmp_path):
    """Two images among the videos."""
    paths = [tmp_path / "in" / name for name in ("a.png", "b/z.jpg")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(3).integers(0, 256, (60, 90, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def preprocess(*arguments):
    return main(["preprocess", *map(str, arguments)])


def index(out):
    return json.loads((out / "index.json").read_text())


def assert_equal(item, expected):
    """All that a batch of one video holds, the types included."""
    assert type(item) is VideoRows
    assert item.keys() == expected.keys()
    for name, value in expected.items():
        assert item[name].dtype == value.dtype
        assert torch.equal(torch.as_tensor(item[name]), torch.as_tensor(value))
    assert item.video_metadata == expected.video_metadata
    assert item.timestamps == expected.timestamps


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "uint8"])
def test_what_is_written_is_what_the_processors_give(videos, images, tmp_path, config, dtype):
    out = tmp_path / "out"
    options = ("--config", config, "--dtype", dtype, "--num-frames", "8")
    assert preprocess(tmp_path / "in", "-o", out, *options) == 0
    dataset = Dataset(out)
    assert [entry.path for entry in dataset.entries] == list(map(str, [*images, *videos]))
    processor = VideoProcessor(config, dtype=dtype, num_frames=8)
    for item, path in zip(list(dataset)[2:], videos, strict=True):
        assert_equal(item, processor(path))
    for item, path in zip(list(dataset)[:2], images, strict=True):
        assert type(item) is ImageRows
        assert torch.equal(
            item.pixel_values, ImageProcessor(config, dtype=dtype)(path).pixel_values
        )
    assert dataset.lengths.tolist() == [len(next(iter(item.values()))) for item in dataset]


def test_arrays(videos, tmp_path):
    processor = VideoProcessor("qwen2.5-vl", return_tensors="np")
    images = ImageProcessor("qwen2.5-vl", return_tensors="np", temporal="compact")
    out = tmp_path / "out"
    assert write_shards(videos, out, images, video_processor=processor) == []
    for item, path in zip(Dataset(out, return_tensors="np"), videos, strict=True):
        assert_equal(item, processor(path))


def test_a_shard_says_what_it_holds(videos, images, tmp_path):
    out = tmp_path / "out"
    assert preprocess(tmp_path / "in", "-o", out) == 0
    assert {item["shard"] for item in index(out)["items"][:2]} == {"rows-00000.safetensors"}
    with safe_open(out / "rows-00001.safetensors", "np") as shard:
        names = {"pixel_values_videos", "video_grid_thw", "second_per_grid_ts"}
        assert set(shard.keys()) == names
        grids = shard.get_tensor("video_grid_thw").tolist()
        seconds = shard.get_tensor("second_per_grid_ts").tolist()
        rows = len(shard.get_tensor("pixel_values_videos"))
        metadata = shard.metadata()
    items = index(out)["items"][2:]
    assert grids == [item["grid"] for item in items] == [[30, 4, 6], [16, 4, 6], [5, 4, 6]]
    assert rows == 51 * 24
    assert [item["first_row"] for item in items] == [0, 720, 1104]
    assert json.loads(metadata["sources"]) == list(map(str, videos))
    assert json.loads(metadata["timestamps"]) == [item["video"]["timestamps"] for item in items]
    assert seconds == [item["video"]["second_per_grid_ts"] for item in items]
    assert items[0]["video"]["metadata"]["frames_indices"] == list(range(60))
    assert json.loads(metadata["configuration"]) == index(out)["configuration"]


def test_a_model_that_is_not_told_of_seconds_has_none(videos, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*videos, "-o", out, "--config", "qwen3-vl") == 0
    with safe_open(out / "rows-00000.safetensors", "np") as shard:
        assert set(shard.keys()) == {"pixel_values_videos", "video_grid_thw"}
    assert [item["video"]["second_per_grid_ts"] for item in index(out)["items"]] == [None] * 3


def test_an_index_of_images_says_nothing_of_videos(images, tmp_path):
    assert preprocess(tmp_path / "in", "-o", tmp_path / "out") == 0
    content = index(tmp_path / "out")
    assert "video" not in content["configuration"]
    assert all("video" not in item for item in content["items"])


def test_bfloat16_rows_that_are_larger_than_a_shard(videos, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*videos, "-o", out, "--dtype", "bfloat16", "--shard-size", "1") == 0
    assert {path.suffix for path in out.iterdir()} == {".json", ".safetensors"}
    processor = VideoProcessor("qwen2.5-vl", dtype="bfloat16")
    for item, path in zip(Dataset(out), videos, strict=True):
        assert_equal(item, processor(path))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not reserve room")
def test_a_video_that_there_is_no_room_for_is_listed(videos, tmp_path):
    import resource

    out = tmp_path / "out"
    limit = 1_200_000
    done = subprocess.run(
        [SCRIPT, "preprocess", *videos, "-o", out, "--shard-size", "1MB"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    listed = "".join(f"  {path}: File too large\n" for path in videos[:2])
    assert done.stderr == f"failed: 2\n{listed}"
    assert [entry.path for entry in Dataset(out).entries] == [str(videos[2])]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_long_video_is_not_held_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "long.mp4"
    Clip(codec="mpeg4", size=(480, 640), count=60, options={"qscale": "31"}).write(path)

    def resident():
        status = Path("/proc/self/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) << 10

    seen = []
    real = VideoProcessor.iter_rows

    def watched(self, video, **options):
        for chunk in real(self, video, **options):
            seen.append(resident())
            yield chunk

    monkeypatch.setattr(VideoProcessor, "iter_rows", watched)
    assert preprocess(path, "-o", tmp_path / "out", "--shard-size", "1MB") == 0
    assert (tmp_path / "out" / "rows-00000.safetensors").stat().st_size > 200 << 20
    assert resident() - seen[0] < 80 << 20  # a chunk of rows is 56 MiB
    assert max(seen) - seen[0] < 80 << 20


@pytest.mark.parametrize("size", [1, 650_000, 900_000])
def test_shards_are_of_the_size_unless_one_video_is_larger(videos, tmp_path, size):
    out = tmp_path / "out"
    options = ("--dtype", "uint8", "--shard-size", size)
    assert preprocess(*videos, "-o", out, *options) == 0
    processor = VideoProcessor("qwen2.5-vl", dtype="uint8")
    for item, path in zip(Dataset(out), videos, strict=True):
        assert_equal(item, processor(path))
    items = index(out)["items"]
    for shard in out.glob("*.safetensors"):
        held = [item for item in items if item["shard"] == shard.name]
        assert shard.stat().st_size <= size or len(held) == 1
    # 720 rows of 1176 bytes, and 384 and 120.
    assert [int(item["shard"][5:10]) for item in items] == [0, 1, 2 if size == 1 else 1]


def test_bad_videos_are_listed_and_the_others_written(videos, images, tmp_path, capsys):
    # Cut at its end, it opens, and fails after rows were computed.
    content = videos[1].read_bytes()
    videos[1].write_bytes(content[: len(content) // 2])
    text = tmp_path / "in" / "text.mp4"
    text.write_text("no video")
    sound = tmp_path / "in" / "none.mov"
    sound.write_bytes(b"")
    out = tmp_path / "out"
    assert preprocess(tmp_path / "in", "-o", out) == 1
    written = [item["path"] for item in index(out)["items"]]
    assert {str(videos[0]), str(videos[2]), *map(str, images)} <= set(written)
    assert str(text) not in written
    assert str(sound) not in written
    error = capsys.readouterr().err
    assert f"  {text}: Invalid data found" in error
    assert f"  {sound}: " in error
    processor = VideoProcessor("qwen2.5-vl")
    for entry, item in zip(Dataset(out).entries, Dataset(out), strict=True):
        if entry.path in (str(videos[0]), str(videos[2])):
            assert_equal(item, processor(entry.path))


def test_a_video_that_fails_in_its_middle_leaves_no_trace(videos, tmp_path, monkeypatch, capsys):
    real = VideoProcessor.iter_rows

    def failing(self, video, **options):
        for number, chunk in enumerate(real(self, video, **options)):
            if video == videos[1] and number == 1:
                raise OSError("the disk is gone")
            yield chunk

    monkeypatch.setattr(VideoProcessor, "iter_rows", failing)
    out = tmp_path / "out"
    assert preprocess(*videos, "-o", out) == 1
    assert capsys.readouterr().err == f"failed: 1\n  {videos[1]}: the disk is gone\n"
    processor = VideoProcessor("qwen2.5-vl")
    monkeypatch.undo()
    for item, path in zip(Dataset(out), [videos[0], videos[2]], strict=True):
        assert_equal(item, processor(path))


def test_resume_redoes_what_changed(videos, images, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*images, "-o", out) == 0
    assert preprocess(tmp_path / "in", "-o", out, "--resume") == 0
    shards = {item["path"]: item["shard"] for item in index(out)["items"]}
    assert [shards[str(path)] for path in images] == ["rows-00000.safetensors"] * 2
    assert [shards[str(path)] for path in videos] == ["rows-00001.safetensors"] * 3
    # Other settings of videos leave the images alone, and the other way round.
    assert preprocess(tmp_path / "in", "-o", out, "--resume", "--fps", "4") == 0
    shards = {item["path"]: item["shard"] for item in index(out)["items"]}
    assert [shards[str(path)] for path in images] == ["rows-00000.safetensors"] * 2
    assert [shards[str(path)] for path in videos] == ["rows-00002.safetensors"] * 3
    options = ("--fps", "4", "--max-pixels", "9000")
    assert preprocess(tmp_path / "in", "-o", out, "--resume", *options) == 0
    shards = {item["path"]: item["shard"] for item in index(out)["items"]}
    assert [shards[str(path)] for path in images] == ["rows-00003.safetensors"] * 2
    assert [shards[str(path)] for path in videos] == ["rows-00002.safetensors"] * 3
    os.utime(videos[0], ns=(0, 10**18))
    assert preprocess(tmp_path / "in", "-o", out, "--resume", *options) == 0
    shards = {item["path"]: item["shard"] for item in index(out)["items"]}
    assert shards[str(videos[0])] == "rows-00004.safetensors"
    assert shards[str(videos[1])] == "rows-00002.safetensors"
    processor = VideoProcessor("qwen2.5-vl", fps=4)
    for entry, item in zip(Dataset(out).entries, Dataset(out), strict=True):
        if entry.video is not None:
            assert_equal(item, processor(entry.path))


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_inside_a_video_keeps_those_before_it(videos, tmp_path, monkeypatch, capsys):
    real = VideoProcessor.iter_rows

    def interrupted(self, video, **options):
        for number, chunk in enumerate(real(self, video, **options)):
            if video == videos[1] and number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield chunk

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(VideoProcessor, "iter_rows", interrupted)
        assert preprocess(*videos, "-o", out) == 130
    assert "--resume" in capsys.readouterr().err
    assert [item["path"] for item in index(out)["items"]] == [str(videos[0])]
    assert preprocess(*videos, "-o", out, "--resume") == 0
    processor = VideoProcessor("qwen2.5-vl")
    for item, path in zip(Dataset(out), videos, strict=True):
        assert_equal(item, processor(path))


def test_progress_inside_a_video(videos, images, tmp_path, monkeypatch):
    from contextlib import contextmanager

    from qvl_fast.cli import preprocess as command

    told = []

    @contextmanager
    def progress(total):
        told.append(total)
        yield told.append

    monkeypatch.setattr(command, "progress", progress)
    assert preprocess(images[0], videos[0], videos[2], "-o", tmp_path / "out") == 0
    # 30 groups of frames, 8 at a time, between the first file and the third.
    inside = [1 + 8 / 30, 1 + 16 / 30, 1 + 24 / 30]
    assert told == [3, 1, 1, *map(pytest.approx, inside), 2, 2, 3, 3]


def test_the_summary_counts_videos(videos, images, tmp_path):
    command = [SCRIPT, "preprocess", tmp_path / "in", "-o", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    counts = dict(line.split()[-2:] for line in done.stdout.splitlines() if len(line.split()) > 1)
    assert counts["written"] == "3"
    assert counts["rows"] == str(51 * 24 + 2 * 4 * 6)
    assert counts["tokens"] == str((51 * 24 + 2 * 4 * 6) // 4)


def test_without_settings_of_videos_folders_are_searched_for_images(videos, images, tmp_path):
    processor = ImageProcessor("qwen2.5-vl")
    assert write_shards([tmp_path / "in"], tmp_path / "out", processor) == []
    assert len(Dataset(tmp_path / "out")) == 2
    (failure,) = write_shards([images[0], videos[0]], tmp_path / "named", processor)
    assert failure.path == videos[0]
    assert failure.reason == "is a video, and there are no settings for videos"
    assert len(Dataset(tmp_path / "named")) == 1


def test_pyav_is_named_where_it_is_missing(videos, tmp_path):
    code = "import sys; sys.modules['av'] = None\nfrom qvl_fast.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "preprocess", videos[0], "-o", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        "qvl-fast preprocess: error: this needs av, which is not installed: "
        "pip install 'qvl-fast[video]'\n"
    )
    assert not (tmp_path / "out").exists()
