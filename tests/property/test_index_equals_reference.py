"""The Rust core's index functions equal their readable twins on whatever hypothesis thinks of."""

from dataclasses import replace
from functools import partial
from itertools import chain
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import qvl_fast
from qvl_fast import RopeConfig, reference

# The twin is slow, and cores may be shared.
settings = partial(hypothesis_settings, deadline=None)
MERGES = st.integers(1, 3)
CONFIGS = {
    "qwen2-vl": RopeConfig(),
    "qwen2.5-vl": RopeConfig(tokens_per_second=2),
    "qwen3-vl": RopeConfig(videos_in_groups=True),
}


@st.composite
def batches(draw):
    """Grids and the merge size that divides their sides."""
    merge = draw(MERGES)
    sides = st.integers(1, 8).map(lambda side: side * merge)
    return draw(st.lists(st.tuples(st.integers(1, 3), sides, sides), max_size=3)), merge


def outcome(function, *arguments, **keywords):
    """Dtypes, shapes and bits of what a function gives; or that it refused."""
    try:
        result = function(*arguments, **keywords)
    except ValueError:
        return ValueError
    arrays = result if isinstance(result, tuple) else (result,)
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


@given(batches())
@settings()
def test_cu_seqlens(batch):
    grids, _ = batch
    assert outcome(qvl_fast.cu_seqlens, grids) == outcome(reference.cu_seqlens, grids)


@given(batches())
@settings()
def test_position_ids(batch):
    assert outcome(qvl_fast.position_ids, *batch) == outcome(reference.position_ids, *batch)


@given(batches(), st.integers(1, 60), st.integers(1, 5))
@settings(max_examples=300)
def test_window_index(batch, window_size, patch_size):
    grids, merge = batch
    arguments = (grids, window_size, patch_size, merge)
    ours = outcome(qvl_fast.window_index, *arguments)
    assert ours == outcome(reference.window_index, *arguments)


@given(batches(), st.integers(1, 70) | st.sampled_from([1000, 65535, 65536]))
@settings(max_examples=300)
def test_interpolation_taps(batch, side):
    grids, merge = batch
    arguments = (grids, side, merge)
    ours = outcome(qvl_fast.interpolation_taps, *arguments)
    assert ours == outcome(reference.interpolation_taps, *arguments)


@given(st.integers(1, 3000), st.integers(1, 65536))
@settings()
def test_interpolation_taps_along_one_axis(length, side):
    arguments = ([(1, 1, length), (1, length, 1)], side, 1)
    ours = outcome(qvl_fast.interpolation_taps, *arguments)
    assert ours == outcome(reference.interpolation_taps, *arguments)


ENTRIES = st.sampled_from([-1, 0, 1, 2, 3, 4, 6, 46340, 46341, 2**31, 2**62])


@given(st.lists(st.tuples(ENTRIES, ENTRIES, ENTRIES), max_size=2), st.sampled_from([0, 2, 1025]))
@settings(max_examples=400)
def test_both_refuse_the_same_grids(grids, merge):
    def refuses(function, *arguments):
        try:
            function(*arguments)
        except ValueError:
            return True
        return False

    refused = refuses(reference.positions.check_grids, "grid_thw", grids, merge)
    if refused or sum(t * h * w for t, h, w in grids) < 10_000:
        assert refuses(qvl_fast.position_ids, grids, merge) == refused


# ---------------------------------------------------------------------------------------- M-RoPE


@st.composite
def prompts(draw):
    """Types, mask, grids and times of a batch, valid unless a run was bent; and the model."""
    name = draw(st.sampled_from(sorted(CONFIGS)))
    config = replace(CONFIGS[name], merge_size=draw(st.integers(1, 2)))
    sides = st.integers(1, 4).map(lambda side: side * config.merge_size)
    grids = st.tuples(st.integers(1, 4), sides, sides)
    texts = st.integers(1, 3)
    images, videos, rows = [], [], []
    for _ in range(draw(st.integers(1, 3))):
        row = [0] * draw(st.integers(0, 3))
        for kind in draw(st.lists(st.sampled_from([1, 2]), max_size=3)):
            t, h, w = grid = draw(grids)
            (images, videos)[kind - 1].append(grid)
            tokens = h * w // config.merge_size**2
            runs = [tokens] * t if kind == 2 and config.videos_in_groups else [t * tokens]
            row += chain.from_iterable([kind] * run + [0] * draw(texts) for run in runs)
        rows.append(row or [0])
    length = max(map(len, rows)) + draw(st.integers(0, 2))
    types, mask = [], []
    for row in rows:
        # Padding goes anywhere; its type must not matter.
        padded = draw(st.permutations([True] * len(row) + [False] * (length - len(row))))
        tokens = iter(row)
        padding = draw(st.integers(0, 2))
        types.append([next(tokens) if kept else padding for kept in padded])
        mask.append(padded)
    if draw(st.integers(0, 4)) == 0:
        row, token = draw(st.integers(0, len(types) - 1)), draw(st.integers(0, length - 1))
        types[row][token] = draw(st.integers(0, 3))
    if draw(st.integers(0, 9)) == 0:
        images, videos = videos, images
    return config, types, mask, images, videos


SECONDS = st.floats(0, 50) | st.sampled_from([0.5, 1.0, 1 / 3, 0.1, 1e6])
FORMS = {
    "list": (lambda values: values, lambda values: values),
    "float32": (lambda values: torch.tensor(values, dtype=torch.float32), np.float32),
    "float64": (lambda values: torch.tensor(values, dtype=torch.float64), np.float64),
}
RULES = [
    *({"advance": advance} for advance in get_args(qvl_fast.Advance)),
    *({"positions": positions} for positions in get_args(reference.mrope.Positions)),
]


@given(
    prompts(),
    st.lists(SECONDS, min_size=12, max_size=12),
    st.sampled_from([None, *FORMS]),
    st.sampled_from([0.1, 1, 2, 4, 25, 1.7]),
    st.sampled_from(RULES),
    st.sampled_from(["bool", "int64", "uint8", "none"]),
)
@settings(max_examples=1000)
@pytest.mark.filterwarnings("ignore:positions .* reproduce a bug")
def test_mrope_position_ids(prompt, seconds, form, per_second, rules, mask_dtype):
    config, types, mask, images, videos = prompt
    if config.videos_in_groups and rules.get("positions") == "4.49":
        rules = {"positions": "4.57"}  # the first with Qwen3-VL
    if config.tokens_per_second is not None:
        config = replace(config, tokens_per_second=per_second)
    ours_seconds = twin_seconds = None
    if form is not None:
        ours_form, twin_form = FORMS[form]
        takers = videos + images if rules.get("positions") == "5.3" else videos
        seconds = seconds[: len(takers)]
        ours_seconds, twin_seconds = ours_form(seconds), twin_form(seconds)
        if form != "list":
            twin_seconds = np.array(twin_seconds)
    if mask_dtype == "none":
        mask = None
    ours = outcome(
        qvl_fast.mrope_position_ids,
        types,
        config=config,
        image_grid_thw=images or None,
        video_grid_thw=videos or None,
        second_per_grid_ts=ours_seconds,
        attention_mask=mask and np.array(mask, mask_dtype),
        **rules,
    )
    assert ours == outcome(
        reference.mrope_position_ids,
        types,
        image_grid_thw=images,
        video_grid_thw=videos,
        second_per_grid_ts=twin_seconds,
        mask=mask,
        merge_size=config.merge_size,
        tokens_per_second=config.tokens_per_second,
        videos_in_groups=config.videos_in_groups,
        **rules,
    )


@given(
    st.integers(1, 120),
    st.sampled_from([0.1, 1, 1.7, 2, 4, 25, 1 / 3]),
    st.sampled_from(list(FORMS)),
    st.sampled_from(["4.49", "5.6", "5.18"]),
)
@settings(max_examples=300)
def test_time_ids_of_a_long_video(rate, per_second, form, positions):
    """Products that are nearly whole tell one precision from another."""
    ours_form, twin_form = FORMS[form]
    config = RopeConfig(merge_size=1, tokens_per_second=per_second)
    twin_seconds = [2 / rate] if form == "list" else np.array([2 / rate], twin_form)
    types, grids = [[2] * 400], [(400, 1, 1)]
    ours = outcome(
        qvl_fast.mrope_position_ids,
        types,
        config=config,
        video_grid_thw=grids,
        second_per_grid_ts=ours_form([2 / rate]),
        positions=positions,
    )
    assert ours == outcome(
        reference.mrope_position_ids,
        types,
        video_grid_thw=grids,
        second_per_grid_ts=twin_seconds,
        merge_size=1,
        tokens_per_second=per_second,
        positions=positions,
    )


@given(st.data())
@settings()
def test_mrope_decode_position_ids(data):
    deltas = data.draw(st.lists(st.integers(-50, 50), min_size=1, max_size=3))
    rows, length = len(deltas) * data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    column = np.array(deltas)[:, np.newaxis]
    if data.draw(st.booleans()):
        row = st.lists(st.booleans(), min_size=length, max_size=length)
        mask = data.draw(st.lists(row, min_size=rows, max_size=rows))
        numbers = [[sum(row[:i]) * row[i] for i in range(length)] for row in mask]
        ours = outcome(qvl_fast.mrope_decode_position_ids, column, attention_mask=mask)
    else:
        past = data.draw(st.integers(0, 9))
        numbers = [list(range(past, past + length))] * rows
        ours = outcome(
            qvl_fast.mrope_decode_position_ids,
            column,
            past_length=past,
            length=length,
            batch_size=rows,
        )
    assert ours == outcome(reference.mrope_decode_position_ids, deltas, numbers)


# ------------------------------------------------------------------------- packing, placeholders


@given(st.lists(st.integers(-1, 30), max_size=40), st.integers(-1, 40), st.booleans())
@settings(max_examples=500)
def test_pack(lengths, capacity, best):
    strategy = "best" if best else "sequential"
    try:
        bins = reference.pack(lengths, capacity, strategy)
    except ValueError:
        with pytest.raises(ValueError, match=r"capacity|lengths"):
            qvl_fast.pack(lengths, capacity, strategy=strategy)
        return
    ours = qvl_fast.pack(lengths, capacity, strategy=strategy)
    assert ours.bins == tuple(map(tuple, bins))
    ends = [np.cumsum([0, *(lengths[item] for item in members)]) for members in bins]
    assert [array.tolist() for array in ours.cu_seqlens] == [array.tolist() for array in ends]
    assert all(array.dtype == np.int32 for array in ours.cu_seqlens)
    assert ours.padded_length == max((array[-1] for array in ends), default=0)


@given(st.lists(st.integers(0, 4)), st.integers(0, 4), st.lists(st.integers(-1, 5)), st.booleans())
@settings(max_examples=400)
def test_expand_placeholders(ids, token, counts, agree):
    if agree:
        counts = [abs(count) + 1 for count in (counts * len(ids) + [1] * len(ids))]
        counts = counts[: ids.count(token)]
    ours = outcome(qvl_fast.expand_placeholders, ids, token, counts)
    assert ours == outcome(reference.expand_placeholders, ids, token, counts)
    assert not agree or ours is not ValueError


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=3))
@settings()
def test_token_types(ids):
    ours = outcome(qvl_fast.mm_token_type_ids, ids, image_token_id=2, video_token_id=3)
    assert ours == outcome(reference.token_types, ids, 2, 3)


INDICES = st.lists(st.integers(0, 100_000), min_size=1, max_size=20)
# Frames at a multiple of a twentieth of a second: every other is a tie, if it is exact.
RATES = st.floats(0.01, 1000) | st.sampled_from([1.0, 2.0, 4.0, 5.0, 10.0, 20.0, 24.0, 29.97, 30.0])


@given(INDICES, RATES, st.integers(1, 4))
@settings(max_examples=1000)
def test_video_timestamps(indices, fps, size):
    ours = qvl_fast.video_timestamps(indices, fps, temporal_patch_size=size)
    assert ours == reference.video_timestamps(indices, fps, size)


# ------------------------------------------------------------------------------------------ rope
# Frequencies, cosines and sines are compared as far as they are the same; see reference/rope.py.


def torch_frequencies(dimensions, theta):
    return (1.0 / theta ** (torch.arange(0, dimensions, 2).float() / dimensions)).numpy()


def cos_sin(angles):
    angles = torch.from_numpy(np.concatenate([angles, angles], axis=-1))
    return angles.cos(), angles.sin()


def equal(ours, expected):
    return all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


THETAS = st.sampled_from([1e4, 5e5, 1e6, 5e6]) | st.floats(2, 1e7)


@given(st.integers(1, 128).map(lambda half: 2 * half), THETAS)
@settings(max_examples=300)
def test_frequencies_within_two_units_in_the_last_place(dimensions, theta):
    twin = reference.frequencies(dimensions, theta)
    np.testing.assert_array_max_ulp(twin, torch_frequencies(dimensions, theta), maxulp=2)


@given(batches(), st.integers(1, 32), THETAS)
@settings()
def test_vision_rotary(batch, quarter, theta):
    ids = reference.position_ids(*batch)
    angles = reference.vision_angles(ids, torch_frequencies(2 * quarter, theta))
    ours = qvl_fast.vision_rotary(torch.from_numpy(ids), 4 * quarter, theta)
    assert equal(ours, cos_sin(angles))


@given(
    st.tuples(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24)),
    st.booleans(),
    THETAS,
    st.integers(0, 2**32 - 1),
)
@settings()
def test_mrope_rotary(sections, interleaved, theta, seed):
    head = 2 * sum(sections)
    config = RopeConfig(head_dim=head, theta=theta, sections=sections, interleaved=interleaved)
    ids = np.random.default_rng(seed).integers(0, 40_000, (3, 2, 5))
    frequency = torch_frequencies(head, theta)
    angles = reference.mrope_angles(ids, frequency, sections, interleaved)
    ours = qvl_fast.mrope_rotary(torch.from_numpy(ids), config)
    assert equal(ours, cos_sin(angles))


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings()
def test_rotate(half, seed):
    states = np.random.default_rng(seed).normal(size=(3, 2, 2 * half)).astype(np.float32)
    cos, sin = (array.numpy() for array in cos_sin(states[0, :, :half]))
    ours = qvl_fast.rotate(*map(torch.from_numpy, (states, cos, sin)))
    assert ours.dtype == torch.float32
    assert np.array_equal(ours.numpy(), reference.rotate(states, cos, sin))
