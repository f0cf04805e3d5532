"""Which class the images of a checkpoint are processed by, where their JSON does not say it."""

import json
from dataclasses import replace

import pytest
from transformers import AutoImageProcessor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from qvl_fast import ImageProcessor, ModelConfig
from qvl_fast.config.families import IMAGE_CLASSES, IMAGES, from_json
from qvl_fast.config.families.kinds import CLASSES
from qvl_fast.config.layout import Shrink

# As Kimi-K2.5 was released.
KIMI = {
    "auto_map": {
        "AutoProcessor": "kimi_k25_processor.KimiK25Processor",
        "AutoImageProcessor": "kimi_k25_vision_processing.KimiK25VisionProcessor",
    },
    "media_proc_cfg": {
        "in_patch_limit": 16384,
        "patch_size": 14,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "merge_kernel_size": 2,
        "fixed_output_tokens": None,
        "patch_limit_on_one_side": 512,
        "in_patch_limit_each_frame": 4096,
        "timestamp_mode": "hh:mm:ss.fff",
    },
}


def checkpoint(directory, settings, model=None, nested=False):
    if nested:
        (directory / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    else:
        (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    if model is not None:
        (directory / "config.json").write_text(json.dumps(model))
    return directory


def test_the_model_types_of_transformers():
    theirs = {
        model_type: backends.get("torchvision")
        for model_type, backends in IMAGE_PROCESSOR_MAPPING_NAMES.items()
    }
    assert {name: kind for name, kind in theirs.items() if kind in IMAGE_CLASSES} == CLASSES


@pytest.mark.parametrize("model_type", CLASSES)
def test_the_class_of_a_model_type(model_type, tmp_path):
    want = from_json({"image_processor_type": CLASSES[model_type]})
    model = {"model_type": model_type}
    if model_type == "qwen4_exp":  # Without this its rope has sections of another width.
        model["text_config"] = {"rope_parameters": {"partial_rotary_factor": 0.25}}
    got = ModelConfig.from_pretrained(checkpoint(tmp_path, {}, model)).image
    # What becomes of tiles its processor says, which may ask for several.
    assert got.layout.tile == want.layout.tile
    assert got.override(layout=want.layout) == want
    stock = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(stock).__name__ == CLASSES[model_type]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ({"model_type": "llava", "image_processor_type": "SiglipImageProcessor"}, {}),
        ({"model_type": "llava"}, {"image_processor_type": None}),
        ({"model_type": "llava"}, {"feature_extractor_type": "CLIPFeatureExtractor"}),
        ({"model_type": "qwen2_vl"}, {"image_processor_type": "CLIPImageProcessor"}),
        (
            {"model_type": "siglip"},
            {"feature_extractor_type": "CLIPFeatureExtractor", **KIMI},
        ),
    ],
)
def test_what_names_a_class_first(model, settings, nested, tmp_path):
    checkpoint(tmp_path, settings, model, nested)
    size = {"height": 20, "width": 20}
    settings = {**settings, "size": size, "crop_size": size, "do_center_crop": True}
    checkpoint(tmp_path, settings, model, nested)
    kind = type(AutoImageProcessor.from_pretrained(tmp_path)).__name__
    config = ModelConfig.from_pretrained(tmp_path).image
    want = from_json({**settings, "image_processor_type": kind})
    assert config.override(layout=replace(config.layout, tokens=None)) == want


@pytest.mark.parametrize("model", [{"model_type": "kimi_k25"}, {"model_type": "other"}, None])
def test_kimi_as_released(model, tmp_path):
    config = ModelConfig.from_pretrained(checkpoint(tmp_path, KIMI, model)).image
    assert config == IMAGES["kimi-k2.5"]
    media = {
        **KIMI["media_proc_cfg"],
        "in_patch_limit": 65536,
        "patch_limit_on_one_side": 9,
        "merge_kernel_size": 3,
        "image_std": [0.1, 0.2, 0.3],
        "patch_size": 10,
    }
    checkpoint(tmp_path, {**KIMI, "media_proc_cfg": media})
    config = ModelConfig.from_pretrained(tmp_path).image
    assert config.layout.fit == Shrink(65536, 9)
    assert (config.patch_size, config.merge_size, config.image_std) == (10, 3, (0.1, 0.2, 0.3))


def test_a_list_of_two_classes_that_a_checkpoint_brings_along(tmp_path):
    brought = ["image.PaddleOCRVLImageProcessor", "image.PaddleOCRVLImageProcessorFast"]
    for named in (brought, [brought[0], None], f"owner/name--{brought[0]}"):
        checkpoint(tmp_path, {"auto_map": {"AutoImageProcessor": named}})
        assert ModelConfig.from_pretrained(tmp_path).image == IMAGES["paddleocr-vl"]


@pytest.mark.parametrize(
    ("settings", "model", "error", "message"),
    [
        ({}, None, ValueError, "got None and None: add the class"),
        ({"size": 224}, {"model_type": "mistral3"}, ValueError, "got None and 'mistral3'"),
        ({"image_processor_type": None}, {"model_type": ""}, ValueError, "got None and ''"),
        ({}, {"model_type": []}, TypeError, r"model_type in config.json must be a text, got \[\]"),
        ({"auto_map": {"AutoImageProcessor": "a.Other"}}, None, ValueError, "got None and None"),
        ({"auto_map": {"AutoImageProcessor": []}}, None, ValueError, "got None and None"),
        ({"auto_map": "a.B"}, None, TypeError, "auto_map must be an object, got 'a.B'"),
        (
            {**KIMI, "media_proc_cfg": {"fixed_output_tokens": 64}},
            None,
            ValueError,
            "fixed_output_tokens must be null, got 64",
        ),
        (
            {**KIMI, "media_proc_cfg": [64]},
            None,
            TypeError,
            r"media_proc_cfg must be an object, got \[64\]",
        ),
    ],
)
def test_what_names_no_class_is_refused(settings, model, error, message, tmp_path):
    with pytest.raises(error, match=message) as raised:
        ImageProcessor.from_pretrained(checkpoint(tmp_path, settings, model))
    if "None and" in message:
        assert str(tmp_path / "preprocessor_config.json") in str(raised.value)
        assert "image_processor_type" in str(raised.value)
