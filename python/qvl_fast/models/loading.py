"""The vision tower of a checkpoint directory."""

from __future__ import annotations

import os
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

_TOWERS: dict[str, type[VisionTower]] = {
    model_type: tower
    for tower in (Qwen2VisionTower, Qwen2_5VisionTower, Qwen3VisionTower)
    for model_type in tower.model_types
}

# As transformers 5 saves checkpoints, and as they were released.
_PREFIXES = ("model.visual.", "visual.")

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


def load_vision_tower(
    directory: str | os.PathLike[str],
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    *,
    attention: Choice = "auto",
) -> VisionTower:
    """The vision tower of a checkpoint, without the rest of the model.

    Reads ``config.json``, and from the safetensors files only the tensors of the tower. Nothing is
    downloaded.

    Args:
        directory: where the checkpoint is.
        dtype: type of the weights; that of the checkpoint if None.
        device: where they go.
        attention: as for :class:`VisionTower`.

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
    if model_type not in _TOWERS:
        raise ValueError(
            f"model_type in {directory / 'config.json'} must be one of {listed(_TOWERS)}, got "
            f"{model_type!r}"
        )
    shape = TowerConfig.from_dict(config.get("vision_config") or {}, model_type)
    weights = _vision_tensors(directory, str(device))
    if dtype is not None:
        weights = {name: x.to(dtype) for name, x in weights.items()}
    return _TOWERS[model_type].from_weights(shape, weights, attention=attention)


def _vision_tensors(directory: Path, device: str) -> dict[str, Tensor]:
    """The tensors of the tower under their names without prefix."""
    import safetensors

    weights: dict[str, Tensor] = {}
    for file in _files(directory):
        opened: Any = safetensors.safe_open(file, framework="pt", device=device)
        with opened as content:
            for name in content.keys():  # noqa: SIM118  (no dictionary)
                for prefix in _PREFIXES:
                    if name.startswith(prefix):
                        weights[name.removeprefix(prefix)] = content.get_tensor(name)
    if not weights:
        prefixes = " or ".join(map(repr, _PREFIXES))
        raise ValueError(
            f"no tensor in {directory} is a vision tower's: none begins with {prefixes}"
        )
    return weights


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
