"""Towers under what PyTorch does to modules, and the choice of attention."""

import copy
import io
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, Qwen3VisionTower, pieces

TOWER_CLASSES = {
    "qwen2-vl-tiny": Qwen2VisionTower,
    "qwen2.5-vl-tiny": Qwen2_5VisionTower,
    "qwen3-vl-tiny": Qwen3VisionTower,
}
# Images of several sizes, then several numbers of images and frames, ragged and not.
SIZES = [
    [[1, 8, 8]],
    [[1, 12, 26]],
    [[1, 14, 6]],
    [[2, 8, 8], [1, 4, 6], [1, 10, 10]],
    [[1, 6, 6]] * 2,
]


class Values(TorchDispatchMode):
    """Fails if a tensor's value reaches Python."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.equal.default,
        ), func
        return func(*args, **(kwargs or {}))


def test_no_value_is_looked_at(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    plan = qvl_fast.plan(mixed, tower.config).to("cpu")
    with Values():
        tower(rows, plan).tokens.sum().backward()


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("qwen2-vl-tiny", True),
        ("qwen2.5-vl-tiny", True),
        ("qwen2.5-vl-tiny", False),
        ("qwen3-vl-tiny", True),
    ],
)
def test_compile(make_pair, make_rows, relative_error, name, train):
    """One graph, made anew when sizes, then the number of frames, first vary; never after."""
    _, tower = make_pair(replace(TOWERS[name], depth=2))
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(tower, fullgraph=True, backend=counter)
    for grids in SIZES:
        rows = make_rows(grids, tower.config)
        plan = qvl_fast.plan(grids, tower.config).to("cpu")
        results = []
        for run in (tower, compiled):
            with torch.set_grad_enabled(train):
                output = run(rows, plan)
            gradient = None
            if train:
                tower.zero_grad()
                sum(x.square().sum() for x in (output.tokens, *output.deepstack)).backward()
                gradient = tower.blocks[0].attn.qkv.weight.grad.clone()
            results.append((output, gradient))
        (expected, expected_gradient), (output, gradient) = results
        assert relative_error(output.tokens, expected.tokens) < 1e-5
        for ours, eager in zip(output.deepstack, expected.deepstack, strict=True):
            assert relative_error(ours, eager) < 1e-5
        if train:
            assert relative_error(gradient, expected_gradient) < 1e-4
    assert counter.frame_count <= 3


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo's own
@pytest.mark.parametrize("train", [True, False])
def test_compiled_blocks(make_pair, make_rows, relative_error, name, train):
    """Blocks share their graphs: for each kind of attention as many as a whole tower has."""
    _, tower = make_pair(replace(TOWERS[name], depth=4))
    eager = copy.deepcopy(tower)
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    for block in tower.blocks:
        block.compile(fullgraph=True, backend=counter)
    tower.gradient_checkpointing = train
    for grids in SIZES:
        rows = make_rows(grids, tower.config)
        results = []
        for run in (eager, tower):
            with torch.set_grad_enabled(train):
                tokens = run(rows, grids).tokens
            if train:
                run.zero_grad()
                tokens.square().sum().backward()
                results.append((tokens, *(w.grad for w in run.blocks.parameters())))
            else:
                results.append((tokens,))
        for expected, result in zip(*results, strict=True):
            assert relative_error(result, expected) < 1e-4
    assert counter.frame_count <= 3 * (1 + tower.has_windows)


def test_export(pair, make_rows, relative_error):
    """One program for any number of images, frames and patches; saved, it is the same."""
    _, tower = pair
    tower.requires_grad_(False)

    def inputs(grids):
        return make_rows(grids, tower.config), qvl_fast.plan(grids, tower.config).to("cpu")

    example = inputs([[1, 12, 26], [2, 8, 8], [1, 6, 10]])
    leaves = pytree.tree_leaves(example[1])
    dynamic = [Dim.DYNAMIC if isinstance(x, int) else {0: Dim.DYNAMIC} for x in leaves]
    program = torch.export.export(tower, example, dynamic_shapes=({0: Dim.DYNAMIC}, dynamic))
    program.example_inputs = None
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for grids in (*SIZES, [[1, 2, 4]], [[3, 8, 8], [1, 4, 6], [1, 10, 10], [1, 30, 30]]):
        expected = tower(*inputs(grids))
        output = loaded(*inputs(grids))
        assert torch.equal(output.tokens, program.module()(*inputs(grids)).tokens)
        for result, eager in zip(
            (output.tokens, *output.deepstack), (expected.tokens, *expected.deepstack), strict=True
        ):
            assert relative_error(result, eager) < 1e-5


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck's own
def test_the_opaque_operator():
    """What compiled graphs call on the CPU is an operator with all that PyTorch expects of one."""
    q, k, v = (torch.randn(10, 2, 8, requires_grad=True) for _ in range(3))
    boundaries = torch.tensor([0, 2, 4, 10], dtype=torch.int32)
    torch.library.opcheck(torch.ops.qvl_fast.sdpa.default, (q, k, v, boundaries))


def test_autocast(pair, make_rows, mixed, relative_error):
    stock, tower = pair
    rows = make_rows(mixed, tower.config)
    with torch.inference_mode():
        exact = tower(rows, mixed).tokens
        with torch.autocast("cpu", torch.bfloat16):
            theirs = stock(rows, torch.tensor(mixed)).pooler_output
            ours = tower(rows, mixed).tokens
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert relative_error(ours, exact) < 1.2 * relative_error(theirs, exact)


def test_autocast_of_compact_rows(pair, make_rows, mixed):
    """The patch embedding gives autocast's type for every form of rows."""
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    with torch.autocast("cpu", torch.bfloat16):
        for form in (rows, rows[:, : rows.shape[1] // 2]):
            assert tower.patch_embed(form).dtype == torch.bfloat16


def test_gradient_checkpointing(pair, make_rows, mixed):
    """The same gradients to the bit, from activations computed twice."""
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    calls = []
    tower.blocks[0].norm1.register_forward_hook(lambda *_: calls.append(1))
    gradients = []
    for tower.gradient_checkpointing in (False, True):
        tower.zero_grad()
        tower(rows, mixed).tokens.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in tower.blocks.parameters()])
    assert len(calls) == 3
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("gradients", [True, False])
def test_hooks_of_blocks_see_whole_batches(pair, make_rows, mixed, gradients):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    shapes = []
    for block in tower.blocks:
        block.register_forward_hook(lambda _, inputs, x: shapes.append((inputs[0].shape, x.shape)))
    with torch.set_grad_enabled(gradients):
        tower(rows, mixed)
    shape = (len(rows), tower.config.width)
    assert shapes == [(shape, shape)] * tower.config.depth


def test_mlps_take_pieces_where_no_gradient_is_asked_for(
    pair, make_rows, mixed, relative_error, monkeypatch
):
    monkeypatch.setattr(pieces, "_PATCHES", 100)
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    assert len(rows) % 100
    counts = []
    first = next(layer for layer in tower.blocks[0].mlp.modules() if isinstance(layer, nn.Linear))
    first.register_forward_hook(lambda _, inputs, x: counts.append(len(x)))
    want = tower(rows, mixed).tokens
    assert counts == [len(rows)]
    counts.clear()
    with torch.no_grad():
        got = tower(rows, mixed).tokens
    assert counts == [100] * (len(rows) // 100) + [len(rows) % 100]
    assert relative_error(got, want) < 1e-6


def test_from_the_meta_device(name):
    """Every module that has parameters of its own sets all of them."""
    kind = TOWER_CLASSES[name]
    with torch.device("meta"):
        tower = kind(name)
    assert not list(tower.buffers())
    tower.to_empty(device="cpu")
    with torch.no_grad():
        for weight in tower.parameters():
            weight.fill_(float("nan"))
    towers = (kind(name), tower)
    for either in towers:
        torch.manual_seed(0)
        for module in either.modules():
            if list(module.parameters(recurse=False)):
                module.reset_parameters()
    weights = zip(*(either.state_dict().items() for either in towers), strict=True)
    assert all(torch.equal(fresh, emptied) for (_, fresh), (_, emptied) in weights)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_no_rows_give_every_weight_a_gradient(pair, make_rows, checkpointed):
    """Of zero: a rank without images must take part in the reduction of gradients."""
    _, tower = pair
    tower.gradient_checkpointing = checkpointed
    output = tower(make_rows([], tower.config), [])
    sum(x.sum() for x in (output.tokens, *output.deepstack)).backward()
    for key, weight in tower.named_parameters():
        assert weight.grad is not None, key
        assert not weight.grad.any()


def test_copies_and_pickles(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    for twin in (copy.deepcopy(tower), pickle.loads(pickle.dumps(tower))):
        assert torch.equal(twin(rows, mixed).tokens, expected)


# --------------------------------------------------------------------------------------- bad input


def test_plans_that_do_not_fit(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    plan = qvl_fast.plan(mixed, tower.config)
    with pytest.raises(ValueError, match=f"plan is for {len(rows)} rows, got 4"):
        tower(rows[:4], plan)
    with pytest.raises(ValueError, match="plan is on meta, the rows on cpu"):
        tower(rows, plan.to("meta"))
    with pytest.raises(TypeError, match="rows must be a torch tensor, got ndarray"):
        tower(rows.numpy(), plan)
    if tower.config.position_table_side:
        tensors = plan.to("cpu")
        cast = replace(tensors, interp_weights=tensors.interp_weights.bfloat16())
        with pytest.raises(ValueError, match=r"interp_weights must be float32, .*cast_forward_in"):
            tower(rows, cast)
    if tower.config.window_size or tower.config.position_table_side:
        with pytest.raises(ValueError, match="plan is for a tower of another generation"):
            tower(rows, qvl_fast.plan(mixed, "qwen2-vl"))


def test_grids_of_another_batch_do_not_split(pair, make_rows, mixed):
    _, tower = pair
    output = tower(make_rows(mixed, tower.config), mixed)
    with pytest.raises(ValueError, match="grid_thw has 4 tokens, the output 193"):
        output.split([[1, 4, 4]])
