"""What a model expects of its input: frozen configurations and the presets of released models."""

from qvl_fast.config.checks import MAX_INTEGER, positive_integer
from qvl_fast.config.image import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, ImageConfig
from qvl_fast.config.layout import Layout
from qvl_fast.config.model import (
    PRESETS,
    AnyImageConfig,
    AnyRopeConfig,
    AnyTowerConfig,
    ModelConfig,
    image_config,
    rope_config,
    tower_config,
)
from qvl_fast.config.rope import RopeConfig
from qvl_fast.config.tower import TOWERS, TowerConfig

__all__ = [
    "MAX_INTEGER",
    "OPENAI_CLIP_MEAN",
    "OPENAI_CLIP_STD",
    "PRESETS",
    "TOWERS",
    "AnyImageConfig",
    "AnyRopeConfig",
    "AnyTowerConfig",
    "ImageConfig",
    "Layout",
    "ModelConfig",
    "RopeConfig",
    "TowerConfig",
    "image_config",
    "positive_integer",
    "rope_config",
    "tower_config",
]
