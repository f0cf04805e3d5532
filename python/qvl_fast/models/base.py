"""What towers of every kind share: weights from elsewhere, attention, folded normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from qvl_fast.config import image_config
from qvl_fast.config.checks import check_choice
from qvl_fast.models.attention import Choice, Kernel, choose_kernel
from qvl_fast.models.dtypes import compute_dtype
from qvl_fast.models.gated_mlp import GatedMlp

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig, ModelConfig
    from qvl_fast.models.layers import PatchEmbedding


class Tower(nn.Module):
    """Rows to tokens; the base of :class:`VisionTower` and :class:`VitTower`.

    Args:
        head_dim: channels of an attention head.
        attention: ``"flash-attn-3"``, ``"flash-attn"``, ``"varlen-flash"`` or ``"varlen-cudnn"``
            (PyTorch's), ``"sdpa"``, or ``"auto"`` for the first of them but cuDNN's that runs where
            the activations are and in their type; :attr:`kernel` says which.

    Attributes:
        gradient_checkpointing: whether blocks compute their activations anew in the backward pass
            instead of keeping them.
    """

    patch_embed: PatchEmbedding

    def __init__(self, head_dim: int, attention: Choice) -> None:
        super().__init__()
        check_choice("attention", attention, Choice)
        self.head_dim = head_dim
        self.attention: Choice = attention
        self.gradient_checkpointing = False

    @classmethod
    def from_weights(
        cls, config: Any, weights: Mapping[str, Tensor], *, attention: Choice = "auto"
    ) -> Self:
        """A tower that takes over tensors, under the names of :meth:`state_dict`.

        Tensors become parameters that are trained; parameters stay as they are, frozen or not.

        Args:
            config: as for the class.
            weights: tensors by name. They are taken over, not copied.
            attention: as for the class.

        Raises:
            ValueError: a tensor is missing, not known or of another shape; the message lists them.
        """
        with torch.device("meta"):
            tower: Self = cls(config, attention=attention)
        take_over(tower, weights)
        return tower

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.patch_embed.proj.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.patch_embed.proj.weight.device

    @property
    def kernel(self) -> Kernel:
        """What computes attention, given where the weights are and their type or autocast's.

        Raises:
            ValueError: the one that was asked for cannot run; the message says why.
        """
        return self._kernel_for(self.patch_embed.proj.weight)

    def pad_mlp(self) -> None:
        """Widen the MLPs with zeros to a whole number of 16 bytes, where their width is none.

        For half precision on a GPU, where the matrix products of Qwen2.5-VL's odd 3420 are slow.
        The tokens stay the same, and so do state dicts; adapters made for the stock width do not
        fit. In training the zeros stay zeros. Call it in the type that is to be computed in.
        """
        for module in self.modules():
            if isinstance(module, GatedMlp):
                module.pad()

    def fold_normalization(self, config: str | ModelConfig | ImageConfig) -> None:
        """Take uint8 rows from now on, and leave their normalization to the patch embedding.

        No weight changes: the patch embedding computes the one that it needs, in float32.

        Args:
            config: how the rows would have been normalized: a preset's name, a
                :class:`~qvl_fast.ModelConfig` or an :class:`~qvl_fast.ImageConfig`.
        """
        self.patch_embed.fold(image_config(config))

    def unfold_normalization(self) -> None:
        """Take normalized rows again."""
        self.patch_embed.unfold()

    def extra_repr(self) -> str:
        """The choice of attention, for the module's repr."""
        return f"attention={self.attention!r}"

    def _kernel_for(self, x: Tensor) -> Kernel:
        return choose_kernel(self.attention, x.device, compute_dtype(x), self.head_dim)

    def _run(self, block: nn.Module, x: Tensor, context: object) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return torch.utils.checkpoint.checkpoint(block, x, context, use_reentrant=False)
        return block(x, context)


def take_over(tower: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Make tensors the parameters of a tower on the meta device; see :meth:`Tower.from_weights`."""
    wanted = tower.state_dict()
    problems = {
        "missing": [name for name in wanted if name not in weights],
        "unexpected": [name for name in weights if name not in wanted],
        "of another shape": [
            f"{name} {tuple(x.shape)} instead of {tuple(wanted[name].shape)}"
            for name, x in weights.items()
            if name in wanted and x.shape != wanted[name].shape
        ],
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{what}: {', '.join(names)}" for what, names in problems.items() if names
        )
        raise ValueError(f"the weights do not fit a {type(tower).__name__}: {listed}")
    # What is assigned takes the flag of what was there.
    for name, parameter in tower.named_parameters():
        given = weights[name]
        if isinstance(given, nn.Parameter):
            parameter.requires_grad_(given.requires_grad)
    tower.load_state_dict(weights, assign=True)
