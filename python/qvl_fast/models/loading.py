"""The vision tower of a checkpoint directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvl_fast.config import BARE_VIT_TYPES, VIT_TYPES, TowerConfig, VitConfig
from qvl_fast.config.checks import checkpoint_directory, listed, read_json, section
from qvl_fast.models.qwen import QwenVisionTower
from qvl_fast.models.qwen2 import Qwen2VisionTower
from qvl_fast.models.qwen2_5 import Qwen2_5VisionTower
from qvl_fast.models.qwen3 import Qwen3VisionTower
from qvl_fast.models.vit import VitTower
from qvl_fast.models.vit_names import vit_weights

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

# What stands before a tensor's name, as transformers 5 saves checkpoints and as they were released.
_PREFIXES = ("model.visual.", "visual.")
_QWEN_PREFIXES = ("transformer.visual.",)
_VIT_PREFIXES = tuple(
    f"{model}{module}{inner}"
    for model in ("model.", "")
    for module in ("vision_tower.", "vision_model.")
    for inner in ("vision_model.", "")
)

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
) -> VisionTower | VitTower | QwenVisionTower:
    """The vision tower of a checkpoint, without the rest of the model.

    A :class:`VisionTower` for the Qwen-VL models; a :class:`VitTower` for CLIP, SigLIP, LLaVA,
    LLaVA-NeXT, LLaVA-OneVision, InternVL, BLIP-2 and Idefics; a :class:`QwenVisionTower` for the
    first Qwen-VL.

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
        FileNotFoundError: the directory is not there, or lacks ``config.json`` or the weights.
        ValueError: the model type is not known, or the tensors are not those of its tower; the
            message lists which are missing, unexpected or of another shape.
        ImportError: safetensors is not installed.
    """
    directory = checkpoint_directory(directory)
    config = read_json(directory / "config.json")
    if config is None:
        raise FileNotFoundError(f"directory {str(directory)!r} has no config.json")
    model_type = config.get("model_type")
    prefixes = _prefixes(model_type)
    tensors = (
        (name, tensor.to(device, dtype, copy=not mmap))
        for name, tensor in _vision_tensors(directory, prefixes)
    )
    if model_type == "qwen":
        vit = VitConfig.from_qwen(section(config, "visual"))
        return QwenVisionTower.from_checkpoint(vit, tensors, attention=attention)
    if model_type in VIT_TYPES:
        shape = VitConfig.from_dict(config)
        weights, kind = vit_weights(tensors, shape), VitTower
    elif model_type in TOWER_CLASSES:
        shape = TowerConfig.from_dict(section(config, "vision_config"), model_type)
        weights, kind = dict(tensors), TOWER_CLASSES[model_type]
    else:
        known = listed(["qwen", *TOWER_CLASSES, *VIT_TYPES])
        raise ValueError(
            f"model_type in {directory / 'config.json'} must be one of {known}, got {model_type!r}"
        )
    tower = kind.from_weights(shape, weights, attention=attention)
    if pad_mlp:
        tower.pad_mlp()
    return tower


def _prefixes(model_type: Any) -> tuple[str, ...]:
    """What may stand before the names of the tower's tensors; the longest that fits is first."""
    if model_type == "qwen":
        return _QWEN_PREFIXES
    if model_type not in VIT_TYPES:
        return _PREFIXES
    return (*_VIT_PREFIXES, "") if model_type in BARE_VIT_TYPES else _VIT_PREFIXES


def _vision_tensors(directory: Path, prefixes: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the tower in the mapped files, and their names without prefix."""
    import safetensors

    safe_open: Any = safetensors.safe_open
    prefix = re.compile("|".join(map(re.escape, prefixes)))
    found = False
    for file in _files(directory, prefixes):
        with safe_open(file, framework="pt") as content:
            names = [name for name in content.keys() if name.startswith(prefixes)]  # noqa: SIM118
        for name in names:
            found = True
            # Opened for each tensor: pages that were read count as this process's memory until
            # the file is no longer mapped.
            with safe_open(file, framework="pt") as content:
                tensor = content.get_tensor(name)
            yield prefix.sub("", name, count=1), tensor
            del tensor
    if not found:
        wanted = " or ".join(map(repr, prefixes))
        raise ValueError(f"no tensor in {directory} is a vision tower's: none begins with {wanted}")


def _files(directory: Path, prefixes: tuple[str, ...]) -> list[Path]:
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
        directory / file for file in sorted({f for n, f in names.items() if n.startswith(prefixes)})
    ]
