"""The families of models beside Qwen's: presets as values, and the JSON of their processors."""

from qvl_fast.config.families.kinds import MODEL_TYPES, with_class
from qvl_fast.config.families.presets import IMAGES, VIDEOS
from qvl_fast.config.families.prompt import (
    PLACEHOLDERS,
    VIDEO_PLACEHOLDERS,
    placeholder,
    processor_kind,
    video_placeholder,
    with_tokens,
    with_video_tokens,
)
from qvl_fast.config.families.stock import IMAGE_CLASSES, from_json
from qvl_fast.config.families.stock_videos import knows_video, video_from_json

__all__ = [
    "IMAGES",
    "IMAGE_CLASSES",
    "MODEL_TYPES",
    "PLACEHOLDERS",
    "VIDEOS",
    "VIDEO_PLACEHOLDERS",
    "from_json",
    "knows_video",
    "placeholder",
    "processor_kind",
    "video_from_json",
    "video_placeholder",
    "with_class",
    "with_tokens",
    "with_video_tokens",
]
