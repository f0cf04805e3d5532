"""The readable twin equals the installed torchvision, Pillow and transformers, bit for bit.

This anchors `qvl_fast.reference`, which the other property tests take as the specification.
"""

import numpy as np
import PIL
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize as torchvision_resize
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import (
    Qwen2VLImageProcessor,
    smart_resize,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

from qvl_fast import reference

PILLOW = "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"
BACKENDS = {"torchvision": Qwen2VLImageProcessor, PILLOW: Qwen2VLImageProcessorPil}
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

both_references = pytest.mark.parametrize("name", BACKENDS)
repeatable = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 5) | st.integers(1, 150)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def live_resize(name: str, image: np.ndarray, height: int, width: int) -> np.ndarray:
    if name != "torchvision":
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    chw = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    out = torchvision_resize(chw, [height, width], InterpolationMode.BICUBIC, antialias=True)
    return out.permute(1, 2, 0).numpy()


# --- geometry -------------------------------------------------------------------------------


@settings(repeatable, max_examples=400)
@given(
    height=st.integers(1, 9000),
    width=st.integers(1, 9000),
    factor=st.sampled_from([1, 2, 14, 28, 32, 56]),
    min_pixels=st.integers(1, 10**6),
    extra=st.integers(0, 10**7),
)
@example(height=19, width=19, factor=28, min_pixels=3136, extra=0)  # sqrt of the quotient,
@example(height=300, width=300, factor=28, min_pixels=3136, extra=47040)  # not of its parts
def test_smart_resize(height, width, factor, min_pixels, extra):
    arguments = (height, width, factor, min_pixels, min_pixels + extra)
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(ValueError, match="200"):
            smart_resize(*arguments)
        with pytest.raises(ValueError, match=f"height={height} and width={width}"):
            reference.smart_resize(*arguments)
    else:
        assert reference.smart_resize(*arguments) == smart_resize(*arguments)


# --- rgb ------------------------------------------------------------------------------------


@both_references
def test_every_colour_over_white(name):
    color, alpha = np.mgrid[:256, :256].astype(np.uint8)
    image = np.stack([color, color, color, alpha], axis=-1)
    live = BACKENDS[name]().process_image(
        image, do_convert_rgb=True, input_data_format="channels_last"
    )
    assert np.array_equal(reference.to_rgb(image, name), np.moveaxis(np.asarray(live), 0, -1))


# --- resize ---------------------------------------------------------------------------------


@both_references
@repeatable
@given(seed=seeds, height=sides, width=sides, new_height=sides, new_width=sides)
def test_resize(name, seed, height, width, new_height, new_width):
    # To width 1, torch 2.15 raises or, without AVX2, returns wrong pixels for planar images.
    assume(name != "torchvision" or new_width > 1)
    image = noise(seed, height, width, 3)
    ours = reference.resize(image, new_height, new_width, name)
    assert np.array_equal(ours, live_resize(name, image, new_height, new_width))


@both_references
@pytest.mark.parametrize("length", range(2, 70))
def test_resize_one_axis(name, length):
    """All pairs of lengths: a weight that rounds the other way shows up in one of the 64 lines."""
    image = noise(length, 64, length, 3)
    for target in range(2, 70, 3):
        ours = reference.resize(image, 64, target, name)
        assert np.array_equal(ours, live_resize(name, image, 64, target))


@both_references
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((480, 640), (476, 644)),  # fewer rows, more columns: Pillow 13 starts vertically
        ((500, 500), (364, 364)),
        ((90, 90), (80, 85)),  # 10 rows lost = 2 * 5 columns lost: starts horizontally
        ((91, 90), (80, 85)),
        ((1, 200), (28, 812)),
        ((200, 12000), (200, 20)),  # weights so small that torchvision's precision meets its cap
        ((9000, 3), (28, 3)),
    ],
)
def test_resize_telling_shapes(name, source, target):
    image = noise(0, *source, 3)
    assert np.array_equal(reference.resize(image, *target, name), live_resize(name, image, *target))


# --- rows -----------------------------------------------------------------------------------


@both_references
@repeatable
@given(
    factor=st.sampled_from([1 / 255, 1 / 256, 1.0]) | st.floats(1e-4, 2.0),
    mean=st.just(CLIP_MEAN) | st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    std=st.just(CLIP_STD) | st.lists(st.floats(0.01, 4), min_size=3, max_size=3),
    rescale=st.booleans(),
    normalize=st.booleans(),
)
def test_normalization_table(name, factor, mean, std, rescale, normalize):
    levels = np.tile(np.arange(256, dtype=np.uint8).reshape(1, 256), (3, 1, 1))  # (3, 1, 256)
    processor = BACKENDS[name]()
    if name == "torchvision":
        live = processor.rescale_and_normalize(
            torch.from_numpy(levels), rescale, factor, normalize, tuple(mean), tuple(std)
        ).numpy()
    else:
        live = processor.rescale(levels, factor) if rescale else levels
        live = processor.normalize(live, mean, std) if normalize else live
    table = reference.normalization_table(
        name,
        factor if rescale else None,
        mean if normalize else None,
        std if normalize else None,
    )
    assert table.dtype == np.float32
    assert np.array_equal(table, live.reshape(3, 256))


@both_references
@repeatable
@given(
    seed=seeds,
    height=st.integers(5, 150),
    width=st.integers(5, 150),
    channels=st.sampled_from([1, 3, 4]),
    sizes=st.tuples(st.sampled_from([2, 7, 14, 16]), st.integers(1, 3), st.integers(1, 3)),
    budget=st.tuples(st.integers(1, 4), st.integers(4, 60)),
)
def test_still_image_end_to_end(name, seed, height, width, channels, sizes, budget):
    patch, group, merge = sizes
    smallest, largest = (blocks * (patch * merge) ** 2 for blocks in budget)
    image = noise(seed, height, width, channels)
    processor = BACKENDS[name](
        patch_size=patch,
        temporal_patch_size=group,
        merge_size=merge,
        size={"shortest_edge": smallest, "longest_edge": largest},
    )
    live = processor([image], return_tensors="np", input_data_format="channels_last")

    target = reference.smart_resize(height, width, patch * merge, smallest, largest)
    frames = reference.resize(reference.to_rgb(image, name), *target, name)[np.newaxis]
    table = reference.normalization_table(name, 1 / 255, CLIP_MEAN, CLIP_STD)
    rows = reference.patchify(frames, table, *sizes)
    assert live["image_grid_thw"].tolist() == [[1, target[0] // patch, target[1] // patch]]
    assert rows.dtype == np.float32
    assert np.array_equal(rows, live["pixel_values"])

    by_frame = rows.reshape(len(rows), 3, group, patch * patch)
    compact = reference.patchify(frames, table, *sizes, "compact")
    assert np.array_equal(compact, by_frame[:, :, 0].reshape(len(rows), -1))

    processor.do_rescale = processor.do_normalize = False
    live = processor([image], return_tensors="np", input_data_format="channels_last")
    raw = reference.patchify_raw(frames, *sizes)
    assert raw.dtype == np.uint8
    assert np.array_equal(raw, live["pixel_values"])


@settings(repeatable, max_examples=40)
@given(
    seed=seeds,
    frames=st.integers(1, 7),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    sizes=st.tuples(st.sampled_from([4, 14]), st.integers(1, 3), st.integers(1, 2)),
)
def test_frames(seed, frames, grid, sizes):
    patch, group, merge = sizes
    height, width = (blocks * patch * merge for blocks in grid)
    video = noise(seed, frames, height, width, 3)
    processor = Qwen2VLVideoProcessor(
        patch_size=patch,
        temporal_patch_size=group,
        merge_size=merge,
        do_resize=False,
        cap_pixels_per_frame=False,
    )
    live = processor(
        [torch.from_numpy(video)], return_tensors="pt", input_data_format="channels_last"
    )["pixel_values_videos"]
    table = reference.normalization_table("torchvision", 1 / 255, CLIP_MEAN, CLIP_STD)
    assert torch.equal(torch.from_numpy(reference.patchify(video, table, *sizes)), live)


def floats_of_every_upper_half() -> torch.Tensor:
    """Every sign, exponent and upper significand, with lower halves around every rounding tie."""
    lower = [*range(0, 0x10000, 0x800), 1, 0x0FFF, 0x1001, 0x2FFF, 0x3001, 0x7FFF, 0x8001, 0xFFFF]
    upper = np.arange(0x10000, dtype=np.uint32) << 16
    bits = (upper[:, np.newaxis] | np.array(lower, dtype=np.uint32)).reshape(-1)
    return torch.from_numpy(bits.view(np.float32))


def test_round_to_float16():
    values = floats_of_every_upper_half()
    ours = torch.from_numpy(reference.round_to_float16(values.numpy()))
    nan = values.isnan()
    assert ours[nan].isnan().all()
    assert torch.equal(ours[~nan].view(torch.int16), values[~nan].half().view(torch.int16))


def test_round_to_bfloat16():
    values = floats_of_every_upper_half()
    ours = torch.from_numpy(reference.round_to_bfloat16(values.numpy()).view(np.int16))
    nan = values.isnan()
    assert ours.view(torch.bfloat16)[nan].isnan().all()
    assert torch.equal(ours[~nan], values[~nan].bfloat16().view(torch.int16))
