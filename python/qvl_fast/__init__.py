"""The vision front end of the Qwen-VL models: the bits of transformers, several times faster."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qvl_fast._input.errors import ImageError, VideoError
from qvl_fast._input.source import ImageBatch, ImageSource
from qvl_fast._input.video.clips import VideoBatch, VideoSource
from qvl_fast._input.video.metadata import VideoMetadata
from qvl_fast._native import smart_resize
from qvl_fast._output.batch import ImagePlanes, ImageRows, PaddedRows, VideoPlanes, VideoRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import DType, Rows, Temporal
from qvl_fast.config import (
    GroundingConfig,
    ImageConfig,
    Layout,
    ModelConfig,
    Placeholder,
    RopeConfig,
    TowerConfig,
    VideoConfig,
    VideoPlaceholder,
)
from qvl_fast.index.grids import Grids, cu_seqlens, interpolation_taps, position_ids, window_index
from qvl_fast.index.image_masks import image_attention_mask
from qvl_fast.index.image_tags import image_paths, image_tag
from qvl_fast.index.mrope import (
    mm_token_type_ids,
    mrope_decode_position_ids,
    mrope_position_ids,
)
from qvl_fast.index.packing import Packing, Strategy, block_diagonal_mask, pack
from qvl_fast.index.placeholders import expand_placeholders, video_timestamps
from qvl_fast.index.plans import EqualSegments, IndexPlan, plan
from qvl_fast.index.position_classes import Advance
from qvl_fast.index.rope import mrope_rotary, rotate, vision_rotary
from qvl_fast.index.truncation import drop_truncated
from qvl_fast.memory import memory_stats, release_memory
from qvl_fast.processors.base import Decode, Form, Reference
from qvl_fast.processors.functional import image_size, patchify, resize
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.inverse import fingerprint, unpatchify
from qvl_fast.processors.prompts import expand_images, expand_videos
from qvl_fast.processors.video import VideoProcessor

if TYPE_CHECKING:
    from qvl_fast import boxes, integrations, models, reference, store
    from qvl_fast.integrations.chat import count_tokens, prepare
    from qvl_fast.views import Diff, View, diff, view

__version__ = version("qvl-fast")

__all__ = [
    "Advance",
    "DType",
    "Decode",
    "Diff",
    "EqualSegments",
    "Form",
    "Grids",
    "GroundingConfig",
    "ImageBatch",
    "ImageConfig",
    "ImageError",
    "ImagePlanes",
    "ImageProcessor",
    "ImageRows",
    "ImageSource",
    "IndexPlan",
    "Layout",
    "ModelConfig",
    "Packing",
    "PaddedRows",
    "Placeholder",
    "Reference",
    "ReturnTensors",
    "RopeConfig",
    "Rows",
    "Strategy",
    "Temporal",
    "TowerConfig",
    "VideoBatch",
    "VideoConfig",
    "VideoError",
    "VideoMetadata",
    "VideoPlaceholder",
    "VideoPlanes",
    "VideoProcessor",
    "VideoRows",
    "VideoSource",
    "View",
    "block_diagonal_mask",
    "boxes",
    "count_tokens",
    "cu_seqlens",
    "diff",
    "drop_truncated",
    "expand_images",
    "expand_placeholders",
    "expand_videos",
    "fingerprint",
    "image_attention_mask",
    "image_paths",
    "image_size",
    "image_tag",
    "integrations",
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
    "prepare",
    "reference",
    "release_memory",
    "resize",
    "rotate",
    "smart_resize",
    "store",
    "unpatchify",
    "video_timestamps",
    "view",
    "vision_rotary",
    "window_index",
]

# Imported when they are first used: they need torch, transformers or safetensors, or few programs
# need them.
_LAZY = {
    "Diff": "views",
    "View": "views",
    "boxes": "boxes",
    "count_tokens": "integrations.chat",
    "diff": "views",
    "integrations": "integrations",
    "models": "models",
    "prepare": "integrations.chat",
    "reference": "reference",
    "store": "store",
    "view": "views",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LAZY[name]}")
    return module if _LAZY[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
