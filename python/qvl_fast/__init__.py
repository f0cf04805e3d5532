"""The vision front end of the Qwen-VL models: the bits of transformers, several times faster."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qvl_fast._input.errors import ImageError
from qvl_fast._input.source import ImageBatch, ImageSource
from qvl_fast._native import smart_resize
from qvl_fast._output.batch import ImagePlanes, ImageRows, ImageTensors
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import DType, Rows, Temporal
from qvl_fast.config import ImageConfig, Layout, ModelConfig, RopeConfig, TowerConfig
from qvl_fast.index.grids import Grids, cu_seqlens, interpolation_taps, position_ids, window_index
from qvl_fast.index.mrope import (
    Advance,
    mm_token_type_ids,
    mrope_decode_position_ids,
    mrope_position_ids,
)
from qvl_fast.index.packing import Packing, Strategy, block_diagonal_mask, pack
from qvl_fast.index.placeholders import expand_placeholders, video_timestamps
from qvl_fast.index.plans import EqualSegments, IndexPlan, plan
from qvl_fast.index.rope import mrope_rotary, rotate, vision_rotary
from qvl_fast.memory import memory_stats, release_memory
from qvl_fast.processors.base import Decode, Form, Reference
from qvl_fast.processors.functional import image_size, patchify, resize
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from qvl_fast import models, reference, store

__version__ = version("qvl-fast")

__all__ = [
    "Advance",
    "DType",
    "Decode",
    "EqualSegments",
    "Form",
    "Grids",
    "ImageBatch",
    "ImageConfig",
    "ImageError",
    "ImagePlanes",
    "ImageProcessor",
    "ImageRows",
    "ImageSource",
    "ImageTensors",
    "IndexPlan",
    "Layout",
    "ModelConfig",
    "Packing",
    "Reference",
    "ReturnTensors",
    "RopeConfig",
    "Rows",
    "Strategy",
    "Temporal",
    "TowerConfig",
    "block_diagonal_mask",
    "cu_seqlens",
    "expand_placeholders",
    "image_size",
    "interpolation_taps",
    "memory_stats",
    "mm_token_type_ids",
    "models",
    "mrope_decode_position_ids",
    "mrope_position_ids",
    "mrope_rotary",
    "pack",
    "patchify",
    "plan",
    "position_ids",
    "reference",
    "release_memory",
    "resize",
    "rotate",
    "smart_resize",
    "store",
    "video_timestamps",
    "vision_rotary",
    "window_index",
]

# Imported when they are first used: they need torch or safetensors, or are not for production.
_LAZY = ("models", "reference", "store")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
