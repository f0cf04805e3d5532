"""``qvl-fast preprocess`` interrupted, failing and resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from qvl_fast import ImageProcessor
from qvl_fast.cli import main

# Each image has 64 rows of 1176 bytes as uint8, so that two fit in a shard.
OPTIONS = ("--dtype", "uint8", "--shard-size", "200kB")


def save_image(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (112, 112, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def images(tmp_path):
    """Six images, for three shards."""
    folder = tmp_path / "in"
    folder.mkdir()
    return [save_image(folder / f"{seed}.png", seed) for seed in range(6)]


@pytest.fixture
def out(images, tmp_path):
    """An output folder that holds the six images."""
    folder = tmp_path / "out"
    assert preprocess(tmp_path, folder) == 0
    return folder


def preprocess(tmp_path, out, *options):
    return main(["preprocess", str(tmp_path / "in"), "-o", str(out), *OPTIONS, *options])


def index(out):
    return json.loads((out / "index.json").read_text())


def placed(out):
    """Number of the image to number of the shard."""
    return {int(Path(item["path"]).stem): int(item["shard"][5:10]) for item in index(out)["items"]}


def state(out):
    """The content of every file, and what tells that it was not written anew."""
    return {
        path.relative_to(out): (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in out.rglob("*")
        if path.is_file()
    }


def shards(out):
    return {path: content for path, content in state(out).items() if path.suffix == ".safetensors"}


def assert_complete(out, images, **settings):
    """The folder holds the rows of ``images`` and nothing else."""
    processor = ImageProcessor(**{"config": "qwen2.5-vl", "dtype": "uint8", **settings})
    items = {item["path"]: item for item in index(out)["items"]}
    assert set(items) == {str(path) for path in images}
    names = {item["shard"] for item in items.values()}
    assert {path.name for path in out.iterdir()} == {"index.json", *names}
    tensors = {name: load_file(out / name) for name in names}
    for path, item in items.items():
        rows = tensors[item["shard"]]["pixel_values"][item["first_row"] :][: item["rows"]]
        expected = processor(path, return_tensors="np")
        np.testing.assert_array_equal(rows, expected["pixel_values"])
        assert item["grid"] == expected["image_grid_thw"][0].tolist()


def fail_at(monkeypatch, name, call, error):
    """Have the function of ``os`` raise at one of its calls, counted from 1."""
    real = getattr(os, name)
    calls = 0

    def function(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, function)


def test_three_shards_of_two_images(images, out):
    assert placed(out) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    assert_complete(out, images)


def test_nothing_is_redone(tmp_path, images, out, monkeypatch):
    before = shards(out)
    monkeypatch.setattr(ImageProcessor, "__call__", lambda *_, **__: pytest.fail("was redone"))
    assert preprocess(tmp_path, out, "--resume") == 0
    assert shards(out) == before
    assert placed(out) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}


def test_resume_starts_where_there_is_nothing(tmp_path, images):
    assert preprocess(tmp_path, tmp_path / "new" / "out", "--resume") == 0
    assert_complete(tmp_path / "new" / "out", images)


def test_a_touched_file_is_redone(tmp_path, images, out):
    before = shards(out)
    os.utime(images[1], ns=(0, 10**18))
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {0: 0, 1: 3, 2: 1, 3: 1, 4: 2, 5: 2}
    after = shards(out)
    assert {path: after[path] for path in before} == before
    assert_complete(out, images)


def test_a_file_of_the_same_time_and_another_size_is_redone(tmp_path, images, out):
    mtime = images[1].stat().st_mtime_ns
    Image.new("RGB", (112, 112), "red").save(images[1])
    os.utime(images[1], ns=(mtime, mtime))
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out)[1] == 3
    assert_complete(out, images)


def test_a_shard_that_nothing_refers_to_is_deleted(tmp_path, images, out):
    save_image(images[2], 20)
    save_image(images[3], 30)
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {0: 0, 1: 0, 2: 3, 3: 3, 4: 2, 5: 2}
    assert_complete(out, images)


def test_a_deleted_file_is_dropped(tmp_path, images, out):
    images[0].unlink()
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    images[1].unlink()
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {2: 1, 3: 1, 4: 2, 5: 2}
    assert_complete(out, images[2:])


def test_a_changed_file_that_fails_is_dropped(tmp_path, images, out):
    images[5].write_text("no image any more")
    assert preprocess(tmp_path, out, "--resume") == 1
    assert placed(out) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}


def test_an_added_file_gets_a_new_shard(tmp_path, images, out):
    images.insert(0, save_image(tmp_path / "in" / "-1.png", 7))
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, -1: 3}
    assert_complete(out, images)


def test_a_lost_shard_is_redone(tmp_path, images, out):
    (out / "rows-00001.safetensors").unlink()
    assert preprocess(tmp_path, out, "--resume") == 0
    assert placed(out) == {0: 0, 1: 0, 4: 2, 5: 2, 2: 3, 3: 3}
    assert_complete(out, images)


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        (["--max-pixels", "9000"], {"max_pixels": 9000}),
        (["--min-pixels", "30000"], {"min_pixels": 30000}),
        (["--reference", "pillow-12"], {"reference": "pillow-12"}),
        (["--dtype", "float32"], {"dtype": "float32"}),
        (["--temporal", "compact"], {"temporal": "compact"}),
        (["--config", "qwen3-vl"], {"config": "qwen3-vl"}),
    ],
)
def test_another_configuration_redoes_everything(tmp_path, images, out, option, settings):
    assert preprocess(tmp_path, out, "--resume", *option) == 0
    assert not set(placed(out).values()) & {0, 1, 2}
    assert_complete(out, images, **settings)


def test_an_equal_configuration_of_another_name_redoes_nothing(tmp_path, images, out):
    before = shards(out)
    assert preprocess(tmp_path, out, "--resume", "--config", "qwen2-vl") == 0
    assert shards(out) == before


def test_an_index_is_not_overwritten_without_resume(tmp_path, out, capsys):
    before = state(out)
    assert preprocess(tmp_path, out) == 2
    error = capsys.readouterr().err
    assert str(out / "index.json") in error
    assert "--resume" in error
    assert state(out) == before


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_shards_without_an_index_are_not_touched(tmp_path, images, capsys, resume):
    out = tmp_path / "out"
    out.mkdir()
    (out / "rows-00000.safetensors").write_text("of another program")
    before = state(out)
    assert preprocess(tmp_path, out, *resume) == 2
    assert "holds shards but no index.json" in capsys.readouterr().err
    assert state(out) == before


def test_other_files_are_not_touched(tmp_path, images, out):
    (out / "rows-notes.safetensors").write_text("mine")
    (out / "rows-00000.txt").write_text("mine")
    assert preprocess(tmp_path, out, "--resume", "--max-pixels", "9000") == 0
    assert (out / "rows-notes.safetensors").read_text() == "mine"
    assert (out / "rows-00000.txt").read_text() == "mine"
    assert not (out / "rows-00000.safetensors").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"items": [{"path": "a"}], "configuration": {}}',
        '{"items": [], "configuration": 5}',
    ],
)
def test_an_index_that_cannot_be_read_is_named(tmp_path, out, capsys, text):
    (out / "index.json").write_text(text)
    before = state(out)
    assert preprocess(tmp_path, out, "--resume") == 2
    assert f"{out / 'index.json'} is no index of qvl-fast" in capsys.readouterr().err
    assert state(out) == before


# Each file is synced and then moved into place: the index of the new folder, then a shard and the
# index three times, then the index without what is stale. The process dies before the call.
@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("fsync", 1),
        ("fsync", 2),
        ("replace", 2),
        ("replace", 3),
        ("fsync", 4),
        ("replace", 5),
        ("fsync", 8),
    ],
)
def test_a_killed_run_is_resumed_to_the_same_result(tmp_path, images, function, call, capsys):
    out, whole = tmp_path / "out", tmp_path / "whole"
    code = (
        "import os, signal, sys\n"
        "from qvl_fast.cli import main\n"
        "name, left = sys.argv[1], int(sys.argv[2])\n"
        "real = getattr(os, name)\n"
        "def function(*args):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*args)\n"
        "setattr(os, name, function)\n"
        "main(sys.argv[3:])\n"
    )
    arguments = ["preprocess", str(tmp_path / "in"), "-o", str(out), *OPTIONS]
    command = [sys.executable, "-c", code, function, str(call), *arguments]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert (out / ".partial").is_dir()
    if call > 1:
        assert len(index(out)["items"]) == 2 * ((call - 2) // 2)
        for item in index(out)["items"]:
            assert load_file(out / item["shard"])["pixel_values"].shape == (128, 1176)
    assert preprocess(tmp_path, out, "--resume") == 0
    assert preprocess(tmp_path, whole) == 0
    assert_complete(out, images)
    assert index(out) == index(whole)
    for path in whole.glob("*.safetensors"):
        ours = load_file(out / path.name)
        for name, tensor in load_file(path).items():
            np.testing.assert_array_equal(ours[name], tensor)


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2])
def test_a_failing_write_leaves_the_old_state(
    tmp_path, images, out, monkeypatch, capsys, function, call
):
    before = state(out)
    os.utime(images[0], ns=(0, 10**18))
    with monkeypatch.context() as patch:
        fail_at(patch, function, call, OSError(28, "No space left on device"))
        assert preprocess(tmp_path, out, "--resume") == 2
    name = "rows-00003.safetensors" if call == 1 else "index.json"
    expected = f"cannot write {out / name}: [Errno 28] No space left on device"
    assert expected in capsys.readouterr().err
    after = state(out)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == ({Path("rows-00003.safetensors")} if call == 2 else set())
    assert preprocess(tmp_path, out, "--resume") == 0
    assert_complete(out, images)


def test_an_old_state_of_other_settings_is_left_too(tmp_path, images, out, monkeypatch):
    before = state(out)
    with monkeypatch.context() as patch:
        fail_at(patch, "fsync", 1, OSError(28, "No space left on device"))
        assert preprocess(tmp_path, out, "--resume", "--temporal", "compact") == 2
    assert state(out) == before


def test_a_full_disk_is_reported(tmp_path, images):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"
    command = [Path(sys.executable).with_name("qvl-fast"), "preprocess", tmp_path / "in", "-o", out]
    done = subprocess.run(
        [*command, *OPTIONS],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 2
    assert f"error: cannot write {out / 'rows-00000.safetensors'}: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in out.iterdir()} == {"index.json"}
    assert preprocess(tmp_path, out, "--resume") == 0
    assert_complete(out, images)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_writes_what_is_done(tmp_path, images, monkeypatch, capsys):
    out = tmp_path / "out"
    real = ImageProcessor.__call__
    calls = 0

    def interrupted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageProcessor, "__call__", interrupted)
        assert preprocess(tmp_path, out) == 130
    assert "--resume" in capsys.readouterr().err
    assert_complete(out, images[:3])
    assert preprocess(tmp_path, out, "--resume") == 0
    assert_complete(out, images)


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [2, 3])
def test_an_interrupt_while_writing_loses_nothing(tmp_path, images, monkeypatch, function, call):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        fail_at(patch, function, call, KeyboardInterrupt())
        assert preprocess(tmp_path, out) == 130
    assert_complete(out, images[:2])


def test_a_second_interrupt_ends_at_once(tmp_path, images, monkeypatch):
    out = tmp_path / "out"

    def interrupt(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        assert preprocess(tmp_path, out) == 130
    assert list(out.iterdir()) == []
    assert preprocess(tmp_path, out) == 0
    assert_complete(out, images)
