"""The memory that patch rows are written to, and the form in which it is handed out.

Rows are written to NumPy arrays. bfloat16, which NumPy lacks, is written as uint16 bit patterns and
leaves as a torch tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast._input.arrays import is_array, is_tensor, tensor_memory
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.torch import import_torch, is_torch_dtype
from qvl_fast.config.checks import check_choice

if TYPE_CHECKING:
    import torch

DType = Literal["float32", "float16", "bfloat16", "uint8"]
Temporal = Literal["full", "compact"]
Rows: TypeAlias = "NDArray[Any] | torch.Tensor"


def dtype_name(dtype: DType | torch.dtype) -> DType:
    """The name of an element type of rows, which may be given as torch's.

    Raises:
        ValueError: rows do not have this type.
    """
    name = str(dtype).removeprefix("torch.") if is_torch_dtype(dtype) else dtype
    check_choice("dtype", name, DType)
    return cast("DType", name)


def rows_dtype(rows: Any) -> DType:
    """The name of the element type of rows that somebody passes.

    Raises:
        TypeError: they are not an array or tensor of a type that rows have.
    """
    if not is_array(rows):
        raise TypeError(f"rows must be an array or a tensor, got {type(rows).__name__}")
    try:
        return dtype_name(rows.dtype if is_tensor(rows) else rows.dtype.name)
    except ValueError:
        raise TypeError(
            f"rows must be of float32, float16, bfloat16 or uint8, got {rows.dtype}"
        ) from None


def row_memory(rows: Rows) -> NDArray[Any]:
    """Rows as an array over the same memory, bfloat16 as bit patterns in uint16.

    Raises:
        TypeError: NumPy cannot view the tensor.
    """
    value: Any = rows
    if not is_tensor(value):
        return value
    if rows_dtype(value) == "bfloat16":
        return tensor_memory("rows", value.view(import_torch().int16)).view(np.uint16)
    return tensor_memory("rows", value)


def check_form(return_tensors: ReturnTensors, dtype: DType) -> None:
    """Refuse a form that rows of ``dtype`` cannot be returned in, before any work is done.

    Raises:
        ValueError: an unknown form, or bfloat16 as NumPy.
        ImportError: torch is asked for and not installed.
    """
    check_choice("return_tensors", return_tensors, ReturnTensors)
    if return_tensors == "pt":
        import_torch()
    elif dtype == "bfloat16":
        raise ValueError(
            "dtype 'bfloat16' has no NumPy type; pass return_tensors='pt', or choose another dtype"
        )


def check_pinning() -> None:
    """Refuse page-locked memory where there is none.

    Raises:
        ImportError: torch is not installed.
        RuntimeError: torch has no accelerator to lock pages for.
    """
    try:
        import_torch().empty(1, pin_memory=True)
    except RuntimeError as error:
        raise RuntimeError(
            f"pin_memory=True needs an accelerator that torch can use: {error}"
        ) from None


def pinned(shape: tuple[int, int], dtype: DType) -> torch.Tensor:
    """A tensor of no particular values in page-locked memory, which torch recycles."""
    torch = import_torch()
    return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)


def storage(
    shape: tuple[int, int], dtype: DType, out: Rows | None, inputs: Sequence[NDArray[np.uint8]]
) -> NDArray[Any]:
    """Where rows of ``shape`` are to be written: recycled memory, or the start of ``out``.

    Raises:
        TypeError: ``out`` is not an array or CPU tensor of ``dtype``.
        ValueError: ``out`` has another width, is too small, read-only or not contiguous, or
            overlaps an input.
        MemoryError: the system has not got that much.
    """
    numpy_type = np.dtype(np.uint16 if dtype == "bfloat16" else dtype)
    if out is None:
        if shape[0] > sys.maxsize:
            raise MemoryError(f"cannot allocate {shape[0]} rows")
        return _native.empty(shape, numpy_type.name)
    array = _out_array(out, dtype)
    if array.dtype != numpy_type:
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype}")
    if array.ndim != 2 or array.shape[1] != shape[1] or array.shape[0] < shape[0]:
        raise ValueError(
            f"out must have shape (at least {shape[0]}, {shape[1]}), got {tuple(out.shape)}"
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"out must be C-contiguous and aligned, got strides {array.strides}")
    if not array.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    filled = array[: shape[0]]
    if any(np.may_share_memory(filled, pixels) for pixels in inputs):
        raise ValueError("out must not overlap an input, but shares memory with one")
    return filled


def hand_out(
    rows: NDArray[Any], dtype: str, return_tensors: ReturnTensors, out: Rows | None = None
) -> Rows:
    """An array in the form asked for, over the same memory; ``dtype`` is what it stands for.

    If it is the start of a tensor ``out``, a view of that: by what it knows of the tensor, torch
    keeps page-locked memory for as long as a copy to a device reads it.
    """
    if return_tensors == "np":
        return rows
    if is_tensor(out):
        return cast("torch.Tensor", out)[: len(rows)]
    torch = import_torch()
    if dtype == "bfloat16":
        return torch.from_numpy(rows.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(rows)


def hand_out_seconds(seconds: list[float], return_tensors: ReturnTensors) -> Rows:
    """``second_per_grid_ts`` as the reference has it: float32 as a tensor, float64 as an array."""
    return import_torch().tensor(seconds) if return_tensors == "pt" else np.array(seconds)


def _out_array(out: Any, dtype: DType) -> NDArray[Any]:
    """``out`` as an array over the same memory, of uint16 where it is a bfloat16 tensor."""
    if isinstance(out, np.ndarray):
        if dtype == "bfloat16":
            raise TypeError("out must be a torch tensor for dtype 'bfloat16', got a NumPy array")
        return cast("NDArray[Any]", out)
    if not is_tensor(out):
        raise TypeError(f"out must be an array or a tensor, got {type(out).__name__}")
    if str(out.dtype) != f"torch.{dtype}":
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype}")
    if dtype == "bfloat16":
        return tensor_memory("out", out.view(import_torch().int16)).view(np.uint16)
    return tensor_memory("out", out)
