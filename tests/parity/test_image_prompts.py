"""Expanded prompts, counts of tokens and masks equal those of the processors of transformers.

Each family has a processor with a tiny tokenizer, saved as a checkpoint that is read again here.
``--family-cases`` says how many random prompts are tried, and a hundredth of how many sizes whose
tokens are counted.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.idefics import processing_idefics

from qvl_fast import (
    ImageProcessor,
    ModelConfig,
    VideoProcessor,
    expand_images,
    expand_videos,
    image_attention_mask,
)

WORDS = ["<unk>", "<s>", "</s>", "<pad>", "What", "is", "that", "\n"]
INTERNVL = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
EDGE = {"size": {"shortest_edge": 56}, "crop_size": 56}
PINPOINTS = [[56 * a, 56 * b] for a in range(1, 7) for b in range(1, 7)]
CLASS = {"patch_size": 14, "vision_feature_select_strategy": "default"}

# Of each family: the processor and its settings, the image processor and its settings, and the
# named tokens of the tokenizer.
FAMILIES = {
    "llava": (
        "Llava",
        {**CLASS, "num_additional_image_tokens": 1},
        "Clip",
        EDGE,
        {"image_token": "<image>"},
    ),
    "llava-full": (
        "Llava",
        {"patch_size": 9, "vision_feature_select_strategy": "full"},
        "Clip",
        EDGE,
        {"image_token": "<picture>"},
    ),
    "llava_next": (
        "LlavaNext",
        {**CLASS, "num_additional_image_tokens": 1},
        "LlavaNext",
        {**EDGE, "image_grid_pinpoints": [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]},
        {"image_token": "<image>"},
    ),
    "llava_onevision": (
        "LlavaOnevision",
        {
            "num_image_tokens": 16,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_4",
        },
        "LlavaOnevision",
        {"size": {"height": 56, "width": 56}, "image_grid_pinpoints": PINPOINTS, **HALF},
        {"image_token": "<image>", "video_token": "<video>"},
    ),
    "internvl": (
        "InternVL",
        {"image_seq_length": 5},
        "GotOcr2",
        {"size": {"height": 28, "width": 28}},
        INTERNVL,
    ),
    # Its processor adds the token itself.
    "blip-2": ("Blip2", {"num_query_tokens": 7}, "Blip", {"size": 28}, {}),
    "idefics": (
        "Idefics",
        {},
        "Idefics",
        {"image_size": 28},
        {"image_token": "<image>", "fake_token": "<fake_token_around_image>"},
    ),
}
# Others, whose prompts are not written here, but whose processors ask for tiles as InternVL's does.
TILING = {
    "qianfan_ocr": (
        "QianfanOCR",
        {"image_seq_length": 5},
        "GotOcr2",
        {"size": {"height": 28, "width": 28}},
        INTERNVL,
    ),
    # As released: with the flag off.
    "aya_vision": (
        "AyaVision",
        {"img_size": 28},
        "GotOcr2",
        {"size": {"height": 28, "width": 28}, "crop_to_patches": False},
        {"image_token": "<image>", "img_patch_token": "<|IMG_PATCH|>"},
    ),
}
# Others yet, of which only the tokens are counted.
HUNYUAN = {
    "image_token": "<image>",
    "image_start_token": "<img>",
    "image_end_token": "</img>",
}
HUNYUAN_SIZE = {"size": {"shortest_edge": 512 * 512, "longest_edge": 2048 * 2048}}
COUNTS = {
    "hunyuan_vl": ("HunYuanVL", {}, "HunYuanVL", HUNYUAN_SIZE, HUNYUAN),
    "hunyuan_vl-bare": (
        "HunYuanVL",
        {"cat_extra_token": False},
        "HunYuanVL",
        {"patch_size": 14, "merge_size": 3, **HUNYUAN_SIZE},
        HUNYUAN,
    ),
}
SIGLIP = {"size": {"height": 28, "width": 28}}
COUNTS |= {
    name: (kind, {}, "Siglip", SIGLIP, {"image_token": "<image>"})
    for name, kind in (("paligemma", "PaliGemma"), ("colpali", "ColPali"))
}
# Families whose processors count the tokens of images of given sizes.
COUNTED = [
    *("llava", "llava-full", "llava_next", "llava_onevision", "internvl", "qianfan_ocr"),
    *COUNTS,
]


def tokenizer(named):
    words = [*WORDS, *named.values()]
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=named,
    )


@cache
def stock(name):
    kind, settings, image_kind, image_settings, named = {**FAMILIES, **TILING, **COUNTS}[name]
    images = {"Clip": "CLIP"}.get(image_kind, image_kind)
    parts = {
        "image_processor": getattr(transformers, f"{images}ImageProcessor")(**image_settings),
        "tokenizer": tokenizer(named),
    }
    if kind in ("PaliGemma", "ColPali"):  # Which ask their images.
        parts["image_processor"].image_seq_length = 77
    if kind in ("LlavaOnevision", "InternVL"):
        parts["video_processor"] = getattr(transformers, f"{kind}VideoProcessor")(
            size={"height": 28, "width": 28}
        )
    return getattr(transformers, f"{kind}Processor")(**parts, **settings)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """Its name, the stock processor and what ours reads of the checkpoint."""
    directory = tmp_path_factory.mktemp(request.param)
    stock(request.param).save_pretrained(directory)
    return request.param, stock(request.param), ModelConfig.from_pretrained(directory)


def random_sizes(rng, count):
    sizes = np.exp(rng.uniform(np.log(20), np.log(600), (count, 2))).astype(int)
    return [(height, width) for height, width in sizes.tolist()]


def stock_ids(name, processor, words, sizes):
    """The ids of a prompt of words and images, None standing for an image, by transformers."""
    images = [Image.new("RGB", size[::-1]) for size in sizes]
    if name == "idefics":
        pictures = iter(images)
        prompt = [next(pictures) if word is None else word for word in words]
        return processor(text=[prompt], return_tensors="pt")["input_ids"][0].numpy()
    token = "" if name == "blip-2" else processor.image_token
    text = " ".join(token if word is None else word for word in words)
    return np.array(processor(images=[images], text=[text])["input_ids"][0])


def test_prompts(family, pytestconfig):
    name, processor, config = family
    tokens = processor.tokenizer
    image = config.placeholder.token
    for case in range(10 * pytestconfig.getoption("--family-cases")):
        rng = np.random.default_rng([pytestconfig.getoption("--campaign-seed"), case])
        count = 1 if name == "blip-2" else rng.integers(1, 5)
        sizes = random_sizes(rng, count)
        words = ["What", "is", "that"][: rng.integers(1, 4)]
        for _ in sizes:
            words.insert(rng.integers(0, len(words) + 1), None)
        want = stock_ids(name, processor, words, sizes)
        mark = "" if name == "blip-2" else image
        # Idefics' prompts are put together without spaces.
        text = ("" if name == "idefics" else " ").join(mark if w is None else w for w in words)
        if name == "idefics":
            text = tokens.bos_token + text
        ids = tokens(text)["input_ids"]
        assert np.array_equal(expand_images(ids, sizes, config), want), (words, sizes)
        if name != "blip-2":
            expanded = expand_images(text, sizes, config)
            assert np.array_equal(tokens(expanded)["input_ids"], want), (words, sizes)


def assert_same(got, want):
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert torch.equal(got, want)


def test_images_that_tokens_see(pytestconfig):
    """Of prompts with as many images each as come, padded at either side."""
    processor = stock("idefics")
    tokens = processor.tokenizer
    for case in range(10 * pytestconfig.getoption("--family-cases")):
        rng = np.random.default_rng([pytestconfig.getoption("--campaign-seed"), case])
        prompts = []
        for _ in range(rng.integers(1, 4)):
            prompt = ["What", "is", "that"][: rng.integers(1, 4)]
            for _ in range(rng.integers(0, 4)):
                prompt.insert(rng.integers(0, len(prompt) + 1), Image.new("RGB", (9, 7)))
            prompts.append(prompt)
        tokens.padding_side = str(rng.choice(["left", "right"]))
        ends = bool(rng.random() < 0.5)
        batch = processor(text=prompts, add_eos_token=ends, return_tensors="pt")
        got = image_attention_mask(
            batch["input_ids"],
            max(sum(not isinstance(word, str) for word in prompt) for prompt in prompts),
            image_token_id=processor.image_token_id,
            eos_token_id=tokens.eos_token_id,
            return_tensors="pt",
        )
        assert_same(got, batch["image_attention_mask"])


def test_images_that_tokens_of_packed_texts_see(pytestconfig):
    """Several texts a row, more images than there is room for, and rows of chance."""
    processor = stock("idefics")
    tokens = processor.tokenizer
    image, end = processor.image_token_id, tokens.eos_token_id
    for case in range(50 * pytestconfig.getoption("--family-cases")):
        rng = np.random.default_rng([pytestconfig.getoption("--campaign-seed"), case])
        shape = rng.integers(1, 4), rng.integers(1, 30)
        ids = torch.from_numpy(rng.choice([4, 5, image, image, end], shape))
        images = int(rng.integers(1, 9))
        seen, _ = processing_idefics.image_attention_mask_for_packed_input_ids(ids, tokens, "pt")
        want = processing_idefics.incremental_to_binary_attention_mask(seen, "pt", images)
        got = image_attention_mask(
            ids, images, image_token_id=image, eos_token_id=end, return_tensors="pt"
        )
        assert_same(got, want)


@pytest.mark.parametrize("name", COUNTED)
def test_counts(name, tmp_path, pytestconfig):
    processor = stock(name)
    processor.save_pretrained(tmp_path)
    ours = ImageProcessor.from_pretrained(tmp_path, return_tensors="np")
    rng = np.random.default_rng(pytestconfig.getoption("--campaign-seed"))
    count = 100 * pytestconfig.getoption("--family-cases")
    sizes = [*np.exp(rng.uniform(0, np.log(4000), (count, 2))).astype(int).tolist(), [1, 1]]
    if name.startswith("hunyuan_vl"):  # Of Qwen's rule, which refuses thin ones.
        sizes = [size for size in sizes if max(size) <= 200 * min(size)]
    want = processor._get_num_multimodal_tokens(image_sizes=sizes)["num_image_tokens"]
    # InternVL and its like count the tokens before and after.
    frame = 2 if name in ("internvl", "qianfan_ocr") else 0
    assert [ours.num_tokens(*size) + frame for size in sizes] == want


SMALL = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 64,
}


@pytest.mark.parametrize("patch_size", [16, 32, 14])
@pytest.mark.parametrize("whole", [False, True], ids=["tower", "model"])
@pytest.mark.parametrize("kind", ["CLIP", "Siglip", "MetaClip2", "AltCLIP"])
def test_counts_of_towers_alone(kind, whole, patch_size, tmp_path):
    """Models without a language model that reads them, by what their towers return."""
    config = getattr(transformers, f"{kind}VisionConfig")(**SMALL, patch_size=patch_size)
    tower = getattr(transformers, f"{kind}VisionModel")(config)
    if whole:
        config = getattr(transformers, f"{kind}Config")(vision_config=config.to_dict())
    config.save_pretrained(tmp_path)
    images = "Siglip" if kind == "Siglip" else "CLIP"
    stock = getattr(transformers, f"{images}ImageProcessor")(
        size={"height": 64, "width": 64}, crop_size=64
    )
    stock.save_pretrained(tmp_path)
    ours = ImageProcessor.from_pretrained(tmp_path)
    want = tower(ours(np.zeros((9, 9, 3), np.uint8)).pixel_values).last_hidden_state.shape[1]
    assert ours.num_tokens(9, 9) == want


@pytest.mark.parametrize("name", ["internvl", *TILING])
def test_processors_that_ask_for_tiles(name, tmp_path):
    processor = stock(name)
    processor.save_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    mark = processor.image_token if name == "internvl" else "<image>"
    want = processor(images=[image], text=[mark], return_tensors="pt")["pixel_values"]
    got = ImageProcessor.from_pretrained(tmp_path)(image).pixel_values
    assert len(got) > 1
    assert_same(got, want)
    if name in TILING:
        with pytest.raises(ValueError, match="does not say what stands for an image in a prompt"):
            expand_images(mark, [(60, 100)], ModelConfig.from_pretrained(tmp_path))


VIDEOS = ["llava_onevision", "internvl"]


@pytest.mark.parametrize("name", VIDEOS)
def test_prompts_with_videos(name, tmp_path, pytestconfig):
    """Images among them are expanded first."""
    processor = stock(name)
    processor.save_pretrained(tmp_path)
    config = ModelConfig.from_pretrained(tmp_path)
    tokens = processor.tokenizer
    for case in range(5 * pytestconfig.getoption("--family-cases")):
        rng = np.random.default_rng([pytestconfig.getoption("--campaign-seed"), case])
        count, length = rng.integers(1, 3), int(rng.integers(1, 5))
        videos = [np.zeros((length, *size, 3), np.uint8) for size in random_sizes(rng, count)]
        sizes = random_sizes(rng, rng.integers(0, 3))
        words = ["What", "is", "that"][: rng.integers(1, 4)]
        for mark, items in ((processor.image_token, sizes), (processor.video_token, videos)):
            for _ in items:
                words.insert(rng.integers(0, len(words) + 1), mark)
        text = " ".join(words)
        # Of OneVision several images of a sample are fewer tokens than each alone.
        images = [[Image.new("RGB", size[::-1]) for size in sizes]] if sizes else None
        batch = processor(images=images, videos=videos, text=[text], return_tensors="pt")
        want = batch["input_ids"][0].numpy()
        frames = [length] * len(videos)
        expanded = expand_videos(expand_images(text, sizes, config), frames, config)
        assert np.array_equal(tokens(expanded)["input_ids"], want), (text, sizes, length)
        if name == "llava_onevision":
            ids = expand_images(tokens(text)["input_ids"], sizes, config)
            assert np.array_equal(expand_videos(ids, frames, config), want)


@pytest.mark.parametrize("name", VIDEOS)
def test_counts_of_videos(name, tmp_path):
    """Those of OneVision by its processor, those of InternVL by what its prompts hold."""
    processor = stock(name)
    processor.save_pretrained(tmp_path)
    ours = VideoProcessor.from_pretrained(tmp_path, return_tensors="np")
    for frames in range(1, 40):
        metadata = {"total_num_frames": frames, "height": 50, "width": 70}
        if name == "internvl":
            clip = np.zeros((frames, 50, 70, 3), np.uint8)
            ids = processor(videos=[clip], text=["<video>"])["input_ids"][0]
            want = ids.count(processor.image_token_id)
        else:
            sizes = {"video_sizes": [(frames, 50, 70)]}
            (want,) = processor._get_num_multimodal_tokens(**sizes)["num_video_tokens"]
        assert ours.num_tokens(metadata) == want
