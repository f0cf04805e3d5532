"""Rotary embeddings, in two dimensions and in three.

Everything is float32. The frequencies come out of a power function, and cosine and sine are library
functions: NumPy's and torch's may differ in the last bit. All else is exact.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def frequencies(dimensions: int, theta: float) -> NDArray[np.float32]:
    """Compute `1 / theta ** (2j / dimensions)` for j < dimensions / 2.

    Args:
        dimensions: even.
        theta: base of the wavelengths.

    Returns:
        float32 (dimensions / 2,).
    """
    exponents = np.arange(0, dimensions, 2, dtype=np.float32) / np.float32(dimensions)
    return np.float32(1) / np.float32(theta) ** exponents


def vision_angles(
    position_ids: NDArray[np.int64], frequency: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the angles of a vision tower: `[line * f, column * f]`.

    Args:
        position_ids: int64 (N, 2), see `position_ids`.
        frequency: float32 (D/4,), `frequencies(D // 2, theta)` for heads of D channels.

    Returns:
        float32 (N, D/2).

    Source: `Qwen2VLVisionRotaryEmbedding` of transformers.
    """
    line, column = position_ids.astype(np.float32).T[:, :, np.newaxis]  # (N, 1) each
    return np.concatenate([line * frequency, column * frequency], axis=1)


def mrope_angles(
    position_ids: NDArray[np.int64],
    frequency: NDArray[np.float32],
    sections: Sequence[int],
    interleaved: bool,
) -> NDArray[np.float32]:
    """Compute the angles of the language model: `position_ids[axis(j)] * f_j`.

    With s = sections[1] frequencies for height and u = sections[2] for width, frequency j follows

        axis      in sections                             interleaved
        time      the others                              the others
        height    sections[0] <= j < sections[0] + s      j = 1, 4, 7, ... below 3 * s
        width     sections[0] + s <= j                    j = 2, 5, 8, ... below 3 * u

    Args:
        position_ids: int64 (3, B, S), see `mrope_position_ids`.
        frequency: float32 (D/2,), `frequencies(D, theta)` for heads of D channels.
        sections: frequencies for time, height and width; together D/2.
        interleaved: which column of the table holds.

    Returns:
        float32 (B, S, D/2).

    Source: `Qwen2VLRotaryEmbedding` and `Qwen3VLTextRotaryEmbedding` of transformers.
    """
    axes = np.zeros(len(frequency), np.int64)
    for axis, count in ((1, sections[1]), (2, sections[2])):
        if interleaved:
            axes[axis : 3 * count : 3] = axis
        else:
            start = sum(sections[:axis])
            axes[start : start + count] = axis
    positions = np.moveaxis(position_ids[axes], 0, -1)  # (B, S, D/2)
    return positions.astype(np.float32) * frequency


def rotate(
    states: NDArray[np.float32], cos: NDArray[np.float32], sin: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Turn channels c and c + D/2 of each head by one angle.

        out[c]       = states[c] * cos[c] + -states[c + D/2] * sin[c]
        out[c + D/2] = states[c + D/2] * cos[c + D/2] + states[c] * sin[c + D/2]

    Args:
        states: float32 (..., D).
        cos: float32, of the angles, twice: `cos(concatenate([angles, angles]))`; any shape that
            broadcasts against `states`.
        sin: likewise.

    Returns:
        float32 (..., D).

    Source: `apply_rotary_pos_emb_vision` of transformers.
    """
    half = states.shape[-1] // 2
    turned = np.concatenate([-states[..., half:], states[..., :half]], axis=-1)
    straight: NDArray[np.float32] = states * cos
    across: NDArray[np.float32] = turned * sin
    return np.add(straight, across, dtype=np.float32)
