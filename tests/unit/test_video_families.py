"""Videos whose frames are tiles: forms, pieces, counts, and what is refused."""

import numpy as np
import pytest
import torch

from qvl_fast import ImageProcessor, Layout, VideoConfig, VideoPlanes, VideoProcessor, VideoRows
from qvl_fast.config.families import VIDEOS, video_from_json
from qvl_fast.config.layout import Ratio, Shrink

CLIP = np.random.default_rng(0).integers(0, 256, (5, 60, 90, 3), np.uint8)


def of(name, **options):
    return VideoProcessor(name, return_tensors="np", **options)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_frame_is_an_image_of_one_tile(name):
    side = {"llava-onevision": 384, "internvl": 448}[name]
    batch = of(name)([CLIP, CLIP[::-1]])
    assert isinstance(batch, VideoPlanes)
    assert batch.pixel_values_videos.shape == (2, 5, 3, side, side)
    config = VIDEOS[name]
    images = ImageProcessor(config, return_tensors="np")(list(CLIP)).pixel_values
    assert np.array_equal(batch.pixel_values_videos[0], images)
    assert np.array_equal(batch.pixel_values_videos[1], images[::-1])
    first, second = batch.split()
    assert np.array_equal(second.pixel_values_videos[0], images[::-1])
    assert first.video_metadata[0].frames_indices == [0, 1, 2, 3, 4]


def test_rows_of_the_patches_of_each_frame():
    batch = of("llava-onevision", form="rows")([CLIP, CLIP[:2]])
    assert isinstance(batch, VideoRows)
    assert batch.video_grid_thw.tolist() == [[5, 27, 27], [2, 27, 27]]
    images = ImageProcessor(VIDEOS["llava-onevision"], form="rows", return_tensors="np")
    assert np.array_equal(batch.pixel_values_videos[: 5 * 27**2], images(list(CLIP)).pixel_values)


def test_some_frames_at_a_time_and_into_memory_of_the_callers():
    processor = of("internvl", dtype="uint8")
    whole = processor(CLIP).pixel_values_videos
    chunks = list(processor.iter_rows(CLIP, frames_per_chunk=2))
    assert [chunk.pixel_values_videos.shape[1] for chunk in chunks] == [2, 2, 1]
    joined = np.concatenate([chunk.pixel_values_videos for chunk in chunks], axis=1)
    assert np.array_equal(joined, whole)
    out = np.empty((5, processor.columns), np.uint8)
    into = processor(CLIP, out=out).pixel_values_videos
    assert np.shares_memory(into, out)
    assert np.array_equal(into, whole)


def test_counts_without_a_pixel():
    metadata = {"total_num_frames": 90, "fps": 30, "height": 50, "width": 2000}
    outline = of("internvl", num_frames=6).outline(metadata)
    assert (outline.resized, outline.grid, outline.bound) == ((448, 448), (6, 1, 1), None)
    assert of("internvl", num_frames=6).num_tokens(metadata) == 6 * 256
    assert of("internvl", form="rows").num_patches(metadata) == 90 * 32 * 32
    assert of("llava-onevision", fps=2).num_tokens(metadata) == 6 * 196 + 1
    unknown = VideoConfig(layout=Layout(fit=VIDEOS["internvl"].layout.fit, tile=(448, 448)))
    with pytest.raises(ValueError, match="tokens must be given in the layout to count them"):
        of(unknown).num_tokens(metadata)


def test_what_does_not_fit_is_refused():
    processor = of("internvl")
    with pytest.raises(ValueError, match=r"same number of frames to be planes, got \[2, 5\]"):
        processor([CLIP, CLIP[:2]])
    with pytest.raises(ValueError, match="max_pixels must be None for fit Stretch"):
        processor(CLIP, max_pixels=5000)
    with pytest.raises(ValueError, match="cap_pixels_per_frame must be None for fit Stretch"):
        VideoProcessor("internvl", cap_pixels_per_frame=True)
    with pytest.raises(ValueError, match="fps must be given, or num_frames, got neither"):
        of("internvl", do_sample_frames=True)(CLIP)
    with pytest.raises(ValueError, match="form must be 'rows' for this layout, got 'planes'"):
        of("qwen3-vl", form="planes")
    for layout in (Layout(fit=Shrink(9, 9)), Layout(fit=Ratio(1, 2), tile=(28, 28))):
        with pytest.raises(ValueError, match="layout must have one tile for each frame"):
            of(VideoConfig(layout=layout))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("InternVL", {"initial_shift": 0.5}, "initial_shift must be true, got 0.5"),
        ("InternVL", {"resample": 0}, "resample must be one of"),
        ("LlavaOnevision", {"size": 384}, "size must have the keys .*shortest_edge 384"),
        ("LlavaOnevision", {"do_resize": False}, "do_resize must be true"),
        ("LlavaOnevision", {"do_center_crop": True}, "crop_size must have the keys"),
        ("LlavaOnevision", {"fps": 2, "num_frames": 3}, "fps and num_frames must not be given"),
        ("Smol", {}, "video_processor_type must be one of InternVLVideoProcessor, Llava"),
    ],
)
def test_settings_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        video_from_json({"video_processor_type": f"{kind}VideoProcessor", **settings})


def test_the_filter_of_videos_of_qwen_is_read():
    kind = {"video_processor_type": "Qwen2VLVideoProcessor", "resample": 2}
    bilinear = VideoProcessor(video_from_json(kind))
    from transformers import Qwen2VLVideoProcessor

    want = Qwen2VLVideoProcessor(resample=2)(torch.from_numpy(CLIP))["pixel_values_videos"]
    assert torch.equal(bilinear(CLIP).pixel_values_videos, want)
