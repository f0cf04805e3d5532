"""The vision tower of Qwen2.5-VL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from qvl_fast.models.layers import Block, GatedMlp, Merger, PatchEmbedding, RmsNorm
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice


class Qwen2_5VisionTower(VisionTower):  # noqa: N801  (the model's name)
    """Blocks attend within windows, but for a few. See :class:`VisionTower`.

    Semantics: ``Qwen2_5_VisionTransformerPretrainedModel`` of transformers.
    """

    model_types = ("qwen2_5_vl",)
    has_windows = True
    checkpoint_names: ClassVar = {
        "patch_embed.proj.": "patch_embed.",
        "mlp.gate_proj.": "mlp.gate.",
        "mlp.up_proj.": "mlp.up.",
        "mlp.down_proj.": "mlp.down.",
        "merger.ln_q.": "merger.norm.",
        "merger.mlp.0.": "merger.up.",
        "merger.mlp.2.": "merger.down.",
    }

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen2.5-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=False)
        self.blocks = nn.ModuleList(
            Block(shape, RmsNorm, GatedMlp(shape)) for _ in range(shape.depth)
        )
        self.merger = Merger(shape, RmsNorm)

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        _, layout, rotary = self._prepared(rows, plan)
        x = layout.arranged(self.patch_embed(rows))  # (N, W)
        for number, block in enumerate(self.blocks):
            everywhere = number in self.config.full_attention_blocks
            x = self._run(block, x, rotary, layout.frames if everywhere else layout.windows)
        return TowerOutput(layout.restored(self.merger(x)))  # (T, out_width)
