"""Warnings point at the line of the program, whichever function of ours it has called."""

import inspect
import warnings

import numpy as np
import pytest

import qvl_fast
from qvl_fast.integrations.ray import RowStage

IMAGE = np.zeros((3, 60, 4), np.uint8)  # channels first or last
CLIP = np.zeros((8, 64, 64, 3), np.uint8)  # without a rate
METADATA = {"total_num_frames": 8, "height": 64, "width": 64}
images = qvl_fast.ImageProcessor("qwen2.5-vl", return_tensors="np")
videos = qvl_fast.VideoProcessor("qwen3-vl", return_tensors="np")

CALLS = {
    "an image": lambda: images(IMAGE),
    "images of a generator": lambda: images(image for image in [IMAGE]),
    "the size of an image": lambda: qvl_fast.image_size(IMAGE),
    "a stage of Ray": lambda: RowStage(images, column="image")({"image": [IMAGE]}),
    "a view": lambda: qvl_fast.view(IMAGE, "qwen2.5-vl"),
    "frames": lambda: videos([IMAGE[:, :, :3]] * 2, do_sample_frames=False),
    "a clip": lambda: videos(CLIP),
    "a clip in chunks": lambda: next(videos.iter_rows(CLIP, frames_per_chunk=2)),
    "an outline": lambda: videos.outline(METADATA),
    "tokens": lambda: videos.num_tokens(METADATA),
    "positions": lambda: qvl_fast.mrope_position_ids(
        [[0, 2, 2]], config="qwen2-vl", video_grid_thw=[[2, 2, 2]], positions="5.3"
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_is_about_the_line_that_called(name):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        CALLS[name]()
    lines, first = inspect.getsourcelines(CALLS[name])
    assert {warning.filename for warning in found} == {__file__}
    assert {warning.lineno for warning in found} <= set(range(first, first + len(lines)))
