"""Videos to rows, by the processor's own video processor; or to their grids alone."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image

from qvl_fast._output.torch import import_torch
from qvl_fast.index.placeholders import video_timestamps
from qvl_fast.integrations.chat.request import Request
from qvl_fast.integrations.qwen_vl_utils.image import Element
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video, open_video, video_size


class VideoRows(NamedTuple):
    """A video as the model reads it.

    Attributes:
        rows: ``(N, columns)``, a tensor; without memory if only the grid was asked for.
        grid: ``(t, h, w)`` in patches.
        metadata: a ``VideoMetadata`` of transformers.
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
    patch_size: int = request.processor.video_processor.patch_size
    options: dict[str, Any] = {}
    if request.road == "processor":
        video = element["video"]
        if isinstance(video, str) or (
            isinstance(video, list | tuple) and any(isinstance(each, str) for each in video)
        ):
            raise NotImplementedError(
                "video must be frames in memory so far for road='processor', got a path or an "
                "address"
            )
        video = _hollow(video) if hollow else video
    else:
        reading: dict[str, Any] = {"exif": request.exif, "fetch": request.fetch}
        if hollow:
            torch = import_torch()
            count, height, width = video_size(element, patch_size, **reading)
            video = torch.empty((count, 3, height, width), device="meta")
            metadata = open_video(element, patch_size, **reading).metadata
        else:
            video, metadata = fetch_video(
                element, patch_size, return_video_metadata=True, **reading
            )
        options = {"video_metadata": [metadata], "do_sample_frames": False}
        if request.road == "utils":
            options["do_resize"] = False
    result = request.processor.video_processor(
        [video], return_metadata=True, return_tensors="pt", **options
    )
    (grid,) = result["video_grid_thw"].tolist()
    return VideoRows(result["pixel_values_videos"], tuple(grid), result["video_metadata"][0])


def _hollow(video: Any) -> Any:
    """A tensor of a video's shape, without memory."""
    torch = import_torch()
    if not hasattr(video, "shape"):
        frame = cast("list[Any]", video)[0]
        size = (frame.height, frame.width, 3) if isinstance(frame, Image.Image) else frame.shape
        return torch.empty((len(video), *size), dtype=torch.uint8, device="meta")
    return torch.empty(tuple(video.shape), dtype=torch.uint8, device="meta")
