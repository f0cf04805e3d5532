"""Videos to rows, by the processor's own video processor; or to their grids alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image

from qvl_fast._output.torch import import_torch
from qvl_fast.index.placeholders import video_timestamps
from qvl_fast.integrations.chat.request import Request
from qvl_fast.integrations.qwen_vl_utils.image import Element
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video, open_file, open_video, video_size


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
    arriving = _of_processor if request.road == "processor" else _of_utils
    video, metadata = arriving(element, request, hollow=hollow)
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


def _of_utils(element: Element, request: Request, *, hollow: bool) -> tuple[Any, Any]:
    """A video as ``fetch_video`` returns it, and its metadata."""
    patch_size = request.processor.video_processor.patch_size
    reading: dict[str, Any] = {"exif": request.exif, "fetch": request.fetch}
    if not hollow:
        return fetch_video(element, patch_size, return_video_metadata=True, **reading)
    with open_video(element, patch_size, **reading) as video:
        count, height, width = video_size(element, video, patch_size)
        return _hollow((count, 3, height, width)), video.metadata


def _of_processor(element: Element, request: Request, *, hollow: bool) -> tuple[Any, Any]:
    """A video as it is, without metadata; or the frames that are taken of a file, with it."""
    source = element["video"]
    if hasattr(source, "shape"):
        return (_hollow(tuple(source.shape)) if hollow else source), None
    if not isinstance(source, list | tuple):
        return _of_file(source, request, hollow=hollow)
    frames = cast("list[Any]", source)
    if not all(isinstance(frame, Image.Image) or hasattr(frame, "shape") for frame in frames):
        raise TypeError(
            "video must be a file or frames in memory for road='processor', got a list of "
            f"{type(frames[0]).__name__}; road='utils' takes paths of pictures"
        )
    if hollow and frames:
        frame = frames[0]
        size = (frame.height, frame.width, 3) if isinstance(frame, Image.Image) else frame.shape
        return _hollow((len(frames), *size)), None
    return frames, None


def _of_file(source: Any, request: Request, *, hollow: bool) -> tuple[Any, Any]:
    from transformers.video_utils import VideoMetadata

    torch = import_torch()
    rules = request.processor.video_processor
    with open_file(source, request.fetch) as file:
        whole = file.metadata
        metadata = VideoMetadata(**asdict(whole))
        indices = list(range(int(whole.total_num_frames)))
        if rules.do_sample_frames:
            options = {name: getattr(rules, name) for name in ("fps", "num_frames")}
            indices = np.asarray(rules.sample_frames(metadata, **options)).tolist()
        metadata.frames_indices = indices
        if hollow:
            return _hollow((len(indices), whole.height, whole.width, 3)), metadata
        frames = torch.from_numpy(np.stack(list(file.frames(indices))))
    return frames.permute(0, 3, 1, 2), metadata


def _hollow(shape: tuple[int | None, ...]) -> Any:
    """A tensor of uint8 with a shape, and without memory."""
    torch = import_torch()
    return torch.empty(shape, dtype=torch.uint8, device="meta")
