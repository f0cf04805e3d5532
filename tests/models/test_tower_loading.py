"""Towers from checkpoint directories, as transformers writes them and as they were released."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from qvl_fast.config import TOWERS, ModelConfig, TowerConfig
from qvl_fast.models import Qwen2VisionTower, Qwen3VisionTower, load_vision_tower

STOCK = {
    "qwen2-vl-tiny": (Qwen2VLConfig, Qwen2VLForConditionalGeneration),
    "qwen2.5-vl-tiny": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3-vl-tiny": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 100,
}
GRIDS = [[1, 4, 6]]
PREFIX = re.compile(r"^(model\.)?visual\.")


@pytest.fixture
def model(name, pair):
    """A whole tiny model of transformers around the pair's vision module."""
    stock, _ = pair
    config_class, model_class = STOCK[name]
    text = TEXT | {"rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6]}}
    if name == "qwen3-vl-tiny":
        text |= {"head_dim": 32}
    config = config_class(text_config=text, vision_config=stock.config.to_dict())
    model = model_class(config)
    model.model.visual.load_state_dict(stock.state_dict())
    return model


def tensors(directory):
    """Every tensor of a checkpoint that is one file."""
    return load_file(directory / "model.safetensors")


@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "sharded"])
def test_a_saved_model(tmp_path, model, pair, make_rows, sharded):
    model.save_pretrained(tmp_path, max_shard_size="100KB" if sharded else "1GB")
    assert (tmp_path / "model.safetensors.index.json").exists() == sharded
    _, expected = pair
    tower = load_vision_tower(tmp_path)
    assert type(tower) is type(expected)
    assert tower.config == expected.config
    rows = make_rows(GRIDS, tower.config)
    assert torch.equal(tower(rows, GRIDS).tokens, expected(rows, GRIDS).tokens)


@pytest.mark.parametrize("prefix", ["visual.", "model.visual."])
def test_both_prefixes(tmp_path, model, pair, prefix):
    """Qwen3-VL's checkpoints have the longer one, those of the others either."""
    model.save_pretrained(tmp_path)
    renamed = {PREFIX.sub(prefix, key): x for key, x in tensors(tmp_path).items()}
    save_file(renamed, tmp_path / "model.safetensors")
    expected = pair[1].state_dict()
    loaded = load_vision_tower(tmp_path).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], x) for key, x in expected.items())


def test_dtype_and_device(tmp_path, model):
    model.bfloat16().save_pretrained(tmp_path)
    assert load_vision_tower(tmp_path).dtype == torch.bfloat16
    tower = load_vision_tower(tmp_path, torch.float32, "cpu")
    assert {weight.dtype for weight in tower.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in tower.parameters())


def test_only_the_files_with_vision_tensors_are_opened(tmp_path, model):
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    files = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    of_vision = {file for key, file in files.items() if PREFIX.match(key)}
    others = set(files.values()) - of_vision
    assert others
    for file in others:
        (tmp_path / file).unlink()
    load_vision_tower(tmp_path)


def test_tensors_that_do_not_fit_are_listed(tmp_path, model):
    model.save_pretrained(tmp_path)
    changed = {PREFIX.sub("visual.", key): x for key, x in tensors(tmp_path).items()}
    del changed["visual.blocks.0.attn.qkv.bias"]
    changed["visual.blocks.0.attn.extra"] = torch.zeros(1)
    changed["visual.blocks.1.norm1.weight"] = torch.zeros(5)
    save_file(changed, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError,
        match=r"missing: blocks.0.attn.qkv.bias; unexpected: blocks.0.attn.extra; "
        r"of another shape: blocks.1.norm1.weight \(5,\) instead of \(96,\)",
    ):
        load_vision_tower(tmp_path)


def test_directories_that_hold_no_tower(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        load_vision_tower(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match=r"model_type in .* must be one of blip-2, .* 'llama'"):
        load_vision_tower(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors\.index\.json nor"):
        load_vision_tower(tmp_path)
    save_file({"lm_head.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"no tensor .* 'model\.visual\.' or 'visual\.'"):
        load_vision_tower(tmp_path)


def test_a_module_of_another_generation_is_refused(pair):
    stock, tower = pair
    other = Qwen2VisionTower if isinstance(tower, Qwen3VisionTower) else Qwen3VisionTower
    with pytest.raises(ValueError, match="module must be of type"):
        other.from_transformers(stock)


def test_a_copy_of_the_weights_is_taken(pair):
    stock, tower = pair
    weight = stock.blocks[0].attn.qkv.weight
    before = weight.detach().clone()
    with torch.no_grad():
        tower.blocks[0].attn.qkv.weight.zero_()
    assert torch.equal(weight, before)


# ----------------------------------------------------------------------------------- configuration


def test_presets_are_the_shapes_of_their_generation():
    sizes = {name: (c.depth, c.width, c.mlp_width, c.out_width) for name, c in TOWERS.items()}
    assert sizes["qwen2-vl-2b"] == (32, 1280, 5120, 1536)
    assert sizes["qwen2.5-vl-72b"] == (32, 1280, 3456, 8192)
    assert sizes["qwen3-vl-4b"] == sizes["qwen3.5-4b"] == (24, 1024, 4096, 2560)
    assert sizes["qwen3.5"] == (27, 1152, 4304, 4096)
    for family in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3.5"):
        assert ModelConfig.preset(family).tower == TOWERS[family]
    with pytest.raises(ValueError, match=r"preset must be one of .*qwen2-vl-2b.*, got 'qwen9'"):
        TowerConfig.preset("qwen9")


def test_what_a_configuration_leaves_out_is_as_in_transformers(name):
    from qvl_fast.bench.stock_tower import stock_tower

    settings = stock_tower(TOWERS[name]).config.to_dict()
    model_type = settings["model_type"].removesuffix("_vision")
    config_class = STOCK[name][0]
    defaults = config_class().vision_config.to_dict()
    assert TowerConfig.from_dict(settings, model_type) == TOWERS[name]
    assert TowerConfig.from_dict({}, model_type) == TowerConfig.from_dict(defaults, model_type)


def test_what_a_tower_does_not_compute_is_refused():
    with pytest.raises(ValueError, match="hidden_act of a qwen2_vl tower must be 'quick_gelu'"):
        TowerConfig.from_dict({"hidden_act": "relu"}, "qwen2_vl")
    with pytest.raises(ValueError, match="model_type must be one of"):
        TowerConfig.from_dict({}, "qwen1")
    with pytest.raises(ValueError, match=r"width must be a multiple of 4 \* heads = 64, got 100"):
        TowerConfig(width=100)
    with pytest.raises(ValueError, match="deepstack_blocks must count from 0 and increase"):
        TowerConfig(deepstack_blocks=(3, 1))
    with pytest.raises(TypeError, match="full_attention_blocks must be a sequence of integers"):
        TowerConfig(full_attention_blocks=3)


def test_a_configuration_of_another_generation_is_refused():
    with pytest.raises(ValueError, match="config is not one of a Qwen2VisionTower"):
        Qwen2VisionTower("qwen2.5-vl-tiny")
    with pytest.raises(ValueError, match="config is not one of a Qwen3VisionTower"):
        Qwen3VisionTower("qwen2-vl-tiny")


# ------------------------------------------------------------------------------------------ memory

# The largest tensor is 4 % of the tower, as in the released ones.
_LARGE = TowerConfig(width=512, heads=8, mlp_width=2048, out_width=512)
_PEAK = """
import sys
import safetensors.torch
import torch
from qvl_fast.bench.peak import peak_bytes
from qvl_fast.models import load_vision_tower

directory, dtype = sys.argv[1], getattr(torch, sys.argv[2], None)
towers = []
peak = peak_bytes(lambda: towers.append(load_vision_tower(directory, dtype)))
print(peak / sum(x.nbytes for x in towers[0].parameters()))
"""


@pytest.fixture(scope="module")
def large_checkpoint(tmp_path_factory):
    """A checkpoint of 200 MB in bfloat16."""
    directory = tmp_path_factory.mktemp("large")
    tower = Qwen2VisionTower(_LARGE).bfloat16()
    save_file(
        {f"visual.{name}": x for name, x in tower.state_dict().items()},
        directory / "model.safetensors",
    )
    shape = {"embed_dim": _LARGE.width, "num_heads": _LARGE.heads, "hidden_size": _LARGE.out_width}
    config = {"model_type": "qwen2_vl", "vision_config": shape}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["None", "float32"])
def test_peak_memory(large_checkpoint, dtype):
    """The tower, and one tensor as it is read. In a process that has no free memory left over."""
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, str(large_checkpoint), dtype],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.95 < float(run.stdout) <= 1.1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_files_stay_mapped_only_if_asked(tmp_path, model):
    model.bfloat16().save_pretrained(tmp_path)

    def mapped():
        return str(tmp_path) in Path("/proc/self/maps").read_text()

    copied = load_vision_tower(tmp_path)
    assert not mapped()
    in_file = load_vision_tower(tmp_path, mmap=True)
    assert mapped()
    for name, x in in_file.state_dict().items():
        assert torch.equal(x, copied.state_dict()[name])
    del in_file, x
    assert not mapped()
    cast = load_vision_tower(tmp_path, torch.float32, mmap=True)
    assert not mapped()
    assert cast.dtype == torch.float32
