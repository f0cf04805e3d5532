"""The programs in docs/ run as they stand, with a tiny model in place of a checkpoint."""

import asyncio
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from qvl_fast import ImageProcessor, ImageRows, fingerprint

ROOT = Path(__file__).parents[2]
# What `<image>` is to the tokenizer below, and the vocabulary of the model.
IMAGE, VIDEO, VOCABULARY = 60, 61, 64


def blocks(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def tokenizer(text):
    pieces = re.findall(r"<image>|.", text, re.DOTALL)
    return SimpleNamespace(
        input_ids=[IMAGE if piece == "<image>" else ord(piece) % IMAGE for piece in pieces]
    )


def tiny_model(image=IMAGE, video=VIDEO, vocabulary=VOCABULARY):
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32}
    text = {
        **small,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": vocabulary,
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
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=text, vision_config=vision, image_token_id=image, video_token_id=video
        )
    )


@pytest.mark.parametrize("page", ["boxes.md", "view.md"])
def test_pages_that_need_nothing(page, tmp_path, monkeypatch):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        exec(block, names)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_training(tmp_path):
    samples = []
    for number, size in enumerate([(60, 90), (120, 84), (70, 70)]):
        path = tmp_path / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        samples.append({"image": path, "prompt": "What is <image> here?", "answer": "noise"})
    names = {
        "model": tiny_model(),
        "tokenizer": tokenizer,
        "processor": ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 12),
        "samples": samples,
        "directory": tmp_path / "rows",
    }
    printed = io.StringIO()
    collating, stepping, storing, dropping, comparing = blocks("training.md")
    exec(collating, names)
    batch, plan = names["collate"](samples[:2])
    # With the stock model's own positions and plan, from the same ids, the loss is the same.
    types = (batch["input_ids"] == IMAGE).long()
    stock = {name: value for name, value in batch.items() if name != "position_ids"}
    with torch.no_grad():
        expected = names["model"](**stock, mm_token_type_ids=types).loss
        found = names["model"](**batch, **plan.as_transformers_kwargs("image_")).loss
    assert torch.equal(found, expected)
    exec(stepping, names)
    assert len(names["losses"]) == 2
    assert names["losses"][0] == found.item()
    with redirect_stdout(printed):
        exec(storing, names)
    assert printed.getvalue() == "3 True\n"

    batch = names["batch"] = names["collate"](samples[:1])[0]
    length = batch["input_ids"][0].tolist().index(IMAGE) + 1
    names |= {"ids": batch["input_ids"][0, :length]}
    names |= {"rows": batch.pixel_values, "grids": batch.image_grid_thw}
    exec(dropping, names)
    assert [len(names[part]) for part in ("ids", "rows", "grids")] == [length - 1, 0, 0]
    exec(comparing, names)
    pixels = ImageProcessor(names["processor"].config, dtype="uint8")(samples[0]["image"])
    assert names["text"] == fingerprint(pixels.pixel_values, names["processor"].config)
    assert names["frames"][0].shape[0] == 2


def test_transformers():
    names = {}
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            for block in blocks("transformers.md"):
                exec(block, names)
        assert type(names["video_processor"]).__module__.endswith("transformers.video")
    finally:
        names["drop_ins"].unregister()
    assert printed.getvalue() == "qvl_fast.integrations.transformers.image\nTrue\n"


def test_messages(tiny_processor, monkeypatch):
    monkeypatch.chdir(ROOT)
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 28**2 * 64}, {})
    model = tiny_model(processor.image_token_id, processor.video_token_id, len(processor.tokenizer))
    names = {"processor": processor, "model": model}
    preparing, counting, utilities, installing, limiting = blocks("messages.md")
    exec(preparing, names)
    prompt = names["inputs"]["input_ids"]
    assert names["answer"].shape == (1, prompt.shape[1] + 8)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(counting, names)
    assert printed.getvalue() == f"2 {prompt.shape[1]}\n"
    exec(utilities, names)
    assert [image.size for image in names["images"]] == [(588, 392), (644, 420)]  # width, height
    assert names["videos"] is None
    exec(installing, names)
    assert names["image"].size == (532, 364)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(limiting, names)
    assert printed.getvalue() == "0 'samples/coffee.png' is a file, and allow_files is False\n"


def test_serving():
    names = {}
    for block in blocks("serving.md"):
        exec(block, names)

    def encoded(height, width):
        file = io.BytesIO()
        Image.new("RGB", (width, height)).save(file, "PNG")
        return file.getvalue()

    async def serve():
        requests = [
            [encoded(60, 90), encoded(40, 40)],
            [encoded(60, 90), encoded(60, 90)[:-40]],
            [encoded(60, 90), encoded(8000, 8000)],
        ]
        return await asyncio.gather(*map(names["handle"], requests))

    good, bad, large = asyncio.run(serve())
    assert good[0] == 200
    assert type(good[1]) is ImageRows
    assert len(good[1]) == 2
    assert bad[0] == 400
    assert bad[1].startswith("image 1: ")
    assert large == (413, "an image has 8000 x 8000 pixels")
    names["threads"].shutdown()
