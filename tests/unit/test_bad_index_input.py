"""Bad input of index functions raises a clear error that names the argument and its value."""

import re

import numpy as np
import pytest
import torch

from qvl_fast import (
    ImageConfig,
    ModelConfig,
    RopeConfig,
    TowerConfig,
    block_diagonal_mask,
    cu_seqlens,
    expand_placeholders,
    image_attention_mask,
    interpolation_taps,
    mm_token_type_ids,
    mrope_decode_position_ids,
    mrope_position_ids,
    mrope_rotary,
    pack,
    plan,
    position_ids,
    rotate,
    video_timestamps,
    vision_rotary,
    window_index,
)

GRID = [(1, 4, 4)]
HUGE = 2**70
EITHER = (TypeError, ValueError)
FUNCTIONS = {
    "cu_seqlens": cu_seqlens,
    "position_ids": position_ids,
    "window_index": window_index,
    "interpolation_taps": interpolation_taps,
    "plan": lambda grids: plan(grids, "qwen2.5-vl"),
    "image grids of M-RoPE": lambda grids: mrope([[0, 1]], image_grid_thw=grids),
    "video grids of M-RoPE": lambda grids: mrope([[0, 2]], video_grid_thw=grids),
}


def mrope(types, config="qwen2-vl", **keywords):
    return mrope_position_ids(types, config=config, **keywords)


def timed(seconds, videos=1):
    return mrope(
        [[0, 2] * videos],
        "qwen2.5-vl",
        video_grid_thw=[(1, 2, 2)] * videos,
        second_per_grid_ts=seconds,
    )


def tensor(*shape, **keywords):
    return torch.ones(*shape, dtype=torch.int64, **keywords)


# What every function with grids refuses. Messages start with the name of the argument.
GRIDS = {
    "zero": ([(1, 4, 0)], ValueError, r"positive.*\[1, 4, 0\]"),
    "zero groups": ([(0, 4, 4)], ValueError, r"positive.*\[0, 4, 4\]"),
    "negative": ([(1, 4, 4), (1, -4, -4)], ValueError, r"row 1.*positive.*\[1, -4, -4\]"),
    "least int64": ([(1, -(2**63), 2)], ValueError, rf"positive.*-{2**63}"),
    "int32 + 1": ([(1, 2**16, 2**15)], ValueError, r"int32.*65536, 32768"),
    "int32 + 1 together": ([(1, 2**15, 2**15)] * 2, ValueError, "row 1.*int32"),
    "int64 overflow": ([(2**40, 2**40, 2**40)], ValueError, f"int32.*{2**40}"),
    "most int64": ([(2**62, 2, 2)], ValueError, f"int32.*{2**62}"),
    "beyond int64": ([(1, 2**64, 2)], EITHER, f"{2**64}"),
    "uint64": (np.array([(1, 2**63 + 5, 2)], np.uint64), EITHER, f"{2**63 + 5}|uint64"),
    "float": ([(1.0, 4.0, 4.0)], TypeError, "integers.*float64"),
    "float array": (np.ones((1, 3), np.float32), TypeError, "integers.*float32"),
    "float tensor": (torch.ones(1, 3), TypeError, "integers.*float32"),
    "bool": (np.ones((1, 3), bool), TypeError, "integers.*bool"),
    "bfloat16": (torch.ones(1, 3).bfloat16(), TypeError, "bfloat16"),
    "strings": ([("1", "4", "4")], TypeError, "numbers.*'1', '4', '4'"),
    "None inside": ([(1, None, 4)], TypeError, r"numbers.*\(1, None, 4\)"),
    "object": (object(), TypeError, "numbers.*object"),
    "number": (5, ValueError, r"\(n, 3\).*\(\)"),
    "flat": ([1, 4, 4], ValueError, r"\(n, 3\).*\(3,\)"),
    "2 columns": ([(4, 4)], ValueError, r"\(n, 3\).*\(1, 2\)"),
    "4 columns": (tensor(2, 4), ValueError, r"\(n, 3\).*\(2, 4\)"),
    "3-D": (tensor(1, 1, 3), ValueError, r"\(n, 3\).*\(1, 1, 3\)"),
    "2 columns of none": (np.zeros((0, 2), np.int64), ValueError, r"\(n, 3\).*\(0, 2\)"),
    "5 grids of nothing": (np.zeros((5, 0), np.int64), ValueError, r"\(n, 3\).*\(5, 0\)"),
    "ragged": ([(1, 4, 4), (1, 4)], ValueError, "rectangular"),
    "meta": (tensor(1, 3, device="meta"), TypeError, "meta.*CPU"),
    "sparse": (tensor(1, 3).to_sparse(), TypeError, "sparse.*dense"),
    "grad": (torch.ones(1, 3, requires_grad=True), TypeError, r"grad.*detach\(\)"),
}
UNMERGED = {
    "odd height": ([(1, 3, 4)], ValueError, r"divisible.*merge_size=2.*\[1, 3, 4\]"),
    "odd width": ([(1, 4, 4), (2, 4, 5)], ValueError, r"row 1.*divisible.*\[2, 4, 5\]"),
}


@pytest.mark.parametrize("name", {**GRIDS, **UNMERGED})
@pytest.mark.parametrize("function", FUNCTIONS)
def test_grids(function, name):
    if function == "cu_seqlens" and name in UNMERGED:
        assert cu_seqlens(UNMERGED[name][0])[-1] > 0
        return
    grids, error, message = {**GRIDS, **UNMERGED}[name]
    argument = {"image": "image_grid_thw", "video": "video_grid_thw"}.get(function[:5], "grid_thw")
    with pytest.raises(error, match=rf"(?s)^{argument} .*({message})"):
        FUNCTIONS[function](grids)


def test_none_is_no_grid():
    for name in ("cu_seqlens", "position_ids", "window_index", "interpolation_taps", "plan"):
        with pytest.raises(TypeError, match=r"^grid_thw .*None"):
            FUNCTIONS[name](None)


VISION = {
    "merge 0": (lambda: position_ids(GRID, 0), ValueError, r"merge_size .*\b0\b"),
    "merge -2": (lambda: position_ids(GRID, -2), ValueError, "merge_size .*-2"),
    "merge float": (lambda: position_ids(GRID, 2.0), TypeError, r"merge_size .*2\.0"),
    "merge str": (lambda: window_index(GRID, merge_size="2"), TypeError, "merge_size .*'2'"),
    "merge 2000": (lambda: position_ids(GRID, 2000), ValueError, "merge_size .*2000"),
    "merge huge": (lambda: position_ids(GRID, HUGE), ValueError, f"merge_size .*{HUGE}"),
    "window below a token": (
        lambda: window_index(GRID, 27),
        ValueError,
        r"window_size .*patch_size \* merge_size.*27",
    ),
    "window 0": (lambda: window_index(GRID, 0), ValueError, r"window_size .*\b0\b"),
    "window float": (lambda: window_index(GRID, 112.0), TypeError, r"window_size .*112\.0"),
    "window huge": (
        lambda: window_index(GRID, HUGE * 28),
        ValueError,
        f"window_size .*{HUGE * 28}",
    ),
    "patch 0": (lambda: window_index(GRID, patch_size=0), ValueError, r"patch_size .*\b0\b"),
    "patch above window": (
        lambda: window_index(GRID, 112, 57),
        ValueError,
        r"window_size .*patch_size \* merge_size.*112",
    ),
    "side 0": (lambda: interpolation_taps(GRID, 0), ValueError, r"side .*\b0\b"),
    "side 65537": (lambda: interpolation_taps(GRID, 65537), ValueError, "side .*65537"),
    "side float": (lambda: interpolation_taps(GRID, 48.0), TypeError, r"side .*48\.0"),
    "side huge": (lambda: interpolation_taps(GRID, HUGE), ValueError, f"side .*{HUGE}"),
    "preset": (lambda: plan(GRID, "qwen9"), ValueError, "preset .*qwen2-vl.*'qwen9'"),
    "config None": (lambda: plan(GRID, None), TypeError, "config .*TowerConfig.*None"),
    "config of images": (lambda: plan(GRID, ImageConfig()), TypeError, "config .*ImageConfig"),
    "config of the rope": (lambda: plan(GRID, RopeConfig()), TypeError, "config .*RopeConfig"),
    "config without tower": (
        lambda: plan(GRID, ModelConfig(name="mine")),
        ValueError,
        "config 'mine' .*tower",
    ),
    "prefix": (
        lambda: plan(GRID, "qwen2-vl").as_transformers_kwargs("image"),
        ValueError,
        "prefix .*'image_'.*'image'",
    ),
    "prefix None": (
        lambda: plan(GRID, "qwen2-vl").as_transformers_kwargs(None),
        EITHER,
        "prefix .*None",
    ),
    "tower window": (
        lambda: TowerConfig(window_size=27),
        ValueError,
        r"window_size .*patch_size \* merge_size = 28.*27",
    ),
    "tower window 0": (lambda: TowerConfig(window_size=0), ValueError, r"window_size .*\b0\b"),
    "tower table": (
        lambda: TowerConfig(position_table_side=4.5),
        TypeError,
        r"position_table_side .*4\.5",
    ),
    "tower merge": (lambda: TowerConfig(merge_size=-1), ValueError, "merge_size .*-1"),
}

LANGUAGE = {
    "types 1-D": (lambda: mrope([0, 0]), ValueError, r"mm_token_type_ids .*\(B, S\).*\(2,\)"),
    "types 3-D": (lambda: mrope([[[0]]]), ValueError, r"mm_token_type_ids .*\(1, 1, 1\)"),
    "no types": (lambda: mrope([]), ValueError, r"mm_token_type_ids .*\(0,\)"),
    "empty rows": (lambda: mrope([[], []]), ValueError, r"mm_token_type_ids .*\(2, 0\)"),
    "ragged types": (lambda: mrope([[0], [0, 0]]), ValueError, "mm_token_type_ids .*rectangular"),
    "float types": (lambda: mrope([[0.0]]), TypeError, "mm_token_type_ids .*float64"),
    "types None": (lambda: mrope(None), TypeError, "mm_token_type_ids .*None"),
    "types on meta": (
        lambda: mrope(tensor(1, 1, device="meta")),
        TypeError,
        "mm_token_type_ids .*meta.*CPU",
    ),
    "type 3": (lambda: mrope([[0], [3]]), ValueError, r"mm_token_type_ids .*\b3\b.*row 1"),
    "type -1": (lambda: mrope([[0, -1]]), ValueError, "mm_token_type_ids .*-1"),
    "type least int64": (lambda: mrope([[-(2**63)]]), ValueError, "mm_token_type_ids .*-9223"),
    "mask of another shape": (
        lambda: mrope([[0, 0]], attention_mask=[[1, 1, 1]]),
        ValueError,
        r"attention_mask .*\(1, 2\).*\(1, 3\)",
    ),
    "mask of fewer rows": (
        lambda: mrope([[0], [0]], attention_mask=[[1]]),
        ValueError,
        r"attention_mask .*\(2, 1\).*\(1, 1\)",
    ),
    "mask 1-D": (
        lambda: mrope([[0, 0]], attention_mask=[1, 1]),
        ValueError,
        r"attention_mask .*\(1, 2\).*\(2,\)",
    ),
    "mask of strings": (
        lambda: mrope([[0]], attention_mask=[["1"]]),
        TypeError,
        "attention_mask .*'1'",
    ),
    "mask that keeps nothing": (
        lambda: mrope([[0, 0], [0, 0]], attention_mask=[[0, 1], [0, 0]]),
        ValueError,
        r"attention_mask .*\brow 1\b",
    ),
    "more runs than images": (
        lambda: mrope([[1, 0, 1]], image_grid_thw=[(1, 2, 2)]),
        ValueError,
        "mm_token_type_ids .*more runs of image.*1.*image_grid_thw",
    ),
    "images without grids": (
        lambda: mrope([[0, 1]]),
        ValueError,
        "mm_token_type_ids .*image.*0.*image_grid_thw",
    ),
    "videos without grids": (
        lambda: mrope([[0], [2]], image_grid_thw=[(1, 2, 2)]),
        ValueError,
        "mm_token_type_ids .*video.*0.*video_grid_thw.*row 1",
    ),
    "fewer runs than images": (
        lambda: mrope([[1, 0]], image_grid_thw=[(1, 2, 2)] * 3),
        ValueError,
        "mm_token_type_ids .*1 runs of image.*image_grid_thw.*3",
    ),
    "no runs for videos": (
        lambda: mrope([[0]], video_grid_thw=[(1, 2, 2)]),
        ValueError,
        "mm_token_type_ids .*0 runs of video.*video_grid_thw.*1",
    ),
    "run too long": (
        lambda: mrope([[1, 1, 1]], image_grid_thw=[(1, 2, 4)]),
        ValueError,
        r"mm_token_type_ids .*\b3 image.*row 0.*\b2\b",
    ),
    "run too short": (
        lambda: mrope([[0, 2]], video_grid_thw=[(2, 2, 2)]),
        ValueError,
        r"mm_token_type_ids .*\b1 video.*row 0.*\b2\b",
    ),
    "run cut by the mask": (
        lambda: mrope([[1, 1]], image_grid_thw=[(1, 2, 4)], attention_mask=[[1, 0]]),
        ValueError,
        r"mm_token_type_ids .*\b1 image.*\b2\b",
    ),
    "two images without text between": (
        lambda: mrope([[1, 1]], image_grid_thw=[(1, 2, 2)] * 2),
        ValueError,
        r"mm_token_type_ids .*\b2 image.*text between",
    ),
    "groups without text between": (
        lambda: mrope([[2, 2]], "qwen3-vl", video_grid_thw=[(2, 2, 2)]),
        ValueError,
        r"mm_token_type_ids .*\b2 video.*text between",
    ),
    "seconds: fewer": (lambda: timed([1.0], 2), ValueError, r"second_per_grid_ts .*\b2\b.*\(1,\)"),
    "seconds: more": (lambda: timed([1.0, 2.0]), ValueError, r"second_per_grid_ts .*\b1\b.*\(2,\)"),
    "seconds: number": (lambda: timed(1.0), ValueError, r"second_per_grid_ts .*\(\)"),
    "seconds: column": (lambda: timed([[1.0]]), ValueError, r"second_per_grid_ts .*\(1, 1\)"),
    "seconds: negative": (lambda: timed([-0.5]), ValueError, r"second_per_grid_ts .*-0\.5"),
    "seconds: NaN": (lambda: timed([float("nan")]), ValueError, "second_per_grid_ts .*nan"),
    "seconds: inf": (
        lambda: timed(torch.tensor([float("inf")])),
        ValueError,
        "second_per_grid_ts .*inf",
    ),
    "seconds: too many": (lambda: timed([1e7]), ValueError, r"second_per_grid_ts .*10000000\.0"),
    "seconds: huge": (lambda: timed([10**400]), EITHER, "second_per_grid_ts .*1000000"),
    "seconds: strings": (lambda: timed(["1"]), TypeError, "second_per_grid_ts .*'1'"),
    "seconds: None inside": (lambda: timed([None]), TypeError, "second_per_grid_ts .*None"),
    "advance": (
        lambda: mrope([[0]], advance="temporal"),
        ValueError,
        "advance .*'spatial'.*'spatiotemporal'.*'temporal'",
    ),
    "advance with positions": (
        lambda: mrope([[0]], advance="spatial", positions="5.3"),
        ValueError,
        "advance .*positions.*'spatial'.*'5.3'",
    ),
    "positions a number": (
        lambda: mrope([[0]], positions=5.1),
        TypeError,
        r"positions .*'5\.10'.*float",
    ),
    **{
        f"positions {text!r}": (
            lambda text=text: mrope([[0]], positions=text),
            ValueError,
            f"positions .*{re.escape(repr(text))}",
        )
        for text in ("", "newest", "5", "v5.3", "5.", "-5.3")
    },
    "positions before the model": (
        lambda: mrope([[0]], positions="4.44.2"),
        ValueError,
        r"positions .*4\.45.*'4\.44\.2'",
    ),
    "positions before Qwen2.5-VL": (
        lambda: mrope([[0]], "qwen2.5-vl", positions="4.48"),
        ValueError,
        r"positions .*4\.49.*'4\.48'",
    ),
    "positions before Qwen3-VL": (
        lambda: mrope([[0]], "qwen3-vl", positions="4.56"),
        ValueError,
        r"positions .*4\.57.*'4\.56'",
    ),
    "part of an id a second, in integers": (
        lambda: mrope([[0]], RopeConfig(tokens_per_second=2.5), positions="4.57"),
        ValueError,
        "tokens_per_second .*'4.57'.*2.5",
    ),
    "seconds of videos alone in 5.3": (
        lambda: mrope(
            [[1, 0, 2]],
            "qwen2.5-vl",
            image_grid_thw=[(1, 2, 2)],
            video_grid_thw=[(1, 2, 2)],
            second_per_grid_ts=[1.0],
            positions="5.3",
        ),
        ValueError,
        "second_per_grid_ts .*2 images and videos.*got shape",
    ),
    "M-RoPE preset": (lambda: mrope([[0]], "qwen1"), ValueError, "preset .*'qwen1'"),
    "M-RoPE config": (lambda: mrope([[0]], TowerConfig()), TypeError, "config .*TowerConfig"),
    "config without rope": (
        lambda: mrope([[0]], ModelConfig(name="mine")),
        ValueError,
        "config 'mine' .*rope",
    ),
    "deltas 1-D": (
        lambda: mrope_decode_position_ids([1]),
        ValueError,
        r"rope_deltas .*\(rows, 1\).*\(1,\)",
    ),
    "no deltas": (
        lambda: mrope_decode_position_ids(np.zeros((0, 1), np.int64)),
        ValueError,
        r"rope_deltas .*\(0, 1\)",
    ),
    "deltas of floats": (
        lambda: mrope_decode_position_ids([[1.0]]),
        TypeError,
        "rope_deltas .*float64",
    ),
    "decode mask": (
        lambda: mrope_decode_position_ids([[1]], attention_mask=[1]),
        ValueError,
        r"attention_mask .*\(B, S\).*\(1,\)",
    ),
    "decode mask of 3 rows for 2": (
        lambda: mrope_decode_position_ids([[1], [2]], attention_mask=[[1]] * 3),
        ValueError,
        r"multiple of .*\b2\b.*rope_deltas.*\b3\b",
    ),
    "decode batch": (
        lambda: mrope_decode_position_ids([[1], [2]], batch_size=3),
        ValueError,
        r"batch.size .*\b2\b.*\b3\b",
    ),
    "decode batch 0": (
        lambda: mrope_decode_position_ids([[1]], batch_size=0),
        ValueError,
        r"batch.size .*\b0\b",
    ),
    "decode batch float": (
        lambda: mrope_decode_position_ids([[1]], batch_size=1.5),
        TypeError,
        r"batch.size .*1\.5",
    ),
    "decode length -1": (
        lambda: mrope_decode_position_ids([[1]], length=-1),
        ValueError,
        r"\blength .*-1",
    ),
    "decode past -1": (
        lambda: mrope_decode_position_ids([[1]], past_length=-1),
        ValueError,
        "past_length .*-1",
    ),
    "decode past float": (
        lambda: mrope_decode_position_ids([[1]], past_length=2.5),
        TypeError,
        r"past_length .*2\.5",
    ),
    "same token ids": (
        lambda: mm_token_type_ids([[1]], image_token_id=5, video_token_id=5),
        ValueError,
        "image_token_id .*video_token_id.*5",
    ),
    "float ids": (
        lambda: mm_token_type_ids([[1.5]], image_token_id=5, video_token_id=6),
        TypeError,
        "input_ids .*float64",
    ),
    "token id str": (
        lambda: mm_token_type_ids([[1]], image_token_id="5", video_token_id=6),
        TypeError,
        "image_token_id .*'5'",
    ),
}

PLACEHOLDERS = {
    "more counts": (
        lambda: expand_placeholders([9, 1], 9, [2, 3]),
        ValueError,
        r"counts .*\b1 placeholders.*\b2\b",
    ),
    "fewer counts": (
        lambda: expand_placeholders([9, 9, 9], 9, [2]),
        ValueError,
        r"counts .*\b3 placeholders.*\b1\b",
    ),
    "no placeholders": (
        lambda: expand_placeholders([1, 2], 9, [2]),
        ValueError,
        r"counts .*\b0 placeholders.*9.*\b1\b",
    ),
    "count 0": (lambda: expand_placeholders([9], 9, [0]), ValueError, r"counts .*item 0.*\b0\b"),
    "count -1": (lambda: expand_placeholders([9, 9], 9, [1, -1]), ValueError, "counts .*1.*-1"),
    "count 2**31": (lambda: expand_placeholders([9], 9, [2**31]), ValueError, f"counts .*{2**31}"),
    "count huge": (lambda: expand_placeholders([9], 9, [HUGE]), EITHER, f"counts .*{HUGE}"),
    "count float": (lambda: expand_placeholders([9], 9, [1.0]), TypeError, "counts .*float64"),
    "counts 2-D": (lambda: expand_placeholders([9], 9, [[1]]), ValueError, r"counts .*\(1, 1\)"),
    "counts number": (lambda: expand_placeholders([9], 9, 1), ValueError, r"counts .*\(\)"),
    "ids 2-D": (lambda: expand_placeholders([[9]], 9, [1]), ValueError, r"input_ids .*\(1, 1\)"),
    "ids float": (lambda: expand_placeholders([9.0], 9, [1]), TypeError, "input_ids .*float64"),
    "ids str": (lambda: expand_placeholders("9", 9, [1]), TypeError, "input_ids .*'9'"),
    "ids uint64": (
        lambda: expand_placeholders(np.array([2**63 + 5], np.uint64), 5 - 2**63, [1]),
        EITHER,
        f"input_ids .*({2**63 + 5}|uint64)",
    ),
    "token float": (lambda: expand_placeholders([9], 9.0, [1]), TypeError, r"token_id .*9\.0"),
    "token str": (lambda: expand_placeholders([9], "9", [1]), TypeError, "token_id .*'9'"),
    "token huge": (lambda: expand_placeholders([9], HUGE, [1]), EITHER, f"token_id .*{HUGE}"),
    "no frames": (lambda: video_timestamps([]), ValueError, r"frame_indices .*\(0,\)"),
    "frames 2-D": (lambda: video_timestamps([[1]]), ValueError, r"frame_indices .*\(1, 1\)"),
    "frames float": (lambda: video_timestamps([1.5]), TypeError, "frame_indices .*float64"),
    "frame -1": (lambda: video_timestamps([-1, 2]), ValueError, "frame_indices .*-1"),
    "fps 0": (lambda: video_timestamps([1], 0), ValueError, r"fps .*\b0\b"),
    "fps -1": (lambda: video_timestamps([1], -1.0), ValueError, r"fps .*-1\.0"),
    "fps NaN": (lambda: video_timestamps([1], float("nan")), ValueError, "fps .*nan"),
    "fps inf": (lambda: video_timestamps([1], float("inf")), ValueError, "fps .*inf"),
    "fps str": (lambda: video_timestamps([1], "24"), TypeError, "fps .*'24'"),
    "fps list": (lambda: video_timestamps([1], [24]), TypeError, r"fps .*\[24\]"),
    "group of 0": (
        lambda: video_timestamps([1], temporal_patch_size=0),
        ValueError,
        r"temporal_patch_size .*\b0\b",
    ),
    "mask of ids 1-D": (
        lambda: image_attention_mask([1, 9], 1, image_token_id=9, eos_token_id=2),
        ValueError,
        r"input_ids .*\(B, S\).*\(2,\)",
    ),
    "mask of ids float": (
        lambda: image_attention_mask([[1.0]], 1, image_token_id=9, eos_token_id=2),
        TypeError,
        "input_ids .*float64",
    ),
    "mask of images -1": (
        lambda: image_attention_mask([[1]], -1, image_token_id=9, eos_token_id=2),
        ValueError,
        "images .*-1",
    ),
    "mask of image token str": (
        lambda: image_attention_mask([[1]], 1, image_token_id="<image>", eos_token_id=2),
        TypeError,
        "image_token_id .*'<image>'",
    ),
    "mask of end float": (
        lambda: image_attention_mask([[1]], 1, image_token_id=9, eos_token_id=2.0),
        TypeError,
        r"eos_token_id .*2\.0",
    ),
}

PACKING = {
    "item over capacity": (
        lambda: pack([1, 12, 2], 11),
        ValueError,
        r"lengths .*item 1.*capacity=11.*12",
    ),
    "item over capacity, best": (
        lambda: pack([12], 11, strategy="best"),
        ValueError,
        r"lengths .*item 0.*capacity=11.*12",
    ),
    "item of 0": (lambda: pack([0], 11), ValueError, r"lengths .*item 0.*\b0\b"),
    "item of -3": (lambda: pack([1, -3], 11), ValueError, "lengths .*item 1.*-3"),
    "item huge": (lambda: pack([HUGE], 11), EITHER, f"lengths .*{HUGE}"),
    "item uint64": (
        lambda: pack(np.array([2**63 + 5], np.uint64), 11),
        EITHER,
        f"lengths .*({2**63 + 5}|uint64)",
    ),
    "lengths 2-D": (lambda: pack([[1]], 11), ValueError, r"lengths .*\(1, 1\)"),
    "lengths float": (lambda: pack([1.0], 11), TypeError, "lengths .*float64"),
    "lengths None": (lambda: pack(None, 11), TypeError, "lengths .*None"),
    "lengths with grad": (
        lambda: pack(torch.ones(2, requires_grad=True), 11),
        TypeError,
        "lengths .*grad",
    ),
    "capacity 0": (lambda: pack([1], 0), ValueError, r"capacity .*\b0\b"),
    "capacity float": (lambda: pack([1], 11.0), TypeError, r"capacity .*11\.0"),
    "capacity 2**31": (lambda: pack([1], 2**31), ValueError, f"capacity .*{2**31}"),
    "capacity huge": (lambda: pack([1], HUGE), ValueError, f"capacity .*{HUGE}"),
    "strategy": (
        lambda: pack([1], 11, strategy="first"),
        ValueError,
        "strategy .*'sequential'.*'best'.*'first'",
    ),
    "strategy None": (lambda: pack([1], 11, strategy=None), EITHER, "strategy .*None"),
    "boundaries not from 0": (
        lambda: block_diagonal_mask([1, 4]),
        ValueError,
        r"cu_seqlens .*0.*\[1, 4\]",
    ),
    "boundaries decrease": (
        lambda: block_diagonal_mask([0, 4, 3]),
        ValueError,
        r"cu_seqlens .*decrease.*\[0, 4, 3\]",
    ),
    "no boundaries": (lambda: block_diagonal_mask([]), ValueError, r"cu_seqlens .*\[\]"),
    "boundaries 2-D": (
        lambda: block_diagonal_mask([[0, 4]]),
        ValueError,
        r"cu_seqlens .*\[\[0, 4\]\]",
    ),
    "boundaries float": (
        lambda: block_diagonal_mask([0.0, 4.0]),
        TypeError,
        "cu_seqlens .*float64",
    ),
    "mask too short": (
        lambda: block_diagonal_mask([0, 4], 3),
        ValueError,
        r"length .*\b4\b.*\b3\b",
    ),
    "mask length float": (lambda: block_diagonal_mask([0, 4], 4.5), TypeError, r"length .*4\.5"),
    "mask length str": (lambda: block_diagonal_mask([0, 4], "4"), TypeError, "length .*'4'"),
}

ROTARY = {
    "head 6": (lambda: vision_rotary(tensor(3, 2), 6), ValueError, "head_dim .*4.*6"),
    "head 0": (lambda: vision_rotary(tensor(3, 2), 0), ValueError, r"head_dim .*\b0\b"),
    "head -4": (lambda: vision_rotary(tensor(3, 2), -4), ValueError, "head_dim .*-4"),
    "head float": (lambda: vision_rotary(tensor(3, 2), 8.0), EITHER, r"head_dim .*8\.0"),
    "head str": (lambda: vision_rotary(tensor(3, 2), "8"), TypeError, "head_dim .*'8'"),
    "theta 0": (lambda: vision_rotary(tensor(3, 2), 8, 0.0), ValueError, r"theta .*\b0"),
    "theta -1": (lambda: vision_rotary(tensor(3, 2), 8, -1.0), ValueError, r"theta .*-1\.0"),
    "theta NaN": (lambda: vision_rotary(tensor(3, 2), 8, float("nan")), ValueError, "theta .*nan"),
    "positions (N, 3)": (
        lambda: vision_rotary(tensor(5, 3), 8),
        ValueError,
        r"position_ids .*\(N, 2\).*\(5, 3\)",
    ),
    "positions 1-D": (
        lambda: vision_rotary(tensor(2), 8),
        ValueError,
        r"position_ids .*\(N, 2\).*\(2,\)",
    ),
    "positions as array": (
        lambda: vision_rotary(np.ones((3, 2), np.int64), 8),
        TypeError,
        "position_ids .*(ndarray|tensor)",
    ),
    "M-RoPE positions (4, B, S)": (
        lambda: mrope_rotary(tensor(4, 1, 5), "qwen2-vl"),
        ValueError,
        r"position_ids .*\(3, B, S\).*\(4, 1, 5\)",
    ),
    "M-RoPE positions (3, S)": (
        lambda: mrope_rotary(tensor(3, 5), "qwen2-vl"),
        ValueError,
        r"position_ids .*\(3, B, S\).*\(3, 5\)",
    ),
    "M-RoPE positions as array": (
        lambda: mrope_rotary(np.ones((3, 1, 5), np.int64), "qwen2-vl"),
        TypeError,
        "position_ids .*(ndarray|tensor)",
    ),
    "M-RoPE rotary config": (
        lambda: mrope_rotary(tensor(3, 1, 5), TowerConfig()),
        TypeError,
        "config .*TowerConfig",
    ),
    "rotate by another width": (
        lambda: rotate(torch.ones(2, 8), torch.ones(2, 4), torch.ones(2, 4)),
        ValueError,
        r"(cos|states) .*8.*4|(cos|states) .*4.*8",
    ),
    "rotate an odd width": (
        lambda: rotate(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 3)),
        ValueError,
        r"states .*\b3\b",
    ),
    "sections": (
        lambda: RopeConfig(sections=(16, 24, 23)),
        ValueError,
        r"sections .*64.*\(16, 24, 23\)",
    ),
    "two sections": (
        lambda: RopeConfig(sections=(32, 32)),
        ValueError,
        r"sections .*64.*\(32, 32\)",
    ),
    "section 0": (lambda: RopeConfig(sections=(64, 0, 0)), ValueError, r"sections .*\b0\b"),
    "rope theta": (lambda: RopeConfig(theta=0.0), ValueError, r"theta .*\b0"),
    "tokens per second": (
        lambda: RopeConfig(tokens_per_second=-2),
        ValueError,
        "tokens_per_second .*-2",
    ),
}

PARTS = (VISION, LANGUAGE, PLACEHOLDERS, PACKING, ROTARY)
TABLE = {name: row for part in PARTS for name, row in part.items()}


@pytest.mark.parametrize("name", TABLE)
def test_refused(name):
    call, error, message = TABLE[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def test_the_table_is_complete():
    assert len(TABLE) == sum(map(len, PARTS)), "a name occurs twice, and hides a row"


def test_the_largest_batch_that_can_be_counted():
    assert cu_seqlens([(1, 1, 2**31 - 1)]).tolist() == [0, 2**31 - 1]
    assert cu_seqlens([(1, 2**15, 2**16 - 1), (1, 1, 2**15 - 1)])[-1] == 2**31 - 1


def test_arguments_are_not_changed():
    types, mask = np.array([[0, 1, 0]]), np.array([[1, 1, 0]])
    grids, ids, counts = np.array([[1, 2, 2]]), np.array([1, 9]), np.array([3])
    given = (types, mask, grids, ids, counts)
    for array in given:
        array.flags.writeable = False
    mrope(types, image_grid_thw=grids, attention_mask=mask)
    expand_placeholders(ids, 9, counts)
    pack(counts, 5)
    plan(grids, "qwen2.5-vl")
    frames = [3, 5, 7]
    video_timestamps(frames)
    assert frames == [3, 5, 7]
