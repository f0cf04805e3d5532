"""The vision tower of Qwen3-VL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.layers import Block, LayerNorm, Merger, Mlp, PatchEmbedding
from qvl_fast.models.tower import TowerOutput, VisionTower

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig, TowerConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.index.plans import IndexPlan
    from qvl_fast.models.attention import Choice

_gelu_tanh = partial(F.gelu, approximate="tanh")


class Qwen3VisionTower(VisionTower):
    """Learned positions beside the rotary ones; some blocks' output goes to DeepStack.

    See :class:`VisionTower`. Semantics: ``Qwen3VLVisionModel`` of transformers.
    """

    model_types = ("qwen3_vl", "qwen3_vl_moe")
    has_position_table = True
    checkpoint_names: ClassVar = {
        "patch_embed.proj.": "patch_embed.",
        "linear_fc1.": "up.",
        "linear_fc2.": "down.",
        "deepstack_merger_list.": "deepstack.",
    }

    def __init__(
        self, config: str | ModelConfig | TowerConfig = "qwen3-vl", *, attention: Choice = "auto"
    ) -> None:
        super().__init__(config, attention)
        shape = self.config
        self.patch_embed = PatchEmbedding(shape, bias=True)
        side = cast("int", shape.position_table_side)
        self.pos_embed = nn.Embedding(side**2, shape.width)
        self.blocks = nn.ModuleList(
            Block(shape, LayerNorm, Mlp(shape, _gelu_tanh)) for _ in range(shape.depth)
        )
        self.merger = Merger(shape, LayerNorm)
        self.deepstack = nn.ModuleList(
            Merger(shape, LayerNorm, norm_merged=True) for _ in shape.deepstack_blocks
        )

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens; see :meth:`VisionTower.forward`."""
        index, layout, rotary = self._prepared(rows, plan)
        x = self.patch_embed(rows)  # (N, W)
        x = x + self._positions(index).to(x.dtype)  # (N, W)
        x = layout.arranged(x)  # (N, W)
        mergers = dict(zip(self.config.deepstack_blocks, self.deepstack, strict=True))
        deepstack: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x = self._run(block, x, rotary, layout.frames)
            if number in mergers:
                deepstack.append(layout.restored(mergers[number](x)))  # (T, out_width)
        return TowerOutput(layout.restored(self.merger(x)), tuple(deepstack))

    def _positions(self, index: IndexPlan) -> Tensor:
        """The table's entries around each patch, weighted and summed: float32 ``(N, W)``."""
        return F.embedding_bag(
            index.interp_indices,  # (N, 4)
            self.pos_embed.weight.float(),
            per_sample_weights=index.interp_weights,  # (N, 4)
            mode="sum",
        )
