"""The towers compute what those of transformers compute."""

from dataclasses import replace

import pytest
import torch

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models.layers import RmsNorm

BATCHES = {
    "image": [[1, 8, 8]],
    "one token": [[1, 2, 2]],
    "one window": [[1, 8, 6]],
    "ragged edges": [[1, 18, 26]],
    "full windows only": [[1, 16, 24]],
    "video": [[4, 10, 6]],
    "mixed": [[1, 4, 6], [3, 10, 12], [1, 26, 14], [1, 4, 6]],
}
# Real widths, few layers, every kind of block.
REAL = {
    "qwen2-vl-7b": {"depth": 1},
    "qwen2.5-vl-7b": {"depth": 2, "full_attention_blocks": (1,)},
    "qwen3-vl-8b": {"depth": 2, "deepstack_blocks": (0,)},
}


def outputs(stock, tower, rows, grids):
    """Tokens and DeepStack features of both, in pairs."""
    theirs = stock(rows, torch.tensor(grids))
    ours = tower(rows, grids)
    expected = [theirs.pooler_output, *(getattr(theirs, "deepstack_features", None) or ())]
    return list(zip([ours.tokens, *ours.deepstack], expected, strict=True))


@pytest.mark.parametrize("grids", BATCHES.values(), ids=BATCHES)
def test_float32(pair, make_rows, relative_error, grids):
    stock, tower = pair
    with torch.inference_mode():
        pairs = outputs(stock, tower, make_rows(grids, tower.config), grids)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert relative_error(ours, theirs) < 1e-5


def test_a_tower_without_deepstack(make_pair, make_rows, mixed, relative_error):
    """As Qwen3.5 has it."""
    stock, tower = make_pair(replace(TOWERS["qwen3-vl-tiny"], deepstack_blocks=()))
    assert type(stock).__name__ == "Qwen3_5VisionModel"
    with torch.inference_mode():
        ((ours, theirs),) = outputs(stock, tower, make_rows(mixed, tower.config), mixed)
    assert relative_error(ours, theirs) < 1e-5


@pytest.mark.parametrize("real", REAL)
def test_float32_at_real_width(make_pair, make_rows, relative_error, real):
    stock, tower = make_pair(replace(TOWERS[real], **REAL[real]))
    with torch.inference_mode():
        pairs = outputs(stock, tower, make_rows([[1, 10, 18]], tower.config), [[1, 10, 18]])
    for ours, theirs in pairs:
        assert relative_error(ours, theirs) < 1e-5


def test_gradients(pair, make_rows, mixed, relative_error):
    """Of all weights, under their names in checkpoints, and of the rows."""
    stock, tower = pair
    rows = [make_rows(mixed, tower.config).requires_grad_() for _ in range(2)]
    theirs = stock(rows[0], torch.tensor(mixed))
    ours = tower(rows[1], mixed)
    generator = torch.Generator().manual_seed(1)
    pairs = list(
        zip(
            [theirs.pooler_output, *(getattr(theirs, "deepstack_features", None) or ())],
            [ours.tokens, *ours.deepstack],
            strict=True,
        )
    )
    for expected, result in pairs:
        gradient = torch.randn(expected.shape, generator=generator)
        expected.backward(gradient, retain_graph=True)
        result.backward(gradient, retain_graph=True)
    expected = {key: weight.grad for key, weight in stock.named_parameters()}
    for key, weight in tower.named_parameters():
        assert relative_error(weight.grad, expected.pop(key)) < 1e-5, key
    assert not expected
    assert relative_error(rows[1].grad, rows[0].grad) < 1e-5


def test_bfloat16(name, make_pair, make_rows, mixed, relative_error):
    """Over seeds, no further from float32 than transformers' own bfloat16."""
    errors = []
    for seed in range(5):
        stock, tower = make_pair(TOWERS[name], seed)
        rows = make_rows(mixed, tower.config, seed)
        with torch.inference_mode():
            exact = stock(rows, torch.tensor(mixed)).pooler_output
            pairs = outputs(stock.bfloat16(), tower.bfloat16(), rows, mixed)
        errors.append([relative_error(result, exact) for result in pairs[0]])
    ours, theirs = torch.tensor(errors).mean(0).tolist()
    assert ours <= 1.1 * theirs


@pytest.mark.parametrize("weight", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_norm_is_what_other_devices_compute(relative_error, weight, dtype):
    """In the wider type of both, as transformers' norm promotes them."""
    norm = RmsNorm(64).to(weight)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(50, 64).to(dtype)
    result = norm(x)
    assert result.dtype == torch.promote_types(weight, dtype)
    expected = torch.nn.functional.rms_norm(
        x.to(result.dtype), (64,), norm.weight.to(result.dtype), 1e-6
    )
    # The norm written out rounds once more, before the weight.
    assert relative_error(result, expected) < 4 * torch.finfo(result.dtype).eps


def test_a_plan_and_its_grid_are_the_same(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    plan = qvl_fast.plan(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    assert torch.equal(tower(rows, plan).tokens, expected)
    assert torch.equal(tower(rows, plan.to("cpu")).tokens, expected)
    assert torch.equal(tower(rows, torch.tensor(mixed)).tokens, expected)


@pytest.mark.parametrize("gradients", [True, False])
def test_images_do_not_see_each_other(pair, make_rows, mixed, gradients):
    """Other content in one item leaves the tokens of every other item as they were, to the bit."""
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    plan = qvl_fast.plan(mixed, tower.config)

    def outputs(rows):
        with torch.set_grad_enabled(gradients):
            return tower(rows, plan).split(mixed)

    before = outputs(rows)
    start = 0
    for changed, (t, h, w) in enumerate(mixed):
        others = rows.clone()
        others[start : start + t * h * w] += 1
        start += t * h * w
        for item, output in enumerate(outputs(others)):
            same = [torch.equal(*x) for x in zip(output[1], before[item][1], strict=True)]
            same.append(torch.equal(output.tokens, before[item].tokens))
            assert not any(same) if item == changed else all(same)


def test_frames_of_a_video_do_not_see_each_other(pair, make_rows):
    _, tower = pair
    video = [[3, 8, 10]]
    rows = make_rows(video, tower.config)
    before = tower(rows, video).tokens.unflatten(0, (3, -1))
    rows[: 8 * 10] += 1
    after = tower(rows, video).tokens.unflatten(0, (3, -1))
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


def test_a_batch_is_its_items(pair, make_rows, mixed, relative_error):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    items = tower(rows, mixed).split(mixed)
    parts = rows.split([t * h * w for t, h, w in mixed])
    for item, part, grid in zip(items, parts, mixed, strict=True):
        assert relative_error(item.tokens, tower(part, [grid]).tokens) < 1e-5


def test_no_items(pair, make_rows):
    _, tower = pair
    output = tower(make_rows([], tower.config), torch.zeros((0, 3), dtype=torch.int64))
    assert output.tokens.shape == (0, tower.config.out_width)
    assert output.split([]) == []
