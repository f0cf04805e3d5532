"""The vision tower of Qwen3-VL and Qwen3.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.layers import Block, LayerNorm, PatchEmbedding
from qvl_fast.models.pieces import in_pieces
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice


class Mlp(nn.Module):
    """Two layers with the tanh approximation of GELU between them."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.linear_fc1 = nn.Linear(config.width, config.mlp_width)
        self.linear_fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        return in_pieces(self._layers, x)

    def _layers(self, x: Tensor) -> Tensor:
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class Merger(nn.Module):
    """The m x m patches of each token to one vector as wide as the language model."""

    def __init__(self, config: TowerConfig, *, norm_merged: bool = False) -> None:
        super().__init__()
        self.width = config.merge_size**2 * config.width
        self.norm_merged = norm_merged
        self.norm = LayerNorm(self.width if norm_merged else config.width)
        self.linear_fc1 = nn.Linear(self.width, self.width)
        self.linear_fc2 = nn.Linear(self.width, config.out_width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to ``(T, out_width)``."""
        if self.norm_merged:
            x = self.norm(x.view(-1, self.width))  # (T, m² W)
        else:
            x = self.norm(x).view(-1, self.width)  # (T, m² W)
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


class Qwen3VisionTower(VisionTower):
    """Learned positions beside the rotary ones; some blocks' output goes to DeepStack.

    Semantics: ``Qwen3VLVisionModel`` of transformers, and without DeepStack
    ``Qwen3_5VisionModel``.

    Args:
        config: as for :class:`VisionTower`.
        attention: as for :class:`VisionTower`.
    """

    model_types = ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "qwen4_exp")
    has_position_table = True

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen3-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=True)
        side = cast("int", shape.position_table_side)
        self.pos_embed = nn.Embedding(side**2, shape.width)
        self.blocks = nn.ModuleList(Block(shape, LayerNorm, Mlp(shape)) for _ in range(shape.depth))
        self.merger = Merger(shape)
        self.deepstack_merger_list = nn.ModuleList(
            Merger(shape, norm_merged=True) for _ in shape.deepstack_blocks
        )

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        index = self._tensors(rows, plan)
        x = self.patch_embed(rows)  # (N, W)
        taps = self.pos_embed(index.interp_indices)  # (N, 4, W)
        positions = (taps * index.interp_weights[..., None]).sum(1)  # (N, W)
        x = x + positions.to(x.dtype)
        layout, frames, _ = self._lay_out(index, x)
        x = layout.arranged(x)
        blocks = self.config.deepstack_blocks
        mergers = dict(zip(blocks, self.deepstack_merger_list, strict=True))
        deepstack: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x = self._run(block, x, frames)
            if number in mergers:
                deepstack.append(layout.restored(mergers[number](x)))  # (T, out_width)
        return TowerOutput(layout.restored(self.merger(x)), tuple(deepstack))
