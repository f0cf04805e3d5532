"""The vision front end of the Qwen-VL models: the bits of transformers, several times faster."""

from importlib.metadata import version

from qvl_fast._native import smart_resize
from qvl_fast.config import ImageConfig, ModelConfig
from qvl_fast.image import ImageProcessor, image_size, patchify, resize

__version__ = version("qvl-fast")

__all__ = [
    "ImageConfig",
    "ImageProcessor",
    "ModelConfig",
    "image_size",
    "patchify",
    "resize",
    "smart_resize",
]
