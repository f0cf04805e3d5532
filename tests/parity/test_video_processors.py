"""Videos against the live video processors of transformers: no value, grid or frame may differ.

``--video-cases``, ``--sampling-cases`` and ``--campaign-seed`` choose how many and which.
"""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

from qvl_fast import VideoConfig, VideoError, VideoProcessor
from qvl_fast.config.video import QWEN3_VL_DEFAULTS

STOCK = {"qwen2-vl": Qwen2VLVideoProcessor, "qwen3-vl": Qwen3VLVideoProcessor}
DEFAULTS = {"qwen2-vl": VideoConfig(), "qwen3-vl": QWEN3_VL_DEFAULTS}

pytestmark = pytest.mark.filterwarnings("ignore:a video without a rate")


def side(rng, low, high):
    return round(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_config(rng, family):
    base = DEFAULTS[family]
    least = side(rng, 1, 200_000)
    most = least + side(rng, 1, 400_000 if family == "qwen2-vl" else 3_000_000)
    sampled = bool(rng.random() < 0.5)
    rate = {}
    if family == "qwen3-vl" or (sampled and rng.random() < 0.5):
        rate = {"fps": float(rng.choice([1, 2, 7.5, 30]))}
    elif sampled:
        rate = {"num_frames": int(rng.integers(1, 20))}
    return base.override(
        patch_size=int(rng.choice([14, 16])),
        merge_size=int(rng.integers(1, 4)),
        # Of an array the reference cannot take one frame alone: its index is then no list.
        temporal_patch_size=int(rng.integers(2 if sampled and family == "qwen2-vl" else 1, 4)),
        min_pixels=least,
        max_pixels=most,
        cap_pixels_per_frame=[None, False, True][rng.integers(3)],
        max_video_tokens=side(rng, 1, 200_000) if family == "qwen2-vl" else side(rng, 1, 2000),
        min_frames=int(rng.integers(1, 9)),
        max_frames=side(rng, 4, 800),
        do_resize=bool(rng.random() < 0.9),
        do_rescale=bool(rng.random() < 0.9),
        do_normalize=bool(rng.random() < 0.9),
        **{**rate, "do_sample_frames": sampled},
    )


def stock_of(config):
    kind = STOCK[config.sampling]
    ours = {entry.name for entry in fields(config)} - {"min_pixels", "max_pixels"}
    shared = ours & set(kind.valid_kwargs.__annotations__)
    size = {"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}
    return kind(size=size, **{name: getattr(config, name) for name in shared})


def planes_first(frames):
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2))


FORMS = {
    "array THWC": lambda frames: frames,
    "array TCHW": planes_first,
    "tensor THWC": torch.from_numpy,
    "tensor TCHW": lambda frames: torch.from_numpy(planes_first(frames)),
    "tensor permuted": lambda frames: torch.from_numpy(frames).permute(0, 3, 1, 2),
    "PIL images": lambda frames: [Image.fromarray(frame) for frame in frames],
    "list of arrays": list,
}


def random_size(rng, config):
    if not config.do_resize and rng.random() < 0.9:
        return tuple(int(config.factor * blocks) for blocks in rng.integers(1, 4, 2))
    kind = rng.integers(4)
    if kind == 0:  # thin
        short = side(rng, 1, 6)
        return (short, min(600, short * int(rng.integers(100, 205))))[:: rng.choice([1, -1])]
    if kind == 1:  # tiny
        return tuple(int(length) for length in rng.integers(2, 40, 2))
    return side(rng, 20, 300), side(rng, 20, 300)


def ambiguous(size):
    """Whether a side looks like channels, to the reference at least once on the way."""
    return {1, 3, 4} & set(size)


def random_metadata(rng, count, size):
    if rng.random() < 0.3:
        return None
    return {
        "total_num_frames": count,
        "fps": float(rng.choice([2, 23.976, 24, 29.97, 30, 60])),
        "height": size[0],
        "width": size[1],
        "duration": count / 30,
        "video_backend": "torchcodec",
        "frames_indices": list(range(count)) if rng.random() < 0.5 else None,
    }


def check_video(picture, rng):
    family = str(rng.choice(list(STOCK)))
    config = random_config(rng, family)
    videos, kinds, entries = [], [], []
    for _ in range(int(rng.integers(1, 4))):
        count = int(rng.integers(1, 65)) if rng.random() < 0.3 else int(rng.integers(1, 9))
        size = random_size(rng, config)
        while ambiguous(size):
            size = random_size(rng, config)
        one = picture(rng, *size)
        frames = rng.integers(0, 256, (count, *size, 3), np.uint8)
        frames[1::2] = np.roll(one, int(rng.integers(0, 9)), axis=1)
        kinds.append(str(rng.choice(list(FORMS))))
        videos.append(frames)
        entries.append(random_metadata(rng, count, size))
    kinds = kinds[:1] * len(kinds)  # the reference takes the layout of all from the first
    metadata = None if None in entries else entries
    case = f"{config}, {[video.shape for video in videos]}, {kinds[0]}, {metadata}"
    form = FORMS[kinds[0]]
    inputs = [form(video) for video in videos]
    stock_metadata = None if metadata is None else [dict(entry) for entry in metadata]
    refusals = (ValueError, RuntimeError, TypeError, ZeroDivisionError, IndexError)
    want = outcome(
        lambda: stock_of(config)(inputs, video_metadata=stock_metadata, return_metadata=True),
        refusals,
    )
    got = outcome(lambda: VideoProcessor(config)(inputs, video_metadata=metadata), VideoError)
    if isinstance(want, Exception) or isinstance(got, Exception):
        both = isinstance(want, Exception) and isinstance(got, Exception)
        return case, "" if both else f"{got!r} instead of {want!r}"
    if not torch.equal(got.video_grid_thw, want["video_grid_thw"]):
        return case, f"grid {got.video_grid_thw} instead of {want['video_grid_thw']}"
    rows = want["pixel_values_videos"].float()
    if got.pixel_values_videos.shape != rows.shape:
        return case, f"rows {got.pixel_values_videos.shape}"
    bits = got.pixel_values_videos.view(torch.int32) != rows.contiguous().view(torch.int32)
    if wrong := bits.sum().item():
        return case, f"{wrong} of {rows.numel()} values"
    for ours, theirs in zip(got.video_metadata, want["video_metadata"], strict=True):
        if difference := metadata_difference(ours, theirs, config):
            return case, difference
    return case, ""


def outcome(run, refusals):
    try:
        return run()
    except refusals as error:
        return error


def metadata_difference(ours, theirs, config):
    indices = theirs.frames_indices
    if indices is not None and ours.frames_indices != np.asarray(indices).tolist():
        return f"frames {ours.frames_indices} instead of {indices}"
    for name in ("total_num_frames", "fps", "width", "height", "duration", "video_backend"):
        if getattr(ours, name) != getattr(theirs, name):
            return f"{name} {getattr(ours, name)} instead of {getattr(theirs, name)}"
    if indices is not None and ours.sampled_fps != theirs.sampled_fps:
        return f"sampled_fps {ours.sampled_fps} instead of {theirs.sampled_fps}"
    return ""


def test_videos(video_chunk, run_campaign, picture):
    run_campaign("video", video_chunk, partial(check_video, picture))
