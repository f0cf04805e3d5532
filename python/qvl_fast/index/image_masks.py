"""Which images the tokens of a prompt see, where a language model reads images aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast._input.arrays import integer_array
from qvl_fast._output.forms import ReturnTensors, form
from qvl_fast.config.checks import integer

if TYPE_CHECKING:
    import torch


@overload
def image_attention_mask(
    input_ids: ArrayLike | torch.Tensor,
    images: int,
    *,
    image_token_id: int,
    eos_token_id: int | None,
    return_tensors: Literal["np"] = "np",
) -> NDArray[Any]: ...
@overload
def image_attention_mask(
    input_ids: ArrayLike | torch.Tensor,
    images: int,
    *,
    image_token_id: int,
    eos_token_id: int | None,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def image_attention_mask(
    input_ids: ArrayLike | torch.Tensor,
    images: int,
    *,
    image_token_id: int,
    eos_token_id: int | None,
    return_tensors: ReturnTensors = "np",
) -> NDArray[Any] | torch.Tensor:
    """Which image each token attends to: the last one before it.

    The token of an image sees that image already. After the end of a text nothing is seen until the
    next image, though images are numbered on. Semantics: ``IdeficsProcessor`` of transformers;
    Flamingo's paper has the same rule without an end.

    Args:
        input_ids: integers ``(B, S)``, with one ``image_token_id`` an image; see
            :func:`expand_images`.
        images: the largest number in a prompt, as in ``pixel_values``: ``(B, images, 3, height,
            width)``, zeros where a prompt has fewer. Images beyond it are not seen.
        image_token_id: what stands for an image.
        eos_token_id: what ends a text; None if nothing does.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(B, S, images)``, 1 where a token sees an image. Without images bool ``(B, S, 1)``,
        all False, as the stock processor has it.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: ``input_ids`` has another shape, or ``images`` is negative.

    Example:
        >>> mask = image_attention_mask([[1, 9, 5, 2, 6]], 1, image_token_id=9, eos_token_id=2)
        >>> mask[0, :, 0].tolist()
        [0, 1, 1, 1, 0]
    """
    ids = integer_array("input_ids", input_ids)
    if ids.ndim != 2:
        raise ValueError(f"input_ids must have shape (B, S), got {ids.shape}")
    if integer("images", images, 0) == 0:
        return form(np.zeros((*ids.shape, 1), np.bool_), return_tensors)
    is_image = ids == integer("image_token_id", image_token_id)
    number = is_image.cumsum(axis=1) - 1
    if eos_token_id is not None:
        ends = ids == integer("eos_token_id", eos_token_id)
        # The end of a text sees what the text does.
        ended = np.pad(_last(ends), ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
        number[ended >= _last(is_image)] = -1
    return form((number[..., np.newaxis] == np.arange(images)).astype(np.int64), return_tensors)


def _last(marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last marked place at or before each, -1 if there is none, for ``(B, S)``."""
    length: int = marked.shape[1]
    return np.maximum.accumulate(np.where(marked, np.arange(length), -1), axis=1)
