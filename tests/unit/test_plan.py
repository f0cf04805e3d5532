"""Known answers, and what a plan promises."""

import dataclasses
import pickle
import subprocess
import sys
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch

from qvl_fast import (
    EqualSegments,
    ImageProcessor,
    ModelConfig,
    TowerConfig,
    block_diagonal_mask,
    cu_seqlens,
    expand_placeholders,
    image_attention_mask,
    interpolation_taps,
    mm_token_type_ids,
    mrope_decode_position_ids,
    mrope_position_ids,
    pack,
    plan,
    position_ids,
    video_timestamps,
    window_index,
)
from qvl_fast.index import transfer

GRIDS = ((1, 8, 8), (2, 10, 6))
PRESETS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")
ARRAYS = {
    "qwen2-vl": {"cu_seqlens": "int32", "position_ids": "int64"},
    "qwen2.5-vl": {
        "cu_seqlens": "int32",
        "position_ids": "int64",
        "window_index": "int64",
        "reverse_window_index": "int64",
        "cu_window_seqlens": "int32",
    },
    "qwen3-vl": {
        "cu_seqlens": "int32",
        "position_ids": "int64",
        "interp_indices": "int64",
        "interp_weights": "float32",
    },
}
CASES = [(preset, name) for preset in PRESETS for name in ARRAYS[preset]]


def arrays(result):
    """The bytes of all arrays or tensors of a plan."""
    values = {entry.name: getattr(result, entry.name) for entry in dataclasses.fields(result)}
    return {
        name: np.asarray(value).tobytes()
        for name, value in values.items()
        if isinstance(value, np.ndarray | torch.Tensor)
    }


# --------------------------------------------------------------------------------- known answers


def test_windows_of_two_items():
    order, boundaries = window_index(GRIDS)
    assert boundaries.tolist() == [0, 64, 112, 124, 172, 184]
    assert cu_seqlens(GRIDS).tolist() == [0, 64, 124, 184]
    # The video's first window is four lines of all three columns, its second the fifth line.
    assert order[:16].tolist() == list(range(16))
    assert order[16:].tolist() == list(range(16, 46))
    order, boundaries = window_index([(1, 4, 12)])
    assert order.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 4, 5, 10, 11]
    assert boundaries.tolist() == [0, 32, 48]


def test_a_window_is_64_patches_and_those_at_the_edges_are_not_padded():
    assert window_index([(1, 8, 8)])[1].tolist() == [0, 64]
    assert window_index([(1, 2, 2)])[1].tolist() == [0, 4]
    sizes = np.diff(window_index([(1, 52, 94)])[1])
    assert (len(sizes), sizes.max(), sizes.sum()) == (7 * 12, 64, 52 * 94)
    assert sizes.min() == 4 * 6


@pytest.mark.parametrize(
    ("sides", "grid", "tokens"),
    [((512, 512), (36, 36), 324), ((40, 400), (2, 28), 14), ((224, 224), (16, 16), 64)],
)
def test_tokens_of_an_image(sides, grid, tokens):
    processor = ImageProcessor("qwen2-vl", min_pixels=56 * 56)
    result = plan([(1, *grid)], "qwen2.5-vl")
    assert processor.num_patches(*sides) == len(result.position_ids) == result.max_seqlen
    assert processor.num_tokens(*sides) == len(result.window_index) == tokens


def test_an_image_in_a_prompt_is_its_tokens_and_two_markers():
    start, pad, end = 151652, 151655, 151653
    ids, offsets = expand_placeholders([start, pad, end], pad, [64])
    assert (ids.tolist(), offsets.tolist()) == ([start, *[pad] * 64, end], [[1, 65]])
    assert len(ids) == 66
    types = mm_token_type_ids(ids[None], image_token_id=pad, video_token_id=151656)
    assert types.tolist() == [[0, *[1] * 64, 0]]


@pytest.mark.parametrize(
    ("config", "seconds", "advance", "last_time", "after"),
    [
        ("qwen2-vl", None, "spatial", 12, [5, 6]),
        ("qwen2-vl", None, "spatiotemporal", 12, [13, 14]),
        ("qwen2.5-vl", [2.0], "spatial", 39, [5, 6]),  # 2 ids a second, as 4 ids for 1 second
        ("qwen2.5-vl", [2.0], "spatiotemporal", 39, [40, 41]),
        ("qwen2.5-vl", None, "spatial", 21, [5, 6]),
        ("qwen2.5-vl", [0.0], "spatiotemporal", 3, [5, 6]),
    ],
)
def test_positions_of_a_video_between_text(config, seconds, advance, last_time, after):
    ids, deltas = mrope_position_ids(
        [[0] * 3 + [2] * 40 + [0] * 2],
        config=config,
        video_grid_thw=[(10, 4, 4)],
        second_per_grid_ts=seconds,
        advance=advance,
    )
    assert (ids.dtype, ids.shape, deltas.dtype, deltas.shape) == ("i8", (3, 1, 45), "i8", (1, 1))
    assert ids[:, 0, 42].tolist() == [last_time, 4, 4]
    assert ids[:, 0, 43:].tolist() == [after] * 3
    assert deltas.tolist() == [[max(last_time, *after) + 1 - 45]]
    if config == "qwen2-vl" and advance == "spatial":
        assert deltas.tolist() == [[-32]]


def test_the_groups_of_a_video_are_items_of_their_own_in_qwen3():
    types = [[0, *[2] * 4, 0, *[2] * 4, 0]]
    ids, deltas = mrope_position_ids(types, config="qwen3-vl", video_grid_thw=[(2, 4, 4)])
    assert ids[:, 0].tolist() == [
        [0, 1, 1, 1, 1, 3, 4, 4, 4, 4, 6],
        [0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6],
        [0, 1, 2, 1, 2, 3, 4, 5, 4, 5, 6],
    ]
    assert deltas.tolist() == [[-4]]


@pytest.mark.parametrize(
    ("indices", "fps", "stamps"),
    [
        ([0, 1], 2, ["<0.2 seconds>"]),  # 0.25, a tie
        ([1, 2], 2, ["<0.8 seconds>"]),  # 0.75, a tie
        ([33, 33], 20, ["<1.6 seconds>"]),  # 1.65 is just below in float64
        ([0, 24, 48], None, ["<0.5 seconds>", "<2.0 seconds>"]),
    ],
)
def test_timestamps(indices, fps, stamps):
    assert video_timestamps(indices, fps) == stamps


# --------------------------------------------------------------------------------------- packing


def test_packing_of_five_images_in_two_sequences():
    packing = pack([2, 3, 4, 5, 6], 11)
    assert packing.bins == ((0, 1, 2), (3, 4))
    assert [ends.tolist() for ends in packing.cu_seqlens] == [[0, 2, 5, 9], [0, 5, 11]]
    assert packing.padded_length == 11
    mask = block_diagonal_mask(packing.cu_seqlens[0], packing.padded_length)
    assert (mask.dtype, mask.shape) == (np.bool_, (11, 11))
    owner = [0] * 2 + [1] * 3 + [2] * 4 + [None] * 2
    for query, of_query in enumerate(owner):
        for key, of_key in enumerate(owner):
            assert mask[query, key] == (of_query == of_key is not None)


def test_block_diagonal_mask_without_padding():
    blocks = [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert np.array_equal(block_diagonal_mask([0, 1, 3]), np.array(blocks, bool))
    assert np.array_equal(block_diagonal_mask(torch.tensor([0, 1, 1, 3])), np.array(blocks, bool))
    assert block_diagonal_mask([0]).shape == (0, 0)
    assert not block_diagonal_mask([0], 2).any()


def test_no_items_need_no_sequence():
    packing = pack([], 5)
    assert (packing.bins, packing.cu_seqlens, packing.padded_length) == ((), (), 0)


def fewest_bins(lengths, capacity):
    """The optimum: the fewest bins, and the least that the last holds, for each set of items."""

    @cache
    def best(items):
        if not items:
            return 1, 0
        results = []
        for item in items:
            bins, filled = best(items - {item})
            fits = filled + lengths[item] <= capacity
            results.append((bins, filled + lengths[item]) if fits else (bins + 1, lengths[item]))
        return min(results)

    return best(frozenset(range(len(lengths))))[0]


def fewest_bins_in_order(lengths, capacity):
    """The optimum for items that keep their order, for each number of the first of them."""
    fewest = [0]
    for end in range(1, len(lengths) + 1):
        fits = [at for at in range(end) if sum(lengths[at:end]) <= capacity]
        fewest.append(1 + min(fewest[at] for at in fits))
    return fewest[-1]


def test_packings_are_valid_and_within_the_stated_bounds():
    rng = np.random.default_rng(0)
    saved = 0
    for _ in range(200):
        capacity = int(rng.integers(3, 30))
        lengths = rng.integers(1, capacity + 1, rng.integers(1, 9)).tolist()
        fewest = fewest_bins(lengths, capacity)
        count = {}
        for strategy in ("sequential", "best"):
            packing = pack(lengths, capacity, strategy=strategy)
            count[strategy] = len(packing.bins)
            items = [item for members in packing.bins for item in members]
            assert sorted(items) == list(range(len(lengths)))
            assert strategy == "best" or items == sorted(items)
            assert all(list(members) == sorted(members) for members in packing.bins)
            for members, ends in zip(packing.bins, packing.cu_seqlens, strict=True):
                assert np.diff(ends).tolist() == [lengths[item] for item in members]
                assert ends[0] == 0
                assert ends[-1] <= capacity
            assert packing.padded_length == max(ends[-1] for ends in packing.cu_seqlens)
        assert count["sequential"] == fewest_bins_in_order(lengths, capacity)
        assert count["sequential"] < 2 * fewest
        assert count["best"] <= Fraction(11, 9) * fewest + Fraction(6, 9)
        saved += count["sequential"] - count["best"]
    assert saved > 50


def test_best_finds_the_optimum_where_best_fit_is_known_to():
    """Of items over a third of the capacity, and of lengths that each divide the next longer."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        capacity = int(rng.integers(3, 60))
        large = rng.integers(capacity // 3 + 1, capacity + 1, rng.integers(1, 9)).tolist()
        powers = (2 ** rng.integers(0, 6, rng.integers(1, 9))).tolist()
        for lengths, limit in ((large, capacity), (powers, 32)):
            fewest = fewest_bins(lengths, limit)
            assert len(pack(lengths, limit, strategy="best").bins) == fewest, (lengths, limit)


# ------------------------------------------------------------------------------ fields of a plan


@pytest.mark.parametrize("preset", PRESETS)
def test_fields(preset):
    result = plan(GRIDS, preset)
    tensors = result.to("cpu")
    for name in {name for names in ARRAYS.values() for name in names}:
        array, tensor = getattr(result, name), getattr(tensors, name)
        if name not in ARRAYS[preset]:
            assert (array, tensor) == (None, None)
            continue
        assert array.dtype == ARRAYS[preset][name]
        assert str(tensor.dtype) == f"torch.{ARRAYS[preset][name]}"
        assert np.array_equal(tensor.numpy(), array)
    assert (result.max_seqlen, type(result.max_seqlen)) == (64, int)
    assert result.segments == (EqualSegments(60, 2), EqualSegments(64, 1))
    windowed = preset == "qwen2.5-vl"
    assert result.max_window_seqlen == (64 if windowed else None)
    assert result.windows == (
        (EqualSegments(12, 2), EqualSegments(48, 2), EqualSegments(64, 1)) if windowed else None
    )
    for integers in (tensors.max_seqlen, tensors.segments, tensors.windows):
        assert "tensor" not in repr(integers)


def test_fields_are_what_the_functions_give():
    grids = [(1, 52, 94), (3, 24, 30), (1, 2, 2)]
    result, stretched = plan(grids, "qwen2.5-vl"), plan(grids, "qwen3-vl")
    order, boundaries = window_index(grids)
    indices, weights = interpolation_taps(grids)
    for ours, expected in (
        (result.cu_seqlens, cu_seqlens(grids)),
        (result.position_ids, position_ids(grids)),
        (result.window_index, order),
        (result.cu_window_seqlens, boundaries),
        (result.window_index[result.reverse_window_index], np.arange(len(order))),
        (result.reverse_window_index[result.window_index], np.arange(len(order))),
        (stretched.interp_indices, indices),
        (stretched.interp_weights, weights),
    ):
        assert np.array_equal(ours, expected)


@pytest.mark.parametrize(
    ("groups", "boundaries"), [("segments", "cu_seqlens"), ("windows", "cu_window_seqlens")]
)
def test_groups_of_equal_length_are_the_segments(groups, boundaries):
    grids = [(1, 52, 94), (3, 24, 30), (2, 2, 2), (1, 24, 30)]
    result = plan(grids, "qwen2.5-vl")
    lengths = [group.length for group in getattr(result, groups)]
    assert lengths == sorted(set(lengths))
    spans = [group.length for group in getattr(result, groups) for _ in range(group.count)]
    assert spans == sorted(np.diff(getattr(result, boundaries)).tolist())
    for group in getattr(result, groups):
        assert {type(group.length), type(group.count)} == {int}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("grids", [(), np.zeros((0, 3), np.int64), torch.zeros(0, 3).long()])
def test_no_grids(preset, grids):
    result = plan(grids, preset)
    assert result.cu_seqlens.tolist() == [0]
    assert (result.max_seqlen, result.segments) == (0, ())
    shapes = {name: getattr(result, name).shape for name in ARRAYS[preset]}
    assert shapes.pop("position_ids") == (0, 2)
    assert shapes.pop("cu_seqlens") == (1,)
    if preset == "qwen2.5-vl":
        assert shapes.pop("cu_window_seqlens") == (1,)
        assert (result.max_window_seqlen, result.windows) == (0, ())
    assert set(shapes.values()) <= {(0,), (0, 4)}
    assert position_ids(grids).shape == (0, 2)
    assert [array.shape for array in window_index(grids)] == [(0,), (1,)]
    assert [array.shape for array in interpolation_taps(grids)] == [(0, 4), (0, 4)]
    assert {name: getattr(result, name).dtype for name in ARRAYS[preset]} == ARRAYS[preset]


@pytest.mark.parametrize(
    "grids",
    [
        [list(grid) for grid in GRIDS],
        np.array(GRIDS, np.int32),
        np.array(GRIDS, np.uint8),
        np.asfortranarray(GRIDS),
        np.array(GRIDS)[::-1][::-1],
        torch.tensor(GRIDS),
        torch.tensor(GRIDS).T.contiguous().T,
        torch.tensor(GRIDS, dtype=torch.int32),
    ],
)
def test_equal_grids_in_any_form_have_equal_plans(grids):
    expected = plan(GRIDS, ModelConfig.preset("qwen2.5-vl"))
    for other in (plan(grids, "qwen2.5-vl"), plan(grids, ModelConfig.preset("qwen2.5-vl").tower)):
        assert arrays(other) == arrays(expected)
        assert (other.segments, other.windows) == (expected.segments, expected.windows)


def test_a_plan_follows_its_configuration():
    result = plan([(1, 9, 9)], TowerConfig(merge_size=3, patch_size=14, window_size=84))
    assert result.cu_window_seqlens.tolist() == window_index([(1, 9, 9)], 84, 14, 3)[1].tolist()
    result = plan([(1, 4, 4)], TowerConfig(position_table_side=7))
    assert np.array_equal(result.interp_indices, interpolation_taps([(1, 4, 4)], 7)[0])


def test_grids_that_change_later_do_not_change_the_plan():
    grids = np.array(GRIDS)
    before = arrays(plan(grids, "qwen3-vl"))
    grids[:] = 2
    assert arrays(plan(GRIDS, "qwen3-vl")) == before
    assert len(plan(grids, "qwen3-vl").position_ids) == 16


# ----------------------------------------------------------------------------- devices, keywords


def test_a_plan_on_another_device():
    result = plan(GRIDS, "qwen2.5-vl").to("meta")
    for name in ARRAYS["qwen2.5-vl"]:
        assert getattr(result, name).device.type == "meta"
    assert (result.max_seqlen, result.max_window_seqlen) == (64, 64)
    assert result.segments == plan(GRIDS, "qwen2.5-vl").segments
    again = plan(GRIDS, "qwen3-vl").to(torch.device("cpu")).to("meta")
    assert again.interp_weights.device.type == "meta"


def bytes_of_buffer(result):
    """The one buffer that all tensors of a plan are views of."""
    storages = {tensor.untyped_storage()._cdata for tensor in tensors(result).values()}
    assert len(storages) == 1
    return tensors(result)["cu_seqlens"].untyped_storage().nbytes()


def tensors(result):
    values = {entry.name: getattr(result, entry.name) for entry in dataclasses.fields(result)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("preset", PRESETS)
def test_one_copy_takes_a_plan_to_a_device(preset, monkeypatch):
    copies = []
    real = torch.Tensor.to

    def counted(self, *arguments, **options):
        copies.append(self.nbytes)
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    for source in (plan(GRIDS, preset), plan(GRIDS, preset, return_tensors="pt")):
        there = source.to("meta")
        assert copies == [bytes_of_buffer(there)]
        copies.clear()
    packed = transfer.gathered(tensors(source))
    assert {name: tensor.numpy().tobytes() for name, tensor in packed.items()} == arrays(source)
    assert all(tensor.storage_offset() * tensor.itemsize % 64 == 0 for tensor in packed.values())
    again = dataclasses.replace(source, **packed)
    assert bytes_of_buffer(again.to("meta")) == bytes_of_buffer(again)
    with torch.inference_mode():
        assert bytes_of_buffer(plan(GRIDS, preset).to("meta"))


def test_a_plan_as_tensors():
    result = plan(GRIDS, "qwen2.5-vl", return_tensors="pt")
    assert arrays(result) == arrays(plan(GRIDS, "qwen2.5-vl"))
    assert set(tensors(result)) == set(ARRAYS["qwen2.5-vl"])
    with pytest.raises(ValueError, match="return_tensors must be one of 'pt', 'np', got 'tf'"):
        plan(GRIDS, "qwen2.5-vl", return_tensors="tf")


def test_the_repr_is_short():
    result = plan([(1, 52, 94)] * 240, "qwen2.5-vl")
    expected = "IndexPlan(patches=1173120, segments=240, windows=20160; "
    assert repr(result) == expected + "arrays)"
    assert repr(result.to("meta")) == expected + "on meta)"
    assert "windows" not in repr(plan(GRIDS, "qwen3-vl"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_page_locked_memory_needs_an_accelerator():
    with pytest.raises(RuntimeError):
        plan(GRIDS, "qwen2-vl").pin_memory()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_on_a_gpu(preset):
    expected = arrays(plan(GRIDS, preset))
    pinned = plan(GRIDS, preset).pin_memory()
    assert all(tensor.is_pinned() for tensor in tensors(pinned).values())
    assert arrays(pinned) == expected
    for source in (plan(GRIDS, preset), pinned, pinned.to("cuda")):
        there = source.to("cuda", non_blocking=True)
        assert all(tensor.is_cuda for tensor in tensors(there).values())
        assert arrays(there.to("cpu")) == expected
    loader = torch.utils.data.DataLoader([GRIDS], None, pin_memory=True, collate_fn=plan_of)
    (loaded,) = loader
    assert tensors(loaded)["cu_seqlens"].is_pinned()


def plan_of(grids):
    return plan(grids, "qwen2.5-vl")


PAIRS = (
    (cu_seqlens, (GRIDS,), {}),
    (position_ids, (GRIDS,), {}),
    (window_index, (GRIDS,), {}),
    (interpolation_taps, (GRIDS,), {}),
    (mrope_position_ids, ([[0, 1, 0]],), {"config": "qwen2-vl", "image_grid_thw": [[1, 2, 2]]}),
    (mrope_decode_position_ids, ([[3]],), {}),
    (mm_token_type_ids, ([[5, 6]],), {"image_token_id": 5, "video_token_id": 6}),
    (expand_placeholders, ([1, 2, 3], 2, [4]), {}),
    (block_diagonal_mask, ([0, 2, 5],), {}),
    (image_attention_mask, ([[5, 9, 6]], 1), {"image_token_id": 9, "eos_token_id": 2}),
    (image_attention_mask, ([[5, 6]], 0), {"image_token_id": 9, "eos_token_id": 2}),
)


@pytest.mark.parametrize(
    ("function", "arguments", "options"), PAIRS, ids=lambda x: getattr(x, "__name__", "")
)
def test_index_functions_return_arrays_or_tensors(function, arguments, options):
    def as_tuple(result):
        return result if isinstance(result, tuple) else (result,)

    default = as_tuple(function(*arguments, **options))
    found = as_tuple(function(*arguments, **options, return_tensors="pt"))
    assert len(found) == len(default)
    for tensor, array in zip(found, default, strict=True):
        assert isinstance(tensor, torch.Tensor)
        assert isinstance(array, np.ndarray)
        assert str(tensor.dtype) == f"torch.{array.dtype}"
        assert np.array_equal(tensor.numpy(), array)
    with pytest.raises(ValueError, match="return_tensors must be one of 'pt', 'np', got 'tf'"):
        function(*arguments, **options, return_tensors="tf")


@pytest.mark.parametrize("prefix", ["image_", "video_", ""])
def test_keywords_of_transformers(prefix):
    names = {"cu_seqlens", "max_seqlen", "position_ids"}
    windows = {"window_index", "cu_window_seqlens", "max_window_seqlen"}
    taps = {"interp_indices", "interp_weights"}
    for preset, extra in zip(PRESETS, (set(), windows, taps), strict=True):
        keywords = plan(GRIDS, preset).as_transformers_kwargs(prefix)
        assert set(keywords) == {prefix + name for name in names | extra}
        for name, value in keywords.items():
            assert isinstance(value, int if "max" in name else torch.Tensor)
    on_meta = plan(GRIDS, "qwen2-vl").to("meta").as_transformers_kwargs(prefix)
    assert on_meta[f"{prefix}cu_seqlens"].device.type == "meta"


# ----------------------------------------------------------------------------------- what is held


@pytest.mark.parametrize(("preset", "name"), CASES)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.__setitem__(..., 0),
        lambda array: array.view(np.uint8).fill(1),
        lambda array: torch.from_numpy(array).fill_(1),
        lambda array: memoryview(array).cast("B").__setitem__(0, 77),
    ],
    ids=["array", "view", "torch", "memoryview"],
)
def test_a_changed_array_changes_no_other_plan(preset, name, change):
    first, second = plan(GRIDS, preset), plan(GRIDS, preset)
    before = arrays(second)
    change(getattr(first, name))
    assert arrays(first) != before
    assert arrays(second) == arrays(plan(GRIDS, preset)) == before


@pytest.mark.parametrize(("preset", "name"), CASES)
def test_tensors_on_the_cpu_share_memory_with_their_plan_alone(preset, name):
    before = arrays(plan(GRIDS, preset))
    result = plan(GRIDS, preset)
    getattr(result.to("cpu"), name).fill_(1)
    assert arrays(result) != before
    assert arrays(plan(GRIDS, preset)) == before
    keywords = plan(GRIDS, preset).as_transformers_kwargs("image_")
    assert arrays(plan(GRIDS, preset)) == before
    assert all(
        keywords[f"image_{name}"].numpy().tobytes() == values
        for name, values in before.items()
        if name != "reverse_window_index"
    )


def test_a_changed_dictionary_of_keywords_changes_no_other():
    plan(GRIDS, "qwen2-vl").as_transformers_kwargs("image_").clear()
    assert len(plan(GRIDS, "qwen2-vl").as_transformers_kwargs("image_")) == 3


def test_plans_are_frozen():
    result = plan(GRIDS, "qwen2.5-vl")
    for name in [entry.name for entry in dataclasses.fields(result)] + ["unheard_of"]:
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(result, name, None)
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            delattr(result, name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.segments[0].length = 1
    assert isinstance(result.segments, tuple)


def test_a_plan_can_be_sent_to_another_process():
    result = plan(GRIDS, "qwen2.5-vl")
    received = pickle.loads(pickle.dumps(result))
    assert arrays(received) == arrays(result)
    assert (received.segments, received.max_seqlen) == (result.segments, result.max_seqlen)


def test_what_functions_give_is_the_callers():
    """Free functions are not cached: each call gives arrays of its own, which can be written."""
    for function in (cu_seqlens, position_ids, window_index, interpolation_taps):
        first = function(GRIDS)
        for array in first if isinstance(first, tuple) else (first,):
            array[...] = 7
        again = function(GRIDS)
        assert all(
            (array != 7).any() for array in (again if isinstance(again, tuple) else (again,))
        )


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import qvl_fast as q
grids = [(1, 8, 8), (2, 10, 6)]
q.cu_seqlens(grids), q.position_ids(grids), q.window_index(grids), q.interpolation_taps(grids)
plans = [q.plan(grids, name) for name in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")]
packing = q.pack([2, 3], 5)
q.block_diagonal_mask(packing.cu_seqlens[0])
q.image_attention_mask([[5, 9, 6]], 1, image_token_id=9, eos_token_id=2)
ids, _ = q.expand_placeholders([1, 2, 3], 2, [4])
types = q.mm_token_type_ids([ids], image_token_id=2, video_token_id=9)
_, deltas = q.mrope_position_ids(
    types, config="qwen2.5-vl", image_grid_thw=[(1, 4, 4)], attention_mask=types >= 0
)
q.mrope_decode_position_ids(deltas, past_length=6)
q.video_timestamps([0, 1])
for call in (lambda: plans[0].to("cpu"), lambda: plans[0].as_transformers_kwargs("image_")):
    try:
        call()
    except ImportError as error:
        assert "torch" in str(error), error
    else:
        raise AssertionError("no ImportError")
assert "transformers" not in sys.modules
"""


def test_torch_is_needed_for_tensors_only():
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_torch_is_not_imported_by_the_package():
    code = "import sys, qvl_fast, qvl_fast.reference; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")
