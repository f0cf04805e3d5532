"""Several tensors in one buffer, so that one copy takes all of them to a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qvl_fast._output.torch import import_torch

if TYPE_CHECKING:
    import torch

# Bytes; every element type begins at a multiple of its own size.
_ALIGNMENT = 64


def gathered(
    tensors: Mapping[str, torch.Tensor], *, pin_memory: bool = False
) -> dict[str, torch.Tensor]:
    """Copies of tensors of one device, as views of one buffer there.

    Args:
        tensors: on one device.
        pin_memory: whether the buffer is to be in page-locked memory; for tensors on the CPU.

    Raises:
        RuntimeError: there is no accelerator to lock pages for.
    """
    _, views = _gather(tensors, pin_memory=pin_memory)
    return views


def on_device(
    tensors: Mapping[str, torch.Tensor], device: str | torch.device, *, non_blocking: bool
) -> dict[str, torch.Tensor]:
    """Tensors of one device on another, as views of one buffer; themselves if they are there.

    Args:
        tensors: on one device; those of :func:`gathered` are not gathered again.
        device: where to.
        non_blocking: whether not to wait for the copy from page-locked memory.
    """
    target = import_torch().device(device)
    here = next(iter(tensors.values())).device
    if here == target:
        return dict(tensors)
    buffer = _common_buffer(tensors)
    if buffer is None:
        locked = here.type == "cpu" and target.type == "cuda"
        buffer, tensors = _gather(tensors, pin_memory=locked)
        # Nobody else knows of this buffer, so nobody has to wait until it can be changed.
        non_blocking = non_blocking or locked
    moved = buffer.to(target, non_blocking=non_blocking, copy=True)
    return {
        name: _view(moved, view.storage_offset() * view.itemsize, view)
        for name, view in tensors.items()
    }


def _gather(
    tensors: Mapping[str, torch.Tensor], *, pin_memory: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch = import_torch()
    rooms = [-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors.values()]
    device = next(iter(tensors.values())).device
    buffer = torch.empty(sum(rooms), dtype=torch.uint8, device=device, pin_memory=pin_memory)
    views: dict[str, torch.Tensor] = {}
    first = 0
    for (name, tensor), room in zip(tensors.items(), rooms, strict=True):
        views[name] = _view(buffer, first, tensor)
        views[name].copy_(tensor)
        first += room
    return buffer, views


def _view(buffer: torch.Tensor, first: int | torch.SymInt, like: torch.Tensor) -> torch.Tensor:
    """The tensor of the type and shape of another that begins at a byte of a buffer."""
    return buffer[first : first + like.nbytes].view(like.dtype).view(like.shape)


def _common_buffer(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """The buffer that all of them are views of, if there is one."""
    first, *others = (tensor._base for tensor in tensors.values())
    return first if all(other is first for other in others) else None
