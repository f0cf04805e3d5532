"""Conversations to what a model reads."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from qvl_fast._output.torch import import_torch
from qvl_fast.config import AnyRopeConfig, rope_config
from qvl_fast.index.mrope import mm_token_type_ids, mrope_position_ids
from qvl_fast.integrations.chat.prompts import prompt_ids
from qvl_fast.integrations.chat.request import Request, Road, read_request
from qvl_fast.integrations.chat.videos import VideoRows, video_rows
from qvl_fast.integrations.qwen_vl_utils.image import (
    FETCH,
    Element,
    Fetch,
    fetch_pixels,
    image_source,
    in_parallel,
    located,
)
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qvl_fast.integrations.conversations import Messages


def prepare(
    messages: Messages,
    processor: Any,
    *,
    road: Road | None = None,
    config: AnyRopeConfig | None = None,
    positions: str | None = None,
    exif: bool = False,
    fetch: Fetch = FETCH,
    **template: Any,
) -> Any:
    """The inputs of a model for one or several conversations, position ids included.

    Each image is decoded and resized once, in parallel with the others. Text goes through the
    processor's chat template and tokenizer; its placeholders are expanded here. Rows of videos are
    made by the processor's own video processor.

    Args:
        messages: messages, or lists of them, with images and videos in their content: for
            ``road="processor"`` in the forms of ``apply_chat_template``, else in those of
            :func:`qvl_fast.integrations.qwen_vl_utils.process_vision_info`. Images may also be
            bytes and streams.
        processor: a ``Qwen2VLProcessor``, ``Qwen2_5_VLProcessor`` or ``Qwen3VLProcessor`` of
            transformers.
        road: whose sizes and arithmetic images get. ``"processor"``: the processor's, equal to its
            ``apply_chat_template(tokenize=True, return_dict=True)``. ``"utils"``: those of
            ``qwen_vl_utils``, which read ``max_pixels`` and so on in the messages; equal to
            ``process_vision_info`` and the processor with ``do_resize=False``. ``"both"``: one
            after the other, equal to ``process_vision_info`` and the processor as it is. By default
            ``"utils"`` if any element of the messages says something that only the utilities read,
            else ``"processor"``.
        config: how the model numbers its tokens: a configuration of transformers, a preset's name
            or a :class:`qvl_fast.RopeConfig`; that of the released models by default.
        positions: the version of transformers whose position ids the model was trained with; see
            :func:`qvl_fast.mrope_position_ids`.
        exif: whether the utilities turn files upright by their EXIF orientation; the processor's
            road always does.
        fetch: finds what a text names; by default a :class:`Fetcher`, which has limits.
        **template: arguments of the processor's ``apply_chat_template``, such as
            ``add_generation_prompt``.

    Returns:
        A ``BatchFeature`` of transformers, of tensors: ``input_ids``, ``attention_mask`` and
        ``mm_token_type_ids``, int64 ``(B, S)``, padded on the tokenizer's side; ``position_ids``,
        int64 ``(3, B, S)``; where there are images, ``pixel_values`` and ``image_grid_thw``; where
        there are videos, ``pixel_values_videos``, ``video_grid_thw`` and for Qwen2.5-VL
        ``second_per_grid_ts``, float32.

    Raises:
        ImageError: an image cannot be used; ``.index`` is its place among all images.
        OSError: a path cannot be read, or an address not be reached.
        TypeError: the processor is not known, or messages are not mappings.
        ValueError: an unknown road, no messages, an element without its image or video, bounds that
            cannot be met, or a text without a placeholder for each image or video.
        AssertionError: as :func:`qvl_fast.integrations.qwen_vl_utils.smart_resize`.
        ImportError: torch or transformers is not installed.

    Example:
        >>> image = {"type": "image", "image": "samples/coffee.png"}
        >>> inputs = prepare([{"role": "user", "content": [image]}], processor)
        >>> inputs["pixel_values"].shape, inputs["image_grid_thw"].tolist()
        (torch.Size([1176, 1176]), [[1, 28, 42]])
    """
    from transformers import BatchFeature

    torch = import_torch()
    request = read_request(messages, processor, road, exif, fetch, template)
    images = _image_rows(request)
    videos = [
        [video_rows(element, request, hollow=False) for element in elements]
        for elements in request.videos
    ]
    inputs: dict[str, Any] = {**images, **_video_inputs(request, list(chain(*videos)))}
    merged = request.image_config.merge_size**2
    tokens = iter((images["image_grid_thw"].prod(-1) // merged).tolist() if images else [])
    image_tokens = [list(islice(tokens, len(elements))) for elements in request.images]
    inputs.update(_padded(prompt_ids(request, image_tokens, videos), processor.tokenizer))
    inputs["mm_token_type_ids"] = mm_token_type_ids(
        inputs["input_ids"],
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
    )
    rope = rope_config(request.family if config is None else config)
    inputs["position_ids"], _ = mrope_position_ids(
        inputs["mm_token_type_ids"],
        config=replace(rope, merge_size=request.image_config.merge_size),
        image_grid_thw=inputs.get("image_grid_thw"),
        video_grid_thw=inputs.get("video_grid_thw"),
        second_per_grid_ts=inputs.get("second_per_grid_ts"),
        attention_mask=inputs["attention_mask"],
        positions=positions,
    )
    return BatchFeature({name: torch.as_tensor(value) for name, value in inputs.items()})


def _image_rows(request: Request) -> dict[str, Any]:
    """Rows and grids of all images; empty if there are none."""
    elements = list(chain(*request.images))
    if not elements:
        return {}
    stock = type(request.processor.image_processor).__name__
    process = ImageProcessor(
        request.image_config, reference="pillow" if stock.endswith("Pil") else "torchvision"
    )

    def arriving(element: Element) -> Any:
        """What an image reaches the processor as."""
        if request.road != "processor":
            patch_size = request.image_config.patch_size
            return fetch_pixels(element, patch_size, exif=request.exif, fetch=request.fetch)
        return located(image_source(element), request.fetch)

    return process(in_parallel(arriving, elements))


def _video_inputs(request: Request, videos: list[VideoRows]) -> dict[str, Any]:
    """Rows and grids of all videos; empty if there are none."""
    if not videos:
        return {}
    inputs: dict[str, Any] = {
        "pixel_values_videos": import_torch().cat([video.rows for video in videos]),
        "video_grid_thw": np.array([video.grid for video in videos]),
    }
    if request.family == "qwen2.5-vl":
        frames = request.processor.video_processor.temporal_patch_size
        seconds = [frames / video.metadata.sampled_fps for video in videos]
        inputs["second_per_grid_ts"] = np.array(seconds, np.float32)
    return inputs


def _padded(rows: list[NDArray[np.int64]], tokenizer: Any) -> dict[str, NDArray[np.int64]]:
    """The ids of all conversations in one array, and where they are."""
    length = max(map(len, rows))
    ids = np.full((len(rows), length), tokenizer.pad_token_id or 0, np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        left = tokenizer.padding_side == "left"
        kept = slice(length - len(row), None) if left else slice(len(row))
        ids[place, kept] = row
        mask[place, kept] = 1
    return {"input_ids": ids, "attention_mask": mask}
