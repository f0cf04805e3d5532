"""Gradients are those of the stock module: for every form of rows, and in what people train."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, Qwen3VisionTower

# Whole and ragged windows, two frames, two items of one size.
GRIDS = [[1, 12, 10], [2, 8, 8], [1, 2, 4], [1, 12, 10]]
FORMS = [("float", "full"), ("float", "compact"), ("uint8", "full"), ("uint8", "compact")]
# All that a block, a window and a DeepStack merger have, as small as it goes.
SMALL = {
    "depth": 2,
    "width": 16,
    "heads": 2,
    "mlp_width": 16,
    "out_width": 4,
    "patch_size": 2,
}
TOWER_CLASSES = {
    "qwen2-vl-tiny": (Qwen2VisionTower, SMALL),
    "qwen2.5-vl-tiny": (Qwen2_5VisionTower, SMALL | {"window_size": 8}),
    "qwen3-vl-tiny": (
        Qwen3VisionTower,
        SMALL | {"position_table_side": 3, "deepstack_blocks": (0,)},
    ),
}


@pytest.fixture
def without_casts(pair, monkeypatch):
    """The pair in float64, and stock without the places where it casts to float32 even so."""
    stock, tower = pair

    def rotated(q, k, cos, sin):
        def turn(x):
            half = x.shape[-1] // 2
            return x * cos[:, None] + torch.cat((-x[..., half:], x[..., :half]), -1) * sin[:, None]

        return turn(q), turn(k)

    monkeypatch.setattr(sys.modules[type(stock).__module__], "apply_rotary_pos_emb_vision", rotated)
    for module in stock.modules():
        if type(module).__name__ == "Qwen2_5_VLRMSNorm":
            norm = nn.RMSNorm(len(module.weight), module.variance_epsilon)
            norm.weight = module.weight
            monkeypatch.setattr(module, "forward", norm.forward)
    return stock.double(), tower.double()


@pytest.fixture
def make_rows_in(name):
    """``make_rows_in(form, dtype)``: rows as a processor makes them, and as stock gets the same."""
    image = qvl_fast.ModelConfig.preset(name.removesuffix("-tiny")).image
    rng = np.random.default_rng(0)
    patches, side = sum(t * h * w for t, h, w in GRIDS), image.patch_size
    frames = torch.from_numpy(rng.integers(0, 256, (patches, 3, 2, side, side), np.uint8))

    def make(form, dtype):
        kind, temporal = form
        pixels = frames[:, :, :1].expand(frames.shape) if temporal == "compact" else frames
        mean, std = (
            torch.tensor(x, dtype=torch.float64) for x in (image.image_mean, image.image_std)
        )
        normal = (pixels.double() * image.rescale_factor - mean.view(3, 1, 1, 1)) / std.view(
            3, 1, 1, 1
        )
        rows = pixels if kind == "uint8" else normal.to(dtype)
        if temporal == "compact":
            rows = rows[:, :, 0]
        return rows.flatten(1), normal.to(dtype).flatten(1), image

    return make


def outputs_of(stock, tower, rows, normal):
    """Tokens and DeepStack features of both, in pairs."""
    theirs = stock(normal, torch.tensor(GRIDS))
    ours = tower(rows, GRIDS)
    expected = [theirs.pooler_output, *(getattr(theirs, "deepstack_features", None) or ())]
    return list(zip([ours.tokens, *ours.deepstack], expected, strict=True))


def errors_of_gradients(stock, tower, rows, normal, relative_error):
    """Of all weights, for the same random gradient of every output."""
    generator = torch.Generator().manual_seed(1)
    for pair in outputs_of(stock, tower, rows, normal):
        gradient = torch.randn(pair[0].shape, generator=generator, dtype=torch.float64)
        for x in pair:
            x.backward(gradient.to(x.dtype), retain_graph=True)
    expected = dict(stock.named_parameters())
    assert expected.keys() == dict(tower.named_parameters()).keys()
    return {
        key: relative_error(weight.grad, expected[key].grad)
        for key, weight in tower.named_parameters()
    }


@pytest.mark.parametrize("checkpointed", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_float64(without_casts, make_rows_in, relative_error, form, checkpointed):
    """But for the angles, which are float32 in both."""
    stock, tower = without_casts
    tower.gradient_checkpointing = checkpointed
    rows, normal, image = make_rows_in(form, torch.float64)
    if form[0] == "uint8":
        tower.fold_normalization(image)
    errors = errors_of_gradients(stock, tower, rows, normal, relative_error)
    assert max(errors.values()) < 1e-12, errors


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_float32(pair, make_rows_in, relative_error, form):
    stock, tower = pair
    rows, normal, image = make_rows_in(form, torch.float32)
    if form[0] == "uint8":
        tower.fold_normalization(image)
    errors = errors_of_gradients(stock, tower, rows, normal, relative_error)
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "operator"])
def test_gradcheck(name, monkeypatch, traced):
    """Of rows and all weights, also through the operator that compiled graphs call."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: traced)
    kind, shape = TOWER_CLASSES[name]
    torch.manual_seed(0)
    tower = kind(replace(TOWERS["qwen2-vl-tiny"], **shape)).double()
    grids = [[1, 4, 6], [1, 2, 2]]
    rows = torch.randn(28, 3 * 2 * 2 * 2, dtype=torch.float64, requires_grad=True)
    names, weights = zip(*tower.named_parameters(), strict=True)

    def run(rows, *weights):
        state = dict(zip(names, weights, strict=True))
        output = torch.func.functional_call(tower, state, (rows, grids))
        return (output.tokens, *output.deepstack)

    assert torch.autograd.gradcheck(run, (rows, *weights), fast_mode=True)


# ------------------------------------------------------------------------------ what people train


def losses_of(module, call, trained, steps=4):
    """Of a few steps with the parameters that are to be trained."""
    optimizer = torch.optim.SGD(trained, lr=2e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = call(module)
        loss = sum((x - 0.5).square().mean() for x in outputs)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture
def calls(make_rows_in):
    """How to call stock and ours for all outputs, on the same rows."""
    rows, normal, _ = make_rows_in(("float", "full"), torch.float32)

    def stock(module):
        output = module(normal, torch.tensor(GRIDS))
        return [output.pooler_output, *(getattr(output, "deepstack_features", None) or ())]

    def ours(module):
        output = module(rows, GRIDS)
        return [output.tokens, *output.deepstack]

    return stock, ours


@pytest.mark.parametrize("checkpointed", [False, True], ids=["kept", "checkpointed"])
def test_a_frozen_tower_with_a_trained_merger(pair, calls, checkpointed):
    pair[1].gradient_checkpointing = checkpointed
    losses = []
    for module, call in zip(pair, calls, strict=True):
        module.requires_grad_(False)
        trained = list(module.merger.requires_grad_().parameters())
        losses.append(losses_of(module, call, trained))
        assert all(x.grad is None for x in module.blocks.parameters())
    assert losses[0][3] < 0.99 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("checkpointed", [False, True], ids=["kept", "checkpointed"])
def test_lora(pair, calls, checkpointed):
    """On the layers that recipes name, found by their names."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    targets = r"blocks\.\d+\.(attn\.qkv|mlp\.(fc1|gate_proj|linear_fc1))"
    losses, adapted = [], []
    for module, call in zip(pair, calls, strict=True):
        if module is pair[1]:
            module.gradient_checkpointing = checkpointed
        torch.manual_seed(0)
        config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
        wrapped = peft.inject_adapter_in_model(config, module)
        trained = [x for x in wrapped.parameters() if x.requires_grad]
        losses.append(losses_of(wrapped, call, trained))
        adapted.append(peft.get_peft_model_state_dict(wrapped))
    assert len(adapted[0]) == 2 * 2 * TOWERS["qwen2-vl-tiny"].depth
    assert losses[0][3] < 0.99 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert adapted[0].keys() == adapted[1].keys()


def test_an_adapter_on_the_patch_embedding_counts_or_is_refused(pair, calls, make_rows_in):
    """Recipes that name `proj` reach the convolution too."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    losses = []
    for module, call in zip(pair, calls, strict=True):
        torch.manual_seed(0)
        config = peft.LoraConfig(r=4, target_modules=["proj"], init_lora_weights=False)
        wrapped = peft.inject_adapter_in_model(config, module)
        losses.append(
            losses_of(wrapped, call, [x for x in wrapped.parameters() if x.requires_grad])
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    compact, _, _ = make_rows_in(("float", "compact"), torch.float32)
    with pytest.raises(TypeError, match=r"patch_embed\.proj has been replaced by a Conv3d"):
        pair[1](compact, GRIDS)
