"""The images and videos of whole conversations."""

from __future__ import annotations

from typing import Any

from qvl_fast.integrations.conversations import Messages, batched, is_video, vision_elements
from qvl_fast.integrations.qwen_vl_utils.image import FETCH, Fetch, fetch_image, in_parallel
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video


def process_vision_info(
    conversations: Messages,
    return_video_kwargs: bool = False,
    return_video_metadata: bool = False,
    image_patch_size: int = 14,
    *,
    exif: bool = False,
    fetch: Fetch = FETCH,
) -> tuple[Any, ...]:
    """The images and videos of one or several conversations, fetched and resized.

    Semantics: ``process_vision_info`` of ``qwen_vl_utils`` 0.0.14. Images are fetched and resized
    in parallel.

    Args:
        conversations: messages, or lists of them.
        return_video_kwargs: whether to return arguments for the processor too.
        return_video_metadata: whether a video is ``(frames, metadata)``.
        image_patch_size: side of a patch in pixels: 14, or 16 for Qwen3-VL.
        exif: whether files are turned upright by their EXIF orientation.
        fetch: finds what a text names; by default a :class:`Fetcher`, which has limits.

    Returns:
        The images, a list as of :func:`fetch_image`, and the videos, as of :func:`fetch_video`, in
        order and of all conversations together; None where there are none. Then, if asked for,
        ``{"do_sample_frames": False}``, with ``"fps"``, the rate of each video, unless they come
        with metadata.

    Raises:
        Exception: as :func:`fetch_image` and :func:`fetch_video`.
        ValueError: there are no messages, or an element promises an image or video and has none.
        TypeError: messages are not mappings.
    """
    elements = [
        element for every in map(vision_elements, batched(conversations)[0]) for element in every
    ]
    images = in_parallel(
        lambda element: fetch_image(element, image_patch_size, exif=exif, fetch=fetch),
        [element for element in elements if not is_video(element)],
    )
    videos = [
        fetch_video(element, image_patch_size, True, return_video_metadata, exif=exif, fetch=fetch)
        for element in elements
        if is_video(element)
    ]
    result = images or None, [video for video, _ in videos] or None
    if not return_video_kwargs:
        return result
    settings: dict[str, Any] = {"do_sample_frames": False}
    if not return_video_metadata:
        settings["fps"] = [sample_fps for _, sample_fps in videos]
    return *result, settings
