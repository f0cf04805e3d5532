"""The gated MLP, and layers that are wider in memory than in a state dict."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from qvl_fast.models.pieces import in_pieces

# What the fast matrix products of GPUs want of every row's length, in bytes.
_ALIGNMENT = 16


class GatedMlp(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, mlp_width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, mlp_width, bias=bias)
        self.up_proj = nn.Linear(width, mlp_width, bias=bias)
        self.down_proj = nn.Linear(mlp_width, width, bias=bias)

    def pad(self) -> None:
        """See :meth:`VisionTower.pad_mlp`.

        A padded channel is silu(0) * 0 = 0 and meets zeros in the last layer, so that its
        gradients are zero as well.
        """
        size = self.down_proj.weight.element_size()
        extra = -self.down_proj.in_features * size % _ALIGNMENT // size
        if extra:
            self.gate_proj = PaddedLinear(self.gate_proj, more_out=extra)
            self.up_proj = PaddedLinear(self.up_proj, more_out=extra)
            self.down_proj = PaddedLinear(self.down_proj, more_in=extra)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., W)`` to the same."""
        return in_pieces(self._layers, x)

    def _layers(self, x: Tensor) -> Tensor:
        # In place: where memory is fresh it costs more than the arithmetic.
        return self.down_proj(F.silu(self.gate_proj(x)).mul_(self.up_proj(x)))


class PaddedLinear(nn.Linear):
    """A linear layer with zeros beyond the channels that its state dict has.

    Args:
        layer: what it computes; its parameters are copied.
        more_out: channels of zeros after the layer's output.
        more_in: channels after the layer's input that count for nothing.
    """

    def __init__(self, layer: nn.Linear, *, more_out: int = 0, more_in: int = 0) -> None:
        super().__init__(layer.in_features + more_in, layer.out_features + more_out, device="meta")
        self.more_out, self.more_in = more_out, more_in
        wide = self._padded({"weight": layer.weight.detach(), "bias": layer.bias.detach()})
        self.weight = nn.Parameter(wide["weight"], layer.weight.requires_grad)
        self.bias = nn.Parameter(wide["bias"], layer.bias.requires_grad)
        self.train(layer.training)

    def _padded(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        sides = {"weight": (0, self.more_in, 0, self.more_out), "bias": (0, self.more_out)}
        return {name: F.pad(x, sides[name]) for name, x in tensors.items()}

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        rows, columns = self.out_features - self.more_out, self.in_features - self.more_in
        destination[prefix + "weight"] = destination[prefix + "weight"][:rows, :columns]
        destination[prefix + "bias"] = destination[prefix + "bias"][:rows]

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Tensor],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        narrow = {
            name: state_dict[prefix + name]
            for name in ("weight", "bias")
            if prefix + name in state_dict
        }
        wide = {prefix + name: x for name, x in self._padded(narrow).items()}
        super()._load_from_state_dict(
            {**state_dict, **wide},
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )
