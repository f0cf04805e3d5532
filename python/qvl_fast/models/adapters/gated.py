"""The layers that Flamingo and Idefics put between those of a language model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from qvl_fast.config.checks import check_choice
from qvl_fast.models.adapters.heads import attend, by_heads
from qvl_fast.models.gated_mlp import GatedMlp
from qvl_fast.models.layers import RmsNorm

Gate = Literal["float", "vector"]


class GatedCrossAttention(nn.Module):
    """Text attends to images, through gates that are closed at first.

    Semantics: ``IdeficsGatedCrossAttentionLayer`` of transformers.

    Args:
        width: channels of the text.
        context_width: channels of the images.
        heads: attention heads; they divide the width.
        mlp_width: hidden channels of the MLP.
        gate: one for all channels (``"float"``) or one for each (``"vector"``).
        qk_norm: whether queries and keys are normalized head by head.
        eps: what normalization adds to the mean square.

    Raises:
        ValueError: an unknown gate.
    """

    def __init__(
        self,
        width: int,
        context_width: int,
        *,
        heads: int,
        mlp_width: int,
        gate: Gate = "float",
        qk_norm: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        check_choice("gate", gate, Gate)
        shape = (1,) if gate == "float" else (1, 1, width)
        self.alpha_cross_attn = nn.Parameter(torch.zeros(shape))
        self.alpha_dense = nn.Parameter(torch.zeros(shape))
        self.input_layernorm = RmsNorm(width, eps)
        self.cross_attn = CrossAttention(width, context_width, heads, eps if qk_norm else None)
        self.post_attention_layernorm = RmsNorm(width, eps)
        self.mlp = GatedMlp(width, mlp_width, bias=False)

    def forward(self, x: Tensor, context: Tensor, sees: Tensor) -> Tensor:
        """Text to the same, with what it saw added.

        Args:
            x: ``(B, S, W)``.
            context: ``(B, images * latents, V)``, image after image.
            sees: bool ``(B, S, images)``: which images a token attends to; see
                :func:`qvl_fast.image_attention_mask`. One that sees none skips the attention, but
                not the MLP.

        Returns:
            ``(B, S, W)``.

        Raises:
            ValueError: the context is not as many latents for each image.
        """
        latents, rest = divmod(context.shape[1], max(sees.shape[-1], 1))
        if rest:
            raise ValueError(
                f"context must have as many latents for each of {sees.shape[-1]} images, got "
                f"{context.shape[1]} in all"
            )
        mask = sees.repeat_interleave(latents, dim=-1)  # (B, S, images * latents)
        blind = ~sees.any(-1, keepdim=True)  # (B, S, 1)
        # Nothing has no softmax: who sees nothing attends to everything, and it is dropped.
        seen = self.cross_attn(self.input_layernorm(x), context, mask | blind)
        x = x + self.alpha_cross_attn.tanh() * seen.masked_fill(blind, 0)
        return x + self.alpha_dense.tanh() * self.mlp(self.post_attention_layernorm(x))


class CrossAttention(nn.Module):
    """Queries of the text, keys and values of images."""

    def __init__(self, width: int, context_width: int, heads: int, eps: float | None) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(context_width, width, bias=False)
        self.v_proj = nn.Linear(context_width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.q_layer_norm = nn.Identity() if eps is None else RmsNorm(width // heads, eps)
        self.k_layer_norm = nn.Identity() if eps is None else RmsNorm(width // heads, eps)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """``(B, S, W)``, ``(B, K, V)`` and bool ``(B, S, K)`` to ``(B, S, W)``."""
        q = self.q_layer_norm(by_heads(self.q_proj(x), self.heads))  # (B, S, H, D)
        k = self.k_layer_norm(by_heads(self.k_proj(context), self.heads))  # (B, K, H, D)
        v = by_heads(self.v_proj(context), self.heads)
        return self.o_proj(attend(q, k, v, mask))
