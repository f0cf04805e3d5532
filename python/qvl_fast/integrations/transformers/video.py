"""``Qwen2VLVideoProcessor`` and ``Qwen3VLVideoProcessor`` whose pixels are computed here."""

from __future__ import annotations

from functools import lru_cache, partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import ChannelDimension, SizeDict, infer_channel_dimension_format

from qvl_fast import _native
from qvl_fast._output.rows import DType, hand_out, storage
from qvl_fast.config import ImageConfig
from qvl_fast.integrations.transformers.stock import (
    SETTINGS,
    NotReproducedError,
    Steps,
    check_filter,
    check_pixels,
    computed,
    computed_on,
    made_of,
    row_dtype,
    row_settings,
)
from qvl_fast.processors.base import row_writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What stock annotates is narrower than what it takes.
_Stock: Any = object
_Qwen2VLStock: Any = transformers.Qwen2VLVideoProcessor
_Qwen3VLStock: Any = transformers.Qwen3VLVideoProcessor
_infer_channels: Any = infer_channel_dimension_format
STEPS: Steps = {
    "_prepare_input_videos": {"videos", "do_convert_rgb", "input_data_format", "device"},
    "_preprocess": SETTINGS | {"videos", "cap_pixels_per_frame"},
    "resize": {"videos", "size", "resample", "factor", "temporal_factor", "cap_pixels_per_frame"},
}
# In transformers the arguments of a class are found beside it, by these names.
Qwen2VLVideoProcessorInitKwargs = _Qwen2VLStock.valid_kwargs
Qwen3VLVideoProcessorInitKwargs = _Qwen3VLStock.valid_kwargs


class _Clips(list[torch.Tensor]):
    """Clips on their way from one method of stock to the next, which is not told of a device.

    Attributes:
        move_to: where their rows are wanted.
    """

    def __init__(self, clips: Any, move_to: torch.device | None) -> None:
        super().__init__(clips)
        self.move_to = move_to


class _ComputedHere(_Stock):
    """What the two drop-ins share; stock's class comes after it."""

    def _prepare_input_videos(
        self,
        videos: list[Any],
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        device: str | torch.device | None = None,
    ) -> list[torch.Tensor]:
        """Clips ``(T, C, H, W)``: views where stock would make copies."""
        compute_on, move_to = computed_on(device)
        views = [] if compute_on else _rgb_views(videos, input_data_format)
        return _Clips(
            views
            or super()._prepare_input_videos(videos, do_convert_rgb, input_data_format, compute_on),
            move_to,
        )

    def _preprocess(self, videos: list[torch.Tensor], **kwargs: Any) -> BatchFeature:
        return_tensors, kwargs["return_tensors"] = kwargs["return_tensors"], None
        rows = computed(
            self,
            ours=partial(self._rows, videos, **kwargs),
            stock=partial(super()._preprocess, videos, **kwargs),
        )
        if isinstance(videos, _Clips):
            rows["pixel_values_videos"] = rows["pixel_values_videos"].to(videos.move_to)
        return BatchFeature(data=rows, tensor_type=return_tensors)

    def _rows(
        self, clips: list[torch.Tensor], *, do_resize: bool | None, resample: Any, **settings: Any
    ) -> dict[str, Any]:
        check_filter(do_resize, resample)
        writer, dtype = made_of(row_settings(**settings), _writer)
        for clip in clips:
            check_pixels(clip)
            if clip.shape[1] != 3:
                raise NotReproducedError("with a clip that is not RGB")
        sizes = [
            self._resized_size(clip, resample, **settings) if do_resize else _size(clip)
            for clip in clips
        ]
        grids = [writer.grid(len(clip), *size) for clip, size in zip(clips, sizes, strict=True)]
        rows = storage((sum(map(prod, grids)), writer.columns), dtype, None, [])
        first = 0
        for clip, size, grid in zip(clips, sizes, grids, strict=True):
            end = first + prod(grid)
            _write_clip(writer, clip, size, rows[first:end])
            first = end
        return {
            "pixel_values_videos": hand_out(rows, dtype, "pt"),
            "video_grid_thw": torch.tensor(grids),
        }

    def _resized_size(
        self,
        clip: torch.Tensor,
        resample: Any,
        *,
        size: SizeDict,
        patch_size: int,
        merge_size: int,
        temporal_patch_size: int,
        cap_pixels_per_frame: bool | None,
        **_: Any,
    ) -> tuple[int, int]:
        """``(height, width)`` by stock's own rule: it is told to resize a clip without memory."""
        # Of floats, since torchvision converts others on what is not the CPU.
        without_memory = torch.empty((1, *clip.shape), device="meta")
        resized = self.resize(
            without_memory,
            size=size,
            resample=resample,
            factor=patch_size * merge_size,
            temporal_factor=temporal_patch_size,
            cap_pixels_per_frame=cap_pixels_per_frame,
        )
        return _size(resized)


class Qwen2VLVideoProcessor(_ComputedHere, _Qwen2VLStock):
    """The video processor of Qwen2-VL and Qwen2.5-VL, with the same bits and errors as stock's.

    See :class:`~qvl_fast.integrations.transformers.image.Qwen2VLImageProcessor`, which is the same
    for images. Files are read and frames are sampled by stock: which decoder it takes depends on
    what is installed, and ours is known to equal one of them, torchcodec, for usual files only.
    """


class Qwen3VLVideoProcessor(_ComputedHere, _Qwen3VLStock):
    """The video processor of Qwen3-VL likewise; see :class:`Qwen2VLVideoProcessor`."""


def _rgb_views(videos: list[Any], channels: str | ChannelDimension | None) -> list[torch.Tensor]:
    """Views ``(T, 3, H, W)``; none at all if a clip is not uint8, or not of three channels."""
    views: list[torch.Tensor] = []
    for video in videos:
        clip = torch.from_numpy(video) if isinstance(video, np.ndarray) else video
        if not isinstance(clip, torch.Tensor) or clip.dtype != torch.uint8:
            return []
        if channels is None:
            # As in stock, that of the first clip goes for all of them.
            channels = _infer_channels(clip)
        if channels == ChannelDimension.LAST:
            clip = clip.permute(0, 3, 1, 2)
        if clip.shape[1] != 3:
            return []
        views.append(clip)
    return views


def _size(clip: torch.Tensor) -> tuple[int, int]:
    return clip.shape[-2], clip.shape[-1]


@lru_cache(maxsize=32)
def _writer(config: ImageConfig) -> tuple[_native.RowWriter, DType]:
    dtype = row_dtype(config)
    return row_writer(config, dtype, "full", "torchvision"), dtype


def _write_clip(
    writer: _native.RowWriter, clip: torch.Tensor, size: tuple[int, int], rows: NDArray[Any]
) -> None:
    """Resize the frames of a clip ``(T, 3, H, W)`` and write their rows."""
    writer.write(clip.permute(0, 2, 3, 1).numpy(), *size, rows)
