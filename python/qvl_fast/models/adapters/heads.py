"""Attention of one sequence to another, by heads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def by_heads(x: Tensor, heads: int) -> Tensor:
    """``(B, S, H * D)`` to ``(B, S, H, D)``."""
    return x.view(*x.shape[:-1], heads, x.shape[-1] // heads)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention with the scale ``D ** -0.5``.

    Args:
        q: queries ``(B, S, H, D)``.
        k: keys ``(B, K, H, D)``.
        v: values, likewise.
        mask: bool ``(B, S, K)``: which keys a query sees, at least one of them; None for all.

    Returns:
        ``(B, S, H * D)``.
    """
    q, k, v = (states.transpose(1, 2) for states in (q, k, v))
    x = F.scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None])
    return x.transpose(1, 2).flatten(2)
