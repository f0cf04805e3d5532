"""``qvl-fast bench images``."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from qvl_fast.bench import images
from qvl_fast.cli import main


@pytest.fixture
def folder(tmp_path):
    """Two small images and a file that is none."""
    for name, shape in (("a.png", (90, 120, 3)), ("b.jpg", (60, 70, 3))):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def test_every_case_is_checked_timed_and_recorded(folder, capsys):
    record = folder / "record.json"
    command = ["bench", "images", str(folder), "--rounds", "1", "--record", str(record)]
    assert main(command) == 0
    out = capsys.readouterr().out
    content = json.loads(record.read_text())
    assert [result["case"] for result in content["results"]] == [case.name for case in images.CASES]
    assert all(case.name in out for case in images.CASES)
    for result in content["results"]:
        seconds = result["seconds"]
        assert all(value > 0 for value in seconds.values())
        assert result["times faster"]["theirs"] == seconds["theirs"] / seconds["ours"]
    assert content["images"] == 2
    absent = find_spec("hf_processors_rs") is None
    assert ("hf-processors-rs is not installed" in out) == absent
    assert ("hf-processors-rs" in content["results"][0]["times faster"]) != absent
    assert len(content["concurrency"]) == 4


@pytest.mark.parametrize("config", ["idefics", "siglip2-naflex"])
def test_families_are_compared_with_their_own_classes(config, folder, capsys):
    record = folder / "record.json"
    command = ["bench", "images", str(folder), "--config", config, "--rounds", "1"]
    assert main([*command, "--record", str(record)]) == 0
    content = json.loads(record.read_text())
    assert content["config"] == config
    for result in content["results"]:
        assert result["tokens"] is None
        assert "theirs" in result["times faster"]


def test_the_qwen_utilities_cut_patches_of_the_model_s_size(folder, capsys):
    pytest.importorskip("qwen_vl_utils")
    record = folder / "record.json"
    command = ["bench", "images", str(folder / "a.png"), "--config", "qwen3-vl", "--rounds", "1"]
    assert main([*command, "--record", str(record)]) == 0
    results = json.loads(record.read_text())["results"]
    compared = [result["case"] for result in results if "qwen-vl-utils" in result["times faster"]]
    assert compared == ["float32, PIL images"] * 2


def test_a_checkpoint_that_cuts_images_as_qwen_does_is_compared_whatever_its_name(folder):
    record, checkpoint = folder / "record.json", folder / "My-Finetune"
    checkpoint.mkdir()
    settings = {"image_processor_type": "Qwen2VLImageProcessor", "max_pixels": 100_000}
    (checkpoint / "preprocessor_config.json").write_text(json.dumps(settings))
    command = ["bench", "images", str(folder / "a.png"), "--config", str(checkpoint)]
    assert main([*command, "--rounds", "1", "--record", str(record)]) == 0
    for result in json.loads(record.read_text())["results"]:
        assert "theirs" in result["times faster"]


def test_a_model_without_a_stock_class_is_timed_alone(folder):
    record = folder / "record.json"
    command = ["bench", "images", str(folder), "--config", "qwen-vl", "--rounds", "1"]
    assert main([*command, "--record", str(record)]) == 0
    assert not any(result["times faster"] for result in json.loads(record.read_text())["results"])


def test_rows_that_differ_are_not_measured(folder, capsys, monkeypatch):
    right = images.ImageProcessor.__call__

    def wrong(self, *arguments, **options):
        result = right(self, *arguments, **options)
        result["pixel_values"][0, 0] += 1
        return result

    monkeypatch.setattr(images.ImageProcessor, "__call__", wrong)
    assert main(["bench", "images", str(folder)]) == 2
    assert "the rows of image 0 differ" in capsys.readouterr().err


def test_a_bad_file_is_reported_and_nothing_but_it_left_out(folder, capsys):
    (folder / "c.png").write_bytes(b"no image")
    assert main(["bench", "images", str(folder), "--rounds", "1"]) == 1
    captured = capsys.readouterr()
    assert "c.png" in captured.err
    assert "float32" in captured.out
    assert main(["bench", "images", str(folder / "c.png"), "--rounds", "1"]) == 2
    assert "no image could be read" in capsys.readouterr().err
