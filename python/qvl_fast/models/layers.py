"""What the towers of all generations are built from.

Shapes: N patches, T = N / m² tokens of m x m patches, W channels, H heads of D = W / H channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.index.rope import rotate
from qvl_fast.models.attention import attention
from qvl_fast.models.dtypes import compute_dtype

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig, TowerConfig
    from qvl_fast.models.attention import Segments

Norm: TypeAlias = Callable[[int], nn.Module]

LayerNorm: Norm = partial(nn.LayerNorm, eps=1e-6)


class RmsNorm(nn.Module):
    """Divide each patch by its root mean square, computed in float32 and cast back."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        wide = x.float()
        norm = cast("Tensor", torch.linalg.vector_norm(wide, dim=-1, keepdim=True))  # (N, 1)
        wide = wide * torch.rsqrt(norm.square() / x.shape[-1] + self.eps)
        return self.weight * wide.to(x.dtype)


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation ``x * sigmoid(1.702 x)``."""
    return x * torch.sigmoid(1.702 * x)


class PatchEmbedding(nn.Module):
    """Rows to channels: a convolution whose stride is its kernel, hence a matrix product.

    Rows may be full or compact in time, which their width tells, and after :meth:`fold` uint8
    pixels. Compact rows meet the sum of the weight's slices in time; pixels meet a weight that
    has taken in the normalization. Both weights are made when they are needed, from the one that
    is trained and saved, in float32 and for a product in float32: in bfloat16 they would be
    rounded once more than the weight that plain rows meet.
    """

    def __init__(self, config: TowerConfig, *, bias: bool) -> None:
        super().__init__()
        patch = config.patch_size
        shape = (config.width, 3, config.temporal_patch_size, patch, patch)
        self.weight = nn.Parameter(torch.empty(shape).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(config.width)) if bias else None
        # For each channel the scale and the shift of a pixel.
        self.normalization: tuple[tuple[float, float], ...] | None = None

    def fold(self, image: ImageConfig) -> None:
        """Take uint8 rows from now on, which ``image`` says how to normalize."""
        rescale = image.rescale_factor if image.do_rescale else 1.0
        if image.do_normalize:
            pairs = zip(image.image_mean, image.image_std, strict=True)
            self.normalization = tuple((rescale / std, -mean / std) for mean, std in pairs)
        else:
            self.normalization = ((rescale, 0.0),) * 3

    def unfold(self) -> None:
        """Take float rows again."""
        self.normalization = None

    def forward(self, rows: Tensor) -> Tensor:
        """``(N, 3 * t * p * p)`` or ``(N, 3 * p * p)`` to ``(N, W)``."""
        compact = self._is_compact(rows)
        self._check_dtype(rows)
        weight, bias = self.weight, self.bias  # (W, 3, t, p, p), (W,)
        if not compact and self.normalization is None:
            return F.linear(rows.to(weight.dtype), weight.flatten(1), bias)

        precision = torch.promote_types(weight.dtype, torch.float32)
        weight = weight.to(precision)
        bias = None if bias is None else bias.to(precision)
        if self.normalization is not None:
            weight, constant = self._folded(weight)
            bias = constant if bias is None else bias + constant
        if compact:
            weight = weight.sum(2)  # (W, 3, p, p)
        with torch.autocast(rows.device.type, enabled=False):
            x = F.linear(rows.to(precision), weight.flatten(1), bias)
        return x.to(compute_dtype(self.weight))

    def _folded(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weight that pixels meet, and what the shift of pixels adds to the bias."""
        scaled: list[Tensor] = []
        shifts: list[Tensor] = []
        pairs = self.normalization or ()
        for channel, (scale, shift) in zip(weight.unbind(1), pairs, strict=True):
            scaled.append(scale * channel)  # (W, t, p, p)
            shifts.append(shift * channel.sum((1, 2, 3)))  # (W,)
        return torch.stack(scaled, dim=1), torch.stack(shifts).sum(0)

    def _is_compact(self, rows: Tensor) -> bool:
        _, channels, frames, patch, _ = self.weight.shape
        compact, full = channels * patch * patch, channels * frames * patch * patch
        if rows.ndim != 2 or rows.shape[1] not in (compact, full):
            raise ValueError(
                f"rows must have shape (N, {full}), or (N, {compact}) if compact in time, got "
                f"{tuple(rows.shape)}"
            )
        return rows.shape[1] != full

    def _check_dtype(self, rows: Tensor) -> None:
        if rows.dtype == torch.uint8:
            if self.normalization is None:
                raise TypeError(
                    "rows are uint8 pixels, but the tower takes normalized rows; call "
                    "fold_normalization(config) first, or pass float rows"
                )
        elif not rows.is_floating_point():
            raise TypeError(f"rows must be float or uint8, got {rows.dtype}")
        elif self.normalization is not None:
            raise TypeError(
                f"rows are {rows.dtype}, but the tower takes uint8 pixels since "
                "fold_normalization; call unfold_normalization() first, or pass uint8 rows"
            )


class Attention(nn.Module):
    """Self-attention of patches within their segments."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], segments: Segments) -> Tensor:
        """``(N, W)`` to the same; ``rotary`` holds cosines and sines ``(N, 1, 1, D)``."""
        patches, width = x.shape
        qkv = self.qkv(x).view(patches, 3, self.heads, width // self.heads)  # (N, 3, H, D)
        q, k = rotate(qkv[:, :2], *rotary).unbind(1)  # (N, H, D) each
        x = attention(q, k, qkv[:, 2], segments)  # (N, H, D)
        return self.proj(x.reshape(patches, width))


class Mlp(nn.Module):
    """Two layers with ``activation`` between them."""

    def __init__(self, config: TowerConfig, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, config.width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        return self.down(self.activation(self.up(x)))


class GatedMlp(nn.Module):
    """SwiGLU."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.mlp_width)
        self.up = nn.Linear(config.width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        # In place: where memory is fresh it costs more than the arithmetic.
        return self.down(F.silu(self.gate(x)).mul_(self.up(x)))


class Block(nn.Module):
    """Attention and an MLP, each on normalized input and added to it."""

    def __init__(self, config: TowerConfig, norm: Norm, mlp: nn.Module) -> None:
        super().__init__()
        self.norm1 = norm(config.width)
        self.attn = Attention(config)
        self.norm2 = norm(config.width)
        self.mlp = mlp

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], segments: Segments) -> Tensor:
        """``(N, W)`` to the same; see :class:`Attention`."""
        x = x + self.attn(self.norm1(x), rotary, segments)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """The m x m patches of each token to one vector as wide as the language model."""

    def __init__(self, config: TowerConfig, norm: Norm, *, norm_merged: bool = False) -> None:
        super().__init__()
        self.width = config.merge_size**2 * config.width
        self.norm_merged = norm_merged
        self.norm = norm(self.width if norm_merged else config.width)
        self.up = nn.Linear(self.width, self.width)
        self.down = nn.Linear(self.width, config.out_width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to ``(T, out_width)``."""
        if self.norm_merged:
            x = self.norm(x.view(-1, self.width))  # (T, m² W)
        else:
            x = self.norm(x).view(-1, self.width)  # (T, m² W)
        return self.down(F.gelu(self.up(x)))
