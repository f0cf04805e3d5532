"""What the towers of all generations share: the plan of their rows, and the order that suits it."""

from __future__ import annotations

from dataclasses import fields
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from qvl_fast.config import TowerConfig, tower_config
from qvl_fast.index.grids import grid_array
from qvl_fast.index.plans import IndexPlan, plan
from qvl_fast.models.base import Tower
from qvl_fast.models.layout import Context, Layout, lay_out

if TYPE_CHECKING:
    from qvl_fast.config import ModelConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.models.attention import Choice


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


class VisionTower(Tower):
    """Rows to tokens; the base of the generations.

    Args:
        config: a preset's name, a :class:`~qvl_fast.ModelConfig` or a
            :class:`~qvl_fast.TowerConfig`.
        attention: as for :class:`Tower`.
    """

    # The `model_type` of checkpoints with this tower.
    model_types: ClassVar[tuple[str, ...]]
    has_windows: ClassVar[bool] = False
    has_position_table: ClassVar[bool] = False

    def __init__(self, config: str | ModelConfig | TowerConfig, attention: Choice) -> None:
        self.config = tower_config(config)
        super().__init__(self.config.head_dim, attention)
        windows, table = self.config.window_size, self.config.position_table_side
        if (self.has_windows, self.has_position_table) != (windows is not None, table is not None):
            raise ValueError(
                f"config is not one of a {type(self).__name__}: it has window_size={windows} and "
                f"position_table_side={table}"
            )

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

    @property
    def spatial_merge_size(self) -> int:
        """Side, in patches, of a token; the stock module's name for it."""
        return self.config.merge_size

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
