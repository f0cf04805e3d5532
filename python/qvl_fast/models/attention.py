"""Attention of packed patches, each within its own segment, behind one function.

Three kernels do it: flash-attn's and PyTorch's own for segments of varying length, both on CUDA in
half precision, and ``scaled_dot_product_attention`` anywhere, in one call for all segments of one
length. The last needs rows in an order in which segments of one length follow each other; see
:mod:`qvl_fast.models.layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import groupby
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from qvl_fast.index.plans import EqualSegments

Kernel = Literal["flash-attn", "varlen", "sdpa"]
Choice = Literal["auto", "flash-attn", "varlen", "sdpa"]


def _varlen_function(module: str, name: str) -> Callable[..., Any] | str:
    """A kernel for segments of varying length, or why there is none."""
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        return f"{module}.{name} cannot be imported: {error}"


_VARLEN = {
    "flash-attn": _varlen_function("flash_attn", "flash_attn_varlen_func"),
    "varlen": _varlen_function("torch.nn.attention.varlen", "varlen_attn"),
}


class Segments(NamedTuple):
    """Who attends to whom, for one kind of block.

    Attributes:
        kernel: what computes it.
        boundaries: int32 ``(segments + 1,)``: where segments begin and end, in patches, in the
            order that attention sees.
        longest: patches of the longest.
        groups: the segments by length, shortest first.
        gather: int64 ``(N,)``: the row at each place of the order that attention sees; None if
            that is the order of the rows.
        scatter: int64 ``(N,)``, the permutation that undoes it.
    """

    kernel: Kernel
    boundaries: Tensor
    longest: int | None
    groups: tuple[EqualSegments, ...] | None
    gather: Tensor | None = None
    scatter: Tensor | None = None

    def pieces(self, rows: int) -> Iterator[tuple[slice, Segments]]:
        """Whole segments of one length, in pieces of up to ``rows`` rows or else one segment.

        Yields:
            Where a piece lies among the rows, and the segments in it. For "sdpa" only.
        """
        start = 0
        for length, starts in ((group.length, group.starts) for group in self.groups or ()):
            at_once = max(1, rows // length)
            for first in range(0, len(starts), at_once):
                part = starts[first : first + at_once]
                stop = start + length * len(part)
                yield slice(start, stop), self._replace(groups=(EqualSegments(length, part),))
                start = stop


@torch.compiler.assume_constant_result
def choose_kernel(
    choice: Choice, device: torch.device, dtype: torch.dtype, head_dim: int
) -> Kernel:
    """The kernel that ``choice`` means for queries of this device, type and head size.

    Raises:
        ValueError: it cannot run; the message says why.
    """
    if choice == "auto":
        kernels: tuple[Kernel, ...] = get_args(Kernel)
        return next(name for name in kernels if not _obstacle(name, device, dtype, head_dim))
    if obstacle := _obstacle(choice, device, dtype, head_dim):
        raise ValueError(f"attention={choice!r} cannot run: {obstacle}")
    return choice


def _obstacle(
    kernel: Kernel, device: torch.device, dtype: torch.dtype, head_dim: int
) -> str | None:
    if kernel == "sdpa":
        return None
    if isinstance(reason := _VARLEN[kernel], str):
        return reason
    if device.type != "cuda":
        return f"it needs a CUDA device, and the tower is on {device}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs float16 or bfloat16, and the tower computes in {dtype}"
    if (capability := torch.cuda.get_device_capability(device)) < (8, 0):
        return f"it needs compute capability 8.0, and {device} has {capability}"
    if head_dim % 8 or head_dim > 256:
        return f"it needs a head size divisible by 8, up to 256, and the tower's is {head_dim}"
    return None


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
    if segments.gather is not None:
        q, k, v = (states[segments.gather] for states in (q, k, v))
    if segments.kernel != "sdpa":
        varlen: Any = _VARLEN[segments.kernel]
        cu, longest = segments.boundaries, segments.longest
        x: Tensor = varlen(q, k, v, cu, cu, longest, longest)
    elif torch.compiler.is_compiling() and q.device.type == "cpu":
        # Traced, the loop would become part of the graph, and lengths and counts its guards.
        x = _opaque_sdpa(q, k, v, segments.boundaries)
    else:
        groups = segments.groups or ()
        x = _sdpa(q, k, v, ((group.length, len(group.starts)) for group in groups))
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
    if not results:
        return torch.empty_like(v)
    return results[0] if len(results) == 1 else torch.cat(results)


def _groups(boundaries: Tensor) -> list[tuple[int, int]]:
    """The groups of segments on the CPU, in an order where equal lengths follow each other."""
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
