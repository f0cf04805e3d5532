"""Arrays and tensors as people have them, as NumPy arrays over the same memory where possible."""

from __future__ import annotations

import sys
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a torch tensor, without importing torch: who has one has done so."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array or a tensor."""
    return isinstance(value, np.ndarray) or is_tensor(value)


def tensor_memory(name: str, tensor: Any) -> NDArray[Any]:
    """The memory of a dense CPU tensor.

    Raises:
        TypeError: NumPy cannot view the tensor; names the argument and the remedy.
    """
    if tensor.requires_grad:
        raise TypeError(f"{name} requires grad; pass tensor.detach()")
    if tensor.device.type != "cpu":
        raise TypeError(f"{name} is on {tensor.device}; pass it on the CPU: tensor.cpu()")
    if str(tensor.layout) != "torch.strided":
        raise TypeError(f"{name} has layout {tensor.layout}; pass a dense (strided) tensor")
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name} ({tensor.dtype}) cannot be viewed by NumPy: {error}") from None


def pixel_array(name: str, value: Any) -> NDArray[np.uint8]:
    """``value``, an array or CPU tensor of uint8.

    Raises:
        TypeError: another type or dtype, or a tensor that NumPy cannot view.
    """
    if not is_array(value):
        raise TypeError(f"{name} must be a uint8 array or tensor, got {type(value).__name__}")
    # To make a text of NumPy's takes longer than all else here.
    if value.dtype != np.uint8 and str(value.dtype) != "torch.uint8":
        raise TypeError(
            f"{name} has dtype {value.dtype}, which is ambiguous about its range; pass uint8 "
            "values 0..255, for example (values * 255).round().astype('uint8') for floats in 0..1"
        )
    return tensor_memory(name, value) if is_tensor(value) else cast("NDArray[np.uint8]", value)


def number_array(name: str, value: Any) -> NDArray[Any]:
    """``value``, nested lists, an array or a CPU tensor, as an array of numbers or booleans.

    Raises:
        TypeError: something else, or a tensor that NumPy cannot view.
        ValueError: nested lists of unequal lengths.
    """
    if is_tensor(value):
        value = tensor_memory(name, value)
    try:
        array: NDArray[Any] = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be rectangular: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {value!r:.80}")
    return array


def integer_array(name: str, value: Any) -> NDArray[np.int64]:
    """``value`` as :func:`number_array` takes it, as int64 in C order.

    Raises:
        TypeError: it holds something other than integers.
        ValueError: nested lists of unequal lengths.
    """
    array = number_array(name, value)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit in int64, got {array.max()}")
    return np.asarray(array, np.int64, order="C")
