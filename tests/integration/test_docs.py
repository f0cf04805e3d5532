"""The programs in docs/ run as they stand, with a tiny checkpoint in place of a released one."""

import asyncio
import importlib.util
import inspect
import io
import re
from contextlib import redirect_stdout
from importlib.metadata import version

import numpy as np
import pytest
import torch
from pages import PAGES, ROOT, blocks, labelled_blocks
from PIL import Image
from qwen_vl_utils import fetch_image
from transformers import (
    AutoProcessor,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from qvl_fast import ImageError, ImageProcessor, ImageRows, fingerprint
from qvl_fast.integrations.qwen_vl_utils import installation
from qvl_fast.integrations.transformers import unregister

# Pages whose results are looked at beyond what the pages themselves assert; see below.
LOOKED_AT = {"families.md", "messages.md", "serving.md", "training.md", "transformers.md"}
# Labels of blocks that are run where their surroundings are: below, test_data_recipes.py,
# test_ray.py and test_serving.py.
ELSEWHERE = {"datasets", "ray", "sglang", "verl", "vllm", "webdataset"}

# The modules whose names are for users.
PUBLIC = (
    "qvl_fast",
    "qvl_fast.models",
    "qvl_fast.models.adapters",
    "qvl_fast.boxes",
    "qvl_fast.store",
    "qvl_fast.views",
    "qvl_fast.integrations.transformers",
    "qvl_fast.integrations.qwen_vl_utils",
    "qvl_fast.integrations.torch_data",
    "qvl_fast.integrations.ray",
)


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory, tiny_processor):
    """A directory with a tiny model of Qwen2.5-VL, its processor and its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 28**2 * 256}, {})
    processor.save_pretrained(folder)
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32}
    text = {
        **small,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": len(processor.tokenizer),
        "pad_token_id": 0,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
    }
    vision = {
        **small,
        "depth": 2,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    ids = {"image_token_id": processor.image_token_id, "video_token_id": processor.video_token_id}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_tiles_checkpoint(tmp_path_factory, tiny_processor):
    """A directory with a tiny model of LLaVA-NeXT, its processor and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiles")
    tokenizer = tiny_processor("qwen2.5-vl", {}, {}).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pinpoints = [[56, 112], [112, 56], [112, 112]]
    images = LlavaNextImageProcessor(
        size={"shortest_edge": 56}, crop_size=56, image_grid_pinpoints=pinpoints
    )
    LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    small = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = LlavaNextConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "image_size": 56,
            "patch_size": 14,
            **small,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 48,
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            **small,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
    )
    LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, tiny_checkpoint, tiny_tiles_checkpoint, monkeypatch):
    """Where pages run: it has what they name."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "build").mkdir()
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "Qwen2.5-VL-7B-Instruct").symlink_to(tiny_checkpoint)
    (tmp_path / "path" / "to" / "llava-v1.6-vicuna-7b-hf").symlink_to(tiny_tiles_checkpoint)
    monkeypatch.chdir(tmp_path)


def run(codes, names):
    """Run blocks one after the other, and return what they print."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        for code in codes:
            exec(code, names)
    return printed.getvalue()


@pytest.mark.parametrize("page", [page.name for page in PAGES if page.name not in LOOKED_AT])
def test_a_page_runs(page):
    run(blocks(page), {})


def test_no_block_is_left_out():
    labels = {label for page in PAGES for label, _ in labelled_blocks(page.name)}
    assert labels == {"", *ELSEWHERE}


def test_the_versions_of_the_exactness_page_are_those_that_are_tested():
    text = (ROOT / "docs" / "exactness.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([a-z-]+) \| ([0-9.]+) \|", text, re.MULTILINE)
    assert len(table) == 6
    assert dict(table) == {name: version(name).partition("+")[0] for name, _ in table}


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_on_the_page_of_names(module):
    page, api = (
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("names.md", "api.md")
    )
    assert f".. automodule:: {module}\n" in api
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", page))))
    assert set(importlib.import_module(module).__all__) - named == set()


def calls(module):
    """What users call: name, function and docstring, with those of what a class derives from."""
    for name, found in ((name, getattr(module, name)) for name in module.__all__):
        if inspect.isfunction(found):
            yield name, found, found.__doc__ or ""
        if not inspect.isclass(found) or issubclass(found, Exception):
            continue
        ours = [base for base in found.__mro__ if base.__module__.startswith("qvl_fast")]
        if not issubclass(found, dict):
            yield name, found, "".join(base.__doc__ or "" for base in ours)
        for key in {key for base in ours for key in vars(base) if not key.startswith("_")}:
            members = [vars(base)[key] for base in ours if key in vars(base)]
            method = getattr(found, key)
            if inspect.isfunction(method) or inspect.ismethod(method):
                yield f"{name}.{key}", method, "".join(each.__doc__ or "" for each in members)


@pytest.mark.parametrize("module", PUBLIC)
def test_docstrings_name_every_argument(module):
    missing = [
        f"{name}: {argument}"
        for name, function, text in calls(importlib.import_module(module))
        for argument in inspect.signature(function).parameters
        if argument != "self" and not re.search(rf"\b{argument}\b", text)
    ]
    assert missing == []


def test_families():
    names = {}
    printed = run(blocks("families.md"), names)
    page = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    said = " ".join(page.split())
    for line in printed.splitlines():
        assert line in said, line
    # The features are those that the stock model makes of the stock processor's pixels.
    stock = LlavaNextImageProcessor.from_pretrained(names["directory"])
    inputs = stock(Image.open("samples/coffee.png"), return_tensors="pt")
    with torch.no_grad():
        [expected] = names["model"].get_image_features(**inputs).pooler_output
    difference = (names["features"] - expected).abs().max() / expected.abs().max()
    assert difference.item() < 1e-5


def test_the_tables_of_families_are_those_of_the_code():
    spec = importlib.util.spec_from_file_location("table", ROOT / "docs" / "families_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.updated(page) == page


def test_every_variable_of_the_environment_is_told_of():
    code = (ROOT / "python" / "qvl_fast" / "environment.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "resources.md").read_text(encoding="utf-8")
    read = set(re.findall(r'os\.environ\.get\("(\w+)"', code))
    assert read == set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_training():
    names = {}
    loading, collating, stepping, trainer, storing, dropping, comparing = blocks("training.md")
    run([loading, collating], names)
    batch, plan = names["collate"](names["samples"][:2])
    # With the stock model's own positions and plan, from the same ids, the loss is the same.
    types = (batch["input_ids"] == names["image"]).long()
    stock = {name: value for name, value in batch.items() if name != "position_ids"}
    with torch.no_grad():
        expected = names["model"](**stock, mm_token_type_ids=types).loss
        found = names["model"](**batch, **plan.as_transformers_kwargs("image_")).loss
    assert torch.equal(found, expected)
    run([stepping], names)
    assert len(names["losses"]) == 2
    assert names["losses"][0] == found.item()
    last = batch["attention_mask"].sum(1, keepdim=True) - 1
    assert (batch["labels"].gather(1, last) == names["tokenizer"].eos_token_id).all()
    run([trainer], names)
    assert names["trainer"].state.global_step == 2
    assert run([storing], names) == "3 True\n"
    run([dropping, comparing], names)
    assert [len(names[part]) for part in ("rows", "grids")] == [0, 0]
    pixels = ImageProcessor(names["processor"].config, dtype="uint8")("samples/coffee.png")
    assert names["text"] == fingerprint(pixels.pixel_values, names["processor"].config)
    assert names["frames"][0].shape == (2, 392, 588, 3)


def test_the_module_that_verl_imports():
    try:
        run(blocks("training.md", "verl"), {})
        processor = AutoProcessor.from_pretrained("path/to/Qwen2.5-VL-7B-Instruct")
        assert type(processor.image_processor).__module__.startswith("qvl_fast")
        assert fetch_image.__code__.co_filename == installation.__file__
    finally:
        unregister()
        installation.uninstall()


def test_transformers():
    names = {}
    try:
        printed = run(blocks("transformers.md"), names)
        assert type(names["video_processor"]).__module__.endswith("transformers.video")
    finally:
        unregister()
    assert printed == "qvl_fast.integrations.transformers.image\nTrue\n"


def test_messages():
    names = {}
    loading, preparing, counting, utilities, installing, limiting = blocks("messages.md")
    run([loading, preparing], names)
    prompt = names["inputs"]["input_ids"]
    assert names["answer"].shape == (1, prompt.shape[1] + 8)
    assert run([counting], names) == f"2 {prompt.shape[1]}\n"
    run([utilities], names)
    assert [image.size for image in names["images"]] == [(588, 392), (644, 420)]  # width, height
    assert names["videos"] is None
    run([installing], names)
    assert names["image"].size == (532, 364)
    refused = "0 'samples/coffee.png' is a file, and allow_files is False\n"
    assert run([limiting], names) == refused


def encoded(height, width):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_serving():
    names = {}
    run(blocks("serving.md"), names)
    good, bad = [encoded(60, 90), encoded(40, 40)], [encoded(60, 90), encoded(60, 90)[:-40]]
    large = [encoded(60, 90), encoded(8000, 8000)]

    async def answers(function, *requests):
        return await asyncio.gather(*map(function, requests), return_exceptions=True)

    found = asyncio.run(answers(names["handle"], good, bad, large))
    assert [status for status, _ in found] == [200, 400, 413]
    (_, batch), (_, message), (_, refusal) = found
    assert type(batch) is ImageRows
    assert len(batch.image_grid_thw) == 2
    assert message.startswith("image 1: ")
    assert refusal == "an image has 8000 x 8000 pixels"
    names["threads"].shutdown()

    apart, error = asyncio.run(answers(names["preprocess_apart"], good, bad))
    assert np.array_equal(apart.pixel_values, batch.pixel_values)
    assert (type(error), error.index) == (ImageError, 1)
    names["workers"].shutdown()
