"""Everything that one vision tower needs to know about a batch of grids."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast.config import AnyTowerConfig, TowerConfig, tower_config
from qvl_fast.index.grids import (
    Grids,
    cu_seqlens,
    grid_array,
    interpolation_taps,
    position_ids,
    window_index,
)

if TYPE_CHECKING:
    import torch

Index: TypeAlias = "NDArray[Any] | torch.Tensor"

# A plan of a long video is about 17 MB.
_CACHED_PLANS = 16


@dataclass(frozen=True, slots=True)
class EqualSegments:
    """Segments of one length, which attention can take as one batch.

    Attributes:
        length: patches in each.
        count: how many there are.
    """

    length: int
    count: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IndexPlan:
    """What one tower needs to know about a batch; arrays, or tensors after :meth:`to`.

    Arrays are read-only: plans are cached and shared.

    Attributes:
        cu_seqlens: int32 ``(segments + 1,)``; see :func:`cu_seqlens`.
        max_seqlen: patches of the longest segment, 0 if there is none.
        segments: the segments by length, shortest first.
        position_ids: int64 ``(N, 2)``; see :func:`position_ids`.
        window_index: int64 ``(tokens,)``, or None if the tower has no windows.
        reverse_window_index: int64 ``(tokens,)``, the permutation that undoes it.
        cu_window_seqlens: int32 ``(windows + 1,)``.
        max_window_seqlen: patches of the largest window.
        windows: the windows by length, likewise.
        interp_indices: int64 ``(N, 4)``, or None if the tower has no table of positions.
        interp_weights: float32 ``(N, 4)``.
    """

    cu_seqlens: Any
    max_seqlen: int
    segments: tuple[EqualSegments, ...] = ()
    position_ids: Any
    window_index: Any = None
    reverse_window_index: Any = None
    cu_window_seqlens: Any = None
    max_window_seqlen: int | None = None
    windows: tuple[EqualSegments, ...] | None = None
    interp_indices: Any = None
    interp_weights: Any = None

    def to(self, device: str | torch.device) -> IndexPlan:
        """A plan of tensors on ``device``, which share no memory with this one.

        Raises:
            ImportError: torch is not installed.
        """
        import torch

        def moved(value: Index) -> torch.Tensor:
            if isinstance(value, np.ndarray):
                return torch.tensor(value, device=device)
            return value.to(device, copy=True)

        return replace(self, **{name: moved(value) for name, value in self._arrays().items()})

    def as_transformers_kwargs(self, prefix: str) -> dict[str, Any]:
        """The plan as keyword arguments of a transformers model's forward call.

        With them the model skips its own loops. A call with images and videos needs both sets.
        ``generate`` of transformers 5.23 refuses them.

        Args:
            prefix: ``"image_"`` or ``"video_"``, or ``""`` for the vision tower itself.

        Returns:
            Tensors and integers: those of this plan, or copies on the CPU if it holds arrays.

        Raises:
            ValueError: another prefix.
            ImportError: torch is not installed.
        """
        if prefix not in ("image_", "video_", ""):
            raise ValueError(f"prefix must be 'image_', 'video_' or '', got {prefix!r}")
        plan = self.to("cpu") if isinstance(self.cu_seqlens, np.ndarray) else self
        values = plan._arrays() | {
            name: longest
            for name in ("max_seqlen", "max_window_seqlen")
            if (longest := getattr(plan, name)) is not None
        }
        # Models undo the order of the windows themselves.
        values.pop("reverse_window_index", None)
        return {prefix + name: value for name, value in values.items()}

    def _arrays(self) -> dict[str, Any]:
        """Those of the attributes that are arrays or tensors."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in values.items() if hasattr(value, "shape")}


def plan(grid_thw: Grids, config: AnyTowerConfig) -> IndexPlan:
    """Everything that one tower needs to know about a batch of grids.

    Equal requests share one plan from a bounded cache.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by the merge size.
        config: a preset's name, a :class:`ModelConfig`, a :class:`TowerConfig`, or a
            configuration of transformers.

    Returns:
        A plan of read-only arrays.

    Raises:
        TypeError, ValueError: as :func:`position_ids`; or ``config`` describes no tower.
    """
    return _plan(grid_array(grid_thw).tobytes(), tower_config(config))


@lru_cache(maxsize=_CACHED_PLANS)
def _plan(grids: bytes, config: TowerConfig) -> IndexPlan:
    grid_thw = np.frombuffer(grids, np.int64).reshape(-1, 3)
    boundaries = cu_seqlens(grid_thw)
    result = IndexPlan(
        cu_seqlens=_frozen(boundaries),
        max_seqlen=_longest(boundaries),
        segments=_by_length(boundaries),
        position_ids=_frozen(position_ids(grid_thw, config.merge_size)),
    )
    if config.window_size is not None:
        index, windows = window_index(
            grid_thw, config.window_size, config.patch_size, config.merge_size
        )
        result = replace(
            result,
            window_index=_frozen(index),
            reverse_window_index=_frozen(_native.reverse_index(index)),
            cu_window_seqlens=_frozen(windows),
            max_window_seqlen=_longest(windows),
            windows=_by_length(windows),
        )
    if config.position_table_side is not None:
        indices, weights = interpolation_taps(
            grid_thw, config.position_table_side, config.merge_size
        )
        result = replace(result, interp_indices=_frozen(indices), interp_weights=_frozen(weights))
    return result


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that cannot be made writable again: its memory belongs to an immutable object."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _longest(boundaries: NDArray[np.int32]) -> int:
    return int(np.diff(boundaries).max(initial=0))


def _by_length(boundaries: NDArray[np.int32]) -> tuple[EqualSegments, ...]:
    lengths, counts = np.unique(np.diff(boundaries), return_counts=True)
    return tuple(map(EqualSegments, lengths.tolist(), counts.tolist()))
