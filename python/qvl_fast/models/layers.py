"""What the towers are built from.

Shapes: N patches, T = N / m² tokens of m x m patches, W channels, H heads of D = W / H channels.
Modules and parameters have the names of transformers' modules, so that state dicts, adapters and
sharding plans made for those fit these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.attention import attention
from qvl_fast.models.dtypes import compute_dtype, wide_dtype
from qvl_fast.models.rotary import rotated

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig, TowerConfig, VitConfig
    from qvl_fast.models.layout import Context

Norm: TypeAlias = Callable[[int], nn.Module]

LayerNorm: Norm = partial(nn.LayerNorm, eps=1e-6)


class RmsNorm(nn.RMSNorm):
    """Divide each patch by its root mean square, computed in float32 or wider."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        dtype = torch.promote_types(x.dtype, self.weight.dtype)
        weight = self.weight.to(dtype)
        if not x.is_cpu:
            return F.rms_norm(x.to(dtype), self.normalized_shape, weight, self.eps)
        # There it takes more passes over memory than this.
        wide = x.to(wide_dtype(dtype))
        norm = cast("Tensor", torch.linalg.vector_norm(wide, dim=-1, keepdim=True))  # (N, 1)
        scale = torch.rsqrt(norm.square() / x.shape[-1] + cast("float", self.eps))
        return weight * (wide * scale).to(dtype)


class PatchConvolution(nn.Conv3d):
    """A convolution of inputs as large as its kernel, hence computed as a matrix product."""

    def forward(self, input: Tensor) -> Tensor:
        """``(N, 3, t, p, p)`` to ``(N, W, 1, 1, 1)``, the shapes that adapters expect."""
        x = F.linear(input.flatten(1), self.weight.flatten(1), self.bias)
        return x[..., None, None, None]


class PatchEmbedding(nn.Module):
    """Rows to channels.

    Rows may be full or compact in time, which their width tells, and after :meth:`fold` uint8
    pixels. Compact rows meet the sum of the weight's slices in time; pixels meet a weight that
    has taken in the normalization. Both weights are made when they are needed, from the one that
    is trained and saved, in float32 and for a product in float32: in bfloat16 they would be
    rounded once more than the weight that plain rows meet.
    """

    def __init__(self, config: TowerConfig | VitConfig, *, bias: bool) -> None:
        super().__init__()
        kernel = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.sides = (3, *kernel)
        self.proj = PatchConvolution(3, config.width, kernel, stride=kernel, bias=bias)
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
        if not compact and self.normalization is None:
            rows = rows.to(self.proj.weight.dtype)
            return self.proj(rows.unflatten(1, self.sides)).flatten(1)
        if type(self.proj) is not PatchConvolution:
            raise TypeError(
                "rows that are compact or uint8 need the patch embedding's own weight, and "
                f"patch_embed.proj has been replaced by a {type(self.proj).__name__}; pass full "
                "float rows, or leave patch_embed.proj out of what an adapter targets"
            )
        weight, bias = self.proj.weight, self.proj.bias  # (W, 3, t, p, p), (W,)
        precision = wide_dtype(weight.dtype)
        weight = weight.to(precision)
        bias = None if bias is None else bias.to(precision)
        if self.normalization is not None:
            weight, constant = self._folded(weight)
            bias = constant if bias is None else bias + constant
        if compact:
            weight = weight.sum(2)  # (W, 3, p, p)
        with torch.autocast(rows.device.type, enabled=False):
            x = F.linear(rows.to(precision), weight.flatten(1), bias)
        return x.to(compute_dtype(self.proj.weight))

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
        channels, frames, patch, _ = self.sides
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

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(N, W)`` to the same."""
        patches, width = x.shape
        qkv = self.qkv(x).view(patches, 3 * self.heads, width // self.heads)  # (N, 3H, D)
        turned = rotated(qkv[:, : 2 * self.heads], context.cos, context.sin)  # (N, 2H, D)
        q, k = turned.chunk(2, dim=1)  # (N, H, D) each
        x = attention(q, k, qkv[:, 2 * self.heads :], context.segments)  # (N, H, D)
        return self.proj(x.reshape(patches, width))


class Block(nn.Module):
    """Attention and an MLP, each on normalized input and added to it."""

    def __init__(self, config: TowerConfig, norm: Norm, mlp: nn.Module) -> None:
        super().__init__()
        self.norm1 = norm(config.width)
        self.norm2 = norm(config.width)
        self.attn = Attention(config)
        self.mlp = mlp

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(N, W)`` to the same."""
        x = x + self.attn(self.norm1(x), context)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """The m x m patches of each token to one vector as wide as the language model.

    The merger of Qwen2-VL and Qwen2.5-VL.
    """

    def __init__(self, config: TowerConfig, norm: Norm) -> None:
        super().__init__()
        self.width = config.merge_size**2 * config.width
        self.ln_q = norm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(self.width, self.width), nn.GELU(), nn.Linear(self.width, config.out_width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to ``(T, out_width)``."""
        return self.mlp(self.ln_q(x).view(-1, self.width))
