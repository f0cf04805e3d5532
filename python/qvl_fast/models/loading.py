"""The vision tower of a checkpoint directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvl_fast.config import TowerConfig
from qvl_fast.config.checks import listed, read_json
from qvl_fast.models.qwen2 import Qwen2VisionTower
from qvl_fast.models.qwen2_5 import Qwen2_5VisionTower
from qvl_fast.models.qwen3 import Qwen3VisionTower

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from qvl_fast.models.attention import Choice
    from qvl_fast.models.tower import VisionTower

# `model_type` of a checkpoint -> its tower.
TOWER_CLASSES: dict[str, type[VisionTower]] = {
    model_type: tower
    for tower in (Qwen2VisionTower, Qwen2_5VisionTower, Qwen3VisionTower)
    for model_type in tower.model_types
}

# As transformers 5 saves checkpoints, and as they were released.
_PREFIXES = ("model.visual.", "visual.")
_PREFIX = re.compile("|".join(map(re.escape, _PREFIXES)))

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


def load_vision_tower(
    directory: str | os.PathLike[str],
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    *,
    attention: Choice = "auto",
    mmap: bool = False,
    pad_mlp: bool = False,
) -> VisionTower:
    """The vision tower of a checkpoint, without the rest of the model.

    Reads ``config.json``, and from the safetensors files only the tensors of the tower. Nothing is
    downloaded.

    Args:
        directory: where the checkpoint is.
        dtype: type of the weights; that of the checkpoint if None.
        device: where they go.
        attention: as for :class:`VisionTower`.
        mmap: whether tensors that need neither a cast nor another device stay in the mapped files,
            which must then not change, instead of being copied.
        pad_mlp: whether to call :meth:`VisionTower.pad_mlp`.

    Raises:
        FileNotFoundError: the directory lacks ``config.json``, or the weights.
        ValueError: the model type is not known, or the tensors are not those of its tower; the
            message lists which are missing, unexpected or of another shape.
        ImportError: safetensors is not installed.
    """
    directory = Path(directory)
    config = read_json(directory / "config.json")
    if config is None:
        raise FileNotFoundError(f"directory {str(directory)!r} has no config.json")
    model_type = config.get("model_type")
    if model_type not in TOWER_CLASSES:
        raise ValueError(
            f"model_type in {directory / 'config.json'} must be one of {listed(TOWER_CLASSES)}, "
            f"got {model_type!r}"
        )
    shape = TowerConfig.from_dict(config.get("vision_config") or {}, model_type)
    weights = {
        name: tensor.to(device, dtype, copy=not mmap) for name, tensor in _vision_tensors(directory)
    }
    if not weights:
        prefixes = " or ".join(map(repr, _PREFIXES))
        raise ValueError(
            f"no tensor in {directory} is a vision tower's: none begins with {prefixes}"
        )
    tower = TOWER_CLASSES[model_type].from_weights(shape, weights, attention=attention)
    if pad_mlp:
        tower.pad_mlp()
    return tower


def _vision_tensors(directory: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the tower in the mapped files, and their names without prefix."""
    import safetensors

    safe_open: Any = safetensors.safe_open
    for file in _files(directory):
        with safe_open(file, framework="pt") as content:
            names = [name for name in content.keys() if name.startswith(_PREFIXES)]  # noqa: SIM118
        for name in names:
            # Opened for each tensor: pages that were read count as this process's memory until
            # the file is no longer mapped.
            with safe_open(file, framework="pt") as content:
                tensor = content.get_tensor(name)
            yield _PREFIX.sub("", name), tensor
            del tensor


def _files(directory: Path) -> list[Path]:
    """The files with tensors of the tower."""
    index = read_json(directory / _INDEX)
    if index is None:
        if not (directory / _SINGLE).is_file():
            raise FileNotFoundError(
                f"directory {str(directory)!r} has neither {_INDEX} nor {_SINGLE}"
            )
        return [directory / _SINGLE]
    names: dict[str, str] = index.get("weight_map", {})
    return [
        directory / file
        for file in sorted({f for n, f in names.items() if n.startswith(_PREFIXES)})
    ]
