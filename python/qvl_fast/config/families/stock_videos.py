"""The JSON of video processors of transformers as configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qvl_fast.config.checks import listed
from qvl_fast.config.families.presets import TILE_VIDEO
from qvl_fast.config.families.reader import Reader, Settings
from qvl_fast.config.layout import Stretch
from qvl_fast.config.video import QWEN_CLASSES, Sampling, VideoConfig, video_class_name

# Classes whose frames are tiles: whose rule chooses frames, and whether a size of one number is
# both sides, rather than the shorter.
_TILES: Mapping[str, tuple[Sampling, bool]] = {
    "LlavaOnevisionVideoProcessor": ("llava-onevision", False),
    "InternVLVideoProcessor": ("internvl", True),
}
# Settings that are areas in pixels for Qwen, and sides here.
_SIZES = ("size", "min_pixels", "max_pixels")


def knows_video(settings: Settings) -> bool:
    """Whether the video processor whose JSON this is can be reproduced, by its class."""
    return video_class_name(settings) in {*QWEN_CLASSES, *_TILES}


def video_from_json(settings: Settings) -> VideoConfig:
    """The configuration that the JSON of a video processor describes.

    Raises:
        ValueError: the class is not known, or the settings ask for something that is not
            reproduced exactly.
        TypeError: a value has the wrong type.
    """
    kind = video_class_name(settings)
    if kind in QWEN_CLASSES:
        return VideoConfig.from_dict(settings)
    if kind not in _TILES:
        known = listed([*QWEN_CLASSES, *_TILES])
        raise ValueError(f"video_processor_type must be one of {known}, got {kind!r}")
    sampling, size_to_square = _TILES[kind]
    if sampling == "internvl" and (shift := settings.get("initial_shift", True)) is not True:
        raise ValueError(f"initial_shift must be true, got {shift!r}")
    own = {name: value for name, value in settings.items() if name not in _SIZES}
    config = replace(TILE_VIDEO, sampling=sampling).updated({"do_sample_frames": False, **own})
    layout = Reader(settings, Stretch(384, 384), size_to_square=size_to_square).one_tile()
    return replace(config, layout=replace(layout, filter=config.layout.filter))
