"""Rows give back their pixels, and one fingerprint whatever their form."""

import numpy as np
import pytest
import torch

from qvl_fast import ImageConfig, ImageProcessor, ModelConfig, fingerprint, patchify, unpatchify

DTYPES = ("float32", "float16", "bfloat16", "uint8")
CONFIGS = {name: ModelConfig.preset(name).image for name in ("qwen2.5-vl", "qwen3-vl")}


def noise(config, frames=1, seed=0):
    """Every pixel value in every channel, and odd sides in blocks."""
    shape = (frames, 3 * config.factor, 5 * config.factor, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def grid(config, frames):
    groups = -(-frames.shape[0] // config.temporal_patch_size)
    return [groups, *(side // config.patch_size for side in frames.shape[1:3])]


def bits(rows):
    return (rows.view(torch.int16).numpy() if isinstance(rows, torch.Tensor) else rows).tobytes()


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
@pytest.mark.parametrize("temporal", ["full", "compact"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_an_image_comes_back_from_every_form(name, dtype, temporal, reference):
    config = CONFIGS[name]
    image = noise(config)
    options = {"dtype": dtype, "temporal": temporal, "reference": reference}
    rows = patchify(image, config, **options)
    [frames] = unpatchify(rows, [grid(config, image)], config, reference=reference)
    assert frames.shape == (1 if temporal == "compact" else 2, *image.shape[1:])
    again = patchify(frames, config, **options)
    assert bits(again) == bits(rows)
    if (name, dtype) != ("qwen2.5-vl", "bfloat16"):
        assert (frames == image).all()
    else:  # Pairs of neighbours have one value there; the darker one comes back.
        assert ((image - frames) <= 1).all()


def test_items_of_several_sizes_come_back_in_order():
    config = CONFIGS["qwen3-vl"]
    images = [noise(config, seed=1), noise(config, seed=2)[:, :32, :64], noise(config, 4, seed=3)]
    rows = np.concatenate([patchify(image, config) for image in images])
    grids = np.array([grid(config, image) for image in images])
    found = unpatchify(rows, grids, config)
    for frames, image in zip(found, images, strict=True):
        assert (frames == image).all()
    tensors = unpatchify(torch.from_numpy(rows), torch.from_numpy(grids), config)
    assert all(map(np.array_equal, found, tensors))


def test_the_picture_that_a_processor_sees():
    processor = ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 60)
    batch = processor(["samples/rocket.jpg", "samples/coffee.png"])
    seen = unpatchify(batch.pixel_values, batch.image_grid_thw, processor.config)
    pixels = ImageProcessor(processor.config, dtype="uint8")
    again = pixels([frames[0] for frames in seen])
    small = ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 60, dtype="uint8")
    expected = small(["samples/rocket.jpg", "samples/coffee.png"])
    assert torch.equal(again.pixel_values, expected.pixel_values)


@pytest.mark.parametrize("name", CONFIGS)
def test_forms_of_the_same_pixels_have_one_fingerprint(name):
    config = CONFIGS[name]
    image = noise(config)
    found = {
        fingerprint(
            patchify(image, config, dtype=dtype, temporal=temporal, reference=reference),
            config,
            reference=reference,
        )
        for dtype in DTYPES
        for temporal in ("full", "compact")
        for reference in ("torchvision", "pillow")
        if (name, dtype) != ("qwen2.5-vl", "bfloat16")
    }
    assert len(found) == 1


def test_a_fingerprint_stays_what_it_is():
    """A server and a trainer of other versions on other machines compare with it."""
    image = np.arange(28 * 28 * 3, dtype=np.uint32).astype(np.uint8).reshape(1, 28, 28, 3)
    found = fingerprint(patchify(image, "qwen2.5-vl"), "qwen2.5-vl")
    assert found == "8e8545653185fdbfd666fb950ce2761a"


def test_other_pixels_have_another_fingerprint():
    config = CONFIGS["qwen2.5-vl"]
    image = noise(config)
    first = fingerprint(patchify(image, config), config)
    for place in [(0, 0, 0, 0), (0, 83, 139, 2), (0, 40, 70, 1)]:
        other = image.copy()
        other[place] ^= 1
        assert fingerprint(patchify(other, config), config) != first
    # The same bytes, cut into rows otherwise.
    assert fingerprint(patchify(image, config)[:30], config) != first
    video = noise(config, 2)
    assert fingerprint(patchify(video, config), config) != fingerprint(
        patchify(video[:1], config), config
    )


def test_rows_that_cannot_tell_pixels_apart_have_no_fingerprint():
    rows = patchify(noise(CONFIGS["qwen2.5-vl"]), "qwen2.5-vl", dtype="bfloat16")
    with pytest.raises(ValueError, match=r"rows have dtype bfloat16.* 256 pixel values"):
        fingerprint(rows, "qwen2.5-vl")


ROWS = np.zeros((4, 1176), np.uint8)


@pytest.mark.parametrize(
    ("rows", "grids", "error", "message"),
    [
        ([[1]], [[1, 2, 2]], TypeError, "rows .*list"),
        (ROWS.astype(np.float64), [[1, 2, 2]], TypeError, "rows .*float64"),
        (torch.zeros(4, 1176, dtype=torch.int64), [[1, 2, 2]], TypeError, "rows .*int64"),
        (torch.zeros(4, 1176, requires_grad=True), [[1, 2, 2]], TypeError, "rows .*grad"),
        (ROWS[:, :1000], [[1, 2, 2]], ValueError, r"rows .*588 or 1176.*\(4, 1000\)"),
        (ROWS[0], [[1, 2, 2]], ValueError, r"rows .*\(1176,\)"),
        (ROWS, [[1, 2, 4]], ValueError, "grid_thw .* 4 rows.* 8"),
        (ROWS, [[1, 4, 1]], ValueError, "grid_thw .*merge_size 2"),
        (ROWS, [[-1, 2, -2]], ValueError, "grid_thw .*positive"),
        (np.full((4, 1176), 0.5, np.float32), [[1, 2, 2]], ValueError, "value 0.5 in channel 0"),
        (np.full((4, 1176), np.nan, np.float32), [[1, 2, 2]], ValueError, "value nan"),
    ],
)
def test_refused(rows, grids, error, message):
    with pytest.raises(error, match=message):
        unpatchify(rows, grids, "qwen2.5-vl")


def test_rows_of_another_configuration_are_refused():
    rows = patchify(noise(CONFIGS["qwen2.5-vl"]), "qwen2.5-vl")
    with pytest.raises(ValueError, match="makes of no pixel"):
        unpatchify(rows, [[1, 6, 10]], ImageConfig(image_mean=(0.5, 0.5, 0.5)))


@pytest.mark.parametrize("config", ["qwen2.5-vl", "siglip2-naflex"])
def test_no_rows_are_no_images(config):
    rows = patchify(np.zeros((1, 112, 112, 3), np.uint8), config)
    assert unpatchify(rows[:0], np.zeros((0, 3), np.int64), config) == []
    assert fingerprint(rows[:0], config) != fingerprint(rows, config)
