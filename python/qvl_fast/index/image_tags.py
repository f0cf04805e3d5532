"""Images in prompts of the first Qwen-VL: the path of each is hidden in the places of its tokens.

Semantics: the tokenizer and the model code that were released with Qwen-VL.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast._input.arrays import integer_array

if TYPE_CHECKING:
    import torch

# The ids of `<img>`, `</img>` and `<imgpad>`, and the places between the first two.
_START, _END, _PAD = 151857, 151858, 151859
_PLACES = 256


def image_tag(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """The ids that stand for an image in a prompt of Qwen-VL: ``<img>``, its path, ``</img>``.

    The bytes of the path, in UTF-8, are ids themselves, and are padded to the 256 tokens that the
    image becomes. The model opens the file that it finds there, and puts the image's features in
    the places. Semantics: the tokenizer that was released with Qwen-VL.

    Args:
        path: of the image, or its address, of at most 256 bytes.

    Returns:
        int64 ``(258,)``.

    Raises:
        ValueError: the path is empty, too long, or has characters that UTF-8 cannot encode.
        TypeError: it is not a path.

    Example:
        >>> image_tag("cat.jpg")[:9].tolist()
        [151857, 99, 97, 116, 46, 106, 112, 103, 151859]
    """
    if not isinstance(cast("object", path), str | os.PathLike):
        raise TypeError(f"path must be a text or a path, got {path!r:.80}")
    text = os.fsdecode(path)
    try:
        name = text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"path must be one that UTF-8 can write, got {text!r:.80}") from None
    if not 1 <= len(name) <= _PLACES:
        raise ValueError(
            f"path must have 1 to {_PLACES} bytes in UTF-8, got {len(name)}: {text!r:.80}"
        )
    ids = np.full(_PLACES + 2, _PAD, np.int64)
    ids[0], ids[-1] = _START, _END
    ids[1 : len(name) + 1] = np.frombuffer(name, np.uint8)
    return ids


def image_paths(input_ids: ArrayLike | torch.Tensor) -> tuple[list[str], NDArray[np.int64]]:
    """The paths of the images in a prompt of Qwen-VL; see :func:`image_tag`.

    Args:
        input_ids: integers ``(S,)``.

    Returns:
        The path of each image, and int64 ``(n, 2)``: where its 256 places start and end.

    Raises:
        ValueError: a tag does not have its 256 places, or what is in them is no path.
        TypeError: ``input_ids`` does not hold integers.

    Example:
        >>> paths, places = image_paths(np.concatenate([[7], image_tag("cat.jpg"), [8]]))
        >>> paths, places.tolist()
        (['cat.jpg'], [[2, 258]])
    """
    ids = integer_array("input_ids", input_ids)
    if ids.ndim != 1:
        raise ValueError(f"input_ids must have one dimension, got shape {ids.shape}")
    starts, ends = np.flatnonzero(ids == _START), np.flatnonzero(ids == _END)
    if not np.array_equal(starts + _PLACES + 1, ends):
        raise ValueError(
            f"input_ids must have {_PLACES} places in each image tag, got tags that start at "
            f"{starts.tolist()} and end at {ends.tolist()}"
        )
    places = np.stack([starts + 1, ends], axis=1)
    return [_path(ids[first:end], first) for first, end in places.tolist()], places


def _path(places: NDArray[np.int64], first: int) -> str:
    """The path in the places of an image, of which ``first`` is the first.

    Raises:
        ValueError: there is none.
    """
    own = places[: np.argmax(places == _PAD) if (places == _PAD).any() else None]
    if not own.size or ((own < 0) | (own > 255)).any() or (places[len(own) :] != _PAD).any():
        raise ValueError(
            f"input_ids must have the bytes of a path and then {_PAD} in the image tag at "
            f"{first - 1}, got {places[:8].tolist()}..."
        )
    try:
        return bytes(own.tolist()).decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"input_ids must have a path in UTF-8 in the image tag at {first - 1}: {error}"
        ) from None
