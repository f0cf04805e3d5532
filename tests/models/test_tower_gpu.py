"""What only a CUDA device can show: no stall, and the kernels for segments of varying length."""

import pytest
import torch

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models.attention import choose_kernel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

KERNELS = ["flash-attn", "varlen", "sdpa"]


@pytest.fixture
def on_cuda(make_pair, name):
    """``on_cuda(kernel)``: the float32 tower on the CPU, and a bfloat16 one with that kernel."""

    def make(kernel):
        try:
            choose_kernel(kernel, torch.device("cuda", 0), torch.bfloat16, TOWERS[name].head_dim)
        except ValueError as error:
            pytest.skip(str(error))
        stock, exact = make_pair(TOWERS[name])
        tower = type(exact).from_transformers(stock, attention=kernel)
        return exact, tower.to("cuda", torch.bfloat16)

    return make


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
def test_forward_makes_no_sync(on_cuda, make_rows, mixed, kernel, train):
    _, tower = on_cuda(kernel)
    rows = make_rows(mixed, tower.config).cuda()
    plan = qvl_fast.plan(mixed, tower.config).to("cuda")
    with torch.set_grad_enabled(train):
        tower(rows, plan)  # Libraries are loaded and handles made by the first call.
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            tower(rows, plan)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kernel", KERNELS)
def test_bfloat16_is_as_near_to_float32_as_on_the_cpu(
    on_cuda, make_rows, mixed, relative_error, kernel
):
    exact, tower = on_cuda(kernel)
    rows = make_rows(mixed, tower.config)
    with torch.inference_mode():
        expected = exact(rows, mixed).tokens
        on_gpu = tower(rows.cuda(), mixed).tokens.cpu()
        on_cpu = exact.bfloat16()(rows, mixed).tokens
    assert relative_error(on_gpu, expected) < 1.2 * relative_error(on_cpu, expected)


def test_float32_takes_sdpa(pair, make_rows, mixed, relative_error):
    _, tower = pair
    rows = make_rows(mixed, tower.config)
    with torch.inference_mode():
        expected = tower(rows, mixed).tokens
        assert tower.cuda().kernel == "sdpa"
        assert relative_error(tower(rows.cuda(), mixed).tokens.cpu(), expected) < 1e-4


@pytest.mark.parametrize("kernel", ["flash-attn", "varlen"])
def test_compile(on_cuda, make_rows, relative_error, kernel):
    from torch._dynamo.testing import CompileCounterWithBackend

    _, tower = on_cuda(kernel)
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(tower, fullgraph=True, backend=counter)
    for grids in (
        [[1, 8, 8]],
        [[1, 12, 26]],
        [[1, 8, 8], [1, 4, 6]],
        [[4, 18, 30]],
        [[1, 6, 6]] * 3,
    ):
        rows = make_rows(grids, tower.config).cuda()
        plan = qvl_fast.plan(grids, tower.config).to("cuda")
        assert relative_error(compiled(rows, plan).tokens, tower(rows, plan).tokens) < 1e-2
    assert counter.frame_count <= 3


@pytest.mark.parametrize("form", ["compact", "folded"])
def test_other_rows(on_cuda, make_rows, mixed, relative_error, form):
    exact, tower = on_cuda("sdpa")
    rows = make_rows(mixed, tower.config)
    if form == "folded":
        rows = (rows * 40 + 128).clamp(0, 255).to(torch.uint8)
        for either in (exact, tower):
            either.fold_normalization("qwen2-vl")
    else:
        rows = rows[:, : rows.shape[1] // 2]
    with torch.inference_mode():
        expected = exact.patch_embed(rows)
        assert relative_error(tower.patch_embed(rows.cuda()).cpu(), expected) < 4e-3
