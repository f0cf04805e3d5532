"""Servers: vLLM's processes, and the recipes of docs/serving.md for engines, with stand-ins."""

import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from multiprocessing import get_context
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from pages import ROOT, blocks
from transformers import AutoImageProcessor, AutoVideoProcessor

import qvl_fast
from qvl_fast.integrations.transformers import unregister

OURS = "qvl_fast.integrations.transformers.image"
STOCK = "transformers.models.qwen2_vl.image_processing_qwen2_vl"
# The placeholder in the prompts for vLLM.
IMAGE = 99

# ------------------------------------------------------------------------------- vLLM's processes


def plugin():
    """What vLLM finds and calls in each of its processes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    group = "vllm.general_plugins"
    [(name, value)] = project["entry-points"][group].items()
    return EntryPoint(name, value, group).load()


def class_in_a_worker(folder):
    """The module of the image processor that a process of vLLM loads."""
    plugin()()
    return type(AutoImageProcessor.from_pretrained(folder)).__module__


def test_a_worker_gets_the_drop_ins_if_the_environment_says_so(checkpoint, monkeypatch):
    monkeypatch.setenv("QVL_FAST_VLLM", "1")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(class_in_a_worker, checkpoint("qwen2_5_vl")).result() == OURS


@pytest.mark.parametrize("value", [None, "", "0"])
def test_a_worker_is_left_alone_if_it_does_not(checkpoint, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("QVL_FAST_VLLM", value)
    assert class_in_a_worker(checkpoint("qwen2_5_vl")) == STOCK


def test_vllm_may_call_several_times(checkpoint, monkeypatch):
    monkeypatch.setenv("QVL_FAST_VLLM", "1")
    folder = checkpoint("qwen3_vl")
    try:
        plugin()()
        plugin()()
        assert type(AutoImageProcessor.from_pretrained(folder)).__module__ == OURS
        assert type(AutoVideoProcessor.from_pretrained(folder)).__module__.startswith("qvl_fast.")
    finally:
        unregister()
    assert type(AutoImageProcessor.from_pretrained(folder)).__module__ == STOCK


def test_unless_asked_the_plugin_imports_nothing():
    code = (
        "import sys; from qvl_fast.integrations.vllm import register; register()\n"
        "print({'torch', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv("QVL_FAST_VLLM", "yes")
    with pytest.raises(ValueError, match="QVL_FAST_VLLM must be 0 or 1, got 'yes'"):
        plugin()()


# ----------------------------------------------------------------------------------------- SGLang


class SGLangEngine:
    """Reads requests as SGLang's engine does, and keeps what its scheduler would get."""

    def __init__(self, processor):
        self.image_token_id = processor.image_token_id

    def generate(self, *, input_ids, image_data):
        assert all(type(token) is int for token in input_ids)
        formats = [item.get("format") for item in image_data if isinstance(item, dict)]
        assert formats == ["processor_output"], "one dict with all images, or plain images"
        self.input_ids = input_ids
        self.feature = image_data[0]["pixel_values"]
        self.grids = image_data[0]["image_grid_thw"]
        is_image = np.array([0, *(token == self.image_token_id for token in input_ids), 0])
        edges = np.flatnonzero(np.diff(is_image)).reshape(-1, 2)
        self.offsets = [(int(first), int(after) - 1) for first, after in edges]
        return {"text": "an answer"}


def test_sglang_takes_what_prepare_makes(tiny_processor):
    processor = tiny_processor("qwen2.5-vl", {"max_pixels": 28 * 28 * 40}, {})
    engine = SGLangEngine(processor)
    images = [ROOT / "samples" / name for name in ("coffee.png", "rocket.jpg")]
    content = [{"type": "image", "image": str(image)} for image in images]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": "Describe"}]}]
    names = {
        "qvl_fast": qvl_fast,
        "messages": messages,
        "processor": processor,
        "engine": engine,
    }
    [code] = blocks("serving.md", "sglang")
    exec(code, names)
    stock = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert names["answer"] == {"text": "an answer"}
    assert engine.input_ids == stock["input_ids"][0].tolist()
    assert torch.equal(engine.feature, stock["pixel_values"])
    assert torch.equal(engine.grids, stock["image_grid_thw"])
    tokens = [last - first + 1 for first, last in engine.offsets]
    assert tokens == (engine.grids.prod(1) // 4).tolist()


# -------------------------------------------------------------------------- rows of ours for vLLM


@dataclass(frozen=True)
class PlaceholderRange:
    offset: int
    length: int


class FieldConfig:
    """How a tensor is cut into the parts of each image, as vLLM's `MultiModalFieldConfig` does."""

    def __init__(self, cut):
        self.cut = cut

    @classmethod
    def flat_from_sizes(cls, modality, sizes):
        assert modality == "image"
        return cls(lambda tensor: tensor.split(sizes.tolist()))

    @classmethod
    def batched(cls, modality, *, keep_on_cpu):
        assert (modality, keep_on_cpu) == ("image", True)
        return cls(lambda tensor: tensor.unbind())


class KwargsItems:
    @staticmethod
    def from_hf_inputs(inputs, fields):
        cut = {name: field.cut(inputs[name]) for name, field in fields.items()}
        items = zip(*cut.values(), strict=True)
        return {"image": [dict(zip(cut, parts, strict=True)) for parts in items]}


@pytest.fixture
def engine_input(monkeypatch):
    """The function of the recipe, with a stand-in for what it imports of vLLM."""
    inputs, multimodal = ModuleType("vllm.inputs"), ModuleType("vllm.multimodal.inputs")
    inputs.mm_input = lambda **parts: SimpleNamespace(type="multimodal", **parts)
    multimodal.MultiModalFieldConfig = FieldConfig
    multimodal.MultiModalKwargsItems = KwargsItems
    multimodal.PlaceholderRange = PlaceholderRange
    for name in ("vllm", "vllm.multimodal"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "vllm.inputs", inputs)
    monkeypatch.setitem(sys.modules, "vllm.multimodal.inputs", multimodal)
    names = {
        "qvl_fast": qvl_fast,
        "processor": qvl_fast.ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 40),
        "image_token_id": IMAGE,
    }
    [code] = blocks("serving.md", "vllm")
    exec(code, names)
    return names["engine_input"]


def noise(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_vllm_takes_rows_of_ours(engine_input, stock):
    images = [noise(0, 90, 120), noise(1, 56, 56)]
    made = engine_input([7, IMAGE, 8, IMAGE, 9], images)
    theirs = stock("torchvision", size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 40})
    tokens = []
    for image, item in zip(images, made.mm_kwargs["image"], strict=True):
        expected = theirs(image)
        assert torch.equal(item["pixel_values"], expected["pixel_values"])
        assert torch.equal(item["image_grid_thw"], expected["image_grid_thw"][0])
        tokens.append(int(item["image_grid_thw"].prod()) // 4)
    assert made.prompt_token_ids == [7, *[IMAGE] * tokens[0], 8, *[IMAGE] * tokens[1], 9]
    assert made.mm_placeholders["image"] == [
        PlaceholderRange(1, tokens[0]),
        PlaceholderRange(2 + tokens[0], tokens[1]),
    ]


def test_vllm_tells_images_apart_by_rows_and_grid(engine_input):
    upright, lying = np.zeros((112, 56, 3), np.uint8), np.zeros((56, 112, 3), np.uint8)
    images = [noise(0, 90, 120), upright, lying, noise(0, 90, 120)]
    first, *others = engine_input([IMAGE] * 4, images).mm_hashes["image"]
    assert first == others[-1]
    assert len({first, *others}) == 3
