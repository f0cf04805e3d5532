"""The order in which a tower keeps its rows, and who attends to whom in it.

Everything but attention treats patches one by one, so a tower may keep them in any order that
suits attention and restore the given one at the end. The windows of Qwen2.5-VL ask for such an
order; and where the segments of one length are to be one batch, they are sorted by length, once
for all blocks. All of it is computed on the device of the plan, without looking at a value; nor are
the plan's Python numbers looked at before attention needs them, since torch.compile would make a
graph for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from qvl_fast.index.rope import vision_rotary
from qvl_fast.models.attention import Kernel, Segments
from qvl_fast.models.dtypes import wide_dtype

if TYPE_CHECKING:
    from qvl_fast.config import TowerConfig
    from qvl_fast.index.plans import IndexPlan


class Context:
    """What the attention of a block needs beside its input.

    A plain class, no tuple or dataclass: FSDP2 looks for tensors in the containers among a block's
    arguments and casts those of a float type, and angles must stay in float32.

    Attributes:
        cos: float32 or wider ``(N, D)``, in the order of the layout.
        sin: likewise.
        segments: who attends to whom.
    """

    def __init__(self, cos: Tensor, sin: Tensor, segments: Segments) -> None:
        self.cos = cos
        self.sin = sin
        self.segments = segments


class Layout(NamedTuple):
    """See the module.

    Attributes:
        order: int64 ``(N,)``: the row at each place, None if they stay as they come.
        restore: int64 ``(T,)``: where each token ends up, likewise.
        frames: for blocks that attend to whole frames.
        windows: for blocks that attend within windows; the frames if the tower has none.
    """

    order: Tensor | None
    restore: Tensor | None
    frames: Segments
    windows: Segments

    def arranged(self, x: Tensor) -> Tensor:
        """``(N, ...)`` in the layout's order."""
        return x if self.order is None else x[self.order]

    def restored(self, tokens: Tensor) -> Tensor:
        """``(T, ...)`` in the order in which the rows were given."""
        return tokens if self.restore is None else tokens[self.restore]

    def contexts(
        self, plan: IndexPlan, config: TowerConfig, dtype: torch.dtype
    ) -> tuple[Context, Context]:
        """For blocks that attend to whole frames, and within windows, in a tower of a type."""
        positions = self.arranged(plan.position_ids)
        angles = vision_rotary(positions, config.head_dim, config.rope_theta)
        cos, sin = (x.to(wide_dtype(dtype)) for x in angles)  # (N, D) each
        return Context(cos, sin, self.frames), Context(cos, sin, self.windows)


def lay_out(plan: IndexPlan, kernel: Kernel, config: TowerConfig) -> Layout:
    """The layout that suits a kernel.

    Args:
        plan: one of tensors, for ``config``.
        kernel: what is to compute attention.
        config: the shape of the tower. Tokens stay whole in every order.
    """
    unit = config.merge_size**2
    frames = Segments(kernel, plan.cu_seqlens, plan.max_seqlen, plan.segments)
    windows = frames
    if config.window_size is not None:
        # The patches of a full window bound those of every other, and do not vary with the batch.
        side = config.window_size // config.patch_size // config.merge_size * config.merge_size
        windows = Segments(kernel, plan.cu_window_seqlens, side**2, plan.windows)

    if kernel != "sdpa":
        if config.window_size is None:
            return Layout(None, None, frames, frames)
        order = _patches(plan.window_index, unit)
        return Layout(order, plan.reverse_window_index, frames, windows)

    tokens = plan.position_ids.shape[0] // unit
    frame = _owners(frames.boundaries // unit, tokens)
    if config.window_size is None:
        order, boundaries = _by_length(frames.boundaries, frame)
        frames = frames._replace(boundaries=boundaries)
        return Layout(_patches(order, unit), _inverse(order), frames, frames)

    window = _owners(windows.boundaries // unit, tokens)
    order, boundaries = _by_length(windows.boundaries, window)
    windows = windows._replace(boundaries=boundaries)
    order = plan.window_index[order]
    gather, boundaries = _by_length(frames.boundaries, frame[order])
    gather = _patches(gather, unit)
    frames = frames._replace(boundaries=boundaries, gather=gather, scatter=_inverse(gather))
    return Layout(_patches(order, unit), _inverse(order), frames, windows)


def _owners(boundaries: Tensor, tokens: int) -> Tensor:
    """The segment, counted from 1, of each token: int64 ``(T,)``, for boundaries in tokens."""
    places = torch.arange(tokens, dtype=boundaries.dtype, device=boundaries.device)
    return torch.searchsorted(boundaries, places, right=True)


def _by_length(boundaries: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """The order of tokens that sorts their segments by length, and the boundaries in it."""
    # With a first segment of length 0: a graph for as many as there are boundaries holds for a
    # single segment too.
    lengths = boundaries.diff(prepend=boundaries[:1])
    order = torch.argsort(lengths[owners].long() * lengths.shape[0] + owners, stable=True)
    return order, lengths.sort().values.cumsum(0, dtype=boundaries.dtype)


def _patches(tokens: Tensor, unit: int) -> Tensor:
    """The patches of tokens: ``(T,)`` to ``(N,)``."""
    return (unit * tokens[:, None] + torch.arange(unit, device=tokens.device)).flatten()


def _inverse(order: Tensor) -> Tensor:
    """The permutation that undoes ``order``."""
    return torch.empty_like(order).scatter_(
        0, order, torch.arange(order.shape[0], device=order.device)
    )
