"""The fused rotation of queries and keys, without a GPU: interpreted, and compiled for one."""

import importlib.util

import pytest
import torch

import qvl_fast

triton = pytest.importorskip("triton", reason="this torch comes without Triton")

from qvl_fast.models import rotary_kernel as rotary  # noqa: E402


@pytest.fixture
def interpreted(monkeypatch):
    """The module of the kernel, run by Triton's interpreter on the CPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.spec_from_file_location("interpreted", rotary.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("heads", "head_dim"), [(16, 80), (16, 72), (16, 64), (3, 24)])
def test_the_fused_rotation_is_the_plain_one(interpreted, heads, head_dim, dtype):
    """Results and gradients, to the bit; the interpreter has no true bfloat16."""
    qkv = torch.randn(9, 3 * heads, head_dim).to(dtype).requires_grad_()
    cos, sin = qvl_fast.vision_rotary(torch.randint(0, 99, (9, 2)), head_dim)
    states = qkv[:, : 2 * heads]
    results = []
    for x in (
        interpreted.fused_rotate(states, cos, sin),
        qvl_fast.rotate(states, cos[:, None], sin[:, None]),
    ):
        strided = torch.linspace(-1, 1, 2 * x.numel()).to(dtype).view(*x.shape, 2)[..., 0]
        results.append((x, *torch.autograd.grad(x, qkv, strided)))
    for fused, plain in zip(*results, strict=True):
        assert torch.equal(fused, plain)


def test_the_fused_rotation_of_nothing(interpreted):
    nothing = torch.zeros(0, 8, 80)
    assert interpreted.fused_rotate(nothing, *torch.zeros(2, 0, 80)).shape == (0, 8, 80)


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("head_dim", [72, 80])
def test_the_fused_rotation_compiles_for_gpus(capability, head_dim):
    """Without one: Triton has its own assembler."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    sizes = {"HEADS": 32, "HALF": head_dim // 2, "HEADS_UP": 32, "HALF_UP": 64}
    signature = {
        "states": "*bf16",
        "cos": "*fp32",
        "sin": "*fp32",
        "result": "*bf16",
        "patch_stride": "i32",
        "head_stride": "i32",
        **dict.fromkeys(sizes, "constexpr"),
    }
    kernel = triton.compile(
        ASTSource(rotary.rotate_kernel, signature, sizes),
        target=GPUTarget("cuda", capability, 32),
        options={"enable_fp_fusion": False},
    )
    assert kernel.asm["cubin"]
    assert "fma" not in kernel.asm["ptx"]
