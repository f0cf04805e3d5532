"""The families of models beside Qwen's: presets as values, and the JSON of their processors."""

from qvl_fast.config.families.presets import IMAGES
from qvl_fast.config.families.prompt import (
    PLACEHOLDERS,
    placeholder,
    processor_kind,
    with_tokens,
)
from qvl_fast.config.families.stock import from_json

__all__ = [
    "IMAGES",
    "PLACEHOLDERS",
    "from_json",
    "placeholder",
    "processor_kind",
    "with_tokens",
]
