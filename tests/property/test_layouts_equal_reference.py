"""Tiles of the core equal those of the readable twin, which says step by step what they are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qvl_fast import ImageConfig, ImageProcessor, Layout, reference
from qvl_fast.config.layout import Pinpoints, Ratio, Shortest, Stretch
from qvl_fast.reference import layout as twin

REFERENCES = st.sampled_from(["torchvision", "pillow-12", "pillow-13"])
TILES = st.tuples(st.integers(1, 20), st.integers(1, 20))
COLOUR = (51, 102, 204)
MEAN = tuple(level / 255 for level in COLOUR)


@st.composite
def images(draw: st.DrawFn) -> NDArray[np.uint8]:
    # No side could be taken for channels.
    height, width = draw(st.integers(5, 60)), draw(st.integers(5, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return generator.integers(0, 256, (height, width, 3), np.uint8)


def planes(layout: Layout, image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The tiles of an image with the channels last."""
    config = ImageConfig(temporal_patch_size=1, layout=layout, image_mean=MEAN)
    processor = ImageProcessor(config, reference=name, dtype="uint8", return_tensors="np")
    pixels = processor(image).pixel_values
    return pixels.reshape(-1, *pixels.shape[-3:]).transpose(0, 2, 3, 1)


def overview(image: NDArray[np.uint8], tile: tuple[int, int], name: str) -> NDArray[np.uint8]:
    return reference.resize(image, *tile, name)[np.newaxis]


@given(images(), st.integers(1, 30), TILES, st.booleans(), REFERENCES)
@settings(max_examples=150, deadline=None)
def test_crops_of_the_shortest_side(image, edge, tile, square, name):
    got = planes(Layout(fit=Shortest(edge), tile=tile, square=square), image, name)
    seen = twin.padded_to_square(image, COLOUR) if square else image
    size = twin.shortest(*seen.shape[:2], edge)
    want = twin.cropped(reference.resize(seen, *size, name), tile, name)
    assert np.array_equal(got, want[np.newaxis])


@given(images(), TILES, TILES, REFERENCES)
@settings(max_examples=100, deadline=None)
def test_stretched(image, size, tile, name):
    got = planes(Layout(fit=Stretch(*size), tile=tile), image, name)
    want = twin.cropped(reference.resize(image, *size, name), tile, name)
    assert np.array_equal(got, want[np.newaxis])


@given(
    images(),
    TILES,
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1),
    REFERENCES,
)
@settings(max_examples=150, deadline=None)
def test_pinpoints(image, tile, grids, name):
    canvases = tuple((rows * tile[0], columns * tile[1]) for rows, columns in grids)
    layout = Layout(fit=Pinpoints(canvases), tile=tile, overview="first", stack="padded")
    want = twin.tiles(twin.centred(image, canvases, name), tile)
    assert np.array_equal(
        planes(layout, image, name), np.concatenate([overview(image, tile, name), want])
    )


@given(images(), TILES, st.integers(1, 7), st.integers(0, 7), REFERENCES)
@settings(max_examples=150, deadline=None)
def test_ratios(image, tile, most, least, name):
    layout = Layout(fit=Ratio(min(least, most), most), tile=tile, overview="last", stack="flat")
    rows, columns = twin.best_grid(*image.shape[:2], tile, min(least, most), most)
    want = twin.tiles(reference.resize(image, rows * tile[0], columns * tile[1], name), tile)
    if len(want) > 1:
        want = np.concatenate([want, overview(image, tile, name)])
    assert np.array_equal(planes(layout, image, name), want)
