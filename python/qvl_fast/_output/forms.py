"""Results as arrays or as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from qvl_fast._output.torch import as_tensor
from qvl_fast.config.checks import check_choice

if TYPE_CHECKING:
    import torch

ReturnTensors = Literal["pt", "np"]
Array = TypeVar("Array", bound=NDArray[Any])
Other = TypeVar("Other", bound=NDArray[Any])


@overload
def form(result: Array, return_tensors: ReturnTensors) -> Array | torch.Tensor: ...
@overload
def form(
    result: tuple[Array, Other], return_tensors: ReturnTensors
) -> tuple[Array, Other] | tuple[torch.Tensor, torch.Tensor]: ...
def form(result: Any, return_tensors: ReturnTensors) -> Any:
    """An array or a pair of arrays in the form asked for, over the same memory.

    Raises:
        ValueError: an unknown form.
        ImportError: torch is asked for and not installed.
    """
    check_choice("return_tensors", return_tensors, ReturnTensors)
    if return_tensors == "np":
        return result
    if isinstance(result, np.ndarray):
        return as_tensor(result)
    return tuple(map(as_tensor, result))
