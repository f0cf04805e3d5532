"""Towers beside and inside what transformers makes: names, state dicts, settings, whole models."""

import copy
import io
from dataclasses import replace

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen2VLConfig, Qwen3VLConfig

from qvl_fast import ImageProcessor
from qvl_fast.config import TOWERS, TowerConfig
from qvl_fast.models import Visual

CONFIGS = {
    "qwen2-vl-tiny": Qwen2VLConfig,
    "qwen2.5-vl-tiny": Qwen2_5_VLConfig,
    "qwen3-vl-tiny": Qwen3VLConfig,
}


@pytest.fixture
def model(name, pair, make_model):
    """A whole tiny model of transformers around the pair's vision module, in float32."""
    return make_model(name, pair[0])


@pytest.fixture
def inputs(name, make_inputs):
    """Two padded texts with three images and a video."""
    return make_inputs(name)


# -------------------------------------------------------------------------------- names and weights


def test_state_dicts_load_both_ways(pair):
    stock, tower = pair
    assert list(tower.state_dict()) == list(stock.state_dict())
    for module, other in ((stock, tower), (tower, stock)):
        changed = {key: torch.randn_like(x) for key, x in other.state_dict().items()}
        module.load_state_dict(changed, strict=True)
        assert all(torch.equal(x, changed[key]) for key, x in module.state_dict().items())


def test_layers_that_adapters_target_are_where_stock_has_them(pair):
    """PEFT matches names of modules, and replaces linear layers and convolutions."""
    stock, tower = pair
    kinds = (torch.nn.Linear, torch.nn.Conv3d, torch.nn.Embedding)
    layers = [
        {name: kind for name, m in module.named_modules() for kind in kinds if isinstance(m, kind)}
        for module in (stock, tower)
    ]
    assert layers[0] == layers[1]


def test_what_models_read_of_their_visual(pair):
    stock, tower = pair
    for module in (tower, Visual(tower)):
        assert (module.dtype, module.device) == (stock.dtype, stock.device)
        assert module.spatial_merge_size == stock.spatial_merge_size
    tower.to(torch.bfloat16)
    assert Visual(tower).dtype == torch.bfloat16


# ----------------------------------------------------------------------------------- whole models


def test_logits_and_tokens_of_a_model_with_our_tower(model, pair, inputs, relative_error):
    _, tower = pair
    with torch.inference_mode():
        expected = model(**inputs).logits
        tokens = model.generate(**inputs, max_new_tokens=8, do_sample=False)
        names = list(model.state_dict())
        model.model.visual = Visual(tower)
        assert relative_error(model(**inputs).logits, expected) < 1e-5
        assert torch.equal(model.generate(**inputs, max_new_tokens=8, do_sample=False), tokens)
    assert list(model.state_dict()) == names


def test_a_model_with_a_folded_tower_takes_pixels(name, model, pair, inputs, relative_error):
    """Though models cast rows to the type that their vision module says."""
    _, tower = pair
    config = ImageProcessor(name.removesuffix("-tiny"), patch_size=tower.config.patch_size).config
    columns = inputs["pixel_values"].shape[1]
    per_channel = columns // 3
    pixels = torch.randint(256, (len(inputs["pixel_values"]), columns), dtype=torch.uint8)
    mean, std = (
        torch.tensor(values).repeat_interleave(per_channel)
        for values in (config.image_mean, config.image_std)
    )
    videos = inputs["pixel_values_videos"]
    black = torch.zeros_like(videos) - mean / std
    inputs = {
        **inputs,
        "pixel_values": (pixels / 255 - mean) / std,
        "pixel_values_videos": black,
    }
    with torch.inference_mode():
        expected = model(**inputs).logits
        tower.fold_normalization(config)
        model.model.visual = Visual(tower)
        black = torch.zeros_like(videos, dtype=torch.uint8)
        inputs |= {"pixel_values": pixels, "pixel_values_videos": black}
        assert relative_error(model(**inputs).logits, expected) < 1e-5


def test_a_model_with_our_tower_trains_as_stock_does(model, pair, inputs):
    """With activations checkpointed, as transformers switches it on."""
    ours = copy.deepcopy(model)
    ours.model.visual = Visual(pair[1])
    losses = {}
    for one in (model, ours):
        one.train().activation_checkpointing_enable()
        optimizer = torch.optim.SGD(one.parameters(), lr=0.05)
        losses[one] = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = one(**inputs, labels=inputs["input_ids"]).loss
            loss.backward()
            optimizer.step()
            losses[one].append(loss.item())
    assert pair[1].gradient_checkpointing
    assert losses[model][2] < 0.99 * losses[model][0]
    assert losses[ours] == pytest.approx(losses[model], rel=1e-5)


def test_a_visual_is_one_thing_with_its_tower(pair, make_rows, mixed):
    """Copied, pickled, cast and in training mode together, and with what an adapter replaces."""
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    visual = Visual(tower)
    buffer = io.BytesIO()
    torch.save(visual, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(visual), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(rows, torch.tensor(mixed)).pooler_output, expected)
        assert all(a is b for a, b in zip(twin.parameters(), twin.tower.parameters(), strict=True))
    visual.double()
    assert tower.dtype == torch.float64
    visual.merger = torch.nn.Identity()
    assert isinstance(tower.merger, torch.nn.Identity)


def test_what_a_visual_does_not_return_is_refused(pair, make_rows):
    _, tower = pair
    call = {
        "hidden_states": make_rows([[1, 4, 4]], tower.config),
        "grid_thw": torch.tensor([[1, 4, 4]]),
    }
    visual = Visual(tower)
    with pytest.raises(ValueError, match="output_hidden_states=True"):
        visual(**call, output_hidden_states=True)
    with pytest.raises(ValueError, match="return_dict=False"):
        visual(**call, return_dict=False)
    with pytest.raises(TypeError, match=r"unknown keyword arguments \['colour'\]"):
        visual(**call, colour=1)


# ------------------------------------------------------------------------------------- settings


def test_rope_theta_is_read(make_pair, make_rows, mixed, relative_error, name):
    """Both towers get another one, and the result is another."""
    results = []
    for theta in (10_000.0, 500.0):
        stock, tower = make_pair(replace(TOWERS[name], rope_theta=theta))
        assert tower.config.rope_theta == stock.config.rope_parameters["rope_theta"] == theta
        rows = make_rows(mixed, tower.config)
        with torch.inference_mode():
            results.append(tower(rows, mixed).tokens)
            expected = stock(rows, torch.tensor(mixed)).pooler_output
        assert relative_error(results[-1], expected) < 1e-5
    assert relative_error(results[1], results[0]) > 1e-3


@pytest.mark.parametrize(
    ("settings", "theta"),
    [
        ({}, 10_000.0),
        ({"rope_theta": 500.0}, 500.0),
        ({"rope_parameters": {"rope_theta": 500.0, "rope_type": "axial"}}, 500.0),
        ({"rope_parameters": {"rope_theta": 500.0}, "rope_theta": 7.0}, 500.0),
        ({"rope_scaling": {"type": "default"}, "rope_theta": 500.0}, 500.0),
    ],
    ids=str,
)
def test_where_rope_theta_is_looked_for(name, settings, theta):
    vision = CONFIGS[name].sub_configs["vision_config"]
    assert vision(**settings).rope_parameters["rope_theta"] == theta
    model_type = vision.model_type.removesuffix("_vision")
    assert TowerConfig.from_dict(settings, model_type).rope_theta == theta


def test_settings_under_their_other_names(name):
    model_type = CONFIGS[name].model_type
    config = TowerConfig.from_dict({"num_hidden_layers": 4, "num_attention_heads": 8}, model_type)
    assert (config.depth, config.heads) == (4, 8)


def test_settings_that_would_change_the_result_are_refused():
    with pytest.raises(ValueError, match=r"rope_type of a tower must be 'axial' .*, got 'yarn'"):
        TowerConfig.from_dict({"rope_parameters": {"rope_type": "yarn"}}, "qwen2_vl")
    with pytest.raises(ValueError, match=r"head_dim of a qwen2_vl tower must be .* 80, got 64"):
        TowerConfig.from_dict({"head_dim": 64}, "qwen2_vl")
    with pytest.raises(ValueError, match="rope_theta must be positive and finite, got -1"):
        TowerConfig.from_dict({"rope_theta": -1.0}, "qwen2_vl")
    with pytest.raises(TypeError, match=r"patch_size must be an integer, got \[14, 14\]"):
        TowerConfig.from_dict({"patch_size": [14, 14]}, "qwen2_vl")
