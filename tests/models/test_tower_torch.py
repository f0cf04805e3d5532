"""Towers under what PyTorch does to modules, and the choice of attention."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower
from qvl_fast.models.attention import _VARLEN as VARLEN
from qvl_fast.models.attention import Segments, attention, choose_kernel

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


@pytest.mark.parametrize("rows_at_once", [1, 64, 100])
def test_pieces(monkeypatch, pair, make_rows, mixed, relative_error, rows_at_once):
    """Without gradients the CPU takes some segments after the other."""
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    given = rows.clone()
    expected = tower(rows, mixed)
    monkeypatch.setattr("qvl_fast.models.tower._PIECE", rows_at_once)
    with torch.no_grad():
        output = tower(rows, mixed)
    assert torch.equal(rows, given)
    for result, whole in zip(
        [output.tokens, *output.deepstack], [expected.tokens, *expected.deepstack], strict=True
    ):
        assert relative_error(result, whole) < 1e-5


def test_copies_and_pickles(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    for twin in (copy.deepcopy(tower), pickle.loads(pickle.dumps(tower))):
        assert torch.equal(twin(rows, mixed).tokens, expected)


# --------------------------------------------------------------------------------------- attention


def test_the_choice_of_attention():
    config = TOWERS["qwen2-vl-tiny"]
    tower = Qwen2VisionTower(config)
    assert tower.kernel == "sdpa"
    assert "attention='auto'" in repr(tower)
    with pytest.raises(ValueError, match=r"attention must be one of .*, got 'flash'"):
        Qwen2VisionTower(config, attention="flash")
    forced = Qwen2VisionTower(config, attention="varlen")
    with pytest.raises(ValueError, match=r"attention='varlen' cannot run: .* tower is on cpu"):
        forced(torch.zeros(4, 1176), [[1, 2, 2]])


@pytest.mark.parametrize("choice", ["varlen", "flash-attn"])
def test_why_a_kernel_cannot_run(monkeypatch, choice):
    cuda = torch.device("cuda", 0)
    monkeypatch.setitem(VARLEN, choice, lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert choose_kernel(choice, cuda, torch.bfloat16, 80) == choice
    with pytest.raises(ValueError, match=r"float16 or bfloat16, .* torch\.float32"):
        choose_kernel(choice, cuda, torch.float32, 80)
    with pytest.raises(ValueError, match=r"divisible by 8, .* is 20"):
        choose_kernel(choice, cuda, torch.bfloat16, 20)
    assert choose_kernel("auto", cuda, torch.float32, 80) == "sdpa"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(ValueError, match=r"compute capability 8\.0, and cuda:0 has \(7, 5\)"):
        choose_kernel(choice, cuda, torch.bfloat16, 80)
    monkeypatch.setitem(VARLEN, choice, "it cannot be imported")
    with pytest.raises(ValueError, match="cannot run: it cannot be imported"):
        choose_kernel(choice, cuda, torch.bfloat16, 80)


@pytest.mark.parametrize("tower_class", [Qwen2VisionTower, Qwen2_5VisionTower])
def test_the_layout_of_varlen_kernels(monkeypatch, make_rows, mixed, relative_error, tower_class):
    """With a stand-in for the kernels of CUDA, which run where the GPU tests do."""

    def varlen(q, k, v, cu_q, cu_k, max_q, max_k):
        assert cu_q is cu_k
        lengths = cu_q.diff().tolist()
        assert max_q == max_k == max(lengths)
        parts = zip(*(states.split(lengths) for states in (q, k, v)), strict=True)
        return torch.cat([attention(*part, whole(len(part[0]))) for part in parts])

    def whole(length):
        return Segments("sdpa", None, None, (qvl_fast.EqualSegments(length, (0,)),))

    name = "qwen2-vl-tiny" if tower_class is Qwen2VisionTower else "qwen2.5-vl-tiny"
    tower = tower_class(name)
    rows = make_rows(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    monkeypatch.setitem(VARLEN, "varlen", varlen)
    monkeypatch.setattr("qvl_fast.models.tower.choose_kernel", lambda *_: "varlen")
    assert relative_error(tower(rows, mixed).tokens, expected) < 1e-5


# --------------------------------------------------------------------------------------- bad input


def test_plans_that_do_not_fit(pair, make_rows, mixed):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    plan = qvl_fast.plan(mixed, tower.config)
    with pytest.raises(ValueError, match=f"plan is for {len(rows)} rows, got 4"):
        tower(rows[:4], plan)
    with pytest.raises(ValueError, match="plan is on meta, the rows on cpu"):
        tower(rows, plan.to("meta"))
    if tower.config.window_size or tower.config.position_table_side:
        with pytest.raises(ValueError, match="plan is for a tower of another generation"):
            tower(rows, qvl_fast.plan(mixed, "qwen2-vl"))


def test_grids_of_another_batch_do_not_split(pair, make_rows, mixed):
    _, tower = pair
    output = tower(make_rows(mixed, tower.config), mixed)
    with pytest.raises(ValueError, match="grid_thw has 4 tokens, the output 193"):
        output.split([[1, 4, 4]])
