"""An MLP of an odd width, padded in memory."""

import copy
from dataclasses import replace

import pytest
import torch

from qvl_fast.config import TOWERS

ODD = replace(TOWERS["qwen2.5-vl-tiny"], mlp_width=189)
GRIDS = [[1, 12, 10], [1, 6, 4]]


@pytest.fixture
def towers(make_pair):
    """``towers(dtype)``: a tower of an odd width, and the same padded."""

    def make(dtype):
        plain, padded = (make_pair(ODD)[1].to(dtype) for _ in range(2))
        padded.pad_mlp()
        return plain, padded

    return make


@pytest.mark.parametrize(("dtype", "width"), [(torch.bfloat16, 192), (torch.float64, 190)])
def test_the_width_is_a_multiple_of_16_bytes(towers, dtype, width):
    _, padded = towers(dtype)
    for block in padded.blocks:
        assert block.mlp.gate_proj.weight.shape == block.mlp.up_proj.weight.shape == (width, 96)
        assert block.mlp.down_proj.weight.shape == (96, width)


def test_a_released_tower_is_padded_in_half_precision_only():
    from qvl_fast.models import Qwen2_5VisionTower

    with torch.device("meta"):
        tower = Qwen2_5VisionTower("qwen2.5-vl-7b")
        tower.pad_mlp()
        assert tower.blocks[0].mlp.down_proj.in_features == 3420
        tower.bfloat16().pad_mlp()
        assert tower.blocks[0].mlp.down_proj.in_features == 3424
        other = Qwen2_5VisionTower("qwen2.5-vl-72b").bfloat16()
        other.pad_mlp()
        assert other.blocks[0].mlp.down_proj.in_features == 3456


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_each_layer_is_the_same_and_zero_beyond(make_pair, dtype):
    """To the bit: sums of small whole numbers do not depend on their order."""
    tower = make_pair(ODD)[1]
    plain = tower.blocks[0].mlp.to(dtype)
    for weight in plain.parameters():
        weight.data = torch.randint_like(weight, -2, 3)
    padded = copy.deepcopy(plain)
    padded.pad()
    x, inner = (torch.randint(-2, 3, (40, width)).to(dtype) for width in (96, 189))
    for name in ("gate_proj", "up_proj"):
        result = getattr(padded, name)(x)
        assert torch.equal(result[:, :189], getattr(plain, name)(x))
        assert not result[:, 189:].any()
    wide = torch.nn.functional.pad(inner, (0, padded.down_proj.more_in), value=7.0)
    assert torch.equal(padded.down_proj(wide), plain.down_proj(inner))


def test_state_dicts_are_those_of_the_plain_tower(towers):
    plain, padded = towers(torch.bfloat16)
    saved = padded.state_dict()
    assert saved.keys() == plain.state_dict().keys()
    assert all(torch.equal(saved[name], x) for name, x in plain.state_dict().items())
    other = {name: torch.randn_like(x) for name, x in saved.items()}
    for assign in (False, True):
        padded.load_state_dict(other, strict=True, assign=assign)
        assert all(torch.equal(x, other[name]) for name, x in padded.state_dict().items())
        assert not padded.blocks[0].mlp.gate_proj.weight[189:].any()
    with pytest.raises(RuntimeError, match=r"Missing key.*blocks\.1\.mlp\.up_proj\.bias"):
        padded.load_state_dict({k: x for k, x in other.items() if k != "blocks.1.mlp.up_proj.bias"})


def test_training_leaves_the_padding_zero_and_the_rest_as_without(
    towers, make_rows, relative_error
):
    rows = make_rows(GRIDS, ODD).double()
    losses = []
    for tower in (pair := towers(torch.float64)):
        optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            loss = tower(rows, GRIDS).tokens.square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[3:] == pytest.approx(losses[:3], rel=1e-12)
    plain, padded = pair
    for name, x in padded.state_dict().items():
        assert relative_error(x, plain.state_dict()[name]) < 1e-9
    for block in padded.blocks:
        assert not block.mlp.gate_proj.weight[189:].any()
        assert not block.mlp.up_proj.bias[189:].any()
        assert not block.mlp.down_proj.weight[:, 189:].any()
