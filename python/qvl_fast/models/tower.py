"""What the towers of all generations share: their input, their options, weights from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast

import numpy as np
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from qvl_fast.config import TowerConfig, image_config, tower_config
from qvl_fast.config.checks import check_choice
from qvl_fast.index.grids import grid_array
from qvl_fast.index.plans import IndexPlan, plan
from qvl_fast.models.attention import Choice, Kernel, choose_kernel
from qvl_fast.models.dtypes import compute_dtype
from qvl_fast.models.gated_mlp import GatedMlp
from qvl_fast.models.layout import Context, Layout, lay_out

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig, ModelConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.models.layers import PatchEmbedding


class TowerOutput(NamedTuple):
    """What a tower makes of a batch.

    Attributes:
        tokens: ``(T, out_width)``, in the order of the grids.
        deepstack: ``(T, out_width)`` for each DeepStack block; empty for other towers.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...] = ()

    def split(self, grid_thw: Grids, merge_size: int = 2) -> list[TowerOutput]:
        """The output of each item, as views.

        Args:
            grid_thw: the grids of the batch ``(n, 3)``, an array, nested list or CPU tensor.
            merge_size: side, in patches, of a token.

        Raises:
            TypeError, ValueError: as :func:`qvl_fast.cu_seqlens`, or the grids have another number
                of tokens than the output.
        """
        counts = [prod(grid) // merge_size**2 for grid in grid_array(grid_thw).tolist()]
        if sum(counts) != len(self.tokens):
            raise ValueError(f"grid_thw has {sum(counts)} tokens, the output {len(self.tokens)}")
        parts: list[tuple[Tensor, ...]] = [x.split(counts) for x in (self.tokens, *self.deepstack)]
        return [TowerOutput(item[0], item[1:]) for item in zip(*parts, strict=True)]


# What torch.export needs to know of a tower's input and output. The groups of a plan's segments are
# left out: they come in any number, and traced, attention goes by the boundaries.
_GROUPS = ["segments", "windows"]
pytree.register_dataclass(
    IndexPlan,
    field_names=[field.name for field in fields(IndexPlan) if field.name not in _GROUPS],
    drop_field_names=_GROUPS,
    serialized_type_name="qvl_fast.IndexPlan",
)
pytree._register_namedtuple(  # pyright: ignore[reportPrivateUsage]
    TowerOutput, serialized_type_name="qvl_fast.models.TowerOutput"
)


class VisionTower(nn.Module):
    """Rows to tokens; the base of the generations.

    Args:
        config: a preset's name, a :class:`~qvl_fast.ModelConfig` or a
            :class:`~qvl_fast.TowerConfig`.
        attention: ``"flash-attn-3"``, ``"flash-attn"``, ``"varlen-flash"`` or ``"varlen-cudnn"``
            (PyTorch's), ``"sdpa"``, or ``"auto"`` for the first of them but cuDNN's that runs where
            the activations are and in their type; :attr:`kernel` says which.

    Attributes:
        gradient_checkpointing: whether blocks compute their activations anew in the backward pass
            instead of keeping them.
    """

    # The `model_type` of checkpoints with this tower.
    model_types: ClassVar[tuple[str, ...]]
    has_windows: ClassVar[bool] = False
    has_position_table: ClassVar[bool] = False
    patch_embed: PatchEmbedding

    def __init__(self, config: str | ModelConfig | TowerConfig, attention: Choice) -> None:
        super().__init__()
        self.config = tower_config(config)
        windows, table = self.config.window_size, self.config.position_table_side
        if (self.has_windows, self.has_position_table) != (windows is not None, table is not None):
            raise ValueError(
                f"config is not one of a {type(self).__name__}: it has window_size={windows} and "
                f"position_table_side={table}"
            )
        check_choice("attention", attention, Choice)
        self.attention: Choice = attention
        self.gradient_checkpointing = False

    def forward(self, rows: Tensor, plan: IndexPlan | Grids) -> TowerOutput:
        """Rows to tokens.

        With a plan of tensors on the device of the rows, nothing waits for the device and no
        tensor's value is looked at. A plan of arrays is copied there, a grid planned first.

        Args:
            rows: ``(N, 3 * t * p * p)``, or ``(N, 3 * p * p)`` if compact in time; of any float
                type, or uint8 after :meth:`fold_normalization`.
            plan: what :func:`qvl_fast.plan` makes of the grids for :attr:`config`, or the grids
                ``(n, 3)`` themselves, on the CPU.

        Returns:
            Tokens in the type of the weights, or in autocast's.

        Raises:
            TypeError: rows are uint8 and the normalization is not folded, or the reverse.
            ValueError: rows have another width; the plan is for other rows, another generation or
                another device; or the attention asked for cannot run.
        """
        raise NotImplementedError

    @classmethod
    def from_transformers(
        cls, module: nn.Module, *, attention: Choice = "auto", share: bool = False
    ) -> Self:
        """A tower with the configuration and the weights of a stock vision module.

        Args:
            module: ``model.visual`` of the same generation, of any type and on any device, which
                the tower takes over.
            attention: as for the class.
            share: whether the tower takes the module's own parameters instead of copies.

        Raises:
            ValueError: the module is of another generation, or computes something that the tower
                does not.
        """
        settings: Any = module.config
        model_type = str(settings.model_type).removesuffix("_vision")
        if model_type not in cls.model_types:
            raise ValueError(
                f"module must be of type {' or '.join(cls.model_types)}, got {model_type!r}"
            )
        config = TowerConfig.from_dict(settings.to_dict(), model_type)
        weights: dict[str, Tensor] = dict(module.named_parameters())
        if not share:
            weights = {name: x.detach().clone() for name, x in weights.items()}
        return cls.from_weights(config, weights, attention=attention)

    @classmethod
    def from_weights(
        cls, config: TowerConfig, weights: Mapping[str, Tensor], *, attention: Choice = "auto"
    ) -> Self:
        """A tower that takes over tensors, under the names of :meth:`state_dict`.

        Tensors become parameters that are trained; parameters stay as they are, frozen or not.

        Raises:
            ValueError: a tensor is missing, not known or of another shape; the message lists them.
        """
        with torch.device("meta"):
            tower = cls(config, attention=attention)
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
            raise ValueError(f"the weights do not fit a {cls.__name__}: {listed}")
        # What is assigned takes the flag of what was there.
        for name, parameter in tower.named_parameters():
            given = weights[name]
            parameter.requires_grad_(not isinstance(given, nn.Parameter) or given.requires_grad)
        tower.load_state_dict(weights, assign=True)
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
    def spatial_merge_size(self) -> int:
        """Side, in patches, of a token; the stock module's name for it."""
        return self.config.merge_size

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

    def _tensors(self, rows: Tensor, plan_or_grid: IndexPlan | Grids) -> IndexPlan:
        """The plan of the rows, as tensors.

        Raises:
            TypeError: the rows are not a tensor.
            ValueError: it is for other rows, for another tower or on another device, or something
                has cast it.
        """
        given = cast("object", rows)
        if not isinstance(given, Tensor):
            raise TypeError(
                f"rows must be a torch tensor, got {type(given).__name__}; pass "
                "torch.from_numpy(rows), or return_tensors='pt' to the processor"
            )
        index = plan_or_grid
        if not isinstance(index, IndexPlan):
            index = plan(index, self.config)
        if isinstance(index.position_ids, np.ndarray):
            index = index.to(rows.device)
        if index.position_ids.shape[0] != rows.shape[0]:
            raise ValueError(f"plan is for {index.position_ids.shape[0]} rows, got {rows.shape[0]}")
        if index.position_ids.device != rows.device:
            raise ValueError(
                f"plan is on {index.position_ids.device}, the rows on {rows.device}; pass "
                "plan.to(rows.device)"
            )
        if (self.has_windows and index.window_index is None) or (
            self.has_position_table and index.interp_indices is None
        ):
            raise ValueError(
                "plan is for a tower of another generation; make it with "
                "plan(grid_thw, tower.config)"
            )
        if self.has_position_table and index.interp_weights.dtype != torch.float32:
            raise ValueError(
                f"plan.interp_weights must be float32, got {index.interp_weights.dtype}; FSDP2 "
                "casts the inputs of what it wraps: pass the plan as arrays, the grids, or "
                "MixedPrecisionPolicy(cast_forward_inputs=False) for the tower itself"
            )
        return index

    def _lay_out(self, index: IndexPlan, x: Tensor) -> tuple[Layout, Context, Context]:
        """The layout for activations, and what attention needs in it: for frames and windows."""
        layout = lay_out(index, self._kernel_for(x), self.config)
        return layout, *layout.contexts(index, self.config, x.dtype)

    def _kernel_for(self, x: Tensor) -> Kernel:
        return choose_kernel(self.attention, x.device, compute_dtype(x), self.config.head_dim)

    def _run(self, block: nn.Module, x: Tensor, context: Context) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return torch.utils.checkpoint.checkpoint(block, x, context, use_reentrant=False)
        return block(x, context)
