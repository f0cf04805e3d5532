"""Which frames of a video are taken, and which of them were taken before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast._input.video.metadata import DEFAULT_FPS, VideoMetadata
from qvl_fast.config import VideoConfig
from qvl_fast.warning import warn


def sample(config: VideoConfig, total_frames: int, fps: float | None) -> NDArray[np.int64]:
    """The numbers of the frames that are taken of a video, int64, not decreasing.

    Args:
        config: how many are taken, and by whose rule.
        total_frames: how many there are.
        fps: how many a second there are; None if not known.

    Raises:
        ValueError: the rule cannot take so many, or a rate is wanted of a video that has none.
    """
    rates = None
    if config.fps is not None:
        if fps is None:
            raise ValueError(
                f"fps={config.fps:g} can only be taken of a video whose own rate is known; pass it "
                "in video_metadata, or num_frames instead"
            )
        rates = config.fps, fps
    indices = _native.sample_frames(
        total_frames,
        config.num_frames,
        rates,
        rule=config.sampling,
        min_frames=config.min_frames,
        max_frames=config.max_frames,
        temporal_patch_size=config.temporal_patch_size,
    )
    if indices[-1] >= total_frames:
        # Rounded steps of Qwen2-VL's rule can fit in once more than they should.
        raise ValueError(
            f"{config.sampling}'s rule takes frame {indices[-1]} of {total_frames}, as in the "
            "reference; ask for another number of frames"
        )
    return indices


def choose(config: VideoConfig, whole: VideoMetadata) -> VideoMetadata:
    """The metadata of a video with the frames that are taken of it.

    Warns:
        UserWarning: a rate is made up, as in the reference, for a video that does not tell its own.

    Raises:
        ValueError: see :func:`sample`; also if frames were made up.
    """
    total = int(whole.total_num_frames)
    if total != whole.total_num_frames:
        raise ValueError(
            f"total_num_frames must be an integer, got {whole.total_num_frames}, to sample frames"
        )
    if not config.do_sample_frames:
        return whole.with_frames(list(range(total)))
    if config.fps is not None and whole.fps is None and config.sampling == "qwen3-vl":
        warn(
            f"a video without a rate is taken to have {DEFAULT_FPS} frames a second, as "
            "transformers does; pass video_metadata, or do_sample_frames=False for frames that "
            "were sampled already"
        )
        whole = replace(whole, fps=DEFAULT_FPS)
    return whole.with_frames(sample(config, total, whole.fps).tolist())


def of_frames(own: VideoMetadata, given: VideoMetadata | None) -> tuple[VideoMetadata, bool]:
    """The metadata of frames, and whether they were taken from a longer video before.

    Frames that were are not to be sampled again: their times come from their places in that video.

    Args:
        own: what can be seen of the frames themselves.
        given: what their owner says of them.

    Raises:
        ValueError: there are more or fewer frames than that.
    """
    count = int(own.total_num_frames)
    every = list(range(count))
    if given is None:
        return own, False
    if given.frames_indices is None:
        if given.total_num_frames != count:
            raise ValueError(
                f"video_metadata says total_num_frames={given.total_num_frames} and not which "
                f"frames the {count} are that were passed; add their frames_indices"
            )
        return given.with_frames(every), False
    if len(given.frames_indices) != count:
        raise ValueError(
            f"video_metadata has {len(given.frames_indices)} frames_indices for {count} frames"
        )
    taken = given.frames_indices != every or given.total_num_frames != count
    return given, taken
