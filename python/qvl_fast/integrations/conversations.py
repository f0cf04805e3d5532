"""The walk over the messages of conversations, as the two libraries that read them do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

Conversation: TypeAlias = Sequence[Mapping[str, Any]]
Messages: TypeAlias = "Conversation | Sequence[Conversation]"

# What an element of a message holds an image or a video in, for qwen_vl_utils.
_IMAGE_KEYS = ("image", "image_url")
_VISION_TYPES = ("image", "image_url", "video")
# What an element of each type holds it in, for processors of transformers.
_PROCESSOR_KEYS = {"image": ("image", "url", "path", "base64"), "video": ("video", "url", "path")}
# What only qwen_vl_utils reads of an element.
_BUDGETS = (
    "min_pixels",
    "max_pixels",
    "total_pixels",
    "resized_height",
    "resized_width",
    "fps",
    "nframes",
    "min_frames",
    "max_frames",
    "video_start",
    "video_end",
    "sample_fps",
    "raw_fps",
)


def batched(messages: Messages) -> tuple[list[Conversation], bool]:
    """The conversations, and whether there may be several.

    Args:
        messages: a list of messages, or a list of such lists.

    Raises:
        TypeError: something else.
        ValueError: there are none.
    """
    if isinstance(messages, str | Mapping) or not isinstance(cast("Any", messages), Sequence):
        raise TypeError(
            f"messages must be a list of messages or of conversations, got {messages!r:.80}"
        )
    if not messages:
        raise ValueError("messages must hold at least one message, got an empty list")
    several = not isinstance(messages[0], Mapping)
    conversations = cast("list[Conversation]", list(messages) if several else [messages])
    for conversation in conversations:
        for message in conversation:
            if not isinstance(cast("Any", message), Mapping):
                raise TypeError(f"a message must be a mapping, got {message!r:.80}")
    return conversations, several


def vision_elements(conversation: Conversation) -> list[Mapping[str, Any]]:
    """The elements that hold an image or a video, in order, as ``qwen_vl_utils`` finds them.

    Raises:
        TypeError: an element is no mapping.
        ValueError: an element promises an image or video and has none.
    """
    found: list[Mapping[str, Any]] = []
    for element in _elements(conversation):
        if is_video(element) or any(key in element for key in _IMAGE_KEYS):
            found.append(element)
        elif element.get("type") in _VISION_TYPES:
            raise ValueError(
                f"an element of type {element['type']!r} must have an image, image_url or video, "
                f"got the keys {list(element)!r:.80}"
            )
    return found


def is_video(element: Mapping[str, Any]) -> bool:
    """Whether an element that ``qwen_vl_utils`` finds holds a video; an image goes first."""
    return "video" in element and not any(key in element for key in _IMAGE_KEYS)


def processor_elements(conversation: Conversation) -> list[dict[str, Any]]:
    """The images and videos in order, as ``apply_chat_template`` of a processor finds them.

    Returns:
        ``{"image": ...}`` or ``{"video": ...}`` each. An image that is given as base64 text is
        ``data:;base64,`` and the text.

    Raises:
        TypeError: an element is no mapping.
        ValueError: an element promises an image or video and has none.
    """
    found: list[dict[str, Any]] = []
    for element in _elements(conversation):
        kind = element.get("type")
        if kind == "image_url":
            url = element.get("image_url")
            url = cast("Mapping[str, Any]", url).get("url") if isinstance(url, Mapping) else url
            kind, element = "image", {"url": url}
        if kind not in _PROCESSOR_KEYS:
            continue
        keys = [key for key in _PROCESSOR_KEYS[kind] if element.get(key) is not None]
        if len(keys) != 1:
            raise ValueError(
                f"an element of type {kind!r} must have one of {', '.join(_PROCESSOR_KEYS[kind])}, "
                f"got the keys {list(element)!r:.80}"
            )
        source: Any = element[keys[0]]
        if keys == ["base64"] and not source.startswith("data:"):
            source = f"data:;base64,{source}"
        found.append({kind: source})
    return found


def has_budget(conversation: Conversation) -> bool:
    """Whether an image or video says what size it should get or how it should be sampled.

    The utilities read that; processors do not.

    Raises:
        TypeError: an element is no mapping.
    """
    return any(key in element for element in _elements(conversation) for key in _BUDGETS)


def _elements(conversation: Conversation) -> list[Mapping[str, Any]]:
    elements: list[Mapping[str, Any]] = []
    for message in conversation:
        content = message.get("content")
        for item in cast("list[Any]", content) if isinstance(content, list) else []:
            if not isinstance(item, Mapping):
                raise TypeError(f"an element of a message must be a mapping, got {item!r:.80}")
            elements.append(cast("Mapping[str, Any]", item))
    return elements
