"""Replacements for parts of transformers, with the same results.

The functions::

    register     the processors of images and videos that the Auto classes hand out
    unregister   undoes it
    accelerate   the vision tower of a loaded model

``image`` and ``video`` hold the processors, ``registry`` puts them where transformers looks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qvl_fast.integrations.transformers.loaded_models import Accelerated, accelerate
    from qvl_fast.integrations.transformers.registry import register, unregister

__all__ = ["Accelerated", "accelerate", "register", "unregister"]

# Where images are processed no tower is needed, nor the other way round.
_MODULES = {
    "Accelerated": "loaded_models",
    "accelerate": "loaded_models",
    "register": "registry",
    "unregister": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
