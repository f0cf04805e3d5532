"""The vision tower of Qwen2-VL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from qvl_fast.models.layers import Block, LayerNorm, Merger, Mlp, PatchEmbedding, quick_gelu
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice


class Qwen2VisionTower(VisionTower):
    """Every block attends to whole frames. See :class:`VisionTower`.

    Semantics: ``Qwen2VisionTransformerPretrainedModel`` of transformers.
    """

    model_types = ("qwen2_vl",)
    checkpoint_names: ClassVar = {
        "patch_embed.proj.": "patch_embed.",
        "mlp.fc1.": "mlp.up.",
        "mlp.fc2.": "mlp.down.",
        "merger.ln_q.": "merger.norm.",
        "merger.mlp.0.": "merger.up.",
        "merger.mlp.2.": "merger.down.",
    }

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen2-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=False)
        self.blocks = nn.ModuleList(
            Block(shape, LayerNorm, Mlp(shape, quick_gelu)) for _ in range(shape.depth)
        )
        self.merger = Merger(shape, LayerNorm)

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        _, layout, rotary = self._prepared(rows, plan)
        x = layout.arranged(self.patch_embed(rows))  # (N, W)
        for block in self.blocks:
            x = self._run(block, x, rotary, layout.frames)
        return TowerOutput(layout.restored(self.merger(x)))  # (T, out_width)
