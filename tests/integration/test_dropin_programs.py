"""The calls that programs make on processors, imitated: what each relies on holds for ours."""

import copy
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoProcessor
from transformers.image_processing_utils import BaseImageProcessor

import qvl_fast
from qvl_fast.integrations.transformers import register, unregister
from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen3VLVideoProcessor

rng = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    for height, width in [(60, 90), (100, 70), (200, 120), (56, 56)]
]
PLACE = "<|vision_start|> <|image_pad|> <|vision_end|>"


@pytest.fixture
def processor(checkpoint):
    """A whole processor as a program loads it that knows nothing of us."""
    register(default=True)
    yield AutoProcessor.from_pretrained(checkpoint("qwen2_5_vl"))
    unregister()


def equal(got, want):
    return list(got) == list(want) and all(torch.equal(got[name], want[name]) for name in want)


def test_verl_looks_for_a_name(processor):
    # It computes M-RoPE positions only for a processor of this name, in one of these ways.
    assert "Qwen2VLImageProcessor" in processor.image_processor.__class__.__name__
    assert processor.image_processor.__class__.__name__ == "Qwen2VLImageProcessor"
    assert isinstance(processor.image_processor, transformers.Qwen2VLImageProcessor)
    processor.image_processor.max_pixels = 28 * 28 * 4
    with pytest.warns(FutureWarning, match="min_pixels"):
        batch = processor.image_processor(IMAGES[:1])
    assert batch["image_grid_thw"].tolist() == [[1, 2, 4]]


def test_vllm_filters_arguments(checkpoint):
    given = {"size": {"shortest_edge": 3136, "longest_edge": 9000}, "no_such_argument": 1}
    batches = []
    for kind in (transformers.Qwen2VLImageProcessor, Qwen2VLImageProcessor):
        accepted = set(inspect.signature(kind.__call__).parameters)
        accepted |= set(kind.valid_kwargs.__annotations__)
        assert "no_such_argument" not in accepted
        options = {name: value for name, value in given.items() if name in accepted}
        # One processor for each set of arguments, then rows of bytes to normalise on a device.
        made = kind.from_pretrained(checkpoint("qwen2_5_vl"), **options)
        batches.append(
            made(images=IMAGES, do_rescale=False, do_normalize=False, return_tensors="pt")
        )
    assert batches[1]["pixel_values"].dtype == torch.uint8
    assert equal(batches[1], batches[0])


def test_vllm_asks_for_the_class_of_the_video_processor(checkpoint):
    register(default=True)
    try:
        processor = AutoProcessor.from_pretrained(checkpoint("qwen3_vl"))
    finally:
        unregister()
    assert isinstance(processor.video_processor, transformers.Qwen3VLVideoProcessor)
    assert type(processor.video_processor) is Qwen3VLVideoProcessor
    count = processor.image_processor.get_number_of_image_patches(60, 90)
    assert count == len(processor.image_processor(IMAGES[:1])["pixel_values"])


def test_sglang_names_a_device_in_each_call(processor, monkeypatch):
    monkeypatch.setenv("QVL_FAST_DEVICE_POLICY", "cpu-then-move")
    assert isinstance(processor.image_processor, BaseImageProcessor)
    batch = processor(text=[PLACE], images=IMAGES[:1], return_tensors="pt", device="meta")
    assert batch["pixel_values"].device.type == "meta"
    assert batch["input_ids"].device.type == "cpu"


def test_sglang_clones_the_processor_and_calls_it_from_threads(processor):
    clones = [copy.deepcopy(processor.image_processor) for _ in range(4)]
    want = [processor.image_processor(image) for image in IMAGES]
    with ThreadPoolExecutor(8) as pool:
        calls = [(clone, index) for _ in range(8) for clone in clones for index in range(4)]
        batches = list(pool.map(lambda call: (call[1], call[0](IMAGES[call[1]])), calls))
    assert all(equal(got, want[index]) for index, got in batches)


def test_xtuner_and_lmms_engine_set_bounds_later(processor):
    tokens = 6
    processor.image_processor.size["longest_edge"] = 28 * 28 * tokens
    processor.image_processor.size["shortest_edge"] = 28 * 28
    grids = processor.image_processor(IMAGES)["image_grid_thw"]
    assert (grids.prod(1) <= 4 * tokens).all()
    stock = transformers.Qwen2VLImageProcessor()
    stock.size["longest_edge"], stock.size["shortest_edge"] = 28 * 28 * tokens, 28 * 28
    assert equal(processor.image_processor(IMAGES), stock(IMAGES))


def test_trl_nests_the_images_of_each_sample_or_has_none(processor):
    text = [f"what is {PLACE}", f"{PLACE} and {PLACE} {PLACE}"]
    nested = processor(
        text=text, images=[IMAGES[:1], IMAGES[1:]], padding=True, return_tensors="pt"
    )
    assert equal(nested, processor(text=text, images=IMAGES, padding=True, return_tensors="pt"))
    assert len(nested["image_grid_thw"]) == 4
    assert "pixel_values" not in processor(text=["what is this"], images=None)


def test_llama_factory_sets_attributes_of_its_own(processor):
    processor.image_processor.image_max_pixels = 768 * 768
    processor.image_processor.crop_to_patches = False
    image_processor = pickle.loads(pickle.dumps(processor.image_processor))
    assert image_processor.image_max_pixels == 768 * 768
    assert equal(image_processor(IMAGES), transformers.Qwen2VLImageProcessor()(IMAGES))


def test_axolotl_finds_the_bad_image(processor):
    bad = np.zeros((2, 500, 3), np.uint8)
    with pytest.raises(qvl_fast.ImageError) as caught:
        processor(text=[f"{PLACE} and {PLACE}", PLACE], images=[*IMAGES[:2], bad])
    assert caught.value.index == 2
    assert caught.value.__notes__[0].startswith("images[2] is ")
