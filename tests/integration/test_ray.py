"""Rows as a stage of Ray Data, alone and on a local Ray with two workers."""

import doctest
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import ROOT, blocks
from PIL import Image

from qvl_fast import ImageProcessor, resize
from qvl_fast.integrations import ray as ray_stage
from qvl_fast.integrations.ray import RowStage, read_rows

FILES = [str(ROOT / "samples" / name) for name in ("coffee.png", "rocket.jpg", "chelsea.png")]
SMALL = {"max_pixels": 28 * 28 * 20}
PROCESSOR = ImageProcessor("qwen2.5-vl", **SMALL)
BYTES = [Path(file).read_bytes() for file in FILES]


def column(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def expected(dtype="float32"):
    return ImageProcessor("qwen2.5-vl", dtype=dtype, **SMALL)(FILES).split()


def test_the_example_of_the_docstring_holds(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert doctest.testmod(ray_stage) == (0, 5)


@pytest.mark.parametrize("kind", ["bytes", "path"])
def test_arrays(kind):
    images = column(BYTES if kind == "bytes" else FILES)
    stage = RowStage(PROCESSOR, column=kind, keep_images=kind == "path")
    batch = stage({kind: images, "number": np.arange(3)})
    assert ("path" in batch, "bytes" in batch) == (kind == "path", False)
    assert batch["number"].tolist() == [0, 1, 2]
    assert batch["error"].tolist() == [""] * 3
    for rows, grid, item in zip(
        batch["pixel_values"], batch["image_grid_thw"], expected(), strict=True
    ):
        assert rows.tobytes() == item.pixel_values.numpy().tobytes()
        assert grid.tolist() == item.image_grid_thw[0].tolist()


@pytest.mark.parametrize("form", ["arrays", "bytes", "multimodal_data"])
def test_no_column_is_written_over(form):
    stage = RowStage(PROCESSOR, form=form)
    made = stage({"bytes": column(BYTES[:1])})
    for name in made:
        message = f"batch must not have the columns {name} before this stage"
        with pytest.raises(ValueError, match=message):
            stage({"bytes": column(BYTES[:1]), name: np.arange(1)})
    # The column of the images goes, whatever its name.
    again = RowStage(PROCESSOR, form=form, column="error")({"error": column(BYTES[:1])})
    assert again.keys() == made.keys()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_bytes_are_read_again(dtype):
    processor = ImageProcessor("qwen2.5-vl", dtype=dtype, **SMALL)
    batch = RowStage(processor, form="bytes")({"bytes": column(BYTES)})
    for number, item in enumerate(expected(dtype)):
        record = {name: values[number] for name, values in batch.items()}
        found = read_rows(record, return_tensors="pt")
        assert torch.equal(found.pixel_values, item.pixel_values)
        assert found.pixel_values.dtype is item.pixel_values.dtype
        assert torch.equal(found.image_grid_thw, item.image_grid_thw)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pictures_for_vllm_have_the_final_size_and_pixels(dtype):
    processor = ImageProcessor("qwen2.5-vl", dtype=dtype, **SMALL)
    batch = RowStage(processor, form="multimodal_data")({"bytes": column(BYTES)})
    for data, file, item in zip(batch["multimodal_data"], FILES, expected(), strict=True):
        assert list(data) == ["image"]
        pixels = np.array(data["image"])
        image = np.array(Image.open(file).convert("RGB"))
        assert (pixels == resize(image, *processor.resized_size(*image.shape[:2]))).all()
        # What vLLM's own processor does with it comes to the same rows.
        assert torch.equal(PROCESSOR(data["image"]).pixel_values, item.pixel_values)


@pytest.mark.parametrize("form", ["arrays", "bytes", "multimodal_data"])
def test_bad_items_are_noted_and_the_others_are_as_ever(form):
    images = column([BYTES[0], b"no image", None, BYTES[1][:2000], "nowhere.png", BYTES[2]])
    batch = RowStage(PROCESSOR, form=form)({"bytes": images})
    good = RowStage(PROCESSOR, form=form)({"bytes": column([BYTES[0], BYTES[2]])})
    errors = batch["error"].tolist()
    assert [not error for error in errors] == [True, False, False, False, False, True]
    assert errors[4].startswith("FileNotFoundError: ")
    assert all(error.startswith("ImageError: ") for error in errors[1:4])
    for place, number in ((0, 0), (5, 1)):
        for name in good:
            found, wanted = batch[name][place], good[name][number]
            if name == "multimodal_data":
                found, wanted = (np.array(data["image"]) for data in (found, wanted))
            assert np.array_equal(found, wanted)
    if form == "multimodal_data":
        assert batch["multimodal_data"][1] is None
        return
    assert list(batch["image_grid_thw"][1]) == [0, 0, 0]
    assert len(batch["pixel_values"][1]) == 0
    if form == "bytes":
        with pytest.raises(ValueError, match=r"grid \[0, 0, 0\]"):
            read_rows({name: values[1] for name, values in batch.items()})


@pytest.mark.parametrize("family", ["clip-224", "siglip2-naflex", "llava-next"])
@pytest.mark.parametrize("form", ["arrays", "bytes"])
def test_rows_of_other_families(family, form):
    processor = ImageProcessor(family, form="rows", return_tensors="np")
    batch = RowStage(processor, form=form)({"bytes": column(BYTES[:2])})
    assert batch["error"].tolist() == ["", ""]
    for number, item in enumerate(processor(FILES[:2]).split()):
        record = {name: values[number] for name, values in batch.items()}
        found = record["pixel_values"] if form == "arrays" else read_rows(record).pixel_values
        assert np.array_equal(found, item.pixel_values)


@pytest.mark.parametrize("family", ["llava-next", "llava-onevision"])
@pytest.mark.parametrize("form", ["arrays", "bytes"])
def test_sizes_go_along_where_tiles_are_put_together_again(family, form):
    processor = ImageProcessor(family, form="rows", return_tensors="np")
    batch = RowStage(processor, form=form)({"bytes": column([BYTES[0], b"no image", BYTES[1]])})
    assert [list(size) for size in batch["image_sizes"]] == [[400, 600], [0, 0], [427, 640]]
    if form == "arrays":
        assert batch["image_sizes"].dtype == np.int64
        return
    for number, item in zip((0, 2), processor(FILES[:2]).split(), strict=True):
        record = {name: values[number] for name, values in batch.items()}
        assert "image_sizes" not in read_rows({**record, "image_sizes": None})
        for found in (read_rows(record), read_rows(record, return_tensors="pt")):
            assert sorted(found) == ["image_grid_thw", "image_sizes", "pixel_values"]
            for name, value in item.items():
                assert np.array_equal(found[name], value)
                assert str(found[name].dtype).removeprefix("torch.") == str(value.dtype)


def test_a_batch_without_images():
    batch = RowStage(PROCESSOR)({"bytes": column([])})
    assert {name: len(values) for name, values in batch.items()} == {
        "pixel_values": 0,
        "image_grid_thw": 0,
        "error": 0,
    }


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"form .*'rows'"):
        RowStage(PROCESSOR, form="rows")
    with pytest.raises(ValueError, match="bfloat16"):
        RowStage(ImageProcessor("qwen2.5-vl", dtype="bfloat16"))
    for family, kind in (("clip-224", "planes"), ("siglip2-naflex", "padded")):
        with pytest.raises(ValueError, match=f"processor must be .*form='rows', got '{kind}'"):
            RowStage(ImageProcessor(family))
    with pytest.raises(KeyError, match="image"):
        RowStage(PROCESSOR, column="image")({"bytes": column(BYTES)})
    record = {"pixel_values": bytes(20), "image_grid_thw": [1, 2, 2], "dtype": "float32"}
    with pytest.raises(ValueError, match=r"pixel_values .*\[1, 2, 2\].* 5 values"):
        read_rows(record)


# -------------------------------------------------------------------------------------- a real Ray


@pytest.fixture(scope="module")
def cluster():
    """A local Ray with four CPUs, so that two workers with two each can be told apart."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        runtime_env={
            "env_vars": {
                "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(Path(__file__).parent)])
            }
        },
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.wait_for_min_actors_s = 60  # so that both workers get work
    yield ray
    ray.shutdown()


class Telling(RowStage):
    """Also says which process made the rows, with how many threads."""

    def __call__(self, batch):
        count = len(batch["bytes"])
        threads = self._processor.num_threads
        return {
            **super().__call__(batch),
            "process": np.full(count, os.getpid()),
            "threads": np.full(count, threads),
        }


pytest_ray = pytest.mark.filterwarnings("ignore::Warning")


@pytest_ray
def test_two_workers_with_two_cpus_each(cluster, tmp_path):
    items = [{"bytes": BYTES[n % 3], "number": n} for n in range(12)]
    items[7]["bytes"] = b"no image"
    made = cluster.data.from_items(items, override_num_blocks=4).map_batches(
        Telling,
        fn_constructor_args=(PROCESSOR,),
        fn_constructor_kwargs={"form": "bytes"},
        concurrency=2,
        num_cpus=2,
        batch_size=3,
    )
    records = sorted(made.take_all(), key=lambda record: record["number"])
    wanted = expected()
    assert {record["threads"] for record in records} == {2}
    assert len({record["process"] for record in records}) == 2
    for record in records:
        if record["number"] == 7:
            assert record["error"].startswith("ImageError: ")
            continue
        assert record["error"] == ""
        rows = read_rows(record, return_tensors="pt")
        assert torch.equal(rows.pixel_values, wanted[record["number"] % 3].pixel_values)


@pytest_ray
def test_the_recipe_of_the_docs(cluster, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, data in enumerate([*BYTES, b"no image"]):
        (folder / f"{number}.bin").write_bytes(data)
    [code] = blocks("training.md", "ray")
    names = {"folder": str(folder), "output": str(tmp_path / "rows"), "processor": PROCESSOR}
    exec(code, names)
    # Plain columns, which any reader of Parquet understands.
    import pyarrow.parquet

    records = pyarrow.parquet.read_table(tmp_path / "rows").to_pylist()
    found = {Path(record["path"]).stem: read_rows(record) for record in records}
    assert sorted(found) == ["0", "1", "2"]
    for number, item in enumerate(expected()):
        assert np.array_equal(found[str(number)].pixel_values, item.pixel_values.numpy())
    assert any(torch.equal(names["batch"].pixel_values, item.pixel_values) for item in expected())


@pytest_ray
def test_arrays_go_on_to_a_web_dataset(cluster, tmp_path):
    wds = pytest.importorskip("webdataset")

    def sample(record):
        return {
            "__key__": Path(record["path"]).stem,
            "rows.npy": record["pixel_values"],
            "grid.npy": record["image_grid_thw"],
        }

    made = cluster.data.from_items([{"path": file} for file in FILES]).map_batches(
        RowStage,
        fn_constructor_args=(PROCESSOR,),
        fn_constructor_kwargs={"column": "path", "keep_images": True},
        concurrency=1,
    )
    made.map(sample).write_webdataset(str(tmp_path / "shards"))
    shards = [str(file) for file in (tmp_path / "shards").iterdir()]
    found = {item["__key__"]: item for item in wds.WebDataset(shards, shardshuffle=False).decode()}
    for file, item in zip(FILES, expected(), strict=True):
        record = found[Path(file).stem]
        assert np.array_equal(record["rows.npy"], item.pixel_values.numpy())
        assert record["grid.npy"].tolist() == item.image_grid_thw[0].tolist()


@pytest_ray
def test_rows_of_the_vllm_stage(cluster):
    """The columns that `build_processor` of ray.data.llm takes from `preprocess`."""
    made = cluster.data.from_items([{"bytes": data, "prompt": "What?"} for data in BYTES])
    made = made.map_batches(
        RowStage,
        fn_constructor_args=(PROCESSOR,),
        fn_constructor_kwargs={"form": "multimodal_data"},
        concurrency=1,
    )
    for record in made.take_all():
        assert sorted(record) == ["error", "multimodal_data", "prompt"]
        image = record["multimodal_data"]["image"]
        assert isinstance(image, Image.Image)
        assert [side % 28 for side in image.size] == [0, 0]
