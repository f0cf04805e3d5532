"""What a CUDA device is to show: no stall, few graphs, and the kernels for segments of any length.

Every test also runs on the CPU, with stand-ins for what only CUDA has, so that what waits for a
device has been executed. The last tests go through real operators with tensors that have a shape
and a device but no values.
"""

import contextlib
import warnings
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, Qwen3VisionTower, attention
from qvl_fast.models.attention import Kernel, choose_kernel

KERNELS = get_args(Kernel)
VARLEN = [kernel for kernel in KERNELS if kernel != "sdpa"]
# Of Qwen3-VL, and of the others. No power of two, and 72 no multiple of 16.
HEAD_SIZES = [72, 80]
TOWER_CLASSES = {
    "qwen2-vl-tiny": Qwen2VisionTower,
    "qwen2.5-vl-tiny": Qwen2_5VisionTower,
    "qwen3-vl-tiny": Qwen3VisionTower,
}


def in_segments(q, k, v, boundaries):
    """Stands in for the kernels of CUDA."""
    lengths = boundaries.diff().tolist()
    parts = zip(*(states.transpose(0, 1).split(lengths, 1) for states in (q, k, v)), strict=True)
    results = [torch.nn.functional.scaled_dot_product_attention(*part) for part in parts]
    return torch.cat(results, 1).transpose(0, 1).contiguous()


@torch.library.custom_op("qvl_fast_tests::varlen", mutates_args=())
def traced(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, boundaries: torch.Tensor, longest: int
) -> torch.Tensor:
    """The same in a graph, which has the longest segment as input."""
    assert longest >= boundaries.diff().max()
    return in_segments(q, k, v, boundaries)


@traced.register_fake
def _(q, k, v, boundaries, longest):
    return q.new_empty(q.shape)


def stand_in(q, k, v, boundaries, _, longest, __):
    if torch.compiler.is_compiling():
        return traced(q, k, v, boundaries, longest)
    return in_segments(q, k, v, boundaries)


class Mode:
    """Stands in for CUDA's debug mode, which warns as this does whenever it is set."""

    def __init__(self):
        self.value = "default"

    def set(self, value):
        self.value = value
        warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=2)


def on(*kernels):
    """Parametrizes a test by device and kernel: the stand-in once, on CUDA each."""
    gpu = (
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    )
    cases = [
        pytest.param(("cpu", kernel), id=f"stand-in-{kernel}")
        for kernel in kernels
        if kernel in ("varlen-flash", "sdpa")
    ]
    cases += [pytest.param(("cuda", kernel), id=f"cuda-{kernel}", marks=gpu) for kernel in kernels]
    return pytest.mark.parametrize("place", cases, indirect=True)


@pytest.fixture
def place(request, monkeypatch):
    """A CUDA device or the CPU in its place, and a kernel."""
    kind, kernel = request.param
    if kind == "cuda":
        yield torch.device("cuda", 0), kernel
        return
    monkeypatch.setattr(attention, "_FUNCTIONS", dict.fromkeys(VARLEN, stand_in))
    monkeypatch.setattr(attention, "_obstacle", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    mode = Mode()
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", mode.set)
    yield torch.device("cpu"), kernel
    assert mode.value == "default"


@pytest.fixture
def make_towers(place, make_pair, name):
    """``make_towers(head_dim)``: the exact tower, and one in bfloat16 on the device."""
    device, kernel = place

    def make(head_dim=80):
        config = replace(TOWERS[name], width=4 * head_dim, mlp_width=8 * head_dim)
        try:
            choose_kernel(kernel, device, torch.bfloat16, head_dim)
        except ValueError as error:
            pytest.skip(str(error))
        stock, exact = make_pair(config)
        tower = type(exact).from_transformers(stock, attention=kernel)
        exact.attention = "sdpa"
        return exact, tower.to(device, torch.bfloat16)

    return make


@contextlib.contextmanager
def no_sync():
    """An error if anything waits for the device."""

    def switch(mode):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(mode)

    torch.cuda.synchronize()
    switch("error")
    try:
        yield
    finally:
        switch("default")


@on(*KERNELS)
@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
def test_forward_makes_no_sync(make_towers, place, make_rows, mixed, train):
    device, _ = place
    _, tower = make_towers()
    rows = make_rows(mixed, tower.config).to(device)
    plan = qvl_fast.plan(mixed, tower.config).to(device)
    with torch.set_grad_enabled(train):
        tower(rows, plan)  # Libraries are loaded and handles made by the first call.
        with no_sync():
            tower(rows, plan)


@on("sdpa")
def test_the_mode_is_reset_after_a_failure(place):
    device, _ = place
    with pytest.raises(ZeroDivisionError), no_sync():
        _ = 1 / 0
    if device.type == "cuda":
        assert torch.cuda.get_sync_debug_mode() == 0


@on(*KERNELS)
@pytest.mark.parametrize("head_dim", HEAD_SIZES)
def test_bfloat16_is_as_near_to_float32_as_on_the_cpu(
    make_towers, place, make_rows, mixed, relative_error, head_dim
):
    """Tokens, and the gradients of all weights together."""
    device, _ = place
    exact, tower = make_towers(head_dim)
    rows = make_rows(mixed, tower.config)
    half = type(exact).from_weights(exact.config, dict(exact.state_dict()), attention="sdpa")
    results = []
    for one, place in ((exact, "cpu"), (tower, device), (half.bfloat16(), "cpu")):
        tokens = one(rows.to(place), mixed).tokens
        tokens.float().square().sum().backward()
        gradients = torch.cat([x.grad.flatten().cpu().float() for x in one.blocks.parameters()])
        results.append((tokens.cpu(), gradients))
    for expected, on_gpu, on_cpu in zip(*results, strict=True):
        assert relative_error(on_gpu, expected) < 1.2 * relative_error(on_cpu, expected)


@on("sdpa")
def test_float32(place, pair, make_rows, mixed, relative_error):
    device, kernel = place
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    with torch.inference_mode():
        tower.attention = kernel
        expected = tower(rows, mixed).tokens
        assert (
            relative_error(tower.to(device)(rows.to(device), mixed).tokens.cpu(), expected) < 1e-4
        )


@on(*VARLEN)
def test_compile(make_towers, place, make_rows, relative_error):
    """As many graphs as on the CPU, whatever windows there are."""
    device, _ = place
    _, tower = make_towers()
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(tower, fullgraph=True, backend=counter)
    with torch.no_grad():
        for grids in (
            [[1, 8, 8]],
            [[1, 12, 26]],
            [[1, 4, 6]],
            [[1, 8, 8], [1, 4, 6]],
            [[4, 18, 30]],
            [[1, 6, 6]] * 3,
        ):
            rows = make_rows(grids, tower.config).to(device)
            plan = qvl_fast.plan(grids, tower.config).to(device)
            assert relative_error(compiled(rows, plan).tokens, tower(rows, plan).tokens) < 1e-2
    assert counter.frame_count <= 3


@on("sdpa")
@pytest.mark.parametrize("form", ["compact", "folded"])
def test_other_rows(make_towers, place, make_rows, mixed, relative_error, form):
    device, _ = place
    exact, tower = make_towers()
    rows = make_rows(mixed, tower.config)
    if form == "folded":
        rows = (rows * 40 + 128).clamp(0, 255).to(torch.uint8)
        for either in (exact, tower):
            either.fold_normalization("qwen2-vl")
    else:
        rows = rows[:, : rows.shape[1] // 2]
    with torch.inference_mode():
        expected = exact.patch_embed(rows)
        assert relative_error(tower.patch_embed(rows.to(device)).cpu(), expected) < 4e-3


@on(*KERNELS)
def test_no_rows(make_towers, place, make_rows):
    device, _ = place
    _, tower = make_towers()
    output = tower(make_rows([], tower.config).to(device), [])
    sum(x.sum() for x in (output.tokens, *output.deepstack)).backward()
    assert not any(weight.grad.any() for weight in tower.parameters())


@on("sdpa")
def test_a_padded_mlp(place, make_pair, make_rows, mixed, relative_error):
    device, _ = place
    config = replace(TOWERS["qwen2.5-vl-tiny"], mlp_width=189)
    plain, padded = (make_pair(config)[1].to(device, torch.bfloat16) for _ in range(2))
    padded.pad_mlp()
    rows = make_rows(mixed, config).to(device)
    with torch.inference_mode():
        assert relative_error(padded(rows, mixed).tokens, plain(rows, mixed).tokens) < 1e-2


# ------------------------------------------------------------------------------- without values


@pytest.mark.parametrize("head_dim", HEAD_SIZES)
@pytest.mark.parametrize("kernel", ["varlen-flash", "varlen-cudnn", "sdpa"])
def test_real_operators_take_what_a_tower_gives_them(monkeypatch, mixed, name, kernel, head_dim):
    """And no operator needs to know a value, which would stall a GPU."""
    monkeypatch.setattr(attention, "_FUNCTIONS", {})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92400)
    monkeypatch.setattr("qvl_fast.models.rotary._has_triton", lambda: False)
    monkeypatch.setattr("torch.nn.attention.varlen._should_use_cudnn", lambda _: True)
    config = replace(TOWERS[name], width=4 * head_dim, mlp_width=8 * head_dim)
    plan = qvl_fast.plan(mixed, config)
    default = torch.get_default_dtype()
    with FakeTensorMode(allow_non_fake_inputs=True):
        try:
            torch.set_default_dtype(torch.bfloat16)
            with torch.device("cuda"):
                tower = TOWER_CLASSES[name](config, attention=kernel)
        finally:
            torch.set_default_dtype(default)
        patches = int(plan.cu_seqlens[-1])
        rows = torch.empty(patches, 6 * config.patch_size**2, device="cuda")
        output = tower(rows, plan.to("cuda"))
    assert tower.kernel == kernel
    for x in (output.tokens, *output.deepstack):
        assert (x.shape, x.dtype) == ((patches // 4, config.out_width), torch.bfloat16)
        assert x.is_cuda
        assert x.requires_grad
