"""The vision tower of Qwen-VL, the first generation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from qvl_fast.config import VitConfig
from qvl_fast.models.adapters.pool import AttentionPool
from qvl_fast.models.base import take_over
from qvl_fast.models.layers import LayerNorm
from qvl_fast.models.tower import TowerOutput
from qvl_fast.models.vit import VitTower
from qvl_fast.models.vit_names import vit_weights

if TYPE_CHECKING:
    from qvl_fast.models.attention import Choice

# Parts of a checkpoint's tower that stand behind the vision transformer.
_BEHIND = ("attn_pool.", "ln_post.", "proj")


class QwenVisionTower(nn.Module):
    """Rows of square images to 256 tokens each: a vision transformer, a resampler, a projection.

    Semantics: ``VisionTransformer`` of Qwen-VL's ``visual.py`` (Bai et al., 2023).

    Args:
        config: a preset's name or a :class:`~qvl_fast.config.VitConfig`.
        out_width: channels of a token, the width of the language model.
        attention: as for :class:`VitTower`.

    Attributes:
        vit: the :class:`VitTower`, whose normalization may be folded.
    """

    def __init__(
        self,
        config: str | VitConfig = "qwen-vl",
        *,
        out_width: int = 4096,
        attention: Choice = "auto",
    ) -> None:
        super().__init__()
        self.vit = VitTower(config, attention=attention)
        self.config = self.vit.config
        self.attn_pool = AttentionPool(out_width, self.config.width, heads=out_width // 128)
        self.ln_post = LayerNorm(out_width)
        self.proj = nn.Parameter(out_width**-0.5 * torch.randn(out_width, out_width))

    @classmethod
    def from_checkpoint(
        cls, config: VitConfig, tensors: Iterable[tuple[str, Tensor]], *, attention: Choice = "auto"
    ) -> Self:
        """A tower that takes over the tensors of a checkpoint.

        Args:
            config: the shape of the vision transformer.
            tensors: name and tensor, without the prefix ``transformer.visual.``.
            attention: as for the class.

        Raises:
            ValueError: a tensor is missing, not known or of another shape.
        """
        weights = dict(tensors)
        behind = {name: weights.pop(name) for name in list(weights) if name.startswith(_BEHIND)}
        if "proj" not in behind:
            raise ValueError("the weights do not fit a QwenVisionTower: missing: proj")
        with torch.device("meta"):
            tower = cls(config, out_width=len(behind["proj"]), attention=attention)
        ours = {f"vit.{name}": x for name, x in vit_weights(weights.items(), config).items()}
        take_over(tower, ours | behind)
        return tower

    def forward(self, rows: Tensor) -> TowerOutput:
        """Rows to tokens.

        Args:
            rows: ``(images * 1024, 3 * 14 * 14)``, as for :class:`VitTower`.

        Returns:
            ``(images * 256, out_width)``, image after image.

        Raises:
            TypeError, ValueError: as :meth:`VitTower.forward`.
        """
        patches = self.vit(rows).tokens
        images = patches.view(-1, self.config.side**2, self.config.width)  # (B, 1024, W)
        tokens = self.ln_post(self.attn_pool(images)) @ self.proj  # (B, 256, out_width)
        return TowerOutput(tokens.flatten(0, 1))
