"""Index tensors of a vision tower, computed from grids alone.

A grid is ``(t, h, w)``: groups of frames, and patches from top to bottom and left to right. Patches
follow each other in the order of their rows; see :func:`qvl_fast.patchify`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast import _native
from qvl_fast.arrays import integer_array
from qvl_fast.config import ModelConfig, TowerConfig, positive_integer, tower_config

if TYPE_CHECKING:
    import torch

Grids: TypeAlias = "ArrayLike | torch.Tensor"
Index: TypeAlias = "NDArray[Any] | torch.Tensor"

# A plan of a long video is about 17 MB.
_CACHED_PLANS = 16


def cu_seqlens(grid_thw: Grids) -> NDArray[np.int32]:
    """Boundaries between attention segments: each group of frames attends to itself.

    Semantics: ``get_vision_cu_seqlens`` of transformers.

    Args:
        grid_thw: integers ``(n, 3)``, an array, nested list or CPU tensor; n may be 0.

    Returns:
        int32 ``(segments + 1,)`` in patches, starting with 0.

    Raises:
        TypeError: ``grid_thw`` does not hold integers.
        ValueError: it has another shape, an entry below 1, or more patches than an int32 counts.
    """
    return _native.cu_seqlens(grid_array(grid_thw))


def position_ids(grid_thw: Grids, merge_size: int = 2) -> NDArray[np.int64]:
    """Where each patch lies in its frame, for the tower's rotary embedding.

    Semantics: ``get_vision_position_ids`` of transformers.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        merge_size: side, in patches, of the blocks that the model merges.

    Returns:
        int64 ``(N, 2)``: line and column of each patch.

    Raises:
        TypeError, ValueError: as :func:`cu_seqlens`, or a side is not divisible.
    """
    return _native.position_ids(grid_array(grid_thw), positive_integer("merge_size", merge_size))


def window_index(
    grid_thw: Grids, window_size: int = 112, patch_size: int = 14, merge_size: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The order in which the windows of Qwen2.5-VL's tower are contiguous, and their boundaries.

    Windows at the edges are smaller, none is empty. Semantics: ``get_vision_window_index`` of
    transformers.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        window_size: side of a window in pixels.
        patch_size: side of a patch in pixels.
        merge_size: side, in patches, of the blocks that the model merges.

    Returns:
        int64 ``(tokens,)``: the token (merged block of patches) at each place of the new order;
        int32 ``(windows + 1,)``: boundaries in patches.

    Raises:
        TypeError, ValueError: as :func:`position_ids`, or a window holds no token.
    """
    merge = positive_integer("merge_size", merge_size)
    patch = positive_integer("patch_size", patch_size)
    window = positive_integer("window_size", window_size) // merge // patch
    if window == 0:
        raise ValueError(
            f"window_size must be at least patch_size * merge_size = {patch * merge}, so that a "
            f"window holds a token, got {window_size}"
        )
    return _native.window_index(grid_array(grid_thw), window, merge)


def interpolation_taps(
    grid_thw: Grids, side: int = 48, merge_size: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where Qwen3-VL's tower reads its square table of learned positions, and with what weights.

    The table is stretched over each frame with corners aligned. Semantics:
    ``get_vision_interpolation_indices_and_weights`` of transformers, bilinear.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by ``merge_size``.
        side: side of the table.
        merge_size: side, in patches, of the blocks that the model merges.

    Returns:
        int64 ``(N, 4)``: entries of the flattened table; float32 ``(N, 4)``: their weights.

    Raises:
        TypeError, ValueError: as :func:`position_ids`, or ``side`` is not between 1 and 65536.
    """
    return _native.interpolation_taps(
        grid_array(grid_thw),
        positive_integer("side", side),
        positive_integer("merge_size", merge_size),
    )


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


def plan(grid_thw: Grids, config: str | ModelConfig | TowerConfig) -> IndexPlan:
    """Everything that one tower needs to know about a batch of grids.

    Equal requests share one plan from a bounded cache.

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by the merge size.
        config: a preset's name, a :class:`ModelConfig` or a :class:`TowerConfig`.

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


def grid_array(grid_thw: Grids, name: str = "grid_thw") -> NDArray[np.int64]:
    """Grids as int64 ``(n, 3)`` in C order.

    Raises:
        TypeError: ``grid_thw`` does not hold integers.
        ValueError: another shape.
    """
    array = integer_array(name, grid_thw)
    if array.shape == (0,):  # An empty list has no columns.
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"{name} must have shape (n, 3), got {array.shape}")
    return array


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that cannot be made writable again: its memory belongs to an immutable object."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _longest(boundaries: NDArray[np.int32]) -> int:
    return int(np.diff(boundaries).max(initial=0))


def _by_length(boundaries: NDArray[np.int32]) -> tuple[EqualSegments, ...]:
    lengths, counts = np.unique(np.diff(boundaries), return_counts=True)
    return tuple(map(EqualSegments, lengths.tolist(), counts.tolist()))
