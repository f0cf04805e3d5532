"""Our parts inside transformers."""

from qvl_fast.integrations.transformers.accelerate import Accelerated, accelerate

__all__ = ["Accelerated", "accelerate"]
