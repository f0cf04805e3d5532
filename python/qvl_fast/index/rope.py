"""Rotary embeddings: of the tower in two dimensions, of the language model in three.

For head size D and base theta the frequencies are ``theta ** (-2j / D)``, j < D/2. An angle is a
position times a frequency; channels c and c + D/2 of a head are rotated by angle c:

    x' = x * cos + rotate_half(x) * sin,    rotate_half([a, b]) = [-b, a] for the halves a and b

All in float32. Needs torch; computes on the device of its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvl_fast._input.arrays import is_tensor
from qvl_fast.config import AnyRopeConfig, RopeConfig, rope_config
from qvl_fast.config.checks import positive_integer, positive_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def vision_rotary(
    position_ids: Tensor, head_dim: int, theta: float = 10000.0
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for a vision tower.

    The D/4 frequencies ``theta ** (-4j / D)`` are applied to the line, then to the column:
    ``angles = [h * f, w * f]``. Semantics: ``Qwen2VLVisionRotaryEmbedding`` of transformers.

    Args:
        position_ids: integers ``(N, 2)``; see :func:`qvl_fast.position_ids`.
        head_dim: D, a multiple of 4.
        theta: base of the wavelengths.

    Returns:
        Two float32 ``(N, D)``.

    Raises:
        ValueError: ``head_dim`` is not a positive multiple of 4, or ``position_ids`` has another
            shape.

    Example:
        >>> import torch
        >>> cos, sin = vision_rotary(torch.tensor([[0, 0], [0, 1]]), 80)
        >>> cos.shape
        torch.Size([2, 80])
    """
    _check_tensor("position_ids", position_ids)
    theta = positive_number("theta", theta)
    if positive_integer("head_dim", head_dim) % 4:
        raise ValueError(f"head_dim must be a positive multiple of 4, got {head_dim}")
    if position_ids.ndim != 2 or position_ids.shape[1] != 2:
        raise ValueError(f"position_ids must have shape (N, 2), got {tuple(position_ids.shape)}")
    frequencies = _frequencies(head_dim // 2, theta, position_ids.device)  # (D/4,)
    angles = (position_ids[..., None].float() * frequencies).flatten(1)  # (N, D/2)
    return _cos_sin(angles)


def mrope_rotary(position_ids: Tensor, config: AnyRopeConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines for the language model (M-RoPE).

    Frequency j follows time, height or width. With sections ``(t, h, w)`` that add up to D/2, they
    are in sections (Qwen2-VL, Qwen2.5-VL): the first t follow time, the next h height, the last w
    width; or interleaved (Qwen3-VL, Qwen3.5): height has j = 1, 4, ... below 3h, width j = 2, 5,
    ... below 3w, time the others. D is what of a head is rotated; of Qwen3.5 its first quarter.
    Semantics: ``Qwen2VLRotaryEmbedding``, ``Qwen3VLTextRotaryEmbedding`` and
    ``Qwen3_5TextRotaryEmbedding`` of transformers.

    Args:
        position_ids: integers ``(3, B, S)``; see :func:`qvl_fast.mrope_position_ids`.
        config: a preset's name, a :class:`ModelConfig`, a :class:`RopeConfig`, or a
            configuration of transformers.

    Returns:
        Two float32 ``(B, S, D)``.

    Raises:
        ValueError: ``position_ids`` is not ``(3, B, S)``, or the checkpoint scales its rope.
        TypeError: ``position_ids`` is not a tensor.

    Example:
        >>> import torch
        >>> cos, sin = mrope_rotary(torch.zeros(3, 1, 5, dtype=torch.long), "qwen2.5-vl")
        >>> cos.shape
        torch.Size([1, 5, 128])
    """
    import torch

    settings = rope_config(config)
    _check_tensor("position_ids", position_ids)
    if settings.scaling != "default":
        raise ValueError(
            f"config has rope scaling {settings.scaling!r}, whose angles are not reproduced"
        )
    if position_ids.ndim != 3 or position_ids.shape[0] != 3:
        raise ValueError(f"position_ids must have shape (3, B, S), got {tuple(position_ids.shape)}")
    axis = torch.tensor(frequency_axes(settings), device=position_ids.device)  # (D/2,)
    frequencies = _frequencies(settings.head_dim, settings.theta, position_ids.device)
    angles = position_ids.float()[axis].movedim(0, -1) * frequencies  # (B, S, D/2)
    return _cos_sin(angles)


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys, the first half of the channels with the second.

    Semantics: ``apply_rotary_pos_emb_vision`` and ``apply_rotary_pos_emb`` of transformers, for
    one of the two.

    Args:
        states: ``(..., D)``, any float type; it is computed in that of ``cos`` and cast back. Of
            Qwen3.5, the first D channels of a head.
        cos: what :func:`vision_rotary` or :func:`mrope_rotary` gives, broadcast against ``states``.
        sin: likewise.

    Returns:
        The shape and type of ``states``.

    Raises:
        ValueError: the last sides differ or are odd.

    Example:
        >>> import torch
        >>> rotate(torch.tensor([1.0, 0.0]), cos=torch.zeros(2), sin=torch.ones(2))
        tensor([0., 1.])
    """
    width = states.shape[-1]
    if width % 2 or cos.shape[-1] != width or sin.shape[-1] != width:
        raise ValueError(
            f"states must have an even last side, the same as cos and sin, got {width} with "
            f"{cos.shape[-1]} and {sin.shape[-1]}"
        )
    wide = states.to(cos.dtype)
    half = width // 2
    rotated = wide * cos
    # In place: where memory is fresh it costs more than the arithmetic.
    rotated[..., :half] -= wide[..., half:] * sin[..., :half]
    rotated[..., half:] += wide[..., :half] * sin[..., half:]
    return rotated.to(states.dtype)


def frequency_axes(config: RopeConfig) -> list[int]:
    """Which of time (0), height (1) and width (2) each of the D/2 frequencies follows."""
    t, h, w = config.sections
    if not config.interleaved:
        return [0] * t + [1] * h + [2] * w
    below = {1: 3 * h, 2: 3 * w}
    return [j % 3 if j < below.get(j % 3, 0) else 0 for j in range(t + h + w)]


def _check_tensor(name: str, value: object) -> None:
    if not is_tensor(value):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")


def _frequencies(dimensions: int, theta: float, device: torch.device) -> Tensor:
    """``theta ** (-2j / dimensions)`` for j < dimensions / 2, float32."""
    import torch

    # Made where it is used: a copy from the host would make the device wait.
    exponents = torch.arange(0, dimensions, 2, dtype=torch.float32, device=device) / dimensions
    return 1.0 / theta**exponents


def _cos_sin(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Of angles ``(..., D/2)``, repeated for the other half of the channels."""
    import torch

    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()
