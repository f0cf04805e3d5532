"""What the towers of all generations share: their input, their options, weights from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from qvl_fast.config import TowerConfig, image_config, tower_config
from qvl_fast.config.checks import check_choice
from qvl_fast.index.grids import grid_array
from qvl_fast.index.plans import IndexPlan, plan
from qvl_fast.index.rope import vision_rotary
from qvl_fast.models.attention import Choice, Kernel, choose_kernel
from qvl_fast.models.dtypes import compute_dtype
from qvl_fast.models.layout import Layout, lay_out

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig, ModelConfig
    from qvl_fast.index.grids import Grids
    from qvl_fast.models.attention import Segments
    from qvl_fast.models.layers import PatchEmbedding


# Rows that a block takes at once on the CPU: results of a few MB, which stay in the cache.
_PIECE = 1024


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


class VisionTower(nn.Module):
    """Rows to tokens; the base of the generations.

    Args:
        config: a preset's name, a :class:`~qvl_fast.ModelConfig` or a
            :class:`~qvl_fast.TowerConfig`.
        attention: ``"flash-attn"``, ``"varlen"`` (PyTorch's), ``"sdpa"``, or ``"auto"`` for the
            first of them that runs on the tower's device and type; :attr:`kernel` says which.

    Attributes:
        gradient_checkpointing: whether blocks compute their activations anew in the backward pass
            instead of keeping them.
    """

    # The `model_type` of checkpoints with this tower.
    model_types: ClassVar[tuple[str, ...]]
    has_windows: ClassVar[bool] = False
    has_position_table: ClassVar[bool] = False
    # Parts of parameter names in checkpoints that are called otherwise here.
    checkpoint_names: ClassVar[Mapping[str, str]]

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
    def from_transformers(cls, module: nn.Module, *, attention: Choice = "auto") -> Self:
        """A tower with the configuration and a copy of the weights of a stock vision module.

        Args:
            module: ``model.visual`` of the same generation, of any type and on any device, which
                the tower takes over.
            attention: as for the class.

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
        weights = {name: x.detach().clone() for name, x in module.state_dict().items()}
        return cls.from_weights(config, weights, attention=attention)

    @classmethod
    def from_weights(
        cls, config: TowerConfig, weights: Mapping[str, Tensor], *, attention: Choice = "auto"
    ) -> Self:
        """A tower that takes over tensors, under their names in checkpoints without prefix.

        Raises:
            ValueError: a tensor is missing, not known or of another shape; the message lists them.
        """
        with torch.device("meta"):
            tower = cls(config, attention=attention)
        renamed = {cls._own_name(name): x for name, x in weights.items()}
        wanted = tower.state_dict()
        problems = {
            "missing": [name for name in wanted if name not in renamed],
            "unexpected": [name for name in weights if cls._own_name(name) not in wanted],
            "of another shape": [
                f"{name} {tuple(x.shape)} instead of {tuple(wanted[name].shape)}"
                for name, x in renamed.items()
                if name in wanted and x.shape != wanted[name].shape
            ],
        }
        if any(problems.values()):
            listed = "; ".join(
                f"{what}: {', '.join(names)}" for what, names in problems.items() if names
            )
            raise ValueError(f"the weights do not fit a {cls.__name__}: {listed}")
        tower.load_state_dict(renamed, assign=True)
        return tower

    @property
    def kernel(self) -> Kernel:
        """What computes attention, given where the tower is and in which type it computes.

        Raises:
            ValueError: the one that was asked for cannot run; the message says why.
        """
        weight = self.patch_embed.weight
        return choose_kernel(
            self.attention, weight.device, compute_dtype(weight), self.config.head_dim
        )

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

    def _prepared(
        self, rows: Tensor, plan_or_grid: IndexPlan | Grids
    ) -> tuple[IndexPlan, Layout, tuple[Tensor, Tensor]]:
        """The plan as tensors, the order it leads to, and cosines and sines ``(N, 1, 1, D)``.

        Raises:
            ValueError: the plan is for other rows, for another tower or on another device.
        """
        index = plan_or_grid
        if not isinstance(index, IndexPlan):
            index = plan(index, self.config)
        if isinstance(index.position_ids, np.ndarray):
            index = index.to(rows.device)
        if len(index.position_ids) != len(rows):
            raise ValueError(f"plan is for {len(index.position_ids)} rows, got {len(rows)}")
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
        layout = lay_out(index, self.kernel, self.config.merge_size, windowed=self.has_windows)
        cos, sin = vision_rotary(layout.arranged(index.position_ids), self.config.head_dim)
        return index, layout, (cos[:, None, None], sin[:, None, None])

    def _run(
        self, block: nn.Module, x: Tensor, rotary: tuple[Tensor, Tensor], segments: Segments
    ) -> Tensor:
        """One block; x is overwritten where its old values are not needed."""
        if torch.is_grad_enabled():
            if self.gradient_checkpointing:
                return torch.utils.checkpoint.checkpoint(
                    block, x, rotary, segments, use_reentrant=False
                )
        elif _suits_pieces(x, segments):
            cos, sin = rotary
            for piece, within in segments.pieces(_PIECE):
                x[piece] = block(x[piece], (cos[piece], sin[piece]), within)
            return x
        return block(x, rotary, segments)

    @classmethod
    def _own_name(cls, name: str) -> str:
        for theirs, ours in cls.checkpoint_names.items():
            name = name.replace(theirs, ours)
        return name


def _suits_pieces(x: Tensor, segments: Segments) -> bool:
    """Whether a block had better take some segments after the other.

    On the CPU it had: the system hands out large memory page by page, anew for each result, which
    takes longer than the arithmetic between two matrix products. A compiler sees to that itself.
    """
    return (
        x.device.type == "cpu"
        and segments.kernel == "sdpa"
        and segments.gather is None
        and not torch.compiler.is_compiling()
    )
