"""The readable twin of the Rust core: plain Python and NumPy, no speed tricks.

Each function here states what one function of the core must return, bit for bit. The property
tests compare the two, and `tests/property/test_reference_live.py` compares this package with
the installed torch, torchvision, Pillow and transformers, so the specification is itself tested;
for the index modules, `tests/parity/test_index.py` does.

Read the modules in the order in which an image passes through them:

    rgb        any channel count   -> uint8 (H, W, 3)
    geometry   (H, W)              -> (height, width), multiples of patch times merge
    budget     the same by the rules of other families than Qwen's
    resize     uint8 (H, W, 3)     -> uint8 (height, width, 3)
    layout     uint8 (H, W, 3)     -> uint8 (tiles, height, width, 3), of other families than Qwen's
    rows       uint8 (T, H, W, 3)  -> (N, columns), one row for each patch

and the index modules, which need to know the grids (t, h, w) only:

    positions     where each patch lies in its frame, and in a table of learned positions
    attention     which patches attend to each other: frames and windows
    placeholders  what stands in the prompt for an item
    mrope         where each token lies in time, height and width
    rope          the angles that positions are turned by
    packing       which items share a sequence

and for videos, before the first of them:

    sampling   how many frames there are -> which of them are taken
"""

from .attention import cu_seqlens, reverse_index, window_index
from .geometry import smart_resize, video_size
from .mrope import mrope_decode_position_ids, mrope_position_ids
from .packing import pack
from .placeholders import expand_placeholders, token_types, video_timestamps
from .positions import Grid, interpolation_taps, position_ids
from .resize import Coefficients, Reference, coefficients, resize
from .rgb import to_rgb
from .rope import frequencies, mrope_angles, rotate, vision_angles
from .rows import (
    Temporal,
    normalization_table,
    patchify,
    patchify_raw,
    round_to_bfloat16,
    round_to_float16,
)
from .sampling import (
    internvl_frames,
    onevision_frames,
    qwen2_frames,
    qwen3_frames,
    utilities_frames,
    utilities_nframes,
)

__all__ = [
    "Coefficients",
    "Grid",
    "Reference",
    "Temporal",
    "coefficients",
    "cu_seqlens",
    "expand_placeholders",
    "frequencies",
    "internvl_frames",
    "interpolation_taps",
    "mrope_angles",
    "mrope_decode_position_ids",
    "mrope_position_ids",
    "normalization_table",
    "onevision_frames",
    "pack",
    "patchify",
    "patchify_raw",
    "position_ids",
    "qwen2_frames",
    "qwen3_frames",
    "resize",
    "reverse_index",
    "rotate",
    "round_to_bfloat16",
    "round_to_float16",
    "smart_resize",
    "to_rgb",
    "token_types",
    "utilities_frames",
    "utilities_nframes",
    "video_size",
    "video_timestamps",
    "vision_angles",
    "window_index",
]
