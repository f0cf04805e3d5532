"""The constants of ``qwen_vl_utils.vision_process`` 0.0.14.

Programs set them in that module (ms-swift does, from environment variables), so they are looked up
there, where it has been imported, each time they are used.
"""

from __future__ import annotations

import sys
from typing import Any

from qvl_fast import environment

MAX_RATIO = 200
SPATIAL_MERGE_SIZE = 2
IMAGE_MIN_TOKEN_NUM = 4
IMAGE_MAX_TOKEN_NUM = 16384
VIDEO_MIN_TOKEN_NUM = 128
VIDEO_MAX_TOKEN_NUM = 768
FPS = 2.0
FRAME_FACTOR = 2
FPS_MIN_FRAMES = 4
FPS_MAX_FRAMES = 768
MODEL_SEQ_LEN = environment.model_seq_len()

_FIXED = ("MAX_RATIO", "FRAME_FACTOR")


def constant(name: str) -> Any:
    """The value that a constant has now.

    Raises:
        ValueError: it is one that the core computes with, and has been changed.
    """
    default = globals()[name]
    value = getattr(sys.modules.get("qwen_vl_utils.vision_process"), name, default)
    if name in _FIXED and value != default:
        raise ValueError(f"{name} of qwen_vl_utils must be {default}, got {value}")
    return value
