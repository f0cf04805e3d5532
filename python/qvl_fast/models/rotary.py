"""The rotation of queries and keys: in one pass over memory where a kernel can be had for it."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from qvl_fast.index.rope import rotate


def rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries and keys, rotated.

    Args:
        states: ``(N, heads, D)``, of any strides whose last is 1.
        cos: ``(N, D)``, what :func:`qvl_fast.vision_rotary` gives, float32 or wider.
        sin: likewise.

    Returns:
        The shape and type of ``states``, contiguous.
    """
    # A compiler fuses the plain form itself, with what stands around it.
    plain = torch.compiler.is_compiling() or not states.is_cuda or cos.dtype != torch.float32
    if plain or not _has_triton():
        return rotate(states, cos[:, None], sin[:, None])
    from qvl_fast.models.rotary_kernel import fused_rotate

    return fused_rotate(states, cos, sin)


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
