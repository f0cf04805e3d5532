"""The vision tower of Qwen2-VL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qvl_fast.models.layers import Block, LayerNorm, Merger, PatchEmbedding
from qvl_fast.models.pieces import in_pieces
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice


class Mlp(nn.Module):
    """Two layers with the approximation ``x * sigmoid(1.702 x)`` of GELU between them."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, W)`` to the same."""
        return in_pieces(self._layers, x)

    def _layers(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class Qwen2VisionTower(VisionTower):
    """Every block attends to whole frames.

    Semantics: ``Qwen2VisionTransformerPretrainedModel`` of transformers.

    Args:
        config: as for :class:`VisionTower`.
        attention: as for :class:`VisionTower`.
    """

    model_types = ("qwen2_vl",)

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen2-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=False)
        self.blocks = nn.ModuleList(Block(shape, LayerNorm, Mlp(shape)) for _ in range(shape.depth))
        self.merger = Merger(shape, LayerNorm)

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        index = self._tensors(rows, plan)
        x = self.patch_embed(rows)  # (N, W)
        layout, frames, _ = self._lay_out(index, x)
        x = layout.arranged(x)
        for block in self.blocks:
            x = self._run(block, x, frames)
        return TowerOutput(layout.restored(self.merger(x)))  # (T, out_width)
