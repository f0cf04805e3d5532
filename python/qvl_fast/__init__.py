"""The vision front end of the Qwen-VL models: the bits of transformers, several times faster."""

from importlib.metadata import version

from qvl_fast._input.errors import ImageError
from qvl_fast._native import smart_resize
from qvl_fast._output.batch import ImageRows
from qvl_fast.config import ImageConfig, ModelConfig, RopeConfig, TowerConfig
from qvl_fast.index.grids import cu_seqlens, interpolation_taps, position_ids, window_index
from qvl_fast.index.mrope import mm_token_type_ids, mrope_decode_position_ids, mrope_position_ids
from qvl_fast.index.packing import Packing, block_diagonal_mask, pack
from qvl_fast.index.placeholders import expand_placeholders, video_timestamps
from qvl_fast.index.plans import EqualSegments, IndexPlan, plan
from qvl_fast.index.rope import mrope_rotary, rotate, vision_rotary
from qvl_fast.memory import memory_stats, release_memory
from qvl_fast.processors.functional import image_size, patchify, resize
from qvl_fast.processors.image import ImageProcessor

__version__ = version("qvl-fast")

__all__ = [
    "EqualSegments",
    "ImageConfig",
    "ImageError",
    "ImageProcessor",
    "ImageRows",
    "IndexPlan",
    "ModelConfig",
    "Packing",
    "RopeConfig",
    "TowerConfig",
    "block_diagonal_mask",
    "cu_seqlens",
    "expand_placeholders",
    "image_size",
    "interpolation_taps",
    "memory_stats",
    "mm_token_type_ids",
    "mrope_decode_position_ids",
    "mrope_position_ids",
    "mrope_rotary",
    "pack",
    "patchify",
    "plan",
    "position_ids",
    "release_memory",
    "resize",
    "rotate",
    "smart_resize",
    "video_timestamps",
    "vision_rotary",
    "window_index",
]
