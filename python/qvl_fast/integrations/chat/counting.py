"""How many tokens conversations are, without looking at pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qvl_fast.integrations.chat.prompts import prompt_ids
from qvl_fast.integrations.chat.request import Request, Road, read_request
from qvl_fast.integrations.chat.videos import video_rows
from qvl_fast.integrations.qwen_vl_utils.image import (
    FETCH,
    Element,
    Fetch,
    fetch_size,
    image_source,
    located,
)
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig
    from qvl_fast.integrations.conversations import Messages


def count_tokens(
    messages: Messages,
    processor: Any,
    *,
    road: Road | None = None,
    exif: bool = False,
    fetch: Fetch = FETCH,
    **template: Any,
) -> int | list[int]:
    """The length of the input of a model, from headers and metadata.

    Equal to the length of ``input_ids`` of :func:`prepare`, and of what the processor of
    transformers computes by the same road.

    Args:
        messages: messages, or lists of them.
        processor: a ``Qwen2VLProcessor``, ``Qwen2_5_VLProcessor`` or ``Qwen3VLProcessor`` of
            transformers.
        road: whose sizes images get; see :func:`prepare`.
        exif: as for :func:`prepare`.
        fetch: as for :func:`prepare`. What comes over the network is fetched whole.
        **template: arguments of the processor's ``apply_chat_template``, such as
            ``add_generation_prompt``.

    Returns:
        Tokens of the conversation, or of each if ``messages`` is a list of conversations, padding
        not counted.

    Raises:
        Exception: as :func:`prepare`, but pixels that cannot be decoded are not noticed.

    Example:
        >>> image = {"type": "image", "image": "samples/coffee.png"}
        >>> messages = [{"role": "user", "content": [image]}]
        >>> count_tokens(messages, processor) == prepare(messages, processor)["input_ids"].numel()
        True
    """
    request = read_request(messages, processor, road, exif, fetch, template)
    counter = _counter(request.image_config)
    image_tokens = [
        [counter.num_tokens(*_size(element, request)) for element in elements]
        for elements in request.images
    ]
    videos = [
        [video_rows(element, request, hollow=True) for element in elements]
        for elements in request.videos
    ]
    lengths = [len(ids) for ids in prompt_ids(request, image_tokens, videos)]
    return lengths if request.several else lengths[0]


@lru_cache(maxsize=32)
def _counter(config: ImageConfig) -> ImageProcessor:
    return ImageProcessor(config, return_tensors="np")


def _size(element: Element, request: Request) -> tuple[int, int]:
    """The size in which an image reaches the processor."""
    if request.road != "processor":
        patch_size = request.image_config.patch_size
        return fetch_size(element, patch_size, exif=request.exif, fetch=request.fetch)
    return image_size(located(image_source(element), request.fetch))
