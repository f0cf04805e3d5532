"""One vision transformer over tiles, which CLIP, SigLIP, InternViT, EVA-g and others are values of.

Shapes: N patches in tiles of h x w, L = h * w patches, with the class token one more, W channels,
H heads of D = W / H channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.config import VitConfig
from qvl_fast.index.grids import grid_array
from qvl_fast.index.plans import EqualSegments
from qvl_fast.models.attention import Segments, attention
from qvl_fast.models.base import Tower
from qvl_fast.models.dtypes import wide_dtype
from qvl_fast.models.layers import PatchEmbedding, RmsNorm
from qvl_fast.models.pieces import in_pieces
from qvl_fast.models.tower import TowerOutput
from qvl_fast.models.vit_names import vit_weights

if TYPE_CHECKING:
    from qvl_fast.index.grids import Grids
    from qvl_fast.models.attention import Choice, Kernel


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation of GELU that OpenAI's CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}


def planes_to_rows(planes: Tensor, patch_size: int) -> Tensor:
    """Tiles as processors of transformers stack them, as patch rows.

    Args:
        planes: ``(tiles, 3, height, width)``; what does not make a whole patch is dropped at the
            right and at the bottom.
        patch_size: side of a patch in pixels.

    Returns:
        ``(tiles * h * w, 3 * p * p)``, tile after tile, patches line by line, samples in the order
        (channel, y, x).
    """
    tiles, _, height, width = planes.shape
    h, w = height // patch_size, width // patch_size
    cut = planes[..., : h * patch_size, : w * patch_size]
    patches = cut.reshape(tiles, 3, h, patch_size, w, patch_size).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(tiles * h * w, 3 * patch_size**2)


class VitTower(Tower):
    """Rows of square tiles to tokens; what :class:`VitConfig` says is what is computed.

    Semantics: ``CLIPVisionModel``, ``SiglipVisionModel``, ``InternVLVisionModel``,
    ``Blip2VisionModel`` and ``IdeficsVisionTransformer`` of transformers, without their poolers.

    Args:
        config: a preset's name or a :class:`VitConfig`.
        attention: as for :class:`Tower`.
    """

    def __init__(self, config: str | VitConfig, *, attention: Choice = "auto") -> None:
        shape = config if isinstance(config, VitConfig) else VitConfig.preset(config)
        super().__init__(shape.head_dim, attention)
        self.config = shape
        positions = shape.table_side**2 + shape.class_token
        ends = shape.post_norm and shape.layers is None
        self.patch_embed = PatchEmbedding(shape, bias=shape.patch_bias)
        self.class_embed = nn.Embedding(1, shape.width) if shape.class_token else None
        self.pos_embed = nn.Embedding(positions, shape.width)
        self.pre_norm = _norm(shape) if shape.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(VitBlock(shape) for _ in range(shape.blocks))
        self.norm = _norm(shape, "layer_norm") if ends else nn.Identity()

    @classmethod
    def from_transformers(cls, module: nn.Module, *, attention: Choice = "auto") -> Self:
        """A tower with the configuration and a copy of the weights of a stock vision module.

        Args:
            module: one of those that the class names.
            attention: as for the class.

        Raises:
            ValueError: the module is another, or computes something that the tower does not.
        """
        settings: Any = module.config
        config = VitConfig.from_dict(settings.to_dict())
        tensors = ((name, x.detach().clone()) for name, x in module.state_dict().items())
        return cls.from_weights(config, vit_weights(tensors, config), attention=attention)

    def forward(self, rows: Tensor, grid_thw: Grids | None = None) -> TowerOutput:
        """Rows to tokens.

        Args:
            rows: ``(N, 3 * p * p)`` of any float type, or uint8 after :meth:`fold_normalization`,
                tile after tile, patches line by line.
            grid_thw: integers ``(n, 3)``, on the CPU: t tiles of h x w patches each. None if all
                tiles have the sides of the configuration. For other tiles the positions are
                stretched, bicubically, as ``interpolate_pos_encoding=True`` does in transformers
                (for Idefics it rounds otherwise there).

        Returns:
            Tokens in the type of the weights, or in autocast's, tile after tile, the class token
            first if it is kept; as wide as the layers asked for together.

        Raises:
            TypeError: rows are uint8 and the normalization is not folded, or the reverse.
            ValueError: rows have another width, or are not as many as the tiles have patches; or
                the attention asked for cannot run.
        """
        shape = self.config
        x = self.patch_embed(rows)  # (N, W)
        runs = self._runs(len(rows), grid_thw)
        patches: tuple[Tensor, ...] = x.split([run.count * run.h * run.w for run in runs])
        x = torch.cat([self._embedded(*both) for both in zip(patches, runs, strict=True)])
        x = self.pre_norm(x)  # (tiles * L, W)
        segments = self._segments(runs, self._kernel_for(x), x.device)
        layers = (shape.blocks,) if shape.layers is None else shape.layers
        outputs: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            if number in layers:
                outputs[number] = x
            x = self._run(block, x, segments)
        outputs[shape.blocks] = x
        tokens = self.norm(torch.cat([outputs[layer] for layer in layers], dim=-1))
        if shape.class_token and not shape.keep_class:
            tokens = self._without_class(tokens, runs)
        return TowerOutput(tokens)

    def _runs(self, rows: int, grid_thw: Grids | None) -> list[_Run]:
        """The tiles, those of one shape that follow each other together.

        Raises:
            ValueError: they have another number of patches than there are rows.
        """
        side = self.config.side
        if grid_thw is None:
            if rows % side**2:
                raise ValueError(
                    f"rows must be those of whole tiles of {side}x{side} patches, got {rows}; pass "
                    "grid_thw for others"
                )
            return [_Run(side, side, rows // side**2)]
        grids: list[list[int]] = grid_array(grid_thw).tolist()
        runs = [
            _Run(h, w, sum(grid[0] for grid in equal))
            for (h, w), equal in groupby(grids, key=lambda grid: (grid[1], grid[2]))
        ]
        runs = runs or [_Run(side, side, 0)]
        if (patches := sum(run.h * run.w * run.count for run in runs)) != rows:
            raise ValueError(f"grid_thw has {patches} patches, got {rows} rows")
        return runs

    def _embedded(self, x: Tensor, run: _Run) -> Tensor:
        """The patches of tiles of one shape ``(N, W)``, with class tokens and positions."""
        tiles = x.view(run.count, run.h * run.w, x.shape[1])
        if self.class_embed is not None:
            token = self.class_embed.weight.to(x.dtype).expand(run.count, 1, -1)
            tiles = torch.cat((token, tiles), dim=1)
        return (tiles + self._positions(run).to(x.dtype)).flatten(0, 1)  # (count * L, W)

    def _positions(self, run: _Run) -> Tensor:
        """Those of a tile, the class token's first: ``(L, W)``."""
        table, side = self.pos_embed.weight, self.config.table_side
        if (run.h, run.w) == (side, side):
            return table
        first, square = table[: -(side**2)], table[-(side**2) :]
        planes = square.to(wide_dtype(table.dtype)).T.reshape(1, -1, side, side)
        stretched = F.interpolate(planes, (run.h, run.w), mode="bicubic", align_corners=False)
        return torch.cat((first, stretched[0].flatten(1).T.to(table.dtype)))

    def _segments(self, runs: list[_Run], kernel: Kernel, device: torch.device) -> Segments:
        """Every patch attends to its tile."""
        extra = int(self.config.class_token)
        groups = tuple(EqualSegments(run.h * run.w + extra, run.count) for run in runs)
        lengths = torch.tensor([0, *(g.length for g in groups for _ in range(g.count))])
        boundaries = lengths.cumsum(0, dtype=torch.int32).to(device)
        longest = max((group.length for group in groups), default=0)
        return Segments(kernel, boundaries, longest, groups)

    def _without_class(self, tokens: Tensor, runs: list[_Run]) -> Tensor:
        """``(tiles * L, C)`` to ``(N, C)``."""
        kept: list[Tensor] = []
        start = 0
        for run in runs:
            length = run.h * run.w + 1
            stop = start + length * run.count
            tiles = tokens[start:stop].view(run.count, length, tokens.shape[1])
            kept.append(tiles[:, 1:].flatten(0, 1))
            start = stop
        return torch.cat(kept)


@dataclass(frozen=True, slots=True)
class _Run:
    """Tiles of one shape that follow each other: ``count`` of ``h x w`` patches."""

    h: int
    w: int
    count: int


def _norm(config: VitConfig, kind: str | None = None) -> nn.Module:
    if (kind or config.norm) == "rms_norm":
        return RmsNorm(config.width, config.norm_eps)
    return nn.LayerNorm(config.width, config.norm_eps)


class VitBlock(nn.Module):
    """Attention and an MLP, each on normalized input, scaled and added to it."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.norm1 = _norm(config)
        self.norm2 = _norm(config)
        self.attn = VitAttention(config)
        self.mlp = VitMlp(config)
        self.scale1 = LayerScale(config.width) if config.layer_scale else nn.Identity()
        self.scale2 = LayerScale(config.width) if config.layer_scale else nn.Identity()

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        """``(N, W)`` to the same."""
        x = x + self.scale1(self.attn(self.norm1(x), segments))
        return x + self.scale2(self.mlp(self.norm2(x)))


class VitAttention(nn.Module):
    """Self-attention of patches within their tiles."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=config.qkv_bias)
        self.proj = nn.Linear(config.width, config.width)
        self.q_norm = RmsNorm(config.width) if config.qk_norm else nn.Identity()
        self.k_norm = RmsNorm(config.width) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        """``(N, W)`` to the same."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)  # (N, W) each
        q, k, v = (
            states.unflatten(-1, (self.heads, -1)) for states in (self.q_norm(q), self.k_norm(k), v)
        )
        return self.proj(attention(q, k, v, segments).flatten(1))  # of (N, H, D)


class VitMlp(nn.Module):
    """Two layers with an activation between them."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)
        self.activation = _ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        return in_pieces(self._layers, x)

    def _layers(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """To one, as a layer is without it."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        return x * self.weight
