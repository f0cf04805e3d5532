"""Which types a tower computes in."""

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type that matrix products with a weight or activation give: autocast's where it is on."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type for what half precision is too coarse for: float32, in a float64 tower float64."""
    return torch.promote_types(dtype, torch.float32)
