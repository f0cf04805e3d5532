"""A tower in the place of a transformers model's ``visual``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qvl_fast.models.qwen3 import Qwen3VisionTower

if TYPE_CHECKING:
    from qvl_fast.models.tower import VisionTower


class Visual(nn.Module):
    """What a model of transformers calls as ``model.model.visual``, computed by a tower.

    It is put there like this::

        model.model.visual = Visual(Qwen3VisionTower.from_transformers(model.model.visual))

    It shares the tower's modules and has them under the same names, so that the model's state dict
    stays as it was.

    Args:
        tower: of the model's generation.

    Attributes:
        tower: the same.
    """

    tower: VisionTower

    def __init__(self, tower: VisionTower) -> None:
        super().__init__()
        # The same dictionary: what is replaced in one, by an adapter say, is replaced in both.
        self._modules = tower._modules
        self.__dict__["tower"] = tower  # No submodule, or its weights would have two names.
        self.train(tower.training)

    @property
    def dtype(self) -> torch.dtype:
        """Type that the model casts rows to, that of the weights; uint8 if the tower is folded."""
        folded = self.tower.patch_embed.normalization is not None
        return torch.uint8 if folded else self.tower.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.tower.device

    @property
    def spatial_merge_size(self) -> int:
        """Side, in patches, of a token."""
        return self.tower.spatial_merge_size

    @property
    def gradient_checkpointing(self) -> bool:
        """The tower's; ``model.activation_checkpointing_enable()`` sets it."""
        return self.tower.gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, value: bool) -> None:
        self.tower.gradient_checkpointing = value

    def forward(
        self,
        hidden_states: Tensor,
        grid_thw: Tensor,
        *,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **plan: Any,
    ) -> Any:
        """Rows to what transformers' vision modules return.

        Args:
            hidden_states: rows ``(N, 3 * t * p * p)``.
            grid_thw: integers ``(n, 3)``; on a GPU it is waited for, as the stock modules do.
            return_dict: True or None.
            output_hidden_states: False or None.
            output_attentions: False or None.
            **plan: what :meth:`IndexPlan.as_transformers_kwargs` gives; the tower makes its own
                from the grids.

        Returns:
            ``BaseModelOutputWithPooling``, or Qwen3-VL's output with ``deepstack_features``, none
            for Qwen3.5: tokens ``(T, out_width)`` in ``pooler_output``. ``last_hidden_state``,
            which no model of transformers reads, is None.

        Raises:
            ValueError: hidden states or attentions are asked for, or a tuple.
            TypeError: another keyword argument.
        """
        if output_hidden_states or output_attentions or return_dict is False:
            raise ValueError(
                "a tower returns neither hidden states nor attentions nor tuples, got "
                f"output_hidden_states={output_hidden_states}, "
                f"output_attentions={output_attentions}, return_dict={return_dict}"
            )
        if unknown := plan.keys() - _PLAN:
            raise TypeError(f"forward() got unknown keyword arguments {sorted(unknown)}")
        tokens, deepstack = self.tower(hidden_states, grid_thw.cpu())
        if isinstance(self.tower, Qwen3VisionTower):
            from transformers.models.qwen3_vl.modeling_qwen3_vl import (
                BaseModelOutputWithDeepstackFeatures,
            )

            return BaseModelOutputWithDeepstackFeatures(
                pooler_output=tokens, deepstack_features=list(deepstack)
            )
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        return BaseModelOutputWithPooling(pooler_output=tokens)


_PLAN = {
    "cu_seqlens",
    "max_seqlen",
    "position_ids",
    "window_index",
    "cu_window_seqlens",
    "max_window_seqlen",
    "interp_indices",
    "interp_weights",
}
