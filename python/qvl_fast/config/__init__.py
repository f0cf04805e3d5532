"""What a model expects of its input: frozen configurations and the presets of released models."""

from qvl_fast.config.checks import MAX_INTEGER, positive_integer
from qvl_fast.config.grounding import GroundingConfig
from qvl_fast.config.image import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, ImageConfig
from qvl_fast.config.layout import Layout
from qvl_fast.config.model import (
    FAMILIES,
    PRESETS,
    AnyImageConfig,
    AnyRopeConfig,
    AnyTowerConfig,
    AnyVideoConfig,
    ModelConfig,
    image_config,
    model_config,
    rope_config,
    tower_config,
    video_config,
)
from qvl_fast.config.placeholder import Placeholder, VideoPlaceholder
from qvl_fast.config.rope import RopeConfig
from qvl_fast.config.tower import TOWERS, TowerConfig
from qvl_fast.config.video import VideoConfig
from qvl_fast.config.vit import BARE_VIT_TYPES, VIT_TYPES, VITS, VitConfig

__all__ = [
    "BARE_VIT_TYPES",
    "FAMILIES",
    "MAX_INTEGER",
    "OPENAI_CLIP_MEAN",
    "OPENAI_CLIP_STD",
    "PRESETS",
    "TOWERS",
    "VITS",
    "VIT_TYPES",
    "AnyImageConfig",
    "AnyRopeConfig",
    "AnyTowerConfig",
    "AnyVideoConfig",
    "GroundingConfig",
    "ImageConfig",
    "Layout",
    "ModelConfig",
    "Placeholder",
    "RopeConfig",
    "TowerConfig",
    "VideoConfig",
    "VideoPlaceholder",
    "VitConfig",
    "image_config",
    "model_config",
    "positive_integer",
    "rope_config",
    "tower_config",
    "video_config",
]
