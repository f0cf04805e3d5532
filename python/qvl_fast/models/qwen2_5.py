"""The vision tower of Qwen2.5-VL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from qvl_fast.models.gated_mlp import GatedMlp
from qvl_fast.models.layers import Block, Merger, PatchEmbedding, RmsNorm
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice


class Qwen2_5VisionTower(VisionTower):  # noqa: N801  (the model's name)
    """All blocks but a few attend within windows.

    Semantics: ``Qwen2_5_VisionTransformerPretrainedModel`` of transformers.

    Args:
        config: as for :class:`VisionTower`.
        attention: as for :class:`VisionTower`.
    """

    model_types = ("qwen2_5_vl",)
    has_windows = True

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen2.5-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=False)
        self.blocks = nn.ModuleList(
            Block(shape, RmsNorm, GatedMlp(shape.width, shape.mlp_width))
            for _ in range(shape.depth)
        )
        self.merger = Merger(shape, RmsNorm)

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        index = self._tensors(rows, plan)
        x = self.patch_embed(rows)  # (N, W)
        layout, frames, windows = self._lay_out(index, x)
        x = layout.arranged(x)
        for number, block in enumerate(self.blocks):
            everywhere = number in self.config.full_attention_blocks
            x = self._run(block, x, frames if everywhere else windows)
        return TowerOutput(layout.restored(self.merger(x)))  # (T, out_width)
