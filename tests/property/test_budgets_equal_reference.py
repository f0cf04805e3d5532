"""Sizes by other families' rules: the core equals its readable twin, the twin transformers."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.models.glm4v.image_processing_glm4v import smart_resize as glm4v
from transformers.models.glm5_next.image_processing_glm5_next import smart_resize as glm5
from transformers.models.glm_image.image_processing_glm_image import smart_resize as glm_image
from transformers.models.kimi_k25.image_processing_kimi_k25 import navit_resize
from transformers.models.paddleocr_vl.image_processing_paddleocr_vl import smart_resize as paddle
from transformers.models.siglip2.image_processing_siglip2 import (
    get_image_size_for_max_num_patches,
)

from qvl_fast import ImageProcessor, _native
from qvl_fast.reference import budget, layout

SIDES = st.integers(1, 60) | st.integers(1, 4000)
FACTORS = st.sampled_from([14, 16, 28, 32])
PIXELS = st.tuples(st.integers(1, 300_000), st.integers(1, 12_000_000)).map(sorted).map(tuple)
RULES = settings(max_examples=300, deadline=None)


def outcome(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except ValueError:
        return ValueError


def of_core(fit, height, width):
    """What an image is resized to, and what that is padded to."""
    native = _native.Layout(fit, tile=None, square=False, overview="none", reference="torchvision")
    (_, _, resized_height, _), (_, _, resized_width, _) = native.placement(height, width)
    return (resized_height, resized_width), native.canvas(height, width)


def twice(size):
    return size if size is ValueError else (size, size)


@given(SIDES, SIDES, FACTORS, PIXELS, st.integers(1, 3))
@RULES
def test_area_of_frames(height, width, factor, pixels, frames):
    want = outcome(budget.area_of_frames, height, width, factor, pixels, frames)
    fit = _native.Fit.area(factor, pixels, frames, "enlarge")
    assert outcome(of_core, fit, height, width) == twice(want)
    if frames > 1:
        bounds = {"min_pixels": pixels[0], "max_pixels": pixels[1]}
        stock = outcome(glm4v, frames, height, width, frames, factor, **bounds)
        assert stock == want


@given(SIDES, SIDES, FACTORS, PIXELS)
@RULES
def test_area_of_enlarged_sides(height, width, factor, pixels):
    want = outcome(budget.area_of_enlarged_sides, height, width, factor, pixels)
    fit = _native.Fit.area(factor, pixels, 1, "enlarge_sides")
    assert outcome(of_core, fit, height, width) == twice(want)
    assert outcome(paddle, height, width, factor, *pixels) == want


@given(SIDES, SIDES, st.integers(1, 20), st.integers(1, 3), st.integers(1, 900), st.integers(1, 40))
@RULES
def test_shrunk(height, width, patch, merge, patches, side):
    want = budget.shrunk(height, width, patch, patches, side)
    resized, canvas = of_core(
        _native.Fit.shrink(patch, patch * merge, patches, side), height, width
    )
    assert resized == want
    assert (resized, canvas) == navit_resize(height, width, patch, merge, patches, side)


@given(
    SIDES, SIDES, FACTORS,
    st.tuples(st.integers(1, 60), st.integers(1, 9000)).map(sorted).map(tuple), st.integers(1, 2),
)  # fmt: skip
@RULES
def test_within_tokens(height, width, factor, tokens, frames):
    want = budget.within_tokens(height, width, factor, tokens, frames)
    assert of_core(_native.Fit.tokens(factor, frames, *tokens), height, width) == want
    assert glm5(frames, height, width, frames, factor, *tokens) == want[1]


@given(SIDES, SIDES, st.integers(1, 20), st.integers(1, 900))
@example(1, 1, 16, 256)
@RULES
def test_most_patches(height, width, patch, most):
    want = budget.most_patches(height, width, patch, most)
    assert of_core(_native.Fit.patches(patch, most), height, width) == (want, want)
    assert get_image_size_for_max_num_patches(height, width, patch, most) == want


@given(SIDES, SIDES, FACTORS, PIXELS)
@RULES
def test_halved(height, width, factor, pixels):
    want = outcome(budget.halved, height, width, factor, pixels)
    assert outcome(of_core, _native.Fit.halved(factor, pixels), height, width) == twice(want)
    assert outcome(glm_image, height, width, factor, *pixels) == want


@pytest.mark.parametrize(
    ("name", "side", "most"), [("llava-next", 24, None), ("llava-onevision", 27, 9)]
)
@given(height=SIDES, width=SIDES)
@example(height=1, width=2000)
@example(height=2000, width=1)
@RULES
def test_tokens_of_tiles_that_are_put_together(name, side, most, height, width):
    processor = ImageProcessor(name, return_tensors="np")
    canvases, tile = processor.config.layout.fit.canvases, processor.config.layout.tile[0]
    canvas = layout.best_canvas(height, width, canvases)
    grid = canvas[0] // tile, canvas[1] // tile
    want = layout.anyres_tokens(height, width, grid, side, most)
    assert processor.num_tokens(height, width) == want
    assert processor.num_patches(height, width) == 1 + grid[0] * grid[1]


# Of `spec/families.md`: height, width, tiles and tokens by the readable twin alone.
KNOWN_TILES = {
    "llava-next": [
        (480, 640, 5, 2340), (640, 480, 5, 2352), (1000, 300, 4, 2232), (300, 1000, 4, 2182),
        (335, 337, 3, 1176), (1, 40, 3, 674), (1, 2000, 3, 576), (2000, 1, 3, 600),
        (333, 1000, 4, 2328), (7, 11, 3, 1512),
    ],
    "llava-onevision": [
        (384, 384, 2, 1485), (480, 640, 5, 2929), (1080, 1920, 16, 7269), (2304, 2304, 37, 7371),
        (300, 3000, 7, 3500), (1, 40, 2, 757), (383, 385, 3, 1512), (1, 5000, 2, 757),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN_TILES)
def test_known_answers(name):
    side, most = {"llava-next": (24, None), "llava-onevision": (27, 9)}[name]
    own = ImageProcessor(name, return_tensors="np").config.layout
    for height, width, tiles, tokens in KNOWN_TILES[name]:
        canvas = layout.best_canvas(height, width, own.fit.canvases)
        grid = canvas[0] // own.tile[0], canvas[1] // own.tile[1]
        assert 1 + grid[0] * grid[1] == tiles
        assert layout.anyres_tokens(height, width, grid, side, most) == tokens
    assert layout.best_grid(600, 900, (448, 448), 1, 5) == (2, 2)
    assert layout.best_grid(633, 633, (448, 448), 1, 12) == (1, 1)
    assert layout.best_grid(634, 634, (448, 448), 1, 12) == (2, 2)
