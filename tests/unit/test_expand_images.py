"""Prompts with placeholders for images: what presets say, what checkpoints say, and refusals."""

import json

import pytest

from qvl_fast import (
    ImageProcessor,
    ModelConfig,
    Placeholder,
    VideoPlaceholder,
    expand_images,
    expand_videos,
)

FAKE = "<fake_token_around_image>"


def test_texts_by_presets():
    text = expand_images("<image>\na<image>", [(480, 640)] * 2, "llava-onevision")
    assert text == "<image>" * 730 + "\na" + "<image>" * 730
    assert len(expand_images("<image>", [(333, 1000)], "llava-next")) == 2328 * len("<image>")
    text = expand_images("<IMG_CONTEXT>?", [(512, 512)], "internvl")
    assert text == f"<img>{'<IMG_CONTEXT>' * 256}</img>?"
    text = expand_images("a<image><image>b<image>", [(9, 9)] * 3, "idefics")
    assert text == f"a{FAKE}<image>{FAKE}<image>{FAKE}b{FAKE}<image>{FAKE}"
    assert expand_images([7, 151655, 8], [(56, 56)], "qwen2.5-vl").tolist() == [7, *[151655] * 4, 8]
    assert expand_images("nothing", [], "llava-1.5") == "nothing"
    assert expand_images([7, 8], [], "qwen2.5-vl").tolist() == [7, 8]


def test_tokens_of_an_image_by_its_company():
    processor = ImageProcessor("llava-onevision", return_tensors="np")
    assert processor.num_tokens(480, 640) == 2929
    assert processor.num_tokens(480, 640, images=2) == 730
    with pytest.raises(ValueError, match="images must be between 1"):
        processor.num_tokens(480, 640, images=0)


@pytest.mark.parametrize(
    ("prompt", "sizes", "config", "message"),
    [
        ("<image>", [(9, 9)] * 2, "llava-1.5", "one <image> for each of 2 sizes, got 1"),
        ([3], [], "llava-1.5", "config 'llava-1.5' does not know the id of '<image>'"),
        ("a", [(9, 9)], "blip-2", "prompt must be token ids for this model"),
        ("a", [(9, 9)], "clip-224", "config 'clip-224' does not say what stands for an image"),
        ([[151655]], [(56, 56)], "qwen2-vl", "prompt must have one dimension"),
        ([151655, 151655], [(56, 56)], "qwen2-vl", "for each of 1 sizes, got 2"),
        ("<image>", [(0, 9)], "llava-1.5", "height must be at least 1"),
    ],
)
def test_prompts_are_refused(prompt, sizes, config, message):
    with pytest.raises(ValueError, match=message):
        expand_images(prompt, sizes, config)


@pytest.mark.parametrize(
    ("sizes", "config", "message"),
    [
        (None, "llava-1.5", r"sizes must be \(height, width\) of each image, got None"),
        ([(9, 9), (9,)], "llava-1.5", r"sizes\[1\] must be \(height, width\), got \(9,\)"),
        ((480, 640), "llava-1.5", r"sizes\[0\] must be \(height, width\), got 480"),
        ([(9, "a")], "llava-1.5", "width must be an integer, got 'a'"),
        ([(9, 9)], None, "config must be a preset's name or a ModelConfig.*; got None"),
    ],
)
def test_arguments_of_other_types_are_refused(sizes, config, message):
    with pytest.raises(TypeError, match=message):
        expand_images("<image><image>", sizes, config)


def test_videos_by_presets():
    text = expand_videos("<video>a<video>", [1, 2], "llava-onevision")
    assert text == "<video>" * 197 + "a" + "<video>" * 393
    frame = f"<img>{'<IMG_CONTEXT>' * 256}</img>"
    text = expand_videos("<video>?", [2], "internvl")
    assert text == f"Frame1: {frame}\nFrame2: {frame}?"
    assert expand_videos("nothing", [], "internvl") == "nothing"


@pytest.mark.parametrize(
    ("prompt", "frames", "config", "message"),
    [
        ("<video>", [8, 8], "internvl", "one <video> for each of 2 frames, got 1"),
        ("<video>", [0], "internvl", r"frames\[0\] must be between 1"),
        ([7], [8], "internvl", "prompt must be a text for this model, got ids"),
        ([[7]], [8], "llava-onevision", r"prompt must have one dimension, got shape \(1, 1\)"),
        (5, [8], "internvl", r"prompt must have one dimension, got shape \(\)"),
        ([7], [8], "llava-onevision", "does not know the id of '<video>'"),
        ("<video>", [8], "llava-1.5", "'llava-1.5' does not say what stands for a video"),
    ],
)
def test_prompts_with_videos_are_refused(prompt, frames, config, message):
    with pytest.raises(ValueError, match=message):
        expand_videos(prompt, frames, config)
    with pytest.raises(TypeError, match="frames must be how many each video has, got 8"):
        expand_videos("<video>", 8, config)


def test_placeholders_are_checked():
    for settings, error, message in [
        ({"token": ""}, ValueError, "token must not be empty"),
        ({"token": "a", "token_id": -1}, ValueError, "token_id must be between 0"),
    ]:
        with pytest.raises(error, match=message):
            VideoPlaceholder(**settings)
    for settings, error, message in [
        ({"token": ""}, ValueError, "token must not be empty"),
        ({"token": "a", "place": "there"}, ValueError, "place must be one of"),
        ({"token": "a", "token_id": -1}, ValueError, "token_id must be between 0"),
        ({"token": "a", "after_id": "7"}, TypeError, "after_id must be an integer"),
    ]:
        with pytest.raises(error, match=message):
            Placeholder(**settings)


LLAVA = {"image_processor_type": "CLIPImageProcessor", "size": 336, "crop_size": 336}
NEXT = {**LLAVA, "image_processor_type": "LlavaNextImageProcessor"}
ONEVISION = {"image_processor_type": "LlavaOnevisionImageProcessor"}


@pytest.fixture
def checkpoint(tmp_path):
    """``checkpoint(image, processor, model)`` writes the files of one; returns its directory."""

    def write(image, processor, model):
        for name, content in [
            ("preprocessor_config.json", image),
            ("processor_config.json", processor),
            ("config.json", model),
        ]:
            (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return write


def test_counts_and_ids_of_older_checkpoints_are_those_of_the_model(checkpoint):
    """Their processors do not say them."""
    model = {
        "model_type": "llava",
        "image_token_index": 32000,
        "vision_config": {"image_size": 336, "patch_size": 14},
    }
    directory = checkpoint(LLAVA, {"processor_class": "LlavaProcessor"}, model)
    config = ModelConfig.from_pretrained(directory)
    assert config.placeholder == Placeholder(token="<image>", token_id=32000)
    assert len(expand_images([1, 32000], [(9, 9)], config)) == 577
    directory = checkpoint(LLAVA, {}, {**model, "vision_feature_select_strategy": "full"})
    assert ImageProcessor.from_pretrained(directory, return_tensors="np").num_tokens(9, 9) == 577


def test_internvl_is_cut_into_tiles_whatever_its_image_processor_says(checkpoint):
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 448, "width": 448},
        "crop_to_patches": False,
    }
    directory = checkpoint({}, {"image_processor": image}, {"model_type": "internvl"})
    processor = ImageProcessor.from_pretrained(directory, return_tensors="np")
    assert processor.num_tokens(480, 640) == 3328


# Settings with which the stock model fails, or would put together what was not cut like that.
INCONSISTENT = {
    "no class token": (
        LLAVA,
        {"processor_class": "LlavaProcessor", "patch_size": 14},
        {},
        "num_additional_image_tokens must be 1 in processor_config.json .*'default', got 0",
    ),
    "a token beside those of a tile": (
        NEXT,
        {
            "processor_class": "LlavaNextProcessor",
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "full",
        },
        {},
        "num_additional_image_tokens must be 1 where .* 'default', and 0 where it is 'full'",
    ),
    "other tiles": (
        NEXT,
        {},
        {"model_type": "llava_next", "vision_config": {"image_size": 224}},
        r"vision_config.image_size in config.json must be the tile \(336, 336\).*got 224",
    ),
    "other pinpoints": (
        NEXT,
        {},
        {"model_type": "llava_next", "image_grid_pinpoints": [[336, 672]]},
        r"image_grid_pinpoints in config.json must be those.*got \(\(336, 672\),\)",
    ),
    "no square": (
        ONEVISION,
        {"processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 730},
        {},
        "num_image_tokens must be a square of patches, got 730",
    ),
    "another aspect ratio": (
        ONEVISION,
        {"processor_class": "LlavaOnevisionProcessor", "vision_aspect_ratio": "pad"},
        {},
        "vision_aspect_ratio must be 'anyres_max_' and a number of tiles, got 'pad'",
    ),
    "no class token in SigLIP": (
        ONEVISION,
        {
            "processor_class": "LlavaOnevisionProcessor",
            "vision_feature_select_strategy": "default",
        },
        {},
        "vision_feature_select_strategy must be 'full', got 'default'",
    ),
    "no tokens": (
        {"image_processor_type": "BlipImageProcessor"},
        {"processor_class": "Blip2Processor", "num_query_tokens": 0},
        {},
        "num_query_tokens must be between 1",
    ),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_checkpoints_are_refused(name, checkpoint):
    image, processor, model, message = INCONSISTENT[name]
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_pretrained(checkpoint(image, processor, model))
