"""The rotation of queries and keys as one Triton kernel; :func:`qvl_fast.rotate` is its oracle.

The plain form reads and writes its result several times. Here a program takes the heads of one
patch, in float32, and touches each value once.
"""

# Pyright: what stands in a kernel is Triton, whose values have no types of Python.
# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def rotate_kernel(  # noqa: D103  (see the module)
    states,
    cos,
    sin,
    result,
    patch_stride,
    head_stride,
    HEADS: tl.constexpr,  # noqa: N803
    HALF: tl.constexpr,  # noqa: N803
    HEADS_UP: tl.constexpr,  # noqa: N803  (to a power of two)
    HALF_UP: tl.constexpr,  # noqa: N803
):
    patch = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS_UP)[:, None]
    channel = tl.arange(0, HALF_UP)[None, :]
    inside = (head < HEADS) & (channel < HALF)

    # Both halves of the channels have the same angles.
    angle = patch * 2 * HALF + channel
    c = tl.load(cos + angle, mask=channel < HALF, other=0.0)
    s = tl.load(sin + angle, mask=channel < HALF, other=0.0)

    source = states + patch * patch_stride + head * head_stride + channel
    first = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(source + HALF, mask=inside, other=0.0).to(tl.float32)

    target = result + (patch * HEADS + head) * 2 * HALF + channel
    kind = result.dtype.element_ty
    tl.store(target, (first * c - second * s).to(kind), mask=inside)
    tl.store(target + HALF, (second * c + first * s).to(kind), mask=inside)


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        patches, heads, channels = states.shape
        result = torch.empty(states.shape, dtype=states.dtype, device=states.device)
        if patches:
            half = channels // 2
            rotate_kernel[(patches,)](
                states,
                cos.contiguous(),
                sin.contiguous(),
                result,
                states.stride(0),
                states.stride(1),
                HEADS=heads,
                HALF=half,
                HEADS_UP=triton.next_power_of_2(heads),
                HALF_UP=triton.next_power_of_2(half),
                enable_fp_fusion=False,  # Products are rounded, as the plain form's are.
            )
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        # The derivative of a rotation is the rotation by the same angle backwards.
        return _Rotation.apply(gradients[0].contiguous(), cos, -sin), None, None


def fused_rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``(N, heads, D)`` rotated by float32 angles ``(N, D)`` whose two halves are equal."""
    return _Rotation.apply(states, cos, sin)
