"""The projectors of LLaVA and InternVL."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MlpProjector(nn.Module):
    """Two layers with GELU between them, to the width of the language model.

    Semantics: ``LlavaMultiModalProjector`` of transformers (and LLaVA-NeXT's and OneVision's), with
    ``norm=True`` ``InternVLMultiModalProjector``.

    Args:
        width: channels of a token; of all layers together where several are taken.
        out_width: channels of a token of the language model.
        bias: whether the layers have biases.
        norm: whether tokens are normalized first.
    """

    def __init__(
        self, width: int, out_width: int, *, bias: bool = True, norm: bool = False
    ) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.linear_1 = nn.Linear(width, out_width, bias=bias)
        self.linear_2 = nn.Linear(out_width, out_width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the tower to tokens of the language model.

        Args:
            x: ``(..., W)``.

        Returns:
            ``(..., out_width)``.
        """
        return self.linear_2(F.gelu(self.linear_1(self.layer_norm(x))))


def merge_blocks(tokens: Tensor, height: int, width: int, merge_size: int = 2) -> Tensor:
    """Blocks of patches as one token each: space to depth, as InternVL does it.

    Channels are those of the block's patches one after the other, line by line, which is how
    Qwen-VL merges too.

    Args:
        tokens: ``(tiles, height * width, C)``, patches line by line, without class tokens.
        height: patches along a tile's side.
        width: likewise.
        merge_size: side of a block in patches.

    Returns:
        ``(tiles, height * width / m², m² C)``, blocks line by line.

    Raises:
        ValueError: the sides are no multiples of a block's, or not those of the tokens.
    """
    m, channels = merge_size, tokens.shape[-1]
    if height % m or width % m or tokens.shape[-2] != height * width:
        raise ValueError(
            f"height and width must be multiples of {m} with {tokens.shape[-2]} patches, got "
            f"{height} and {width}"
        )
    blocks = tokens.view(-1, height // m, m, width // m, m, channels)
    return blocks.transpose(2, 3).reshape(len(tokens), -1, m * m * channels)
