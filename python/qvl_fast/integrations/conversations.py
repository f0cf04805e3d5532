"""The walk over the messages of conversations, as the two libraries that read them do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

Conversation: TypeAlias = Sequence[Mapping[str, Any]]
Messages: TypeAlias = "Conversation | Sequence[Conversation]"

# What an element of a message holds an image or a video in, for qwen_vl_utils.
_IMAGE_KEYS = ("image", "image_url")
_VISION_TYPES = ("image", "image_url", "video")


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
        KeyError: a message has no content.
        TypeError: an element is no mapping.
        ValueError: an element promises an image or video and has none.
    """
    found: list[Mapping[str, Any]] = []
    for message in conversation:
        content = message["content"]
        for item in cast("list[Any]", content) if isinstance(content, list) else []:
            if not isinstance(item, Mapping):
                raise TypeError(f"an element of a message must be a mapping, got {item!r:.80}")
            element = cast("Mapping[str, Any]", item)
            if is_video(element) or any(key in element for key in _IMAGE_KEYS):
                found.append(element)
            elif element.get("type") in _VISION_TYPES:
                raise ValueError(
                    f"an element of type {element['type']!r} must have an image, image_url or "
                    f"video, got the keys {list(element)!r:.80}"
                )
    return found


def is_video(element: Mapping[str, Any]) -> bool:
    """Whether an element that ``qwen_vl_utils`` finds holds a video; an image goes first."""
    return "video" in element and not any(key in element for key in _IMAGE_KEYS)
