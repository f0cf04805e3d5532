"""The families of models beside Qwen's: presets as values, and the JSON of their processors."""

from qvl_fast.config.families.presets import IMAGES
from qvl_fast.config.families.stock import from_json

__all__ = ["IMAGES", "from_json"]
