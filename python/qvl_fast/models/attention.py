"""Attention of packed patches, each within its own segment, behind one function.

flash-attn and PyTorch have kernels for segments of varying length, on CUDA in half precision;
``scaled_dot_product_attention`` runs anywhere, in one call for all segments of one length. It needs
rows in an order in which segments of one length follow each other; see
:mod:`qvl_fast.models.layout`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from itertools import groupby
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.torch_version import TorchVersion

from qvl_fast.index.plans import EqualSegments

Kernel = Literal["flash-attn-3", "flash-attn", "varlen-flash", "varlen-cudnn", "sdpa"]
Choice = Literal["auto", "flash-attn-3", "flash-attn", "varlen-flash", "varlen-cudnn", "sdpa"]

# What "auto" tries. Not cuDNN, which builds a graph for each new shape of a batch.
_AUTOMATIC: tuple[Kernel, ...] = ("flash-attn-3", "flash-attn", "varlen-flash", "sdpa")

# The first whose `varlen_attn` obeys `sdpa_kernel` and keeps the strides of what it is given.
_VARLEN_TORCH = "2.15"
# The first that takes segments of up to 128 patches, as windows are.
_VARLEN_CUDNN = 92400


class _Varlen(NamedTuple):
    """A kernel for segments of varying length."""

    module: str
    function: str
    capabilities: tuple[int, ...]  # major ones of devices
    backend: SDPBackend | None = None


_FLASH = (8, 9, 10, 11, 12)
_VARLEN = {
    "flash-attn-3": _Varlen("flash_attn_interface", "flash_attn_varlen_func", (9,)),
    "flash-attn": _Varlen("flash_attn", "flash_attn_varlen_func", _FLASH),
    "varlen-flash": _Varlen(
        "torch.nn.attention.varlen", "varlen_attn", _FLASH, SDPBackend.FLASH_ATTENTION
    ),
    "varlen-cudnn": _Varlen(
        "torch.nn.attention.varlen", "varlen_attn", (9, 10), SDPBackend.CUDNN_ATTENTION
    ),
}

# What has been imported: the function of a kernel, or why there is none.
_FUNCTIONS: dict[str, Callable[..., Any] | str] = {}


class Segments(NamedTuple):
    """Who attends to whom, for one kind of block.

    Attributes:
        kernel: what computes it.
        boundaries: int32 ``(segments + 1,)``: where segments begin and end, in patches, in the
            order that attention sees.
        longest: patches of the longest, or a bound of it.
        groups: the segments by length, shortest first.
        gather: int64 ``(N,)``: the row at each place of the order that attention sees; None if
            that is the order of the rows.
        scatter: int64 ``(N,)``, the permutation that undoes it.
    """

    kernel: Kernel
    boundaries: Tensor
    longest: int
    groups: tuple[EqualSegments, ...] | None
    gather: Tensor | None = None
    scatter: Tensor | None = None


@torch.compiler.assume_constant_result
def choose_kernel(
    choice: Choice, device: torch.device, dtype: torch.dtype, head_dim: int
) -> Kernel:
    """The kernel that ``choice`` means for queries of this device, type and head size.

    Raises:
        ValueError: it cannot run; the message says why.
    """
    if choice == "auto":
        return next(name for name in _AUTOMATIC if not _obstacle(name, device, dtype, head_dim))
    if obstacle := _obstacle(choice, device, dtype, head_dim):
        raise ValueError(f"attention={choice!r} cannot run: {obstacle}")
    return choice


def _obstacle(
    kernel: Kernel, device: torch.device, dtype: torch.dtype, head_dim: int
) -> str | None:
    if kernel == "sdpa":
        return None
    needs = _VARLEN[kernel]
    if device.type != "cuda":
        return f"it needs a CUDA device, and the tower is on {device}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs float16 or bfloat16, and the tower computes in {dtype}"
    capability = torch.cuda.get_device_capability(device)
    if capability[0] not in needs.capabilities:
        wanted = " or ".join(f"{major}.x" for major in needs.capabilities)
        return f"it needs compute capability {wanted}, and {device} has {capability}"
    limit = 128 if kernel == "varlen-cudnn" else 256
    if head_dim % 8 or head_dim > limit:
        return f"it needs a head size divisible by 8, up to {limit}, and the tower's is {head_dim}"
    if kernel not in _FUNCTIONS:
        _FUNCTIONS[kernel] = _imported(needs)
    function = _FUNCTIONS[kernel]
    return function if isinstance(function, str) else None


def _imported(kernel: _Varlen) -> Callable[..., Any] | str:
    """The function of a kernel, or why there is none."""
    if kernel.backend is not None and TorchVersion(torch.__version__) < _VARLEN_TORCH:
        return f"it needs torch {_VARLEN_TORCH}, and this is {torch.__version__}"
    if kernel.backend is SDPBackend.CUDNN_ATTENTION:
        version = torch.backends.cudnn.version() or 0
        if version < _VARLEN_CUDNN:
            return f"it needs cuDNN {_VARLEN_CUDNN}, and this is {version}"
    try:
        # Built for another torch they fail in many ways, and some releases warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(import_module(kernel.module), kernel.function)
    except Exception as error:
        return f"{kernel.module}.{kernel.function} cannot be imported: {error}"
    return function if kernel.backend is None else partial(_in_torch, function, kernel.backend)


def _in_torch(varlen: Callable[..., Tensor], backend: SDPBackend, *arguments: Any) -> Tensor:
    """PyTorch's attention of varying length by one of the kernels behind it."""
    with sdpa_kernel(backend):
        return varlen(*arguments)


def attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    """Softmax attention with the scale ``D ** -0.5``, within each segment.

    Args:
        q: queries ``(N, H, D)``, of any strides whose last is 1.
        k: keys, likewise.
        v: values, likewise.
        segments: as :class:`~qvl_fast.models.layout.Layout` has them.

    Returns:
        ``(N, H, D)``.
    """
    if not q.shape[0]:
        return v  # Its gradient, of no rows, reaches the weights all the same.
    if segments.gather is not None:
        q, k, v = (states[segments.gather] for states in (q, k, v))
    if segments.kernel != "sdpa":
        varlen: Any = _FUNCTIONS[segments.kernel]
        cu, longest = segments.boundaries, segments.longest
        result: Any = varlen(q, k, v, cu, cu, longest, longest)
        # Some releases of flash-attn 3 give the sums of the softmax along.
        x = cast("Tensor", result[0] if isinstance(result, tuple) else result)
    elif torch.compiler.is_compiling():
        # Traced, the loop would become part of the graph, and lengths and counts its guards.
        x = _opaque_sdpa(q, k, v, segments.boundaries)
    else:
        groups = cast("tuple[EqualSegments, ...]", segments.groups)
        x = _sdpa(q, k, v, ((group.length, group.count) for group in groups))
    return x if segments.scatter is None else x[segments.scatter]


def _sdpa(q: Tensor, k: Tensor, v: Tensor, groups: Iterable[tuple[int, int]]) -> Tensor:
    """Attention in segments that follow each other as ``groups`` of ``(length, count)``."""
    results: list[Tensor] = []
    start = 0
    for length, count in groups:
        stop = start + length * count
        batch: list[Tensor] = [
            states[start:stop].unflatten(0, (count, length)).transpose(1, 2) for states in (q, k, v)
        ]  # (count, H, length, D) each
        x = F.scaled_dot_product_attention(batch[0], batch[1], batch[2])
        results.append(x.transpose(1, 2).flatten(0, 1))  # (count * length, H, D)
        start = stop
    return results[0] if len(results) == 1 else torch.cat(results)


def _groups(boundaries: Tensor) -> list[tuple[int, int]]:
    """The groups of segments, in an order where equal lengths follow each other."""
    lengths = cast("list[int]", boundaries.diff().tolist())
    return [(length, len(list(equal))) for length, equal in groupby(lengths)]


@torch.library.custom_op("qvl_fast::sdpa", mutates_args=())
def _opaque_sdpa(q: Tensor, k: Tensor, v: Tensor, boundaries: Tensor) -> Tensor:
    return _sdpa(q, k, v, _groups(boundaries)).contiguous()


@_opaque_sdpa.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, boundaries: Tensor) -> Tensor:
    return q.new_empty(q.shape)


@torch.library.custom_op("qvl_fast::sdpa_backward", mutates_args=())
def _opaque_sdpa_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, boundaries: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    def forward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _sdpa(q, k, v, _groups(boundaries))

    # Not torch.autograd: inside a custom operator it is switched off.
    vjp: Any = torch.func.vjp(forward, q, k, v)
    dq, dk, dv = vjp[1](gradient)
    return dq.contiguous(), dk.contiguous(), dv.contiguous()


@_opaque_sdpa_backward.register_fake
def _(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, boundaries: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (*_opaque_sdpa_backward(gradient, *ctx.saved_tensors), None)


_opaque_sdpa.register_autograd(_backward, setup_context=_save_inputs)
