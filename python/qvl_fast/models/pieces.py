"""MLPs that take some patches after the others on the CPU."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

# What an MLP makes of so many stays in the cache until its last layer reads it.
_PATCHES = 1024


def in_pieces(layers: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What ``layers`` make of ``x``, ``(N, W)`` or any shape, where each patch is for itself.

    Hooks on a layer see a piece at a time, which is why gradients are computed in one go, and so
    is what a compiler reads.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not x.is_cpu or x.ndim != 2:
        return layers(x)
    if len(x) <= _PATCHES:
        return layers(x)
    pieces = cast("tuple[Tensor, ...]", x.split(_PATCHES))
    return torch.cat([layers(piece) for piece in pieces])
