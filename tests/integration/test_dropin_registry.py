"""The drop-ins in the registry of transformers, and whole processors with them."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, AutoVideoProcessor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.image_processing_auto import (
    IMAGE_PROCESSOR_MAPPING,
    IMAGE_PROCESSOR_MAPPING_NAMES,
)
from transformers.models.auto.video_processing_auto import (
    VIDEO_PROCESSOR_MAPPING,
    VIDEO_PROCESSOR_MAPPING_NAMES,
)

from qvl_fast.integrations.transformers import register, unregister
from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

MAPPINGS = (IMAGE_PROCESSOR_MAPPING, VIDEO_PROCESSOR_MAPPING)
NAMES = (IMAGE_PROCESSOR_MAPPING_NAMES, VIDEO_PROCESSOR_MAPPING_NAMES)
MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
VIDEO = {"qwen3_vl": Qwen3VLVideoProcessor}


@pytest.fixture(autouse=True)
def registry():
    """Nothing that a test registers is there for the next, and nothing of ours is left behind."""
    before = state()
    yield
    unregister()
    assert state() == before


def state():
    return [
        {config: dict(classes) for config, classes in mapping._extra_content.items()}
        for mapping in MAPPINGS
    ]


def image_class(folder, **options):
    return type(AutoImageProcessor.from_pretrained(folder, **options))


def video_class(folder, **options):
    return type(AutoVideoProcessor.from_pretrained(folder, **options))


# --------------------------------------------------------------------------------- the Auto classes


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_backend_of_the_auto_classes(checkpoint, model_type):
    folder, video = checkpoint(model_type), VIDEO.get(model_type, Qwen2VLVideoProcessor)
    register()
    assert image_class(folder, backend="qvl_fast") is Qwen2VLImageProcessor
    assert video_class(folder, backend="qvl_fast") is video
    for options in ({}, {"backend": "torchvision"}):
        assert image_class(folder, **options) is transformers.Qwen2VLImageProcessor
        assert video_class(folder, **options) is getattr(transformers, video.__name__)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_by_default(checkpoint, model_type):
    folder, video = checkpoint(model_type), VIDEO.get(model_type, Qwen2VLVideoProcessor)
    register(default=True)
    for options in ({}, {"backend": "torchvision"}, {"backend": "qvl_fast"}):
        assert image_class(folder, **options) is Qwen2VLImageProcessor
        assert video_class(folder, **options) is video
    assert image_class(folder, use_fast=True) is Qwen2VLImageProcessor
    pil = image_class(folder, backend="pil")
    assert pil is transformers.models.qwen2_vl.Qwen2VLImageProcessorPil
    stock = transformers.Qwen2VLImageProcessor.from_pretrained(folder)
    assert type(stock) is transformers.Qwen2VLImageProcessor
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor.image_processor) is Qwen2VLImageProcessor
    assert type(processor.video_processor) is video
    specific = type(processor).from_pretrained(folder)
    assert type(specific.image_processor) is Qwen2VLImageProcessor


@pytest.mark.parametrize(
    "settings",
    [
        {"image_processor_type": "Qwen2VLImageProcessorFast"},
        {"image_processor_type": "Qwen2VLImageProcessor", "size": None, "do_resize": None},
        {"model_type": "qwen2_5_vl"},
    ],
)
def test_older_files(tmp_path, settings):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    register()
    ours = AutoImageProcessor.from_pretrained(tmp_path, backend="qvl_fast")
    assert type(ours) is Qwen2VLImageProcessor
    assert ours.to_dict() == AutoImageProcessor.from_pretrained(tmp_path).to_dict()


def test_every_model_that_has_one_of_the_processors():
    drop_ins = {"Qwen2VLImageProcessor", "Qwen2VLVideoProcessor", "Qwen3VLVideoProcessor"}
    register()
    for mapping, names in zip(MAPPINGS, NAMES, strict=True):
        having = {
            CONFIG_MAPPING[model_type]
            for model_type, classes in names.items()
            if drop_ins & set(classes.values())
        }
        assert len(having) == 14
        assert set(mapping._extra_content) == having
        assert all("qvl_fast" in classes for classes in mapping._extra_content.values())


# ---------------------------------------------------------------------------------- what others do


class OfSomebodyElse(transformers.Qwen2VLImageProcessor):
    pass


OfSomebodyElse.__name__ = "Qwen2VLImageProcessor"


class OtherConfig(transformers.PretrainedConfig):
    model_type = "other"


def test_registering_twice_is_registering_once(checkpoint):
    register(default=True)
    register()
    assert image_class(checkpoint("qwen2_vl")) is transformers.Qwen2VLImageProcessor
    unregister()
    assert state() == [{}, {}]
    unregister()


@pytest.mark.parametrize("config", [OtherConfig, transformers.Qwen2VLConfig])
@pytest.mark.parametrize("default", [False, True])
def test_a_class_of_the_same_name_that_was_registered_before(checkpoint, config, default):
    folder = checkpoint("qwen2_vl")
    AutoImageProcessor.register(
        config, image_processor_classes={"torchvision": OfSomebodyElse}, exist_ok=True
    )
    before = state()
    try:
        register(default=default)
        assert image_class(folder, backend="qvl_fast") is Qwen2VLImageProcessor
        assert image_class(folder) is OfSomebodyElse
        unregister()
        assert state() == before
        assert image_class(folder) is OfSomebodyElse
    finally:
        IMAGE_PROCESSOR_MAPPING._extra_content.clear()


def test_what_others_register_meanwhile_stays(checkpoint):
    register(default=True)
    try:
        AutoImageProcessor.register(
            transformers.Qwen2VLConfig,
            image_processor_classes={"theirs": OfSomebodyElse},
            exist_ok=True,
        )
        AutoImageProcessor.register(
            OtherConfig, image_processor_classes={"torchvision": OfSomebodyElse}
        )
        unregister()
        images, videos = state()
        assert images == {
            transformers.Qwen2VLConfig: {
                "torchvision": transformers.Qwen2VLImageProcessor,
                "pil": transformers.models.qwen2_vl.Qwen2VLImageProcessorPil,
                "theirs": OfSomebodyElse,
            },
            OtherConfig: {"torchvision": OfSomebodyElse},
        }
        assert videos == {}
    finally:
        IMAGE_PROCESSOR_MAPPING._extra_content.clear()


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("trusted", [False, True])
def test_code_of_a_repository_goes_first(tmp_path, monkeypatch, default, trusted):
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "auto_map": {"AutoImageProcessor": "own.OwnImageProcessor"},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    (tmp_path / "own.py").write_text(
        "from transformers import Qwen2VLImageProcessor\n"
        "class OwnImageProcessor(Qwen2VLImageProcessor):\n    pass\n"
    )
    monkeypatch.setattr(
        transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    want = image_class(tmp_path, trust_remote_code=trusted).__name__
    assert want == ("OwnImageProcessor" if trusted else "Qwen2VLImageProcessor")
    register(default=default)
    found = image_class(tmp_path, trust_remote_code=trusted)
    assert found.__name__ == want
    assert issubclass(found, Qwen2VLImageProcessor) is (default and not trusted)


def test_what_is_registered_makes_drop_ins():
    register(default=True)
    made = IMAGE_PROCESSOR_MAPPING[transformers.Qwen2VLConfig]["torchvision"](patch_size=16)
    assert type(made) is Qwen2VLImageProcessor
    assert made.patch_size == 16


def test_stock_classes_of_other_steps_are_refused(monkeypatch):
    before = state()

    def with_more(self, images, do_pad, **settings):
        """A setting more, of which ours would know nothing."""

    image, video = transformers.Qwen2VLImageProcessor, transformers.Qwen3VLVideoProcessor
    backend = next(kind for kind in image.__mro__ if "_prepare_images_structure" in vars(kind))
    for kind, name, changed in (
        (image, "_preprocess", with_more),
        (video, "resize", with_more),
        (backend, "_prepare_images_structure", None),
    ):
        with monkeypatch.context() as patch:
            if changed is None:
                patch.delattr(kind, name)
            else:
                patch.setattr(kind, name, changed)
            message = rf"{'no' if changed is None else 'another'} {name}, on which ours relies"
            with pytest.raises(RuntimeError, match=message):
                register(default=True)
        assert state() == before
    register(default=True)


def test_a_policy_for_devices(monkeypatch):
    monkeypatch.setenv("QVL_FAST_DEVICE_POLICY", "stock")
    image = np.zeros((56, 56, 3), np.uint8)
    register(device_policy="cpu-then-move")
    moved = Qwen2VLImageProcessor()([image], device="meta")
    assert moved["image_grid_thw"].tolist() == [[1, 4, 4]]
    assert moved["pixel_values"].device.type == "meta"
    with pytest.raises(ValueError, match="device_policy must be one of 'stock', 'cpu-then-move'"):
        register(device_policy="gpu")


# --------------------------------------------------------------------------------- whole processors

rng = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(rng.integers(0, 256, (60, 90, 3), np.uint8)),
    rng.integers(0, 256, (100, 70, 3), np.uint8),
    Image.fromarray(rng.integers(0, 256, (40, 50, 4), np.uint8)),
]
CLIPS = [rng.integers(0, 256, (frames, 56, 84, 3), np.uint8) for frames in (4, 3)]
IMAGE = "<|vision_start|> <|image_pad|> <|vision_end|>"
CLIP = "<|vision_start|><|video_pad|><|vision_end|>"
METADATA = [
    {"total_num_frames": len(clip), "fps": 2.0, "frames_indices": list(range(len(clip)))}
    for clip in CLIPS
]
CALLS = {
    "no image": {"text": ["what is this"], "images": None},
    "an image": {"text": f"what is {IMAGE}", "images": IMAGES[0]},
    "flat": {"text": [f"{IMAGE} and {IMAGE}", f"what {IMAGE}"], "images": IMAGES},
    "nested": {
        "text": [f"{IMAGE} and {IMAGE}", f"what {IMAGE}"],
        "images": [IMAGES[:2], IMAGES[2:]],
    },
    "videos": {
        "text": [f"this {CLIP}", f"{CLIP} here"],
        "videos": CLIPS,
        "video_metadata": METADATA,
    },
    "both": {
        "text": [f"what is {IMAGE} {CLIP}", f"{CLIP} and {IMAGE} {IMAGE}"],
        "images": IMAGES,
        "videos": CLIPS,
        "video_metadata": METADATA,
    },
    "settings": {
        "text": [f"what {IMAGE}"],
        "images": IMAGES[:1],
        "images_kwargs": {"size": {"shortest_edge": 4000, "longest_edge": 9000}},
    },
}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_inputs_of_a_model_are_equal(checkpoint, model_type):
    folder = checkpoint(model_type)
    theirs = AutoProcessor.from_pretrained(folder)
    register(default=True)
    ours = AutoProcessor.from_pretrained(folder)
    for name, call in CALLS.items():
        for side in ("left", "right"):
            padding = {"padding": True, "padding_side": side, "return_tensors": "pt"}
            want, got = theirs(**call, **padding), ours(**call, **padding)
            assert list(got) == list(want), name
            assert all(torch.equal(got[key], want[key]) for key in want), name


def test_putting_them_into_a_whole_processor(checkpoint, tmp_path):
    folder = checkpoint("qwen3_vl")
    register()
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="qvl_fast")
    processor.video_processor = AutoVideoProcessor.from_pretrained(folder, backend="qvl_fast")
    processor.save_pretrained(tmp_path / "ours")
    AutoProcessor.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    for theirs in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "ours" / theirs.name).read_bytes() == theirs.read_bytes()


def test_passing_one_to_the_whole_processor(checkpoint):
    """It works, but then transformers cannot save the tokenizer, whichever processor it is."""
    folder = checkpoint("qwen3_vl")
    register()
    for backend in ("qvl_fast", "torchvision"):
        part = AutoImageProcessor.from_pretrained(folder, backend=backend)
        processor = AutoProcessor.from_pretrained(folder, image_processor=part)
        assert processor.image_processor is part
        with pytest.raises(TypeError, match="not JSON serializable"):
            json.dumps(processor.tokenizer.init_kwargs["image_processor"])
