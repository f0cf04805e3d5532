"""The Q-Former of BLIP-2: learned queries that read an image."""

from __future__ import annotations

import re
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.adapters.heads import attend, by_heads

# Names of transformers -> ours, in this order.
_NAMES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^layernorm\.", "norm."),
        (r"^encoder\.layer\.", "blocks."),
        (r"\.attention\.attention\.", ".own."),
        (r"\.attention\.output\.dense\.", ".own.out."),
        (r"\.attention\.output\.LayerNorm\.", ".own_norm."),
        (r"\.crossattention\.attention\.", ".cross."),
        (r"\.crossattention\.output\.dense\.", ".cross.out."),
        (r"\.crossattention\.output\.LayerNorm\.", ".cross_norm."),
        (r"\.intermediate_query\.dense\.", ".fc1."),
        (r"\.output_query\.dense\.", ".fc2."),
        (r"\.output_query\.LayerNorm\.", ".mlp_norm."),
    )
]
_OF_TEXT = re.compile(r"^encoder\.layer\.\d+\.(intermediate|output)\.")


class QFormer(nn.Module):
    """Image tokens to one token for each query. Its projection to the language model is apart.

    Semantics: ``Blip2QFormerModel`` of transformers, without the text branch.

    Args:
        width: channels of a query.
        context_width: channels of an image token.
        queries: how many there are.
        depth: number of blocks.
        heads: attention heads; they divide the width.
        mlp_width: hidden channels of an MLP.
        every: one block in so many, starting with the first, reads the image.
        eps: what normalization adds to the variance.
    """

    def __init__(
        self,
        width: int = 768,
        context_width: int = 1408,
        *,
        queries: int = 32,
        depth: int = 12,
        heads: int = 12,
        mlp_width: int = 3072,
        every: int = 2,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, queries, width))
        self.norm = nn.LayerNorm(width, eps=eps)
        self.blocks = nn.ModuleList(
            QFormerBlock(width, None if number % every else context_width, heads, mlp_width, eps)
            for number in range(depth)
        )

    @classmethod
    def from_transformers(cls, model: nn.Module) -> Self:
        """One with a copy of the weights of a BLIP-2 model's ``qformer`` and ``query_tokens``.

        Args:
            model: a ``Blip2ForConditionalGeneration``.

        Raises:
            ValueError: the MLPs have another activation than GELU.
        """
        stock: Any = model
        config = stock.qformer.config
        if config.hidden_act != "gelu":
            raise ValueError(f"hidden_act of a Q-Former must be 'gelu', got {config.hidden_act!r}")
        result = cls(
            config.hidden_size,
            config.encoder_hidden_size,
            queries=stock.query_tokens.shape[1],
            depth=config.num_hidden_layers,
            heads=config.num_attention_heads,
            mlp_width=config.intermediate_size,
            every=config.cross_attention_frequency,
            eps=config.layer_norm_eps,
        )
        weights = {"query_tokens": stock.query_tokens}
        for stock_name, tensor in stock.qformer.state_dict().items():
            name = stock_name
            for pattern, ours in _NAMES:
                name = pattern.sub(ours, name)
            if not _OF_TEXT.match(stock_name):
                weights[name] = tensor
        result.load_state_dict(weights)
        return result.to(stock.query_tokens)

    def forward(self, context: Tensor) -> Tensor:
        """Image tokens to queries, computed in the weights' type, in transformers float32.

        Args:
            context: ``(B, S, V)``.

        Returns:
            ``(B, queries, W)``, in the type of the context.
        """
        dtype = context.dtype
        context = context.to(self.query_tokens.dtype)
        x = self.norm(self.query_tokens).expand(len(context), -1, -1)
        for block in self.blocks:
            x = block(x, context)
        return x.to(dtype)


class QFormerBlock(nn.Module):
    """Attention of the queries to each other and, in some blocks, to the image; an MLP."""

    def __init__(
        self, width: int, context_width: int | None, heads: int, mlp_width: int, eps: float
    ) -> None:
        super().__init__()
        self.own = QFormerAttention(width, width, heads)
        self.own_norm = nn.LayerNorm(width, eps=eps)
        self.cross = QFormerAttention(width, context_width, heads) if context_width else None
        self.cross_norm = nn.LayerNorm(width, eps=eps) if context_width else None
        self.fc1 = nn.Linear(width, mlp_width)
        self.fc2 = nn.Linear(mlp_width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """``(B, queries, W)`` and ``(B, S, V)`` to ``(B, queries, W)``."""
        x = self.own_norm(x + self.own(x, x))
        if self.cross is not None and self.cross_norm is not None:
            x = self.cross_norm(x + self.cross(x, context))
        return self.mlp_norm(x + self.fc2(F.gelu(self.fc1(x))))


class QFormerAttention(nn.Module):
    """Queries of one sequence, keys and values of another or the same."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """``(B, S, W)`` and ``(B, K, V)`` to ``(B, S, W)``."""
        q, k, v = self.query(x), self.key(context), self.value(context)
        return self.out(attend(*(by_heads(states, self.heads) for states in (q, k, v))))
