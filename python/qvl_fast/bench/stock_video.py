"""The video processors of transformers, to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from qvl_fast.config import VideoConfig


def stock_processor(config: VideoConfig) -> Callable[..., torch.Tensor]:
    """What computes the rows of a video as a configuration says; takes ``do_sample_frames``."""
    kind: Any = {"qwen2-vl": Qwen2VLVideoProcessor, "qwen3-vl": Qwen3VLVideoProcessor}
    size = {"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}
    rate = {"fps": config.fps, "num_frames": config.num_frames}
    stock = kind[config.sampling](size=size, cap_pixels_per_frame=False, **rate)

    def rows(video: Any, *, do_sample_frames: bool) -> torch.Tensor:
        batch = stock(video, do_sample_frames=do_sample_frames, return_tensors="pt")
        return batch["pixel_values_videos"]

    return rows
