"""Configurations: presets, checkpoint directories, and what the sizes in them mean."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import Qwen2VLImageProcessor, Qwen3_5Config
from transformers.models.qwen2_vl import Qwen2VLImageProcessorPil

from qvl_fast import ImageConfig, ImageProcessor, ModelConfig

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SIZE = {"shortest_edge": 4096, "longest_edge": 81920}

# What image processors' JSON files hold, as published and as people edit them.
SETTINGS = {
    "Qwen2-VL": {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        **CLIP,
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
    },
    "Qwen2-VL, both spellings": {
        "size": {"max_pixels": 12845056, "min_pixels": 3136},
        "min_pixels": 3136,
        "max_pixels": 12845056,
        **CLIP,
    },
    "Qwen3-VL": {
        "size": {"longest_edge": 16777216, "shortest_edge": 65536},
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        **HALF,
        "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessorFast",
    },
    "nothing but a type": {"image_processor_type": "Qwen2VLImageProcessor"},
    "empty": {},
    "min_pixels alone": {"min_pixels": 40000},
    "max_pixels alone": {"max_pixels": 40000},
    "size and min_pixels": {"size": SIZE, "min_pixels": 9000},
    "size and max_pixels": {"size": SIZE, "max_pixels": 9000},
    "size and both": {"size": SIZE, "min_pixels": 5000, "max_pixels": 9000},
    "nulls": dict.fromkeys(["size", "min_pixels", "max_pixels", "image_processor_type", "do_pad"]),
    "null bounds beside size": {"size": SIZE, "min_pixels": None, "max_pixels": None},
    "flags off": {"do_resize": False, "do_rescale": False, "do_normalize": False},
    "do_resize null": {"do_resize": None},  # which transformers takes as false
    "do_rescale null": {"do_rescale": None},
    "do_normalize null": {"do_normalize": None},
    "other scale": {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]},
    "one number for all channels": {"image_mean": 0.5, "image_std": 0.5},
    "one frame": {"temporal_patch_size": 1, "merge_size": 1},
    "ignored": {
        "resample": 3,
        "do_convert_rgb": True,
        "do_pad": True,
        "do_center_crop": True,
        "crop_size": {"height": 9, "width": 9},
        "default_to_square": False,
        "data_format": "channels_first",
        "unheard_of": [1, 2],
    },
}


def write(directory, layout, settings):
    """A checkpoint directory that holds ``settings`` in one of the two layouts."""
    if layout == "nested":
        content = {"image_processor": settings, "processor_class": "Qwen2VLProcessor"}
        (directory / "processor_config.json").write_text(json.dumps(content))
    else:
        (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    # Which class it is where the settings do not say.
    (directory / "config.json").write_text('{"model_type": "qwen2_vl"}')
    return directory


def assert_same_settings(ours, theirs):
    size = theirs.size
    assert (ours.min_pixels, ours.max_pixels) == (size["shortest_edge"], size["longest_edge"])
    for field in dataclasses.fields(ours):
        if field.name in {"min_pixels", "max_pixels", "layout"}:
            continue
        want = getattr(theirs, field.name)
        if field.name.startswith("do_"):
            want = bool(want)
        elif field.name in {"image_mean", "image_std"}:
            want = tuple(want) if isinstance(want, list | tuple) else (want,) * 3
        assert getattr(ours, field.name) == want, field.name


def assert_same_rows(config, theirs, reference):
    image = np.random.default_rng(0).integers(0, 256, (448, 224, 3), np.uint8)
    want = theirs(image, return_tensors="pt")
    got = ImageProcessor(config, reference=reference)(image)
    assert torch.equal(got["image_grid_thw"], want["image_grid_thw"])
    assert torch.equal(got["pixel_values"], want["pixel_values"].float())


# --------------------------------------------------------------------------------------- presets


def test_presets_hold_the_values_of_the_checkpoints():
    qwen2 = ImageConfig(
        patch_size=14,
        temporal_patch_size=2,
        merge_size=2,
        min_pixels=3136,
        max_pixels=12845056,
        image_mean=tuple(CLIP["image_mean"]),
        image_std=tuple(CLIP["image_std"]),
    )
    qwen3 = dataclasses.replace(
        qwen2,
        patch_size=16,
        min_pixels=65536,
        max_pixels=16777216,
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.5, 0.5, 0.5),
    )
    images = {"qwen2-vl": qwen2, "qwen2.5-vl": qwen2, "qwen3-vl": qwen3, "qwen3.5": qwen3}
    for name, image in images.items():
        assert ModelConfig.preset(name).image == image
        assert ModelConfig.preset(name).name == name


@pytest.mark.parametrize("model_type", ["qwen3_5", "qwen3_5_moe", "qwen4_exp"])
def test_a_checkpoint_of_qwen3_5_has_every_part_of_the_preset(model_type, tmp_path):
    preset = ModelConfig.preset("qwen3.5")
    rope = {
        "rope_theta": 10_000_000,
        "mrope_section": [11, 11, 10],
        "partial_rotary_factor": 0.25,
    }
    settings = {
        "model_type": model_type,
        "text_config": {"head_dim": 256, "rope_parameters": rope},
        "vision_config": {"model_type": model_type, "out_hidden_size": 4096},
    }
    write(tmp_path, "separate", SETTINGS["Qwen3-VL"])
    (tmp_path / "config.json").write_text(json.dumps(settings))
    video = {
        "size": {"longest_edge": 25165824, "shortest_edge": 4096},
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(video))
    found = ModelConfig.from_pretrained(tmp_path)
    assert dataclasses.replace(found, name="qwen3.5") == preset
    assert preset.placeholder.token_id == Qwen3_5Config().image_token_id


def test_class_defaults_are_those_of_transformers():
    assert_same_settings(ImageConfig(), Qwen2VLImageProcessor())


@pytest.mark.parametrize("preset", ["qwen2-vl", "qwen3-vl"])
def test_config_may_be_a_name_a_model_or_its_part(preset):
    model = ModelConfig.preset(preset)
    made = {repr(ImageProcessor(config)) for config in (preset, model, model.image)}
    assert len(made) == 1


def test_configurations_are_frozen_and_equal_by_value():
    config = ImageConfig(image_mean=[0.5] * 3, patch_size=np.int64(16))
    same = ImageConfig(image_mean=(0.5, 0.5, 0.5), patch_size=16)
    assert config == same
    assert hash(config) == hash(same)
    assert type(config.patch_size) is int
    for frozen, name in ((config, "patch_size"), (ModelConfig.preset("qwen2-vl"), "image")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, 1)


# ----------------------------------------------------------------------------------- directories


@pytest.mark.parametrize("layout", ["separate", "nested"])
@pytest.mark.parametrize("name", SETTINGS)
def test_directory_means_what_it_means_in_transformers(name, layout, tmp_path):
    directory = write(tmp_path, layout, SETTINGS[name])
    theirs = Qwen2VLImageProcessor.from_pretrained(directory)
    model = ModelConfig.from_pretrained(directory)
    assert_same_settings(model.image, theirs)
    assert_same_rows(model, theirs, "torchvision")
    assert_same_rows(model, Qwen2VLImageProcessorPil.from_pretrained(directory), "pillow")


@pytest.mark.parametrize("form", [str, lambda path: path], ids=["str", "Path"])
def test_directory_as_transformers_saves_it(form, tmp_path):
    theirs = Qwen2VLImageProcessor(min_pixels=9000, max_pixels=90000, patch_size=16)
    theirs.save_pretrained(tmp_path)
    model = ModelConfig.from_pretrained(form(tmp_path))
    assert_same_settings(model.image, theirs)
    assert model.name == tmp_path.name


@pytest.mark.parametrize(
    "nested", [{"image_processor": {"min_pixels": 7777}}, {"image_processor": None}, {}]
)
def test_nested_layout_wins_where_it_has_an_image_processor(nested, tmp_path):
    write(tmp_path, "separate", {"min_pixels": 5555})
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    theirs = Qwen2VLImageProcessor.from_pretrained(tmp_path)
    assert_same_settings(ModelConfig.from_pretrained(tmp_path).image, theirs)


@pytest.mark.parametrize(
    "kind",
    [
        "Qwen2VLImageProcessor",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessorPil",
        None,
    ],
)
def test_known_processor_types(kind, tmp_path):
    write(tmp_path, "separate", {"image_processor_type": kind, "patch_size": 16})
    assert ModelConfig.from_pretrained(tmp_path).image == ImageConfig(patch_size=16)


@pytest.mark.parametrize("layout", ["separate", "nested"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_processor_type": "MllamaImageProcessor"}, "image_processor_type.*'MllamaImage"),
        ({"image_processor_type": "VitImageProcessorFast"}, "image_processor_type.*'VitImage"),
        ({"resample": 0}, "resample.* 0"),
        ({"resample": True}, "resample.* True"),
        ({"do_convert_rgb": False, "do_normalize": False}, "do_convert_rgb.*do_normalize.*False"),
        ({"size": {"height": 224, "width": 224}}, "size.*'height': 224"),
        ({"size": {"shortest_edge": 3136}}, "size.*'shortest_edge': 3136"),
        ({"min_pixels": 50, "max_pixels": 49}, "min_pixels.*max_pixels=49.* 50"),
        ({"max_pixels": 3135}, "min_pixels.*max_pixels=3135.* 3136"),
        ({"image_mean": [0.5, 0.5]}, r"image_mean.*\[0\.5, 0\.5\]"),
        ({"image_std": [0.5] * 4}, r"image_std.*\[0\.5, 0\.5, 0\.5, 0\.5\]"),
        ({"patch_size": 0}, "patch_size.* 0"),
    ],
)
def test_what_is_not_reproduced_is_refused(settings, message, layout, tmp_path):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_pretrained(write(tmp_path, layout, settings))


@pytest.mark.parametrize(
    "name",
    [
        "patch_size",
        "temporal_patch_size",
        "merge_size",
        "image_mean",
        "image_std",
        "rescale_factor",
        "resample",
    ],
)
def test_null_that_transformers_cannot_use_is_refused(name, tmp_path):
    with pytest.raises((ValueError, TypeError), match=rf"{name}.*(None|null)"):
        ModelConfig.from_pretrained(write(tmp_path, "separate", {name: None}))


@pytest.mark.parametrize("value", [False, None])
def test_colours_are_converted_where_transformers_would_fail(value, tmp_path):
    write(tmp_path, "separate", {"do_convert_rgb": value})
    assert ModelConfig.from_pretrained(tmp_path).image == ImageConfig()
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        Qwen2VLImageProcessor(do_convert_rgb=value)(np.zeros((60, 60, 1), np.uint8))
    write(tmp_path, "separate", {"do_convert_rgb": "no"})
    with pytest.raises(TypeError, match="do_convert_rgb must be true, false or null, got 'no'"):
        ModelConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize(
    ("text", "message"),
    [("{'patch_size': 14}", "JSON"), ("", "JSON"), ("[1, 2]", r"object.*\[1, 2\]"), ("7", "7")],
)
def test_bad_json_is_refused_by_its_name(text, message, file, tmp_path):
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=f"{file}.*{message}"):
        ModelConfig.from_pretrained(tmp_path)


def test_bytes_that_are_no_text_are_refused_by_their_file(tmp_path):
    (tmp_path / "preprocessor_config.json").write_bytes(b'{"patch_size": "\xff"}')
    with pytest.raises(ValueError, match=r"preprocessor_config\.json is not JSON"):
        ModelConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vision_config": [1]}, r"vision_config must be an object, got \[1\]"),
        ({"text_config": "x"}, "text_config must be an object, got 'x'"),
        ({"rope_parameters": 5}, "rope_parameters must be an object, got 5"),
        ({"rope_scaling": True}, "rope_scaling must be an object, got True"),
        ({"vision_config": {"rope_parameters": [1]}}, "rope_parameters must be an object"),
        ({"partial_rotary_factor": "x"}, "partial_rotary_factor must be a number, got 'x'"),
        ({"head_dim": 1.5}, r"head_dim must be an integer, got 1\.5"),
    ],
)
def test_a_section_of_another_type_is_named(settings, message, tmp_path):
    write(tmp_path, "separate", {})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_5", **settings}))
    with pytest.raises(TypeError, match=message):
        ModelConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("tokenizer.json", {"added_tokens": [{}]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"5": {"id": 5}}}),
        ("tokenizer_config.json", {"image_token": [1]}),
    ],
)
def test_a_token_without_a_text_is_refused(file, settings, tmp_path):
    write(tmp_path, "separate", SETTINGS["Qwen3-VL"])
    (tmp_path / file).write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="a token must be a text or have one as its content"):
        ModelConfig.from_pretrained(tmp_path)


def test_a_crop_without_its_sides_is_named(tmp_path):
    settings = {"image_processor_type": "LlavaNextImageProcessor", "crop_size": {"height": 336}}
    with pytest.raises(ValueError, match=r"crop_size must be the size \(224, 224\), got .*336"):
        ModelConfig.from_pretrained(write(tmp_path, "separate", settings))


def test_nested_image_processor_must_be_an_object(tmp_path):
    (tmp_path / "processor_config.json").write_text('{"image_processor": "Qwen2VL"}')
    with pytest.raises((ValueError, TypeError), match=r"image_processor.*Qwen2VL"):
        ModelConfig.from_pretrained(tmp_path)


# ----------------------------------------------------------------------------- size and overrides


@pytest.mark.parametrize(
    "overrides",
    [
        {"min_pixels": 200_000},
        {"max_pixels": 50_000},
        {"min_pixels": 60_000, "max_pixels": 60_000},
        {"size": SIZE},
        {"size": SIZE, "min_pixels": 9000},
        {"size": SIZE, "max_pixels": 9000},
        {"size": SIZE, "min_pixels": 70_000, "max_pixels": 70_001},
    ],
)
def test_overrides_mean_what_constructor_arguments_mean_in_transformers(overrides):
    theirs = Qwen2VLImageProcessor(**{key: _copy(value) for key, value in overrides.items()})
    ours = ImageProcessor(ImageConfig(), **overrides)
    assert_same_settings(ours.config, theirs)
    assert_same_rows(ours.config, theirs, "torchvision")


def _copy(value):
    return dict(value) if isinstance(value, dict) else value  # the reference changes it


def test_one_bound_keeps_the_other_of_the_preset():
    config = ImageProcessor("qwen3-vl", max_pixels=100_000).config
    assert (config.min_pixels, config.max_pixels) == (65536, 100_000)
    config = ImageProcessor("qwen3-vl", min_pixels=1).config
    assert (config.min_pixels, config.max_pixels) == (1, 16777216)


def test_size_is_not_changed_and_none_leaves_it():
    size = dict(SIZE)
    ImageProcessor("qwen2-vl", size=size, min_pixels=9000)
    assert size == SIZE
    assert ImageProcessor("qwen2-vl", size=None).config == ModelConfig.preset("qwen2-vl").image
