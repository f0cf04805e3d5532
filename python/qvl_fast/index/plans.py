"""Everything that one vision tower needs to know about a batch of grids."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from qvl_fast import _native
from qvl_fast._input.arrays import is_tensor
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.torch import as_tensor
from qvl_fast.config import AnyTowerConfig, tower_config
from qvl_fast.config.checks import check_choice
from qvl_fast.index.grids import Grids, grid_array
from qvl_fast.index.transfer import gathered, on_device

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class EqualSegments:
    """Segments of one length, which attention can take as one batch.

    Attributes:
        length: patches in each.
        count: how many there are.
    """

    length: int
    count: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class IndexPlan:
    """What one tower needs to know about a batch; arrays, or tensors after :meth:`to`.

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

    def to(self, device: str | torch.device, *, non_blocking: bool = False) -> IndexPlan:
        """A plan of tensors on ``device``.

        All of them travel as one buffer, in one copy. What is there already is not copied.

        Args:
            device: where to.
            non_blocking: whether not to wait for the copy of a plan in page-locked memory; see
                :meth:`pin_memory`.

        Raises:
            ImportError: torch is not installed.
        """
        return replace(self, **on_device(self._tensors(), device, non_blocking=non_blocking))

    def pin_memory(self) -> IndexPlan:
        """A copy as tensors in page-locked memory, from which a device copies without waiting.

        Raises:
            ImportError: torch is not installed.
            RuntimeError: torch has no accelerator.
        """
        return replace(self, **gathered(self._tensors(), pin_memory=True))

    def as_transformers_kwargs(self, prefix: str) -> dict[str, Any]:
        """The plan as keyword arguments of a transformers model's forward call.

        With them the model skips its own loops. A call with images and videos needs both sets.
        ``generate`` of transformers 5.23 refuses them.

        Args:
            prefix: ``"image_"`` or ``"video_"``, or ``""`` for the vision tower itself.

        Returns:
            Tensors and integers: those of this plan, or tensors over the memory of its arrays.

        Raises:
            ValueError: another prefix.
            ImportError: torch is not installed.
        """
        if prefix not in ("image_", "video_", ""):
            raise ValueError(f"prefix must be 'image_', 'video_' or '', got {prefix!r}")
        values: dict[str, Any] = self._tensors() | {
            name: longest
            for name in ("max_seqlen", "max_window_seqlen")
            if (longest := getattr(self, name)) is not None
        }
        # Models undo the order of the windows themselves.
        values.pop("reverse_window_index", None)
        return {prefix + name: value for name, value in values.items()}

    def __repr__(self) -> str:
        patches: Any = self.position_ids
        windows: Any = self.cu_window_seqlens
        kind = f"on {patches.device}" if is_tensor(patches) else "arrays"
        parts = [f"patches={len(patches)}", f"segments={len(self.cu_seqlens) - 1}"]
        if windows is not None:
            parts.append(f"windows={len(windows) - 1}")
        return f"IndexPlan({', '.join(parts)}; {kind})"

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Those of the attributes that are arrays or tensors, as tensors."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: as_tensor(value) for name, value in values.items() if hasattr(value, "shape")}


def plan(
    grid_thw: Grids, config: AnyTowerConfig, *, return_tensors: ReturnTensors = "np"
) -> IndexPlan:
    """Everything that one tower needs to know about a batch of grids.

    It is computed anew at each call and belongs to the caller: handing out safe copies of a cached
    one would cost about as much (``benches/plan.py``).

    Args:
        grid_thw: integers ``(n, 3)``, sides divisible by the merge size.
        config: a preset's name, a :class:`ModelConfig`, a :class:`TowerConfig`, or a
            configuration of transformers.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors on the CPU.

    Raises:
        TypeError, ValueError: as :func:`position_ids`; or ``config`` describes no tower.
        ImportError: torch is asked for and not installed.

    Example:
        >>> plan([[1, 52, 94]], "qwen2.5-vl")
        IndexPlan(patches=4888, segments=1, windows=84; arrays)
    """
    check_choice("return_tensors", return_tensors, ReturnTensors)
    tower = tower_config(config)
    grids = grid_array(grid_thw)
    boundaries = _native.cu_seqlens(grids)
    segments = _native.segment_lengths(boundaries)
    values: dict[str, Any] = {
        "cu_seqlens": boundaries,
        "max_seqlen": segments[-1][0] if segments else 0,
        "segments": tuple(starmap(EqualSegments, segments)),
        "position_ids": _native.position_ids(grids, tower.merge_size),
    }
    if tower.window_size is not None:
        window = tower.window_size // tower.merge_size // tower.patch_size
        index, boundaries = _native.window_index(grids, window, tower.merge_size)
        segments = _native.segment_lengths(boundaries)
        values |= {
            "window_index": index,
            "reverse_window_index": _native.reverse_index(index),
            "cu_window_seqlens": boundaries,
            "max_window_seqlen": segments[-1][0] if segments else 0,
            "windows": tuple(starmap(EqualSegments, segments)),
        }
    if (side := tower.position_table_side) is not None:
        indices, weights = _native.interpolation_taps(grids, side, tower.merge_size)
        values |= {"interp_indices": indices, "interp_weights": weights}
    if return_tensors == "pt":
        values |= {n: as_tensor(x) for n, x in values.items() if isinstance(x, np.ndarray)}
    return IndexPlan(**values)
