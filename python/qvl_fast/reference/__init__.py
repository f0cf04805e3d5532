"""The readable twin of the Rust core for still images: plain Python and NumPy, no speed tricks.

Each function here states what one function of the core must return, bit for bit. The property
tests compare the two, and `tests/property/test_reference_live.py` compares this package with
the installed torch, torchvision, Pillow and transformers, so the specification is itself tested.

Read the modules in the order in which an image passes through them:

    rgb        any channel count   -> uint8 (H, W, 3)
    geometry   (H, W)              -> (height, width), multiples of patch times merge
    resize     uint8 (H, W, 3)     -> uint8 (height, width, 3)
    rows       uint8 (T, H, W, 3)  -> (N, columns), one row for each patch
"""

from .geometry import smart_resize
from .resize import Coefficients, Reference, coefficients, resize
from .rgb import to_rgb
from .rows import (
    Temporal,
    normalization_table,
    patchify,
    patchify_raw,
    round_to_bfloat16,
    round_to_float16,
)

__all__ = [
    "Coefficients",
    "Reference",
    "Temporal",
    "coefficients",
    "normalization_table",
    "patchify",
    "patchify_raw",
    "resize",
    "round_to_bfloat16",
    "round_to_float16",
    "smart_resize",
    "to_rgb",
]
