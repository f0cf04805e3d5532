"""Processors as values: they cannot be changed, subclasses travel, stock objects configure them."""

import copy
import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLModel,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen3_5Config,
    Qwen3VLConfig,
)
from transformers.models.qwen2_vl import Qwen2VLImageProcessorPil

from qvl_fast import (
    ImageConfig,
    ImageProcessor,
    ModelConfig,
    mrope_position_ids,
    patchify,
    plan,
    smart_resize,
)
from qvl_fast.config import PRESETS, TOWERS, rope_config, tower_config

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)


class Labelled(ImageProcessor):
    """As people derive: other arguments, an attribute of its own, a wrapped call."""

    def __init__(self, label):
        super().__init__("qwen3-vl", dtype="uint8", temporal="compact")
        self.label = label

    def __call__(self, images, **options):
        batch = super().__call__(images, **options)
        batch["label"] = self.label
        return batch


@pytest.mark.parametrize(
    "name",
    [
        "config",
        "dtype",
        "num_threads",
        "max_pixels",
        "min_pixels",
        "size",
        "image_mean",
        "do_resize",
    ],
)
@pytest.mark.parametrize("make", [lambda: ImageProcessor("qwen2-vl"), lambda: Labelled("x")])
def test_assignment_to_a_setting_raises(make, name):
    with pytest.raises(AttributeError, match=f"{name} of a processor cannot be changed"):
        setattr(make(), name, 5)


def test_assignment_to_an_unknown_attribute_raises():
    with pytest.raises(AttributeError, match="max_pixel"):
        ImageProcessor("qwen2-vl").max_pixel = 5


def rows_of(processor):
    return processor(IMAGE)


@pytest.mark.parametrize(
    "carry", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy]
)
def test_a_subclass_survives(carry):
    processor = Labelled("cat")
    other = carry(processor)
    assert type(other) is Labelled
    assert other.label == "cat"
    assert repr(other) == repr(processor)
    assert repr(other).startswith("Labelled(ImageConfig(patch_size=16")
    assert torch.equal(other(IMAGE)["pixel_values"], processor(IMAGE)["pixel_values"])


def test_a_subclass_survives_spawn():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        batch = pool.submit(rows_of, Labelled("dog")).result()
    assert batch["label"] == "dog"
    assert torch.equal(batch["pixel_values"], Labelled("dog")(IMAGE)["pixel_values"])


def test_torch_is_imported_when_the_processor_is_made():
    code = (
        "import sys, qvl_fast\n"
        "assert 'torch' not in sys.modules\n"
        "qvl_fast.ImageProcessor('qwen2-vl', return_tensors='np')\n"
        "assert 'torch' not in sys.modules\n"
        "qvl_fast.ImageProcessor('qwen2-vl')\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("form", ["pt", "np"])
def test_the_processor_says_what_calls_return(form):
    processor = ImageProcessor("qwen2-vl", return_tensors=form)
    kinds = {"pt": torch.Tensor, "np": np.ndarray}
    assert isinstance(processor(IMAGE)["pixel_values"], kinds[form])
    for other, kind in kinds.items():
        assert isinstance(processor(IMAGE, return_tensors=other)["image_grid_thw"], kind)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "uint8"])
def test_torch_types_name_those_of_rows(name):
    processor = ImageProcessor("qwen2-vl", dtype=getattr(torch, name))
    assert processor.dtype == name
    assert processor(IMAGE)["pixel_values"].dtype is getattr(torch, name)
    frames = np.zeros((1, 56, 56, 3), np.uint8)
    one, other = (patchify(frames, "qwen2-vl", dtype=d) for d in (name, getattr(torch, name)))
    assert type(one) is type(other)
    assert one.dtype == other.dtype


@pytest.mark.filterwarnings("ignore:Passing `min_pixels`:FutureWarning")
@pytest.mark.parametrize(
    "bounds",
    [
        {"max_pixels": 28 * 28 * 4},
        {"min_pixels": 28 * 28 * 40},
        {"min_pixels": 28 * 28 * 40, "max_pixels": 28 * 28 * 50},
        {"size": {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 6}},
    ],
)
def test_bounds_of_one_call_equal_those_of_transformers(bounds):
    processor = ImageProcessor("qwen2-vl")
    stock = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=28 * 28 * 16384)
    expected = stock(torch.from_numpy(IMAGE).permute(2, 0, 1), return_tensors="pt", **bounds)
    batch = processor(IMAGE, **bounds)
    assert torch.equal(batch["pixel_values"], expected["pixel_values"])
    assert torch.equal(batch["image_grid_thw"], expected["image_grid_thw"])
    assert processor(IMAGE)["image_grid_thw"].tolist() == [[1, 6, 10]]
    with pytest.raises(ValueError, match="min_pixels must be at most"):
        processor(IMAGE, min_pixels=9000, max_pixels=8000)


@pytest.mark.parametrize("kind", [Qwen2VLImageProcessor, Qwen2VLImageProcessorPil])
def test_a_stock_image_processor_is_a_configuration(kind):
    settings = {"patch_size": 16, "size": {"shortest_edge": 4096, "longest_edge": 90000}}
    stock = kind(**settings, image_mean=[0.5] * 3, do_rescale=True)
    processor = ImageProcessor(stock)
    assert processor.config.max_pixels == 90000
    expected = stock(torch.from_numpy(IMAGE).permute(2, 0, 1), return_tensors="pt")
    reference = "torchvision" if kind is Qwen2VLImageProcessor else "pillow"
    batch = ImageProcessor(stock, reference=reference)(IMAGE)
    assert torch.equal(batch["pixel_values"], expected["pixel_values"])

    class Whole:
        """A processor of text and images, which has one of images."""

        image_processor = stock

        def to_dict(self):
            raise AssertionError

    assert ImageProcessor(Whole()).config == processor.config


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Qwen2VLConfig, "qwen2-vl"),
        (Qwen2_5_VLConfig, "qwen2.5-vl"),
        (Qwen3VLConfig, "qwen3-vl"),
        (Qwen3_5Config, "qwen3.5"),
    ],
)
def test_a_stock_configuration_describes_tower_and_rope(kind, name, tmp_path):
    stock = kind()
    (tmp_path / "config.json").write_text(json.dumps(stock.to_dict(), default=str))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    expected = ModelConfig.from_pretrained(tmp_path)
    assert tower_config(stock) == tower_config(stock.vision_config) == expected.tower
    assert rope_config(stock) == expected.rope
    grid = [[1, 4, 6]]
    assert np.array_equal(plan(grid, stock).position_ids, plan(grid, name).position_ids)
    types = [[0, 1, 1, 1, 1, 1, 1, 0]]
    ids, _ = mrope_position_ids(types, config=stock, image_grid_thw=grid)
    assert ids.shape == (3, 1, 8)
    with pytest.raises(ValueError, match=f"a {kind.__name__}, does not describe the image"):
        ImageProcessor(stock)


@pytest.mark.parametrize("name", TOWERS)
def test_size_presets_work_wherever_a_configuration_is_taken(name):
    family = max((family for family in PRESETS if name.startswith(family)), key=len)
    config = ModelConfig.preset(name)
    assert config.name == name
    assert config.tower == tower_config(name) == TOWERS[name]
    assert ImageProcessor(name).config == PRESETS[family].image
    assert rope_config(name) == PRESETS[family].rope


def test_from_pretrained(tmp_path):
    Qwen2VLImageProcessor(max_pixels=50000, min_pixels=4000).save_pretrained(tmp_path)
    processor = ImageProcessor.from_pretrained(tmp_path, dtype="uint8", min_pixels=5000)
    assert (processor.config.max_pixels, processor.config.min_pixels) == (50000, 5000)
    assert processor.dtype == "uint8"
    subclass = type("Derived", (ImageProcessor,), {})
    assert type(subclass.from_pretrained(tmp_path)) is subclass


def test_the_name_of_a_model_on_the_hub_is_told_apart_from_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for load in (ImageProcessor.from_pretrained, ModelConfig.from_pretrained):
        with pytest.raises(FileNotFoundError, match=r"snapshot_download\('Qwen/Qwen2-VL-7B'\)"):
            load("Qwen/Qwen2-VL-7B")


def test_a_checkpoint_in_the_place_of_a_preset_is_told_where_to_go(tmp_path):
    for name in ("Qwen/Qwen2.5-VL-7B-Instruct", str(tmp_path)):
        with pytest.raises(ValueError, match=r"preset must be one of .*; for .* from_pretrained"):
            ImageProcessor(name)


def test_a_preset_that_lacks_a_part_names_those_that_have_it():
    with pytest.raises(ValueError, match=r"'clip-224' does not describe the tower; .*qwen2-vl"):
        plan([[1, 4, 4]], "clip-224")


def test_processors_of_ours_are_configurations():
    processor = ImageProcessor("qwen2.5-vl", max_pixels=50176)
    pixels = np.zeros((1, 56, 56, 3), np.uint8)
    assert np.array_equal(patchify(pixels, processor), patchify(pixels, "qwen2.5-vl"))
    assert ImageProcessor(processor).config == processor.config


@pytest.mark.parametrize(
    "settings",
    [
        {"max_pixels": 100000.0},
        {"min_pixels": 4000.0, "max_pixels": 100000},
        {"size": {"shortest_edge": 4000.0, "longest_edge": 90000.0}},
    ],
)
def test_whole_numbers_that_json_holds_as_floats(settings, tmp_path):
    settings = {"image_processor_type": "Qwen2VLImageProcessor", **settings}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    ours = ImageProcessor.from_pretrained(tmp_path)
    stock = Qwen2VLImageProcessor.from_pretrained(tmp_path)
    expected = stock(torch.from_numpy(IMAGE).permute(2, 0, 1), return_tensors="pt")
    assert torch.equal(ours(IMAGE)["pixel_values"], expected["pixel_values"])
    with pytest.raises(TypeError, match=r"max_pixels must be an integer, got 100000\.5"):
        ImageConfig.from_dict({"max_pixels": 100000.5})


def test_counts_are_those_of_the_resized_size():
    processor = ImageProcessor("qwen2.5-vl-3b")
    height, width = smart_resize(*IMAGE.shape[:2], max_pixels=28 * 28 * 16384)
    assert processor.num_patches(*IMAGE.shape[:2]) == height * width // 14**2


def test_a_model_that_is_only_described_makes_no_image_processor():
    with torch.device("meta"):
        model = Qwen2_5_VLModel(Qwen2_5_VLConfig())
    assert tower_config(model.config).window_size == 112
