"""In place of parts of transformers, with the same results.

    register     the processors of images and videos that the Auto classes hand out
    unregister   undoes it
    accelerate   the vision tower of a loaded model

``image`` and ``video`` hold the processors, ``registry`` puts them where transformers looks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qvl_fast.integrations.transformers.accelerate import accelerate
    from qvl_fast.integrations.transformers.registry import register, unregister

__all__ = ["accelerate", "register", "unregister"]

# Where images are processed no tower is needed, nor the other way round.
_MODULES = {"accelerate": "accelerate", "register": "registry", "unregister": "registry"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept, since the import has left the module `accelerate` where its function is looked for.
    globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
