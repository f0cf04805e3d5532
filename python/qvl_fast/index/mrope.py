"""Position ids of the language model (M-RoPE), and the token types they are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast import _native
from qvl_fast._input.arrays import integer_array, number_array
from qvl_fast._output.forms import ReturnTensors, form
from qvl_fast.config import AnyRopeConfig, rope_config
from qvl_fast.config.checks import check_choice, integer, positive_integer
from qvl_fast.index.documents import PackedRows
from qvl_fast.index.grids import Grids, grid_array
from qvl_fast.index.position_classes import Advance, intervals, resolve, warn_of_bugs

if TYPE_CHECKING:
    import torch

Integers: TypeAlias = "ArrayLike | torch.Tensor"


@overload
def mrope_position_ids(
    mm_token_type_ids: Integers,
    *,
    config: AnyRopeConfig,
    image_grid_thw: Grids | None = None,
    video_grid_thw: Grids | None = None,
    second_per_grid_ts: Sequence[float] | torch.Tensor | None = None,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    documents: Integers | None = None,
    positions: str | None = None,
    advance: Advance | None = None,
    return_tensors: Literal["np"] = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
@overload
def mrope_position_ids(
    mm_token_type_ids: Integers,
    *,
    config: AnyRopeConfig,
    image_grid_thw: Grids | None = None,
    video_grid_thw: Grids | None = None,
    second_per_grid_ts: Sequence[float] | torch.Tensor | None = None,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    documents: Integers | None = None,
    positions: str | None = None,
    advance: Advance | None = None,
    return_tensors: Literal["pt"],
) -> tuple[torch.Tensor, torch.Tensor]: ...
def mrope_position_ids(
    mm_token_type_ids: Integers,
    *,
    config: AnyRopeConfig,
    image_grid_thw: Grids | None = None,
    video_grid_thw: Grids | None = None,
    second_per_grid_ts: Sequence[float] | torch.Tensor | None = None,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    documents: Integers | None = None,
    positions: str | None = None,
    advance: Advance | None = None,
    return_tensors: ReturnTensors = "np",
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | tuple[torch.Tensor, torch.Tensor]:
    """Ids in time, height and width for every token of a batch.

    Text counts on in all three. A run of image or video tokens is spread over the grid of the next
    image or video, starting from the current count. Semantics: ``get_rope_index`` of Qwen2VLModel,
    Qwen2_5_VLModel or Qwen3VLModel, which Qwen3_5Model shares, by ``config``, in a version of
    transformers: ``positions``.

    Args:
        mm_token_type_ids: integers ``(B, S)``: 0 text, 1 image, 2 video; see
            :func:`mm_token_type_ids`.
        config: a preset's name, a :class:`ModelConfig`, a :class:`RopeConfig`, or a
            configuration of transformers.
        image_grid_thw: integers ``(images, 3)``, grids of the images of the whole batch.
        video_grid_thw: integers ``(videos, 3)``, likewise; one row for a whole video.
        second_per_grid_ts: seconds between the groups of frames of each video; 1 if not given. Only
            models with tokens per second use it. With positions 5.3 of such a model images take
            entries too, in the order of the tokens.
        attention_mask: bool or integers ``(B, S)``, False or 0 where a token is padding, anywhere
            in a row, else True or 1.
        documents: integers ``(B, S)`` for rows that are packed from several documents, such as 1,
            1, 2, 2, 2, 0: tokens of one document follow each other and have one number, padding
            has 0. Ids start from 0 with each document. Transformers has no such thing: padding has
            the id 0 and deltas count documents' tokens, whatever ``positions`` is.
        positions: the version of transformers whose ids these are to be, such as ``"4.57"`` or
            ``"5.3"``: the one that the model was trained with. By default the installed one, or the
            newest known. Versions after 5.24 count as that one.
        advance: how far an item moves the count: ``"spatial"``, by its longer side, or
            ``"spatiotemporal"``, past all of its ids; everything else as in the newest version
            known. The first is the rule from transformers 5.3 on, the second that of the versions
            before, whose ids it gives at kept tokens for Qwen2-VL and Qwen3-VL. For Qwen2.5-VL it
            resembles 4.49 to 4.51 alone, and rounds some time ids otherwise: pass ``positions``
            instead, which is exact.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(3, B, S)``, 0 at padding (1 in positions before 5.2); int64 ``(B, 1)``: what to add
        to a later token's number to get its position, see :func:`mrope_decode_position_ids`. In
        positions before 5.3 that number counts padding.

    Raises:
        TypeError: an argument does not hold integers, or numbers; or ``attention_mask`` is one to
            be added (0 and -inf); or ``positions`` is not a string.
        ValueError: shapes disagree, a run of tokens does not fit its item, items and runs differ
            in number, a row has no token, a name is unknown, a mask holds something else than 0 and
            1, ``positions`` is older than the model or given with ``advance``, or its rules need
            whole ``tokens_per_second``.

    Warns:
        UserWarning: ``positions`` is of 5.3 to 5.5 and there is a video, all of whose frames have
            one time id there, or an image that was numbered with a video's seconds.

    Example:
        >>> types = [[0, 1, 1, 1, 1, 0]]
        >>> ids, deltas = mrope_position_ids(types, config="qwen2-vl", image_grid_thw=[[1, 4, 4]])
        >>> ids[:, 0].tolist(), deltas.tolist()
        ([[0, 1, 1, 1, 1, 3], [0, 1, 1, 2, 2, 3], [0, 1, 2, 1, 2, 3]], [[-2]])
    """
    settings = rope_config(config)
    if advance is not None:
        check_choice("advance", advance, Advance)
    rules = resolve(positions, advance, settings)
    types = integer_array("mm_token_type_ids", mm_token_type_ids)
    if types.ndim != 2 or types.size == 0:
        raise ValueError(f"mm_token_type_ids must have shape (B, S), got {types.shape}")
    kept = None if attention_mask is None else _kept(attention_mask, types.shape)
    packed = None
    if documents is not None:
        packed = PackedRows(_documents(documents, kept, types.shape))
        types, kept = packed.separate(types), packed.kept
    images = grid_array(() if image_grid_thw is None else image_grid_thw, "image_grid_thw")
    videos = grid_array(() if video_grid_thw is None else video_grid_thw, "video_grid_thw")
    image_interval, listed, precision = intervals(
        rules, settings, second_per_grid_ts, len(images), len(videos)
    )
    warn_of_bugs(rules, settings, len(images), len(videos))
    ids, deltas = _native.mrope_position_ids(
        types,
        kept,
        images,
        videos,
        image_interval,
        listed,
        precision=precision,
        videos_in_groups=settings.videos_in_groups,
        merge_size=settings.merge_size,
        rules=rules,
    )
    result = (ids, deltas) if packed is None else packed.joined(ids)
    return form(result, return_tensors)


@overload
def mrope_decode_position_ids(
    rope_deltas: Integers,
    *,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    past_length: int = 0,
    length: int = 1,
    batch_size: int | None = None,
    return_tensors: Literal["np"] = "np",
) -> NDArray[np.int64]: ...
@overload
def mrope_decode_position_ids(
    rope_deltas: Integers,
    *,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    past_length: int = 0,
    length: int = 1,
    batch_size: int | None = None,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def mrope_decode_position_ids(
    rope_deltas: Integers,
    *,
    attention_mask: ArrayLike | torch.Tensor | None = None,
    past_length: int = 0,
    length: int = 1,
    batch_size: int | None = None,
    return_tensors: ReturnTensors = "np",
) -> NDArray[np.int64] | torch.Tensor:
    """Ids of tokens that follow those of :func:`mrope_position_ids`, all of them text.

    Semantics: ``compute_3d_position_ids`` of the models in transformers from 5.3 on, with a cache.

    Args:
        rope_deltas: int64 ``(rows, 1)``.
        attention_mask: bool or 0 and 1, ``(B, S)``, over all tokens; they are numbered by its
            running sum. Leave it out for deltas of positions before 5.3, which are relative to the
            length of a padded row, and say that by ``past_length``.
        past_length: without a mask, the number of the first token.
        length: without a mask, how many tokens there are.
        batch_size: without a mask, B; ``rows`` if not given.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 ``(3, B, S)`` with a mask, else ``(3, B, length)``. B is a multiple of ``rows``, each
        of which then stands for several neighbouring rows.

    Raises:
        TypeError: an argument does not hold numbers.
        ValueError: a shape is wrong, or B is not a multiple of ``rows``.

    Example:
        >>> mrope_decode_position_ids([[-2]], past_length=6).tolist()
        [[[4]], [[4]], [[4]]]
    """
    deltas = integer_array("rope_deltas", rope_deltas)
    if deltas.ndim != 2 or deltas.shape[1] != 1 or deltas.size == 0:
        raise ValueError(f"rope_deltas must have shape (rows, 1), got {deltas.shape}")
    if attention_mask is None:
        first = integer("past_length", past_length, 0)
        numbers = np.arange(first, first + positive_integer("length", length))[np.newaxis]
        rows = len(deltas) if batch_size is None else integer("batch_size", batch_size)
    else:
        kept = _kept(attention_mask)
        numbers = np.where(kept, kept.cumsum(axis=1) - 1, 0)
        rows = len(kept)
    if rows < 1 or rows % len(deltas):
        raise ValueError(
            f"batch size must be a positive multiple of the {len(deltas)} rows of rope_deltas, got "
            f"{rows}"
        )
    ids = numbers + deltas.repeat(rows // len(deltas), axis=0)
    return form(np.tile(ids, (3, 1, 1)), return_tensors)


@overload
def mm_token_type_ids(
    input_ids: Integers,
    *,
    image_token_id: int,
    video_token_id: int,
    return_tensors: Literal["np"] = "np",
) -> NDArray[np.int64]: ...
@overload
def mm_token_type_ids(
    input_ids: Integers,
    *,
    image_token_id: int,
    video_token_id: int,
    return_tensors: Literal["pt"],
) -> torch.Tensor: ...
def mm_token_type_ids(
    input_ids: Integers,
    *,
    image_token_id: int,
    video_token_id: int,
    return_tensors: ReturnTensors = "np",
) -> NDArray[np.int64] | torch.Tensor:
    """The type of each token: 0 text, 1 image, 2 video.

    Equal to what the processors of Qwen-VL in transformers return under this name.

    Args:
        input_ids: integers of any shape.
        image_token_id: the placeholder of images, 151655 in released checkpoints.
        video_token_id: the placeholder of videos, 151656 in released checkpoints.
        return_tensors: ``"np"`` for arrays, ``"pt"`` for torch tensors over the same memory.

    Returns:
        int64 of the same shape.

    Raises:
        TypeError: ``input_ids`` does not hold integers.
        ValueError: both ids are the same.

    Example:
        >>> mm_token_type_ids([9, 151655, 7], image_token_id=151655, video_token_id=151656)
        array([0, 1, 0])
    """
    image, video = (
        integer("image_token_id", image_token_id),
        integer("video_token_id", video_token_id),
    )
    if image == video:
        raise ValueError(f"image_token_id must differ from video_token_id, got {image}")
    ids = integer_array("input_ids", input_ids)
    return form((ids == image) + 2 * (ids == video).astype(np.int64), return_tensors)


def _kept(mask: Any, shape: tuple[int, ...] | None = None) -> NDArray[np.bool_]:
    """Where a mask keeps a token.

    Raises:
        TypeError: it is of a float type, as masks that are added to scores are.
        ValueError: it holds something else than 0 and 1, or has another shape.
    """
    array = number_array("attention_mask", mask)
    if array.dtype.kind == "f":
        raise TypeError(
            f"attention_mask has dtype {array.dtype}, as masks that are added to scores have; pass "
            "one of bool, or of 0 (padding) and 1, such as mask == 0 for a mask of 0 and -inf"
        )
    if array.ndim != 2 or (shape is not None and array.shape != shape):
        expected = "(B, S)" if shape is None else f"{shape} of mm_token_type_ids"
        raise ValueError(f"attention_mask must have the shape {expected}, got {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() <= 1:
        raise ValueError(
            f"attention_mask must hold 0 and 1, got {array.min()} to {array.max()}; numbers of "
            "documents are for documents="
        )
    return np.ascontiguousarray(array != 0)


def _documents(
    documents: Any, kept: NDArray[np.bool_] | None, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """The document of each token, 0 at padding."""
    array = integer_array("documents", documents)
    if array.shape != shape:
        raise ValueError(
            f"documents must have the shape {shape} of mm_token_type_ids, got {array.shape}"
        )
    if array.min() < 0:
        raise ValueError(f"documents must not be negative, got {array.min()}")
    return array if kept is None else array * kept
