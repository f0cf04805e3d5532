"""Frames and sizes of videos: the Rust core equals its readable twin, the twin transformers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

import qvl_fast
from qvl_fast import _native, reference

TOTALS = st.integers(1, 3000) | st.integers(1, 200_000)
RATES = st.floats(1e-2, 1e3) | st.sampled_from([1, 2, 23.976, 24, 25, 29.97, 30, 60])
SIDES = st.integers(1, 60) | st.integers(1, 4000)
PIXELS = st.integers(1, 1_000_000) | st.integers(1, 30_000_000)


def outcome(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("rule", ["qwen2-vl", "qwen3-vl", "llava-onevision", "internvl"])
@given(
    TOTALS, st.integers(1, 2000) | st.tuples(RATES, RATES), st.integers(1, 20),
    st.integers(1, 900), st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_frames_of_the_processors(rule, total, wanted, min_frames, max_frames, group):
    if isinstance(wanted, tuple):
        native, twin = (None, wanted), {"fps": wanted[0], "source_fps": wanted[1]}
    else:
        native, twin = (wanted, None), {"num_frames": wanted}
    limits = {"min_frames": min_frames, "max_frames": max_frames}
    got = outcome(
        _native.sample_frames, total, *native, rule=rule, **limits, temporal_patch_size=group
    )
    match rule:
        case "qwen2-vl":
            twin |= {**limits, "temporal_patch_size": group}
            want = outcome(reference.qwen2_frames, total, **twin)
        case "qwen3-vl":
            want = outcome(reference.qwen3_frames, total, **twin, **limits)
        case "llava-onevision":
            want = outcome(reference.onevision_frames, total, **twin)
        case "internvl":
            want = outcome(reference.internvl_frames, total, **twin)
    assert (got.tolist() if isinstance(got, np.ndarray) else got) == want


@given(TOTALS, st.integers(1, 2000), RATES, RATES, st.none() | st.integers(1, 900))
@settings(max_examples=300, deadline=None)
def test_number_of_frames_of_the_utilities(total, nframes, fps, source, limit):
    limits = {"min_frames": limit, "max_frames": limit}
    got = outcome(_native.utilities_nframes, total, nframes, None, **limits)
    assert got == outcome(reference.utilities_nframes, total, nframes=nframes, **limits)
    got = outcome(_native.utilities_nframes, total, None, (fps, source), **limits)
    want = outcome(reference.utilities_nframes, total, fps=fps, source_fps=source, **limits)
    assert got == want


@given(st.integers(0, 200_000), TOTALS, st.integers(1, 900), st.booleans())
@settings(max_examples=300, deadline=None)
def test_frames_of_the_utilities(start, length, count, fused):
    got = _native.utilities_linspace(start, start + length, count, fused=fused)
    assert got.tolist() == reference.utilities_frames(start, start + length, count, fused=fused)


@given(
    st.integers(1, 900), SIDES, SIDES, st.sampled_from([28, 32, 16, 48]), PIXELS, PIXELS,
    st.sampled_from(["frame", "clip"]), st.integers(1, 4), st.none() | st.integers(1, 200_000),
)  # fmt: skip
@settings(max_examples=1000, deadline=None)
def test_size_of_frames(frames, height, width, factor, least, most, budget, group, tokens):
    config = qvl_fast.ImageConfig(patch_size=factor // 2, merge_size=2, temporal_patch_size=group)
    writer = qvl_fast.ImageProcessor(config, return_tensors="np")._writer
    bounds = {"pixels": (least, most), "budget": budget, "tokens": tokens}
    got = outcome(writer.video_target, frames, height, width, **bounds)
    if least > most:
        assert got is ValueError
        return
    want = outcome(
        reference.video_size, frames, height, width, factor=factor, min_pixels=least,
        max_pixels=most, budget=budget, temporal_patch_size=group, max_video_tokens=tokens,
    )  # fmt: skip
    assert (got if got is ValueError else got[0]) == want
    if budget == "clip" and tokens is None:
        arguments = (frames, height, width, group, factor, least, most)
        assert want == outcome(smart_resize, *arguments)
