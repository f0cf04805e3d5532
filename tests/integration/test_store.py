"""Rows on disk: what is written is read again, by processes of any kind, and not changed."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader

import qvl_fast
from qvl_fast import ImageProcessor, ImageRows
from qvl_fast.cli import main
from qvl_fast.config import ImageConfig
from qvl_fast.config.layout import Layout, Stretch
from qvl_fast.integrations.torch_data import Collate
from qvl_fast.store import Dataset, StoreError, write_shards

SIZES = {"a.png": (60, 90), "b.png": (112, 84), "c/d.png": (200, 140), "e.png": (56, 300)}


@pytest.fixture
def images(tmp_path):
    """Four images; the shards below hold two of them each."""
    paths = [tmp_path / "in" / name for name in SIZES]
    for path, size in zip(paths, SIZES.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


@pytest.mark.parametrize("temporal", ["full", "compact"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_what_is_written_is_read_again(dtype, temporal, images, tmp_path):
    processor = ImageProcessor("qwen2.5-vl", dtype=dtype, temporal=temporal)
    assert write_shards([tmp_path / "in"], tmp_path / "out", processor, shard_size=300_000) == []
    dataset = Dataset(str(tmp_path / "out"))
    assert len(dataset) == 4
    assert [entry.path for entry in dataset.entries] == list(map(str, images))
    assert dataset.configuration["temporal"] == temporal
    for item, path in zip(dataset, images, strict=True):
        expected = processor(path)
        assert type(item) is ImageRows
        assert item.pixel_values.dtype is expected.pixel_values.dtype
        assert torch.equal(item.pixel_values, expected.pixel_values)
        assert torch.equal(item.image_grid_thw, expected.image_grid_thw)
    assert torch.equal(dataset[-1].pixel_values, dataset[3].pixel_values)


@pytest.mark.parametrize("family", ["llava-next", "llava-onevision"])
@pytest.mark.parametrize("dtype", ["bfloat16", "uint8"])
def test_sizes_are_kept_where_tiles_are_put_together_again(family, dtype, images, tmp_path):
    processor = ImageProcessor(family, form="rows", dtype=dtype)
    assert write_shards(images, tmp_path / "out", processor, shard_size=2_500_000) == []
    dataset = Dataset(tmp_path / "out")
    expected = processor(images)
    for item, wanted in zip(dataset, expected.split(), strict=True):
        assert sorted(item) == ["image_grid_thw", "image_sizes", "pixel_values"]
        assert all(torch.equal(item[name], value) for name, value in wanted.items())
    [batch] = DataLoader(dataset, 4, collate_fn=Collate(), num_workers=1)
    expected.pop("batch_num_images", None)  # Each is a sample of its own.
    assert sorted(batch) == sorted(expected)
    assert all(torch.equal(batch[name], value) for name, value in expected.items())
    shards = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(shards) > 1
    sizes = [load_file(shard)["image_sizes"] for shard in shards]
    assert torch.cat(sizes).tolist() == [[*size] for size in SIZES.values()]
    assert all(size.dtype is torch.int64 for size in sizes)


def test_sizes_are_those_of_upright_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100)).save(tmp_path / "side.jpg", exif=exif)
    processor = ImageProcessor("llava-next", form="rows", return_tensors="np", dtype="uint8")
    write_shards([tmp_path / "side.jpg"], tmp_path / "out", processor)
    [item] = Dataset(tmp_path / "out", return_tensors="np")
    assert item.image_sizes.tolist() == [[300, 100]]
    assert item.image_sizes.dtype == np.int64


def test_sizes_count_towards_a_shard(tmp_path):
    """Images of so few rows that sizes take their share."""
    (tmp_path / "in").mkdir()
    for number in range(150):
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / f"{number}.png")
    small = ImageConfig(temporal_patch_size=1, merge_size=1).override(
        layout=Layout(fit=Stretch(14, 14), tile=(14, 14), stack="padded")
    )
    processor = ImageProcessor(small, form="rows", dtype="uint8")
    for size in range(20_000, 30_000, 1111):
        out = tmp_path / str(size)
        assert write_shards([tmp_path / "in"], out, processor, shard_size=size) == []
        taken = [shard.stat().st_size for shard in sorted(out.glob("*.safetensors"))]
        assert max(taken) <= size
        assert min(taken[:-1]) > size - 2000
        assert len(Dataset(out)) == 150


def test_a_folder_from_before_sizes_were_kept_is_made_anew(images, tmp_path):
    out = tmp_path / "out"
    processor = ImageProcessor("llava-next", form="rows", dtype="uint8")
    write_shards(images, out, processor)
    index = out / "index.json"
    whole = index.read_text()
    content = json.loads(whole)
    for item in content["items"]:
        del item["image_size"]
    index.write_text(json.dumps(content))
    # It is read as ever; rows are right without their sizes.
    assert sorted(Dataset(out)[0]) == ["image_grid_thw", "pixel_values"]
    assert write_shards(images, out, processor, resume=True) == []
    assert index.read_text() == whole.replace("rows-00000", "rows-00001")
    assert [path.name for path in out.glob("*.safetensors")] == ["rows-00001.safetensors"]
    assert Dataset(out)[3].image_sizes.tolist() == [[56, 300]]
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}
    write_shards(images, out, processor, resume=True)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.safetensors")} == before


@pytest.mark.parametrize("family", ["qwen2.5-vl", "siglip2-naflex", "clip-224"])
def test_where_no_tiles_are_put_together_there_are_no_sizes(family, images, tmp_path):
    processor = ImageProcessor(family, form="rows")
    write_shards(images, tmp_path / "out", processor)
    assert sorted(Dataset(tmp_path / "out")[0]) == ["image_grid_thw", "pixel_values"]
    assert "image_size" not in (tmp_path / "out" / "index.json").read_text()


@pytest.fixture
def folder(images, tmp_path):
    out = tmp_path / "out"
    assert main(["preprocess", str(tmp_path / "in"), "-o", str(out), "--shard-size", "1MB"]) == 0
    assert len(list(out.glob("*.safetensors"))) > 1
    return out


def test_lengths_are_known_without_opening_a_shard(folder, images):
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    dataset = Dataset(folder, return_tensors="np")
    processor = ImageProcessor("qwen2.5-vl")
    assert dataset.lengths.tolist() == [processor.num_patches(*size) for size in SIZES.values()]
    assert dataset.lengths.dtype == np.int64
    assert qvl_fast.pack(dataset.lengths, 500).bins
    with pytest.raises(FileNotFoundError):
        dataset[0]


def test_arrays_without_torch(folder, images):
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['safetensors'] = None\n"
        "import qvl_fast\n"
        "dataset = qvl_fast.store.Dataset(sys.argv[1], return_tensors='np')\n"
        "print(sum(len(item['pixel_values']) for item in dataset) == dataset.lengths.sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader_read_it(folder, method):
    dataset = Dataset(folder)
    expected = [item.pixel_values.clone() for item in dataset]
    loader = DataLoader(dataset, None, num_workers=2, multiprocessing_context=method)
    for item, rows in zip(loader, expected, strict=True):
        assert torch.equal(item["pixel_values"], rows)


@pytest.mark.parametrize("carry", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_a_pickle_holds_no_rows(folder, carry):
    dataset = Dataset(folder)
    expected = dataset[0].pixel_values
    assert len(pickle.dumps(dataset)) < 10_000
    assert torch.equal(carry(dataset)[0].pixel_values, expected)


def test_writing_to_rows_does_not_change_the_file(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    dataset = Dataset(folder)
    dataset[1].pixel_values.fill_(7)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not (Dataset(folder)[1].pixel_values == 7).all()


@pytest.mark.parametrize("index", [4, -5, 2**40])
def test_an_index_that_is_not_there(folder, index):
    with pytest.raises(IndexError, match=f"below 4, the number of items, got {index}"):
        Dataset(folder)[index]
    with pytest.raises(TypeError, match=r"index must be an integer, got 1\.5"):
        Dataset(folder)[1.5]


def test_bfloat16_has_no_arrays(images, tmp_path):
    write_shards(images, tmp_path / "out", ImageProcessor("qwen2-vl", dtype="bfloat16"))
    with pytest.raises(ValueError, match="'bfloat16' has no NumPy type"):
        Dataset(tmp_path / "out", return_tensors="np")


def test_what_is_no_store_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        Dataset(tmp_path)
    (tmp_path / "index.json").write_text('{"items": 5}')
    with pytest.raises(StoreError, match=r"index\.json is no index of qvl-fast"):
        Dataset(tmp_path)
    for content in (b"", b"\xff" * 8, (10).to_bytes(8, "little") + b'{"a": [1]}', b"\0" * 100):
        (folder / "rows-00000.safetensors").write_bytes(content)
        with pytest.raises(StoreError, match=r"rows-00000\.safetensors is no shard of qvl-fast"):
            Dataset(folder)[0]
    content = json.loads((folder / "index.json").read_text())
    content["items"][-1]["first_row"] = 10**6
    (folder / "index.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match="has no rows from 1000000 to"):
        Dataset(folder)[3]


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": "8"},
        {"first_row": 1.5},
        {"grid": [1, 2]},
        {"grid": None},
        {"path": 5},
        {"size": True},
        {"image_size": 5},
        {"image_size": [5]},
        {"image_size": [60, 90.0]},
    ],
)
def test_an_index_of_other_types_is_refused(changes, folder):
    content = json.loads((folder / "index.json").read_text())
    content["items"][0] |= changes
    (folder / "index.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"index\.json is no index of qvl-fast"):
        Dataset(folder)


def test_a_folder_in_which_all_failed_is_an_empty_store(tmp_path):
    for name, paths in (("none", []), ("missing", [tmp_path / "missing.png"])):
        failures = write_shards(paths, tmp_path / name, ImageProcessor("qwen2.5-vl"))
        assert [failure.path for failure in failures] == paths
        assert len(Dataset(tmp_path / name)) == 0


def test_paths_that_cannot_be_looked_at_are_failures(images, tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    bad = [tmp_path / ("x" * 300), tmp_path / "circle" / "x.png", tmp_path / "nul\0.png"]
    failures = write_shards([*bad, *images], tmp_path / "out", ImageProcessor("qwen2.5-vl"))
    assert {failure.path for failure in failures} == set(bad)
    assert len(Dataset(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        ("photos", {}, "paths must be several, such as a list of one, got 'photos'"),
        ([], {"shard_size": 1.5}, r"shard_size must be an integer, got 1\.5"),
        ([], {"shard_size": -1}, "shard_size must be between 1 and .* got -1"),
    ],
)
def test_arguments_that_are_none(paths, options, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        write_shards(paths, tmp_path / "out", ImageProcessor("qwen2.5-vl"), **options)
    assert not (tmp_path / "out").exists()


def test_a_processor_of_another_form_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match="processor must be made with form='rows', got 'planes'"):
        write_shards(images, tmp_path / "out", ImageProcessor("internvl"))


def test_failures_are_returned_and_the_rest_is_written(images, tmp_path):
    images[1].write_bytes(b"no image")
    missing = tmp_path / "missing.png"
    processor = ImageProcessor("qwen2.5-vl")
    failures = write_shards([*images, missing], tmp_path / "out", processor)
    assert {failure.path for failure in failures} == {images[1], missing}
    reasons = {failure.path: failure.reason for failure in failures}
    assert reasons[images[1]] == "cannot identify image file"
    assert len(Dataset(tmp_path / "out")) == 3
    with pytest.raises(StoreError, match=r"index\.json exists; resume"):
        write_shards(images, tmp_path / "out", processor)
    before = set((tmp_path / "out").iterdir())
    write_shards(images, tmp_path / "out", processor, resume=True)
    assert set((tmp_path / "out").iterdir()) == before
