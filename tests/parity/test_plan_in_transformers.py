"""A plan takes the place of the loops in the models of transformers, and changes no bit."""

import json

import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5TextRotaryEmbedding
from transformers.models.qwen3_5_moe.configuration_qwen3_5_moe import Qwen3_5MoeConfig
from transformers.models.qwen3_5_moe.modeling_qwen3_5_moe import Qwen3_5MoeTextRotaryEmbedding
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding
from transformers.models.qwen4_exp.configuration_qwen4_exp import Qwen4ExpConfig
from transformers.models.qwen4_exp.modeling_qwen4_exp import Qwen4ExpTextRotaryEmbedding
from transformers.vision_utils import get_vision_attention_seqlens

from qvl_fast import ModelConfig, RopeConfig, mrope_rotary, plan

IMAGE, VIDEO = 60, 61
PATCH, ROW = 4, 3 * 2 * 4 * 4
SMALL = {"hidden_size": 32, "intermediate_size": 32}
KINDS = {
    "qwen2-vl": (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 1},
    ),
    "qwen2.5-vl": (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        {**SMALL, "out_hidden_size": 32, "fullatt_block_indexes": [1], "window_size": 16},
    ),
    "qwen3-vl": (
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        {
            **SMALL,
            "out_hidden_size": 32,
            "num_position_embeddings": 49,
            "deepstack_visual_indexes": [0],
        },
    ),
    "qwen3.5": (
        Qwen3_5Config,
        Qwen3_5ForConditionalGeneration,
        {**SMALL, "out_hidden_size": 32, "num_position_embeddings": 49},
    ),
}
IMAGES = torch.tensor([[1, 6, 10], [1, 4, 4]])
VIDEOS = torch.tensor([[3, 6, 8]])


def tiny_config(name):
    config, _, vision = KINDS[name]
    text = {
        **SMALL,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 64,
        "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 12345.0,
            "mrope_section": [2, 3, 3],
        },
    }
    if name == "qwen3-vl":
        text["head_dim"] = 16
    if name == "qwen3.5":  # It rotates a quarter of the channels.
        text |= {"head_dim": 64, "layer_types": ["linear_attention", "full_attention"]}
        text |= {f"linear_{of}_head_dim": 16 for of in ("key", "value")}
        text |= {f"linear_num_{of}_heads": 2 for of in ("key", "value")}
    vision = {"depth": 2, "num_heads": 2, "patch_size": PATCH, **vision}
    return config(
        text_config=text,
        vision_config=vision,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=62,
        vision_end_token_id=63,
    )


@pytest.fixture(scope="module", params=list(KINDS))
def model(request, tmp_path_factory):
    """A random model, and the configuration that is read from its saved files."""
    torch.manual_seed(0)
    model = KINDS[request.param][1](tiny_config(request.param)).eval()
    directory = tmp_path_factory.mktemp(request.param)
    model.config.save_pretrained(directory)
    Qwen2VLImageProcessor(patch_size=PATCH).save_pretrained(directory)
    return model, ModelConfig.from_pretrained(directory)


def inputs(config, kinds):
    """One row with the images, or the videos, or both, and text between them."""
    generator = torch.Generator().manual_seed(1)
    ids, result = [5], {}
    for kind, token, grids in (("image", IMAGE, IMAGES), ("video", VIDEO, VIDEOS)):
        if kind not in kinds:
            continue
        pixels = "pixel_values" if kind == "image" else "pixel_values_videos"
        rows = int(grids.prod(1).sum())
        result[pixels] = torch.randn(rows, ROW, generator=generator)
        result[f"{kind}_grid_thw"] = grids
        for t, h, w in grids.tolist():
            split = kind == "video" and config.rope.videos_in_groups
            for tokens in [h * w // 4] * t if split else [t * h * w // 4]:
                ids += [62, *[token] * tokens, 63, 7]
    ids = torch.tensor([ids])
    types = (ids == IMAGE).long() + 2 * (ids == VIDEO).long()
    return {"input_ids": ids, "mm_token_type_ids": types, **result}


def plans(config, kinds):
    grids = {"image": IMAGES, "video": VIDEOS}
    return {
        name: value
        for kind in kinds
        for name, value in plan(grids[kind], config).as_transformers_kwargs(f"{kind}_").items()
    }


@torch.no_grad()
def logits(model, arguments, extra):
    model.model.rope_deltas = None
    return model(**arguments, **extra).logits


@pytest.mark.parametrize("kinds", [("image",), ("video",), ("image", "video")], ids="+".join)
def test_the_logits_are_identical(model, kinds):
    model, config = model
    arguments, extra = inputs(config, kinds), plans(config, kinds)
    stock = logits(model, arguments, {})
    assert stock.std() > 0.01
    assert torch.equal(logits(model, arguments, extra), stock)
    assert torch.equal(logits(model, arguments, plans(config, kinds)), stock)


def spoilt(name, value):
    """Another valid value of the argument, which must give another result."""
    if name.endswith("seqlens"):
        return value[[0, -1]]
    return value.flip(0) if name.endswith(("window_index", "interp_indices")) else value * 0


@pytest.mark.parametrize("kind", ["image", "video"])
def test_every_tensor_is_what_the_model_takes(model, kind):
    model, config = model
    arguments, extra = inputs(config, ("image", "video")), plans(config, ("image", "video"))
    stock = logits(model, arguments, extra)
    tensors = [name for name in extra if name.startswith(kind) and "max" not in name]
    assert {name.removeprefix(f"{kind}_") for name in tensors} >= {"cu_seqlens", "position_ids"}
    for name in tensors:
        changed = logits(model, arguments, {**extra, name: spoilt(name, extra[name])})
        assert not torch.equal(changed, stock), name


def test_the_model_computes_none_of_it(model, monkeypatch):
    """The tower alone, on grids whose values cannot be read."""
    model, config = model
    tower = model.model.visual
    pixels = inputs(config, ("image",))["pixel_values"]
    unreadable = torch.empty(2, 3, dtype=torch.int64, device="meta")
    with torch.no_grad():
        stock = tower(pixels, grid_thw=IMAGES).pooler_output
        extra = plan(IMAGES, config).as_transformers_kwargs("")
        planned = tower(pixels, grid_thw=unreadable, **extra).pooler_output
        assert torch.equal(planned, stock)
        with pytest.raises((RuntimeError, NotImplementedError)):
            tower(pixels, grid_thw=unreadable)


def test_lengths_are_the_integers_that_flash_attention_takes(model):
    model, config = model
    extra = plan(IMAGES, config).as_transformers_kwargs("")
    attention = model.config.vision_config
    names = {name for name in extra if name.startswith("max")}
    assert names == {"max_seqlen", "max_window_seqlen"} & set(extra)
    assert all(type(extra[name]) is int for name in names)
    flash = type(attention)(**attention.to_dict())
    flash._attn_implementation = "flash_attention_2"
    assert extra["max_seqlen"] == get_vision_attention_seqlens(IMAGES, flash)[1]
    assert get_vision_attention_seqlens(IMAGES, flash, kwargs=extra)[1] == 60
    assert "max_seqlen" not in extra


def test_generate_refuses_them(model):
    model, config = model
    arguments = inputs(config, ("image",))
    model.model.rope_deltas = None
    with pytest.raises(ValueError, match=r"not used by the model.*image_cu_seqlens"):
        model.generate(**arguments, **plans(config, ("image",)), max_new_tokens=1)


# ------------------------------------------------------------------------ from_pretrained


def index_part(tower):
    """What index functions read of it; towers read more."""
    names = ("patch_size", "merge_size", "window_size", "position_table_side")
    return {name: getattr(tower, name) for name in names}


def test_the_saved_model_is_described(model):
    model, config = model
    name = {
        "qwen2_vl": "qwen2-vl",
        "qwen2_5_vl": "qwen2.5-vl",
        "qwen3_vl": "qwen3-vl",
        "qwen3_5": "qwen3.5",
    }[model.config.model_type]
    is_new = name.startswith("qwen3")
    assert config.image.patch_size == PATCH
    assert index_part(config.tower) == {
        "patch_size": PATCH,
        "merge_size": 2,
        "window_size": 16 if name == "qwen2.5-vl" else None,
        "position_table_side": 7 if is_new else None,
    }
    assert config.rope == RopeConfig(
        merge_size=2,
        tokens_per_second=4 if name == "qwen2.5-vl" else None,
        videos_in_groups=is_new,
        head_dim=16,
        theta=12345.0,
        sections=(2, 3, 3),
        interleaved=is_new,
    )


# Files as released, less what has no part in it, and files that leave things out.
TEXT = {"hidden_size": 3584, "num_attention_heads": 28}
MROPE = {"type": "mrope", "mrope_section": [16, 24, 24]}
FILES = {
    "Qwen2-VL-7B": {
        "model_type": "qwen2_vl",
        **TEXT,
        "rope_scaling": MROPE,
        "rope_theta": 1000000.0,
        "vision_config": {
            "depth": 32,
            "embed_dim": 1280,
            "hidden_size": 3584,
            "in_chans": 3,
            "mlp_ratio": 4,
            "num_heads": 16,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
        },
    },
    "Qwen2.5-VL-7B": {
        "model_type": "qwen2_5_vl",
        **TEXT,
        "rope_scaling": MROPE,
        "rope_theta": 1000000.0,
        "vision_config": {
            "depth": 32,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "hidden_size": 1280,
            "in_chans": 3,
            "out_hidden_size": 3584,
            "spatial_patch_size": 14,
            "tokens_per_second": 2,
            "window_size": 112,
        },
    },
    "Qwen2.5-VL, flat, other values": {
        "model_type": "qwen2_5_vl",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "rope_theta": 777.0,
        "vision_config": {"window_size": 64, "patch_size": 8, "spatial_merge_size": 4},
    },
    "Qwen3-VL-4B": {
        "model_type": "qwen3_vl",
        "text_config": {
            "head_dim": 128,
            "hidden_size": 2560,
            "num_attention_heads": 32,
            "rope_scaling": {
                "mrope_interleaved": True,
                "mrope_section": [24, 20, 20],
                "rope_type": "default",
            },
            "rope_theta": 5000000,
        },
        "vision_config": {"num_position_embeddings": 2304, "patch_size": 16},
    },
    "Qwen3-VL without head_dim": {
        "model_type": "qwen3_vl",
        "text_config": {"hidden_size": 2560, "num_attention_heads": 32, "rope_theta": 5000000},
    },
    "Qwen3.5-9B": {
        "model_type": "qwen3_5",
        "text_config": {
            "head_dim": 256,
            "hidden_size": 4096,
            "num_attention_heads": 16,
            "rope_parameters": {
                "mrope_interleaved": True,
                "mrope_section": [11, 11, 10],
                "partial_rotary_factor": 0.25,
                "rope_theta": 10000000,
                "rope_type": "default",
            },
        },
        "vision_config": {
            "deepstack_visual_indexes": [],
            "model_type": "qwen3_5",
            "num_position_embeddings": 2304,
            "out_hidden_size": 4096,
            "patch_size": 16,
        },
    },
    "Qwen3.5, the share beside parameters": {
        "model_type": "qwen3_5_moe",
        "text_config": {
            "head_dim": 32,
            "partial_rotary_factor": 0.5,
            "rope_parameters": {"rope_theta": 5.0, "mrope_section": [3, 3, 2]},
        },
    },
    "Qwen4": {
        "model_type": "qwen4_exp",
        "text_config": {"rope_parameters": {"rope_theta": 7.0, "partial_rotary_factor": 0.25}},
    },
    "Qwen2-VL, nothing": {"model_type": "qwen2_vl"},
    "Qwen2.5-VL, nothing": {"model_type": "qwen2_5_vl"},
    "Qwen3-VL, nothing": {"model_type": "qwen3_vl"},
    "Qwen3.5, nothing": {"model_type": "qwen3_5"},
    "Qwen3.5 of experts, nothing": {"model_type": "qwen3_5_moe"},
    "Qwen2-VL, theta beside parameters": {
        "model_type": "qwen2_vl",
        "text_config": {
            "hidden_size": 64,
            "num_attention_heads": 4,
            "rope_theta": 5.0,
            "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
    },
}
STOCK = {
    "qwen2_vl": (Qwen2VLConfig, Qwen2VLRotaryEmbedding),
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLRotaryEmbedding),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLTextRotaryEmbedding),
    "qwen3_5": (Qwen3_5Config, Qwen3_5TextRotaryEmbedding),
    "qwen3_5_moe": (Qwen3_5MoeConfig, Qwen3_5MoeTextRotaryEmbedding),
    "qwen4_exp": (Qwen4ExpConfig, Qwen4ExpTextRotaryEmbedding),
}


@pytest.mark.parametrize("name", FILES)
def test_files_mean_what_transformers_reads_in_them(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(FILES[name]))
    Qwen2VLImageProcessor().save_pretrained(tmp_path)
    ours = ModelConfig.from_pretrained(tmp_path)
    kind = FILES[name]["model_type"]
    is_new = kind not in ("qwen2_vl", "qwen2_5_vl")
    config_class, rotary = STOCK[kind]
    theirs = config_class.from_pretrained(tmp_path)
    vision, text = theirs.vision_config, theirs.text_config
    assert index_part(ours.tower) == {
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "window_size": getattr(vision, "window_size", None),
        "position_table_side": int(vision.num_position_embeddings**0.5) if is_new else None,
    }
    assert ours.rope.merge_size == vision.spatial_merge_size
    assert ours.rope.tokens_per_second == getattr(vision, "tokens_per_second", None)
    assert ours.rope.videos_in_groups == is_new
    ids = torch.randint(0, 5000, (3, 2, 9))
    expected = rotary(text)(torch.zeros(1), ids)
    for mine, stock in zip(mrope_rotary(ids, ours), expected, strict=True):
        assert mine.shape == stock.shape
        assert torch.equal(mine, stock)


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        {"rope_type": "linear", "factor": 2.0},
    ],
    ids=["yarn", "linear"],
)
def test_a_rope_that_is_not_reproduced_is_refused(scaling, tmp_path):
    """Long-context recipes for Qwen2.5-VL change the frequencies: equal, or an error."""
    config = {**FILES["Qwen2.5-VL-7B"]}
    config["rope_scaling"] = {**scaling, "mrope_section": [16, 24, 24]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    Qwen2VLImageProcessor().save_pretrained(tmp_path)
    ids = torch.arange(300).view(3, 1, 100)
    theirs = Qwen2_5_VLRotaryEmbedding(Qwen2_5_VLConfig.from_pretrained(tmp_path).text_config)
    try:
        ours = mrope_rotary(ids, ModelConfig.from_pretrained(tmp_path))
    except ValueError:
        return
    assert torch.equal(ours[0], theirs(torch.zeros(1), ids)[0])


def test_other_model_types_have_neither_tower_nor_rope(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    Qwen2VLImageProcessor().save_pretrained(tmp_path)
    config = ModelConfig.from_pretrained(tmp_path)
    assert (config.tower, config.rope) == (None, None)
    with pytest.raises(ValueError, match=f"config '{tmp_path.name}'.*tower"):
        plan(IMAGES, config)
