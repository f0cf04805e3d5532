"""Torch, which is imported where it is asked for."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import torch


def import_torch() -> Any:
    """The module.

    Raises:
        ImportError: it is not installed; names the alternatives.
    """
    try:
        import torch
    except ImportError:
        raise ImportError(
            "torch tensors are asked for, but torch is not installed; install it or pass "
            "return_tensors='np' and another dtype than 'bfloat16'"
        ) from None
    return torch


def load_torch_early() -> None:
    """Import torch where it is installed: it takes seconds, which no first call should wait for."""
    with suppress(ImportError):
        import_torch()


def is_torch_dtype(value: Any) -> TypeGuard[torch.dtype]:
    """Whether a value is one of torch's types, without importing it: who has one has done so."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.dtype)


def as_tensor(value: Any) -> torch.Tensor:
    """A tensor as it is, or one over the memory of an array; a copy if that is read-only."""
    torch = import_torch()
    if not isinstance(value, np.ndarray):
        return value
    return torch.from_numpy(value if value.flags.writeable else value.copy())
