"""Videos of LLaVA-OneVision and InternVL: frames equal those of transformers, bit for bit.

``--family-cases`` says how many random batches each setting is tried with.
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers

from qvl_fast import VideoProcessor

SETTINGS = {
    "llava-onevision": (
        "LlavaOnevision",
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    ),
    "llava-onevision, cropped": (
        "LlavaOnevision",
        {"size": 60, "do_center_crop": True, "crop_size": {"height": 70, "width": 50}},
    ),
    "llava-onevision, four frames": (
        "LlavaOnevision",
        {"size": {"height": 40, "width": 56}, "num_frames": 4, "do_sample_frames": True},
    ),
    "internvl": (
        "InternVL",
        {
            "size": {"height": 448, "width": 448},
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
        },
    ),
    "internvl, four frames": (
        "InternVL",
        {"size": 52, "num_frames": 4, "do_sample_frames": True},
    ),
    "internvl, bilinear": ("InternVL", {"size": 52, "resample": 2}),
    "internvl, raw": ("InternVL", {"size": 52, "do_rescale": False, "do_normalize": False}),
}


@cache
def stock(name):
    kind, settings = SETTINGS[name]
    return getattr(transformers, f"{kind}VideoProcessor")(**settings)


def clips(rng, picture):
    """Some of one length: of noise, or a picture that moves; in any layout."""
    last = rng.random() < 0.5
    length = int(rng.integers(4, 9))
    videos = []
    for _ in range(rng.integers(1, 4)):
        height, width = (int(side) for side in np.exp(rng.uniform(np.log(5), np.log(500), 2)))
        if rng.random() < 0.5:
            frames = rng.integers(0, 256, (length, height, width, 3), np.uint8)
        else:
            one = picture(rng, height, width)
            frames = np.stack([np.roll(one, shift, axis=1) for shift in range(length)])
        frames = frames if last else np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        videos.append(frames if rng.random() < 0.5 else torch.from_numpy(frames))
    metadata = [{"total_num_frames": length, "fps": 24} for _ in videos]
    return videos, metadata


@pytest.mark.parametrize("name", SETTINGS)
def test_random_clips(name, picture, family_chunk, run_campaign):
    ours = name if name in ("internvl", "llava-onevision") else stock(name)
    processor = VideoProcessor(ours)

    def check(rng):
        videos, metadata = clips(rng, picture)
        want = stock(name)(videos, video_metadata=metadata, return_tensors="pt")
        want = want["pixel_values_videos"].float()
        got = processor(videos, video_metadata=metadata).pixel_values_videos
        case = [tuple(video.shape) for video in videos]
        if got.shape != want.shape:
            return case, f"{tuple(got.shape)}, not {tuple(want.shape)}"
        differing = (got != want).sum().item()
        return case, f"{differing} differ" if differing else None

    run_campaign("family", family_chunk, check)


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_settings(name, tmp_path):
    """As transformers saves them, and reads them where a checkpoint has those of images alone."""
    kind, settings = SETTINGS[name]
    stock(name).save_pretrained(tmp_path)
    images = "GotOcr2" if kind == "InternVL" else kind
    saved = {"image_processor_type": f"{images}ImageProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(saved))
    config = VideoProcessor.from_pretrained(tmp_path).config
    given = VideoProcessor(stock(name)).config
    assert (config.layout.fit, config.layout.tile) == (given.layout.fit, given.layout.tile)
    assert (config.sampling, config.num_frames) == (given.sampling, settings.get("num_frames"))
    (tmp_path / "video_preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"processor_class": f"{kind}Processor"})
    )
    alone = VideoProcessor.from_pretrained(tmp_path).config
    assert (alone.sampling, alone.layout.tile) == (config.sampling, (384, 384))
