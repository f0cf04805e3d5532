"""The recipes of docs/training.md for WebDataset and Hugging Face data sets run as they stand."""

import numpy as np
import pytest
import torch
from pages import ROOT, blocks

from qvl_fast import ImageProcessor

FILES = [ROOT / "samples" / name for name in ("coffee.png", "rocket.jpg", "chelsea.png")]
SMALL = {"max_pixels": 28 * 28 * 20}


def rows_of(file):
    return ImageProcessor("qwen2.5-vl", **SMALL)(file)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_webdataset(tmp_path):
    wds = pytest.importorskip("webdataset")
    with wds.TarWriter(str(tmp_path / "photos-000.tar")) as writer:
        for number, file in enumerate(FILES):
            kind = file.suffix[1:]
            text = f"photograph {number}"
            writer.write({"__key__": f"{number:03}", kind: file.read_bytes(), "txt": text})
    names = {
        "shards": [str(tmp_path / "photos-000.tar")],
        "processor": ImageProcessor("qwen2.5-vl", **SMALL),
        "tokenize": lambda text: torch.tensor([ord(letter) for letter in text]),
    }
    [code] = blocks("training.md", "webdataset")
    exec(code, names)
    [batch] = list(names["loader"])
    assert torch.equal(batch.pixel_values, torch.cat([rows_of(f).pixel_values for f in FILES]))
    assert batch["input_ids"].shape == (3, len("photograph 0"))


# Its second release of this year closes files late, and forks where threads may run.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_hugging_face_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    images = [{"bytes": file.read_bytes(), "path": None} for file in FILES]
    dataset = datasets.Dataset.from_dict({"image": images, "number": [0, 1, 2]})
    dataset = dataset.cast_column("image", datasets.Image())
    names = {"dataset": dataset, "processor": ImageProcessor("qwen2.5-vl", **SMALL)}
    names["directory"] = tmp_path / "rows"
    [code] = blocks("training.md", "datasets")
    exec(code, names)
    for found in (names["rows"], names["lazy"]):
        for number, file in enumerate(FILES):
            expected, item = rows_of(file), found[number]
            assert np.array_equal(item["pixel_values"], expected.pixel_values)
            assert np.array_equal(item["image_grid_thw"], expected.image_grid_thw)
            assert item["number"] == number
