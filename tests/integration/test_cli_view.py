"""``qvl-fast view`` and ``qvl-fast diff``."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl_fast.cli import main


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (100, 150, 3), np.uint8)).save(path)
    return paths


def images_of(path):
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["images"]


def test_a_page_of_several_images(files, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["view", *map(str, files), "--config", "qwen3-vl", "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert [image["name"] for image in images_of(out)] == list(map(str, files))


def test_boxes_and_budget(files, tmp_path):
    out, answer = tmp_path / "page.html", tmp_path / "answer.txt"
    answer.write_text('[{"bbox_2d": [0, 0, 50, 50], "label": "cup"}', encoding="utf-8")
    arguments = ["--boxes", str(answer), "--max-pixels", str(8 * 784), "-o", str(out)]
    assert main(["view", str(files[0]), *arguments]) == 0
    (image,) = images_of(out)
    assert image["places"][0]["label"] == "cup"
    rows, columns = image["steps"][-1]["tokens"]
    assert rows * columns <= 8


def test_a_picture(files, tmp_path):
    out = tmp_path / "picture.png"
    assert main(["view", str(files[0]), "-o", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size == (140, 112)


def test_a_broken_file_does_not_lose_the_others(files, tmp_path, capsys):
    out = tmp_path / "page.html"
    (tmp_path / "broken.png").write_bytes(b"nothing")
    assert main(["view", str(tmp_path / "broken.png"), str(files[1]), "-o", str(out)]) == 1
    assert len(images_of(out)) == 1
    assert "broken.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "page.xyz"], "several images make a page"),
        (["--boxes", "answer.txt"], "an answer is about one image"),
    ],
)
def test_arguments_that_do_not_fit(files, arguments, message, capsys):
    assert main(["view", *map(str, files), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("config", ["qwen2.5-vl", "qwen3-vl"])
@pytest.mark.parametrize("other", ["transformers", "transformers-pil"])
def test_the_rows_of_transformers_are_ours(files, config, other, capsys):
    assert main(["diff", str(files[0]), "--config", config, "--with", other]) == 0
    assert capsys.readouterr().out.endswith("a.png: equal\n")


def test_models_that_take_no_rows_are_not_compared(files, capsys):
    assert main(["diff", str(files[0]), "--config", "clip-224"]) == 2
    assert "rows are compared, and clip-224 takes none" in capsys.readouterr().err


def test_what_transformers_decodes_otherwise_is_found(tmp_path, capsys):
    # Its loader drops alpha, where we composite as it does for PIL images.
    rgba = np.full((112, 112, 4), 50, np.uint8)
    rgba[28:56, 28:56, 3] = 255
    rgba[..., 3] = np.where(rgba[..., 3] == 255, 255, 128)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    out = tmp_path / "difference.png"
    assert main(["diff", str(tmp_path / "alpha.png"), "-o", str(out)]) == 1
    assert "60 of 64 patches differ" in capsys.readouterr().out
    assert out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_names_that_are_no_text_are_shown_with_escapes(files, tmp_path, capsys):
    image = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\n.png"))
    image.write_bytes(files[0].read_bytes())
    assert main(["diff", str(image), "-o", str(image.with_suffix(".bmp"))]) == 0
    assert main(["view", str(image), "-o", str(image.with_suffix(".html"))]) == 0
    compared, written = capsys.readouterr().out.splitlines()
    assert compared == rf"{tmp_path}/a\xff\n.png: equal"
    assert written == rf"{tmp_path}/a\xff\n.html"
