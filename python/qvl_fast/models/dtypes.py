"""Which type a tower computes in."""

import torch
from torch import Tensor


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The type that matrix products with ``weight`` give: autocast's where it is on."""
    device = weight.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype
