"""The resampler of Qwen-VL: learned queries, with places of their own, that read an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionPool(nn.Module):
    """The patches of a square to the tokens of another, of ``side x side``.

    Semantics: ``Resampler`` of Qwen-VL's ``visual.py`` (Bai et al., 2023).

    Args:
        width: channels of a token.
        context_width: channels of a patch.
        side: tokens along the side of the square that comes out.
        heads: attention heads; they divide the width.
        eps: what normalization adds to the variance.
    """

    def __init__(
        self,
        width: int = 4096,
        context_width: int = 1664,
        *,
        side: int = 16,
        heads: int = 32,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.side = side
        self.pos_embed = nn.Parameter(sine_positions(width, side), requires_grad=False)
        self.query = nn.Parameter(torch.randn(side**2, width) * 0.02)
        self.kv_proj = nn.Linear(context_width, width, bias=False)
        self.ln_q = nn.LayerNorm(width, eps=eps)
        self.ln_kv = nn.LayerNorm(width, eps=eps)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, context: Tensor) -> Tensor:
        """Patches to tokens.

        Args:
            context: ``(B, s * s, V)``, patches line by line.

        Returns:
            ``(B, side * side, W)``.

        Raises:
            ValueError: the patches are not those of a square.
        """
        values = self.ln_kv(self.kv_proj(context))  # (B, s * s, W)
        keys = values + self._positions(context.shape[1]).to(values.dtype)
        queries = self.ln_q(self.query) + self.pos_embed.to(values.dtype)
        queries = queries.expand(len(context), -1, -1)
        return self.attn(queries, keys, values, need_weights=False)[0]

    def _positions(self, patches: int) -> Tensor:
        """The table stretched over the patches: ``(patches, W)``."""
        side = round(patches**0.5)
        if side**2 != patches:
            raise ValueError(f"context must be the patches of a square, got {patches} of them")
        if side == self.side:
            return self.pos_embed
        planes = self.pos_embed.float().T.reshape(1, -1, self.side, self.side)
        stretched = F.interpolate(planes, (side, side), mode="bicubic", align_corners=False)
        return stretched[0].flatten(1).T


def sine_positions(width: int, side: int) -> Tensor:
    """Sines and cosines of the places in a square, lines first: float32 ``(side * side, width)``.

    The first half of the channels is the column's, the second the line's; each is all sines, then
    all cosines.
    """
    frequencies = 10_000 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side)[:, None] * frequencies  # (side, width / 4)
    waves = torch.cat((angles.sin(), angles.cos()), dim=1).float()  # (side, width / 2)
    return torch.cat((waves.repeat(side, 1), waves.repeat_interleave(side, dim=0)), dim=1)
