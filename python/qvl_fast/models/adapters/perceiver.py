"""The Perceiver resampler of Flamingo and Idefics."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.adapters.heads import attend, by_heads


class PerceiverResampler(nn.Module):
    """Any number of tokens to a fixed number of latents.

    Semantics: ``IdeficsPerceiverResampler`` of transformers; with ``max_frames`` and
    ``squared_relu`` that of the Flamingo paper (Alayrac et al., 2022).

    Args:
        width: channels of tokens and latents.
        latents: how many come out.
        depth: number of layers.
        heads: attention heads.
        head_dim: channels of each.
        qk_norm: whether queries and keys are normalized head by head.
        max_frames: frames that have a learned embedding, None if there are none.
        squared_relu: whether the MLPs square what ReLU lets through.
    """

    def __init__(
        self,
        width: int,
        *,
        latents: int = 64,
        depth: int = 6,
        heads: int = 16,
        head_dim: int = 96,
        qk_norm: bool = False,
        max_frames: int | None = None,
        squared_relu: bool = False,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.frames = nn.Parameter(torch.randn(max_frames, width)) if max_frames else None
        self.blocks = nn.ModuleList(
            PerceiverBlock(
                PerceiverAttention(width, heads, head_dim, qk_norm=qk_norm),
                PerceiverMlp(width, squared=squared_relu),
            )
            for _ in range(depth)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, context: Tensor) -> Tensor:
        """Tokens to latents.

        Args:
            context: ``(B, S, C)``, or ``(B, frames, S, C)`` where frames have an embedding.

        Returns:
            ``(B, latents, C)``.

        Raises:
            ValueError: frames have an embedding, and there are more of them.
        """
        if self.frames is not None:
            if context.ndim != 4 or context.shape[1] > len(self.frames):
                raise ValueError(
                    f"context must have shape (B, frames, S, C) with at most {len(self.frames)} "
                    f"frames, got {tuple(context.shape)}"
                )
            context = context + self.frames[: context.shape[1], None]
        context = context.reshape(len(context), -1, context.shape[-1])
        x = self.latents.expand(len(context), -1, -1)
        for block in self.blocks:
            x = block(context, x)
        return self.layer_norm(x)


class PerceiverBlock(nn.ModuleList):
    """Attention and an MLP, which the stock module has under numbers."""

    def __init__(self, attention: PerceiverAttention, mlp: PerceiverMlp) -> None:
        super().__init__((attention, mlp))

    def forward(self, context: Tensor, latents: Tensor) -> Tensor:
        """``(B, S, C)`` and ``(B, n, C)`` to ``(B, n, C)``."""
        attention, mlp = self
        latents = latents + attention(context, latents)
        return latents + mlp(latents)


class PerceiverAttention(nn.Module):
    """Latents attend to the context and to themselves."""

    def __init__(self, width: int, heads: int, head_dim: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.context_layer_norm = nn.LayerNorm(width)
        self.latents_layer_norm = nn.LayerNorm(width)
        self.q_layer_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.k_layer_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.q_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.v_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.output_proj = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, context: Tensor, latents: Tensor) -> Tensor:
        """``(B, S, C)`` and ``(B, n, C)`` to ``(B, n, C)``."""
        latents = self.latents_layer_norm(latents)
        both = torch.cat((self.context_layer_norm(context), latents), dim=1)  # (B, S + n, C)
        q = self.q_layer_norm(by_heads(self.q_proj(latents), self.heads))  # (B, n, H, D)
        k = self.k_layer_norm(by_heads(self.k_proj(both), self.heads))  # (B, S + n, H, D)
        v = by_heads(self.v_proj(both), self.heads)
        return self.output_proj(attend(q, k, v))


class PerceiverMlp(nn.Module):
    """Normalization, and two layers with ReLU between them."""

    def __init__(self, width: int, *, squared: bool) -> None:
        super().__init__()
        self.squared = squared
        self.ln = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 4 * width, bias=False)
        self.c_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, n, C)`` to the same."""
        x = F.relu(self.fc(self.ln(x)))
        return self.c_proj(x.square() if self.squared else x)
