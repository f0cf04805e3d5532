"""``qvl-fast preprocess``: which files, which rows, how large the shards, what is reported."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from qvl_fast import ImageProcessor
from qvl_fast.cli import main
from qvl_fast.cli.options import byte_size
from qvl_fast.store.sources import collect

SCRIPT = Path(sys.executable).with_name("qvl-fast")


def save_image(path, height, width):
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="png" if path.suffix in ("", ".txt") else None)
    return path


@pytest.fixture
def images(tmp_path):
    """Four images of different sizes, in the order in which a folder is searched."""
    sizes = {"a.png": (60, 90), "b.jpg": (112, 84), "c/d.webp": (200, 140), "e.bmp": (56, 300)}
    return [save_image(tmp_path / "in" / name, *size) for name, size in sizes.items()]


def preprocess(*arguments):
    return main(["preprocess", *map(str, arguments)])


def load(out):
    """Path to (rows, grid), as the index says, and every shard checked against it."""
    index = json.loads((out / "index.json").read_text())
    shards = {}
    for name in {item["shard"] for item in index["items"]}:
        with safe_open(out / name, "pt") as shard:
            tensors = {key: shard.get_tensor(key) for key in shard.keys()}  # noqa: SIM118
            shards[name] = tensors, shard.metadata()
    rows = {}
    for item in index["items"]:
        tensors, metadata = shards[item["shard"]]
        place = json.loads(metadata["sources"]).index(item["path"])
        grid = tensors["image_grid_thw"][place]
        assert grid.tolist() == item["grid"]
        assert int(tensors["image_grid_thw"][:place].prod(dim=1).sum()) == item["first_row"]
        end = item["first_row"] + item["rows"]
        rows[item["path"]] = tensors["pixel_values"][item["first_row"] : end], grid
    return rows


def summary(text):
    cells = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())
    return {cell[0]: cell[1] for cell in cells if len(cell) == 2}


@pytest.mark.parametrize("temporal", ["full", "compact"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "bfloat16", "float16"])
def test_rows_equal_the_processors(images, tmp_path, dtype, temporal):
    out = tmp_path / "out"
    options = ("--dtype", dtype, "--temporal", temporal)
    assert preprocess(tmp_path / "in", "-o", out, "--shard-size", "1MB", *options) == 0
    processor = ImageProcessor("qwen2.5-vl", dtype=dtype, temporal=temporal)
    rows = load(out)
    assert list(rows) == [str(path) for path in images]
    for path in images:
        expected = processor(path)
        found, grid = rows[str(path)]
        assert found.dtype == getattr(torch, dtype)
        assert torch.equal(found, expected["pixel_values"])
        assert torch.equal(grid[None], expected["image_grid_thw"])


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--config", "qwen3-vl"], {"config": "qwen3-vl"}),
        (["--reference", "pillow"], {"reference": "pillow"}),
        (["--max-pixels", "9000"], {"max_pixels": 9000}),
        (["--min-pixels", "40000"], {"min_pixels": 40000}),
    ],
)
def test_options_reach_the_rows(images, tmp_path, options, settings):
    out = tmp_path / "out"
    assert preprocess(tmp_path / "in", "-o", out, *options) == 0
    processor = ImageProcessor(**{"config": "qwen2.5-vl", **settings})
    plain = ImageProcessor("qwen2.5-vl")
    differs = False
    for path, (rows, _) in load(out).items():
        assert torch.equal(rows, processor(path)["pixel_values"])
        differs |= not torch.equal(rows, plain(path)["pixel_values"])
    assert differs


@pytest.mark.parametrize("config", ["internvl", "siglip2-naflex"])
def test_families_whose_models_take_another_form_are_written_as_rows(images, tmp_path, config):
    assert preprocess(*images, "-o", tmp_path / "out", "--config", config) == 0
    processor = ImageProcessor(config, form="rows")
    for image in images:
        want = processor(image)
        rows, grid = load(tmp_path / "out")[str(image)]
        assert torch.equal(grid, want.image_grid_thw[0])
        assert torch.equal(rows, want.pixel_values)


def test_a_shard_says_what_it_holds(images, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*images[:2], "-o", out, "--dtype", "uint8", "--max-pixels", "50000") == 0
    with safe_open(out / "rows-00000.safetensors", "np") as shard:
        assert set(shard.keys()) == {"pixel_values", "image_grid_thw"}
        assert shard.get_tensor("image_grid_thw").dtype == np.int64
        metadata = shard.metadata()
    assert json.loads(metadata["sources"]) == [str(path) for path in images[:2]]
    configuration = json.loads(metadata["configuration"])
    assert configuration == json.loads((out / "index.json").read_text())["configuration"]
    assert configuration["max_pixels"] == 50000
    assert configuration["image_mean"] == [0.48145466, 0.4578275, 0.40821073]
    assert [configuration[name] for name in ("dtype", "temporal", "reference")] == [
        "uint8",
        "full",
        "torchvision",
    ]


def test_the_index_says_where_rows_lie(images, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*images[:2], "-o", out) == 0
    status = images[1].stat()
    assert json.loads((out / "index.json").read_text())["items"][1] == {
        "path": str(images[1]),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "grid": [1, 8, 6],
        "shard": "rows-00000.safetensors",
        "first_row": 24,  # 60 x 90 is resized to 56 x 84
        "rows": 48,
    }


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1, "uint8"), (400_000, "uint8"), (900_000, "bfloat16"), (2_000_000, "float32")],
)
def test_a_shard_is_as_large_as_whole_images_allow(tmp_path, size, dtype):
    random = np.random.default_rng(5)
    for number in range(16):
        # Escaped in JSON, and again where that is text in the header's JSON.
        name = f'{number:02d}{"ü" * int(random.integers(30))}".png'
        save_image(tmp_path / "in" / name, *random.integers(30, 300, 2))
    out = tmp_path / "out"
    assert preprocess(tmp_path / "in", "-o", out, "--shard-size", size, "--dtype", dtype) == 0
    items = json.loads((out / "index.json").read_text())["items"]
    shards = sorted(path.name for path in out.iterdir() if path.name != "index.json")
    assert shards == sorted({item["shard"] for item in items})
    assert len(shards) == 16 if size == 1 else 1 < len(shards) < 16
    row_bytes = 1176 * getattr(torch, dtype).itemsize
    for shard, following in zip(shards, [*shards[1:], None], strict=True):
        images = [item for item in items if item["shard"] == shard]
        assert (out / shard).stat().st_size <= size or len(images) == 1
        # 150 bytes: digits that the header turned out not to need.
        if following:
            added = next(item for item in items if item["shard"] == following)
            name = len(json.dumps(json.dumps(added["path"])))
            needed = added["rows"] * row_bytes + 24 + name
            assert (out / shard).stat().st_size + needed > size - 150


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
def test_the_header_counts_towards_the_size(tmp_path, dtype):
    for number in range(40):
        save_image(tmp_path / "in" / f'{"ü" * 30}"{number}.png', 56, 56)

    def sizes(shard_size):
        out = tmp_path / str(shard_size)
        options = ("--shard-size", shard_size, "--dtype", dtype)
        assert preprocess(tmp_path / "in", "-o", out, *options) == 0
        return [path.stat().st_size for path in sorted(out.glob("*.safetensors"))]

    (whole,) = sizes("1GB")
    assert len(sizes(whole + 150)) == 1
    split = sizes(whole - 1)
    assert len(split) == 2
    assert max(split) < whole


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("512MB", 512_000_000), ("3 kB", 3000), ("2gb", 2_000_000_000), ("40KB", 40_000)],
)
def test_sizes(text, size):
    assert byte_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0MB", "-1", "1.5GB", "MB", "5 TB", "1MiB", "٣", "1\n"])
def test_sizes_that_are_refused(text, capsys):
    with pytest.raises(SystemExit) as exited:
        preprocess("a", "-o", "b", f"--shard-size={text}")
    assert exited.value.code == 2
    assert f"argument --shard-size: must be a positive number of bytes, kB, MB or GB such as " \
        f"512MB, got {text!r}" in capsys.readouterr().err  # fmt: skip


@pytest.mark.parametrize("size", ["9999999GB", "999999999999999999GB"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_shard_larger_than_memory_is_refused(images, tmp_path, capsys, size, dtype):
    out = tmp_path / "out"
    assert preprocess(*images, "-o", out, "--shard-size", size, "--dtype", dtype) == 2
    assert "error: no memory for a shard of 9999" in capsys.readouterr().err
    assert not out.exists()


def test_folders_are_searched_for_readable_images_in_order(tmp_path):
    for name in ("b/z.PNG", "b/a.jpeg", "a.gif", "c.tiff", "b.mpo", "b/c/x.jp2"):
        save_image(tmp_path / name, 8, 8)
    for name in ("no.pdf", "no.mpg", "no.h5", "no.wmf", "no.palm", "no.txt", "no", "b/no.mp4"):
        (tmp_path / name).write_bytes(b"")
    sources, failures = collect([tmp_path])
    names = ["a.gif", "b/a.jpeg", "b/c/x.jp2", "b/z.PNG", "b.mpo", "c.tiff"]
    assert [source.path for source in sources] == [tmp_path / name for name in names]
    assert failures == []


def test_a_named_file_is_tried_whatever_its_name(tmp_path):
    path = save_image(tmp_path / "picture.txt", 56, 56)
    assert preprocess(path, "-o", tmp_path / "out") == 0
    assert list(load(tmp_path / "out")) == [str(path)]


def test_a_file_named_twice_is_processed_once(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    aliases = ("in/../in/b.jpg", images[1], "link/b.jpg", "./in", "link")
    assert preprocess(*aliases, "-o", "out") == 0
    order = [images[1], images[0], *images[2:]]
    assert list(load(tmp_path / "out")) == [str(path) for path in order]
    with safe_open(tmp_path / "out/rows-00000.safetensors", "np") as shard:
        assert len(json.loads(shard.metadata()["sources"])) == 4


def test_linked_images_keep_their_names(images, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for name in ("first.png", "second.png"):
        (links / name).symlink_to(images[0])
    assert preprocess(links, "-o", tmp_path / "out") == 0
    assert list(load(tmp_path / "out")) == [str(links / "first.png"), str(links / "second.png")]


def test_bad_files_are_passed_and_listed(images, tmp_path, capsys):
    cut = tmp_path / "in" / "b.png"
    save_image(cut, 100, 100)
    cut.write_bytes(cut.read_bytes()[:2000])
    text = tmp_path / "in" / "text.jpg"
    text.write_text("not an image")
    missing = tmp_path / "missing.png"
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    out = tmp_path / "out"
    assert preprocess(missing, tmp_path / "in", pipe, "-o", out) == 1
    captured = capsys.readouterr()
    rows = load(out)
    assert list(rows) == [str(path) for path in images]
    processor = ImageProcessor("qwen2.5-vl")
    for path in images:
        assert torch.equal(rows[str(path)][0], processor(path)["pixel_values"])
    count, *failures = captured.err.splitlines()
    assert count == "failed: 4"
    reasons = dict(line.strip().split(": ", 1) for line in failures)
    assert reasons.pop(str(missing)) == "No such file or directory"
    assert reasons.pop(str(pipe)) == "not a regular file"
    assert "truncated" in reasons.pop(str(cut))
    assert reasons.pop(str(text)).startswith("cannot identify")
    assert reasons == {}
    assert summary(captured.out)["failed"] == "4"


def test_the_summary_counts(images, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    options = ("-o", out, "--shard-size", "600kB")
    assert preprocess(*images[:2], *options) == 0
    capsys.readouterr()
    assert preprocess(tmp_path / "in", *options, "--resume") == 1
    counts = summary(capsys.readouterr().out)
    # 200 x 140 is resized to 196 x 140, 56 x 300 to 56 x 308.
    rows = 14 * 10 + 4 * 22
    new = ["rows-00001.safetensors", "rows-00002.safetensors"]
    assert float(counts.pop("seconds")) >= 0
    assert float(counts.pop("files/s")) > 0
    assert counts == {
        "files": "5",
        "images written": "2",
        "videos written": "0",
        "skipped": "2",
        "failed": "1",
        "rows": str(rows),
        "tokens": str(rows // 4),
        "shards": "2",
        "bytes": str(sum((out / name).stat().st_size for name in new)),
    }


@pytest.mark.parametrize("config", ["hunyuan-ocr", "llava-next"])
def test_no_tokens_are_counted_that_are_not_blocks_of_rows(images, tmp_path, capsys, config):
    assert preprocess(images[0], "-o", tmp_path / "out", "--config", config) == 0
    counts = summary(capsys.readouterr().out)
    assert counts["images written"] == "1"
    assert "tokens" not in counts


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert preprocess(tmp_path / "in", "-o", tmp_path / "out") == 2
    message = f"qvl-fast preprocess: error: no image or video file in {tmp_path / 'in'}\n"
    assert capsys.readouterr().err == message
    assert not (tmp_path / "out").exists()


def test_a_mistyped_path_is_an_error(tmp_path, capsys):
    path = tmp_path / "imagse"
    assert preprocess(path, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"  {path}: No such file or directory\n" in error
    assert f"error: no image or video file in {path}\n" in error


def test_out_may_not_be_a_file(images, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert preprocess(*images, "-o", tmp_path / "out") == 2
    assert str(tmp_path / "out") in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_shards_have_the_permissions_of_any_file(images, tmp_path):
    out = tmp_path / "out"
    assert preprocess(*images, "-o", out) == 0
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [*out.iterdir(), tmp_path / "other"]}
    assert len(modes) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_need_not_be_utf8(tmp_path):
    paths = [save_image(tmp_path / "in" / name, 56, 56) for name in ("caf\udce9.png", "cafe.png")]
    assert preprocess(*paths, "-o", tmp_path / "out") == 0
    text = str(paths[0]).replace("\udce9", "\\xe9")
    assert list(load(tmp_path / "out")) == [text, str(paths[1])]
    content = (tmp_path / "out/index.json").read_text()
    items = json.loads(content)["items"]
    assert bytes.fromhex(items[0]["path_hex"]) == os.fsencode(paths[0])
    assert "path_hex" not in items[1]
    json.dumps(json.loads(content), ensure_ascii=False).encode()  # no lone surrogate
    before = (tmp_path / "out/index.json").read_bytes()
    assert preprocess(*paths, "-o", tmp_path / "out", "--resume") == 0
    assert (tmp_path / "out/index.json").read_bytes() == before


def test_the_installed_script_is_quiet_without_a_terminal(images, tmp_path):
    out = tmp_path / "out"
    command = [SCRIPT, "preprocess", tmp_path / "in", "-o", out]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert summary(done.stdout)["images written"] == "4"
    assert len(load(out)) == 4


def test_progress_is_shown_on_a_terminal(images, tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [SCRIPT, "preprocess", tmp_path / "in", "-o", tmp_path / "out"]
    environment = {**os.environ, "TERM": "xterm"}
    with open(ours, "rb", buffering=0) as screen:  # noqa: PTH123
        done = subprocess.run(
            command, stderr=theirs, stdout=subprocess.PIPE, env=environment, timeout=60
        )
        os.close(theirs)
        shown = screen.read(65536)
    assert done.returncode == 0
    assert b"4/4" in shown
    assert b"4/4" not in done.stdout
