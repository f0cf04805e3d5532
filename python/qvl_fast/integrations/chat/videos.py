"""Videos to rows, by the processor's own video processor; or to their grids alone."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image

from qvl_fast._input.names import describe
from qvl_fast._input.video.clips import is_file
from qvl_fast._output.torch import import_torch
from qvl_fast.index.placeholders import video_timestamps
from qvl_fast.integrations.chat.request import Request
from qvl_fast.integrations.qwen_vl_utils.image import Element, located
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video, open_file, open_video, video_size
from qvl_fast.processors.sampling import choose
from qvl_fast.processors.video import VideoProcessor


class VideoRows(NamedTuple):
    """A video as the model reads it.

    Attributes:
        rows: ``(N, columns)``, a tensor; without memory or None if only the grid was asked for.
        grid: ``(t, h, w)`` in patches.
        metadata: of the video and its frames, a ``VideoMetadata`` of transformers or ours.
    """

    rows: Any
    grid: tuple[int, int, int]
    metadata: Any

    def timestamps(self, temporal_patch_size: int) -> list[str]:
        """What Qwen3-VL reads before each group of frames."""
        indices = np.asarray(self.metadata.frames_indices).tolist()
        fps = self.metadata.fps
        return video_timestamps(indices, fps, temporal_patch_size=temporal_patch_size)


def video_rows(element: Element, request: Request, *, hollow: bool) -> VideoRows:
    """The rows of a video by the road of a request.

    Args:
        element: of a message.
        request: the road, and the processor.
        hollow: whether only the grid is asked for: the video processor is then given a tensor that
            has a shape and no memory, so that its own code says what it would do.

    Raises:
        Exception: as :func:`fetch_video`, and what the video processor raises.
    """
    video, metadata = element["video"], None
    if request.road != "processor":
        video, metadata = _of_utils(element, request, hollow=hollow)
    elif is_file(video):
        return _of_file(video, request, hollow=hollow)
    else:
        shape = _shape(video)
        video = _hollow(shape) if hollow else video
    options: dict[str, Any] = {}
    if metadata is not None:
        options = {"video_metadata": [metadata], "do_sample_frames": False}
    if request.road == "utils":
        options["do_resize"] = False
    result = request.processor.video_processor(
        [video], return_metadata=True, return_tensors="pt", **options
    )
    (grid,) = result["video_grid_thw"].tolist()
    return VideoRows(result["pixel_values_videos"], tuple(grid), result["video_metadata"][0])


def _of_file(source: Any, request: Request, *, hollow: bool) -> VideoRows:
    """The rows of a file, by our own processor of videos, which does not keep all its frames."""
    place = located(source, request.fetch)
    processor = VideoProcessor(request.processor.video_processor)
    if not hollow:
        batch = processor(place, return_tensors="pt")
        (grid,) = batch["video_grid_thw"].tolist()
        return VideoRows(batch["pixel_values_videos"], tuple(grid), batch.video_metadata[0])
    with open_file(place) as file:
        metadata = choose(processor.config, file.metadata)
    if metadata.height is None or metadata.width is None:
        raise ValueError(f"video must say how large its frames are, got {metadata}")
    count = len(metadata.frames_indices or ())
    height, width = processor.resized_size(count, metadata.height, metadata.width)
    config = processor.config
    groups = -(-count // config.temporal_patch_size)
    return VideoRows(
        None, (groups, height // config.patch_size, width // config.patch_size), metadata
    )


def _of_utils(element: Element, request: Request, *, hollow: bool) -> tuple[Any, Any]:
    """A video as ``fetch_video`` returns it, and its metadata."""
    patch_size = request.processor.video_processor.patch_size
    reading: dict[str, Any] = {"exif": request.exif, "fetch": request.fetch}
    if not hollow:
        return fetch_video(element, patch_size, return_video_metadata=True, **reading)
    with open_video(element, patch_size, **reading) as video:
        count, height, width = video_size(element, video, patch_size)
        return _hollow((count, 3, height, width)), video.metadata


def _shape(video: Any) -> tuple[int, ...]:
    """The shape of frames in memory, as the video processor stacks them.

    Raises:
        TypeError: they are not in memory. The video processor would fetch them, without limits.
        ValueError: there are none.
    """
    if hasattr(video, "shape"):
        return tuple(video.shape)
    frames = cast("list[Any]", video) if isinstance(video, list | tuple) else [video]
    for frame in frames:
        if not isinstance(frame, Image.Image) and not hasattr(frame, "shape"):
            raise TypeError(
                "video must be a file, an array, or a list of images or arrays for "
                f"road='processor', got {describe(frame)}; road='utils' takes pictures in files"
            )
    if not frames:
        raise ValueError("video must hold at least one frame, got none")
    first = frames[0]
    if isinstance(first, Image.Image):
        return len(frames), first.height, first.width, 3
    return len(frames), *first.shape


def _hollow(shape: tuple[int, ...]) -> Any:
    """A tensor of uint8 with a shape, and without memory."""
    torch = import_torch()
    return torch.empty(shape, dtype=torch.uint8, device="meta")
