"""The Rust core equals its readable twin on whatever hypothesis thinks of."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import qvl_fast
from qvl_fast import _native, reference

REFERENCES = st.sampled_from(["torchvision", "pillow-12", "pillow-13"])
SIDES = st.integers(1, 48)
FACTORS = st.floats(1e-6, 1e3) | st.just(1 / 255)
VALUES = st.floats(-1e4, 1e4, width=32)
DEVIATIONS = st.floats(1e-3, 1e3)


@st.composite
def images(draw: st.DrawFn, channels: int = 3) -> NDArray[np.uint8]:
    """Noise, or extremes only, which provoke over- and undershoot."""
    shape = (draw(SIDES), draw(SIDES), channels)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        return generator.integers(0, 256, shape, np.uint8)
    return generator.integers(0, 2, shape, np.uint8) * np.uint8(255)


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except ValueError:
        return ValueError


@given(
    st.integers(1, 6000), st.integers(1, 6000), st.integers(1, 128),
    st.integers(1, 20_000_000), st.integers(1, 20_000_000),
)  # fmt: skip
@settings(max_examples=2000)
def test_smart_resize(height, width, factor, min_pixels, max_pixels):
    arguments = (height, width, factor, min_pixels, max_pixels)
    ours = outcome(qvl_fast.smart_resize, *arguments)
    assert ours == outcome(reference.smart_resize, *arguments)


@given(images(), SIDES, SIDES, REFERENCES)
@settings(max_examples=400)
def test_resize(image, height, width, name):
    ours = qvl_fast.resize(image, height, width, reference=name)
    assert np.array_equal(ours, reference.resize(image, height, width, name))


@given(st.sampled_from([1, 4]).flatmap(images), REFERENCES)
@settings(max_examples=100)
def test_grey_and_rgba_arrays_become_rgb(image, name):
    out = np.empty((*image.shape[:2], 3), np.uint8)
    _native.resize_into(image, out, name, "scalar")
    assert np.array_equal(out, reference.to_rgb(image, name))


@st.composite
def normalizations(draw: st.DrawFn) -> qvl_fast.ImageConfig:
    return qvl_fast.ImageConfig(
        patch_size=draw(st.integers(1, 5)),
        temporal_patch_size=draw(st.integers(1, 3)),
        merge_size=draw(st.integers(1, 3)),
        do_rescale=draw(st.booleans()),
        rescale_factor=draw(FACTORS),
        do_normalize=draw(st.booleans()),
        image_mean=draw(st.tuples(VALUES, VALUES, VALUES)),
        image_std=draw(st.tuples(DEVIATIONS, DEVIATIONS, DEVIATIONS)),
    )


class Case(NamedTuple):
    frames: NDArray[np.uint8]
    config: qvl_fast.ImageConfig
    temporal: str
    name: str

    @property
    def layout(self):
        config = self.config
        return config.patch_size, config.temporal_patch_size, config.merge_size, self.temporal

    def expected(self):
        config = self.config
        table = reference.normalization_table(
            self.name,
            config.rescale_factor if config.do_rescale else None,
            config.image_mean if config.do_normalize else None,
            config.image_std if config.do_normalize else None,
        )
        return reference.patchify(self.frames, table, *self.layout)

    def ours(self, dtype):
        return qvl_fast.patchify(
            self.frames, self.config, dtype=dtype, temporal=self.temporal, reference=self.name
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    config = draw(normalizations())
    compact = draw(st.booleans())
    count = 1 if compact else draw(st.integers(1, 5))
    height, width = (draw(st.integers(1, 3)) * config.factor for _ in range(2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames = generator.integers(0, 256, (count, height, width, 3), np.uint8)
    return Case(frames, config, "compact" if compact else "full", draw(REFERENCES))


@given(cases())
@settings(max_examples=300)
def test_patchify(case):
    expected = case.expected()
    assert np.array_equal(case.ours("float32"), expected)
    assert np.array_equal(case.ours("float16"), reference.round_to_float16(expected))
    raw = reference.patchify_raw(case.frames, *case.layout)
    assert np.array_equal(case.ours("uint8"), raw)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="NumPy has no bfloat16")


@given(case=cases())
@settings(max_examples=300)
def test_patchify_to_bfloat16(torch, case):
    bits = case.ours("bfloat16").view(dtype=torch.int16).numpy().view(np.uint16)
    assert np.array_equal(bits, reference.round_to_bfloat16(case.expected()))
