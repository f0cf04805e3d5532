"""Conversations, the processor that is to read them, and whose sizes their images get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Literal, cast

from qvl_fast.config import ImageConfig
from qvl_fast.config.checks import check_choice
from qvl_fast.integrations.conversations import (
    Messages,
    batched,
    has_budget,
    is_video,
    processor_elements,
    vision_elements,
)
from qvl_fast.integrations.qwen_vl_utils.image import Element, Fetch

Road = Literal["processor", "utils", "both"]

# The processors of transformers that are known, and the presets of their models.
_FAMILIES = {
    "Qwen2VLProcessor": "qwen2-vl",
    "Qwen2_5_VLProcessor": "qwen2.5-vl",
    "Qwen3VLProcessor": "qwen3-vl",
}
# What a processor says of how it makes rows.
_SETTINGS = ("resample", "do_convert_rgb", *(entry.name for entry in fields(ImageConfig)))


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        processor: of transformers.
        family: the preset of its models.
        road: whose sizes images and videos get.
        texts: of each conversation, with one placeholder for each image or video.
        images: elements with an image, of each conversation.
        videos: elements with a video, likewise.
        several: whether there may be several conversations.
        exif: whether the utilities turn files upright.
        fetch: finds what a text names.
    """

    processor: Any
    family: str
    road: Road
    texts: list[str]
    images: list[list[Element]]
    videos: list[list[Element]]
    several: bool
    exif: bool
    fetch: Fetch

    @cached_property
    def image_config(self) -> ImageConfig:
        """The settings of the processor, for images that arrive by this road."""
        stock = self.processor.image_processor
        # Not by its to_dict, which copies more than is read here and takes longer than the rest of
        # a count.
        settings = {name: getattr(stock, name) for name in _SETTINGS if hasattr(stock, name)}
        settings["image_processor_type"] = type(stock).__name__
        if self.road == "utils":
            settings["do_resize"] = False
        size = dict(stock.size)
        try:
            return _kept_config(tuple(size), *size.values(), **_hashable(settings))
        except TypeError:  # Also of a setting that cannot be hashed, which is not a fault.
            return ImageConfig.from_dict({**settings, "size": size})


# Conversations are often counted one by one, and checking the settings takes as long as the rest.
# Typed, since what equals a valid setting need not be one.
@lru_cache(maxsize=32, typed=True)
def _kept_config(edges: tuple[str, ...], *areas: Any, **settings: Any) -> ImageConfig:
    return ImageConfig.from_dict({**settings, "size": dict(zip(edges, areas, strict=True))})


def _hashable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with tuples for lists, as JSON has them for mean and std."""
    return {
        name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        for name, value in settings.items()
    }


def read_request(
    messages: Messages,
    processor: Any,
    road: Road | None,
    exif: bool,
    fetch: Fetch,
    template: Mapping[str, Any],
) -> Request:
    """Walk over conversations and render their texts; nothing is opened.

    Raises:
        TypeError: the processor is not known, or messages are not mappings.
        ValueError: an unknown road, no messages, or an element without its image or video.
    """
    conversations, several = batched(messages)
    kinds = [kind.__name__ for kind in type(processor).__mro__]
    family = next((_FAMILIES[kind] for kind in kinds if kind in _FAMILIES), None)
    if family is None:
        raise TypeError(
            f"processor must be one of {', '.join(_FAMILIES)} of transformers, got a {kinds[0]}"
        )
    if road is None:
        road = "utils" if any(map(has_budget, conversations)) else "processor"
    check_choice("road", road, Road)
    walk = processor_elements if road == "processor" else vision_elements
    found = list(map(walk, conversations))
    return Request(
        processor=processor,
        family=family,
        road=road,
        texts=processor.apply_chat_template(conversations, tokenize=False, **template),
        images=[[each for each in elements if not is_video(each)] for elements in found],
        videos=[[each for each in elements if is_video(each)] for elements in found],
        several=several,
        exif=exif,
        fetch=fetch,
    )
