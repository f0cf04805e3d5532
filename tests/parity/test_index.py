"""Index tensors equal those of the installed transformers: values, dtypes and shapes.

``--index-cases`` and ``--campaign-seed`` choose how many random batches each test takes and which;
a batch is known by the seed and its number.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLModel,
    Qwen2VLConfig,
    Qwen2VLModel,
    Qwen3_5Config,
    Qwen3_5Model,
    Qwen3VLConfig,
    Qwen3VLModel,
)
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl
from transformers.models.qwen2_vl import modeling_qwen2_vl
from transformers.models.qwen3_vl import modeling_qwen3_vl
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

import qvl_fast
from qvl_fast import RopeConfig


def check(batch, ours, theirs):
    """Equal to the bit; a batch is described in the failure."""
    if isinstance(ours, np.ndarray):
        ours, theirs = (ours,), (theirs,)
    assert len(ours) == len(theirs), batch
    for mine, tensor in zip(ours, theirs, strict=True):
        array = tensor.numpy()
        assert (mine.dtype, mine.shape) == (array.dtype, array.shape), batch
        assert mine.tobytes() == array.tobytes(), f"{batch}: {mine} instead of {array}"


def side(rng, most):
    """Log-uniform: small sides, where most can go wrong, are as likely as large ones."""
    return int(np.exp(rng.uniform(0, np.log(most + 1))))


def random_grid(rng, merge, video, most=60):
    h, w = side(rng, most), side(rng, most)
    return [side(rng, 12) if video else 1, h * merge, w * merge]


def random_grids(rng, merge, most=60):
    """One to six images and videos, mixed."""
    videos = rng.random(rng.integers(1, 7)) < 0.3
    return torch.tensor([random_grid(rng, merge, video, most // 2) for video in videos])


# ---------------------------------------------------------------------------------------- vision


def test_cu_seqlens(batches):
    for number, rng in batches:
        grids = random_grids(rng, int(rng.integers(1, 4)))
        batch = f"batch {number}: {grids.tolist()}"
        check(batch, qvl_fast.cu_seqlens(grids), get_vision_cu_seqlens(grids))


def test_position_ids(batches):
    for number, rng in batches:
        merge = int(rng.integers(1, 4))
        grids = random_grids(rng, merge)
        batch = f"batch {number}: {grids.tolist()}, merge {merge}"
        check(batch, qvl_fast.position_ids(grids, merge), get_vision_position_ids(grids, merge))


def test_window_index(batches):
    for number, rng in batches:
        merge, patch = int(rng.integers(1, 4)), int(rng.choice([14, 16, 5]))
        window = 112 if rng.random() < 0.5 else int(rng.integers(merge * patch, 300))
        grids = random_grids(rng, merge)
        batch = f"batch {number}: {grids.tolist()}, window {window}, patch {patch}, merge {merge}"
        ours = qvl_fast.window_index(grids, window, patch, merge)
        check(batch, ours, get_vision_window_index(grids, merge, window, patch))


def test_interpolation_taps(batches):
    for number, rng in batches:
        merge = int(rng.integers(1, 4))
        table = 48 if rng.random() < 0.5 else side(rng, 1000)
        grids = random_grids(rng, merge, most=200 if number % 10 == 0 else 60)
        batch = f"batch {number}: {grids.tolist()}, side {table}, merge {merge}"
        theirs = get_vision_interpolation_indices_and_weights(
            grids, table, mode="bilinear", align_corners=True, spatial_merge_size=merge
        )
        check(batch, qvl_fast.interpolation_taps(grids, table, merge), theirs)


def test_interpolation_taps_on_every_short_axis():
    """Each length to 1000 lies differently in the table of released models."""
    for length in range(1, 1001):
        grids = torch.tensor([[1, length, 1], [1, 1, length]])
        theirs = get_vision_interpolation_indices_and_weights(
            grids, 48, mode="bilinear", align_corners=True, spatial_merge_size=1
        )
        check(f"length {length}", qvl_fast.interpolation_taps(grids, 48, 1), theirs)


def test_plan_fields(batches):
    """What `plan` bundles is what the towers of transformers compute, in its dtypes."""
    for number, rng in batches[:20]:
        grids = random_grids(rng, 2)
        batch = f"batch {number}: {grids.tolist()}"
        windowed, stretched = qvl_fast.plan(grids, "qwen2.5-vl"), qvl_fast.plan(grids, "qwen3-vl")
        order, boundaries = get_vision_window_index(grids, 2, 112, 14)
        for plan in (windowed, stretched, qvl_fast.plan(grids, "qwen2-vl")):
            check(batch, plan.cu_seqlens, get_vision_cu_seqlens(grids))
            check(batch, plan.position_ids, get_vision_position_ids(grids, 2))
        check(batch, (windowed.window_index, windowed.cu_window_seqlens), (order, boundaries))
        check(batch, windowed.reverse_window_index, torch.argsort(order))
        assert windowed.max_window_seqlen == (boundaries[1:] - boundaries[:-1]).max()
        assert windowed.max_seqlen == (grids[:, 1] * grids[:, 2]).max()
        theirs = get_vision_interpolation_indices_and_weights(
            grids, 48, mode="bilinear", align_corners=True, spatial_merge_size=2
        )
        check(batch, (stretched.interp_indices, stretched.interp_weights), theirs)


# -------------------------------------------------------------------------------------- language


def tiny(model, config, **vision):
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 0]}
    text |= {**heads, "head_dim": 4, "rope_parameters": rope}
    vision |= {"depth": 1, "num_heads": 2}
    with torch.device("meta"):  # no weights
        return model(config(text_config=text, vision_config=vision))


@pytest.fixture(scope="module")
def models():
    """The models whose ids are reproduced, and how our configuration names their rules."""
    small = {"hidden_size": 8, "out_hidden_size": 8, "intermediate_size": 8}
    deep = {"deepstack_visual_indexes": [0], "num_position_embeddings": 4}
    return {
        "qwen2-vl": (tiny(Qwen2VLModel, Qwen2VLConfig, embed_dim=8, hidden_size=8), {}),
        "qwen2.5-vl": (tiny(Qwen2_5_VLModel, Qwen2_5_VLConfig, **small), {"tokens_per_second": 4}),
        "qwen3-vl": (
            tiny(Qwen3VLModel, Qwen3VLConfig, **small, **deep),
            {"videos_in_groups": True},
        ),
        "qwen3.5": (
            tiny(Qwen3_5Model, Qwen3_5Config, **small, num_position_embeddings=4),
            {"videos_in_groups": True},
        ),
    }


NAMES = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3.5")
PADDINGS = ("none", "all kept", "left", "right", "either", "interior")


def random_row(rng, merge, videos_in_groups, images, videos):
    """Types of a row's tokens; its grids are added to those of the batch."""
    row = [0] * rng.integers(0, 9)
    for video in rng.random(rng.integers(0, 4)) < 0.4:
        grid = random_grid(rng, merge, video, 8)
        (videos if video else images).append(grid)
        t, tokens = grid[0], grid[1] * grid[2] // merge**2
        runs = [tokens] * t if video and videos_in_groups else [t * tokens]
        for run in runs:
            row += [2 if video else 1] * run + [0] * rng.integers(1, 9)
    if rng.random() < 0.3:  # an item may be the last of its row
        while len(row) > 1 and row[-1] == 0:
            row.pop()
    return row or [0]


def random_prompt(rng, merge, videos_in_groups):
    """Types (B, S), mask or None, and grids of images and videos or None."""
    images, videos = [], []
    rows = [
        random_row(rng, merge, videos_in_groups, images, videos) for _ in range(rng.integers(1, 5))
    ]
    padding = str(rng.choice(PADDINGS))
    if padding == "none":
        # Without a mask every row is as long as the longest: its text goes on.
        length = max(map(len, rows))
        rows = [row + [0] * (length - len(row)) for row in rows]
        return torch.tensor(rows), None, images, videos, padding
    length = max(map(len, rows)) + (0 if padding == "all kept" else rng.integers(1, 6))
    types = torch.zeros(len(rows), length, dtype=torch.int64)
    mask = torch.zeros(len(rows), length, dtype=torch.int64)
    for number, row in enumerate(rows):
        free = length - len(row)
        if padding == "interior":
            at = np.sort(rng.permutation(length)[: len(row)])
        else:
            left = padding == "left" or (padding == "either" and rng.random() < 0.5)
            at = np.arange(len(row)) + (free if left else 0)
        types[number, at], mask[number, at] = torch.tensor(row), 1
    return types, mask, images, videos, padding


def in_forms(rng, videos):
    """Seconds between the groups of frames of each video, as a caller may have them."""
    exact = rng.choice([0.5, 1.0, 2.0, 0.25], len(videos))
    seconds = (exact if rng.random() < 0.3 else rng.uniform(0.02, 3, len(videos))).tolist()
    if rng.random() < 0.3:
        seconds = (2 / rng.integers(1, 61, len(videos))).tolist()
    forms = {
        "None": None,
        "list": seconds,
        "integers": [round(value) + 1 for value in seconds],
        "float32": torch.tensor(seconds, dtype=torch.float32),
        "float64": torch.tensor(seconds, dtype=torch.float64),
        "NumPy float32": np.array(seconds, np.float32),
        "NumPy float64": np.array(seconds, np.float64),
    }
    name = str(rng.choice(list(forms)))
    return name, forms[name]


@pytest.mark.parametrize("name", NAMES)
def test_mrope_position_ids(name, models, batches):
    model, rules = models[name]
    seen = set()
    for number, rng in batches:
        merge = model.config.vision_config.spatial_merge_size = int(rng.integers(1, 4))
        if "tokens_per_second" in rules:
            per_second = int(rng.choice([1, 2, 4, 25]))
            rules["tokens_per_second"] = per_second
            model.config.vision_config.tokens_per_second = per_second
        config = RopeConfig(merge_size=merge, **rules)
        types, mask, images, videos, padding = random_prompt(rng, merge, config.videos_in_groups)
        form, seconds = in_forms(rng, videos)
        seen |= {padding, form} | {("image", len(images) > 1), ("video", len(videos) > 1)}
        grids = {
            "image_grid_thw": torch.tensor(images) if images else None,
            "video_grid_thw": torch.tensor(videos) if videos else None,
        }
        if rng.random() < 0.5:
            mask = None if mask is None else mask.bool()
        extra = {"second_per_grid_ts": seconds}
        theirs = model.get_rope_index(
            torch.zeros_like(types), types, attention_mask=mask, **grids, **extra
        )
        ours = qvl_fast.mrope_position_ids(
            types, config=config, attention_mask=mask, **grids, **extra
        )
        batch = f"batch {number}: {images} {videos} {padding}, {form}: {seconds}, {config}"
        check(batch, ours, theirs)
    assert len(batches) < 60 or seen >= {*PADDINGS, "None", "list", "float32", "float64"}


PRECISIONS = {
    "list": lambda seconds: [seconds],
    "float32": lambda seconds: torch.tensor([seconds], dtype=torch.float32),
    "float64": lambda seconds: torch.tensor([seconds], dtype=torch.float64),
    "NumPy float32": lambda seconds: np.array([seconds], np.float32),
    "NumPy float64": lambda seconds: np.array([seconds], np.float64),
    "float16": lambda seconds: torch.tensor([seconds], dtype=torch.float16),
}


def time_ids(function, form, rate):
    """Of 400 groups of frames: products that are nearly whole tell one precision from another."""
    types = torch.tensor([[2] * 400])
    grids, seconds = torch.tensor([[400, 1, 1]]), PRECISIONS[form](2 / rate)
    return function(types, video_grid_thw=grids, second_per_grid_ts=seconds)


@pytest.mark.parametrize("form", PRECISIONS)
@pytest.mark.parametrize("per_second", [2, 4, 25])
def test_seconds_in_every_precision(form, per_second, models):
    """To refuse float16, which `inputs.to(torch.float16)` makes, would be well, too."""
    model, _ = models["qwen2.5-vl"]
    vision = model.config.vision_config
    vision.spatial_merge_size, vision.tokens_per_second = 1, per_second
    config = RopeConfig(merge_size=1, tokens_per_second=per_second)

    def stock(types, **keywords):
        return model.get_rope_index(torch.zeros_like(types), types, **keywords)

    differs = False
    for rate in range(1, 61):
        theirs = time_ids(stock, form, rate)
        try:
            ours = time_ids(partial(qvl_fast.mrope_position_ids, config=config), form, rate)
        except TypeError:
            assert form == "float16"
            return
        check(f"{rate} frames a second", ours, theirs)
        other = time_ids(stock, "list" if form == "float64" else "float64", rate)
        differs |= not torch.equal(theirs[0], other[0])
    assert differs, "the precision does not matter in these cases"


@pytest.mark.parametrize("name", NAMES)
def test_mrope_decode_position_ids(name, models, batches):
    model, _ = models[name]
    for number, rng in batches:
        rows, length = int(rng.integers(1, 4)), int(rng.integers(1, 7))
        past, many = int(rng.integers(1, 50)), rows * int(rng.integers(1, 4))
        model.rope_deltas = torch.from_numpy(rng.integers(-50, 50, (rows, 1)))
        mask = None
        if rng.random() < 0.7:
            mask = torch.from_numpy(rng.integers(0, 2, (many, past + length)))
            mask = mask.bool() if rng.random() < 0.3 else mask
        theirs = model.compute_3d_position_ids(
            input_ids=torch.zeros(many, length, dtype=torch.int64),
            inputs_embeds=torch.zeros(many, length, 1),
            image_grid_thw=None,
            video_grid_thw=None,
            attention_mask=mask,
            past_key_values=SimpleNamespace(get_seq_length=lambda past=past: past),
        )
        alone = {"past_length": past, "length": length, "batch_size": many}
        ours = qvl_fast.mrope_decode_position_ids(
            model.rope_deltas, **(alone if mask is None else {"attention_mask": mask})
        )
        check(f"batch {number}: {rows} rows, {many} x {length} after {past}, {mask}", ours, theirs)


def test_deltas_of_a_prompt_continue_in_the_decode_step(models, batches):
    """Prefill and decode together, as `generate` runs them, with the mask grown by one token."""
    model, rules = models["qwen2-vl"]
    model.config.vision_config.spatial_merge_size = 2
    for number, rng in batches[:20]:
        types, mask, images, videos, padding = random_prompt(rng, 2, False)
        mask = torch.ones_like(types) if mask is None else mask
        grids = {
            "image_grid_thw": torch.tensor(images) if images else None,
            "video_grid_thw": torch.tensor(videos) if videos else None,
        }
        config = RopeConfig(**rules)
        _, deltas = qvl_fast.mrope_position_ids(types, config=config, attention_mask=mask, **grids)
        _, model.rope_deltas = model.get_rope_index(
            torch.zeros_like(types), types, attention_mask=mask, **grids
        )
        grown = torch.nn.functional.pad(mask, (0, 1), value=1)
        theirs = model.compute_3d_position_ids(
            input_ids=None,
            inputs_embeds=torch.zeros(len(types), 1, 1),
            attention_mask=grown,
        )
        ours = qvl_fast.mrope_decode_position_ids(deltas, attention_mask=grown)
        check(f"batch {number}: {images} {videos} {padding}", ours, theirs)


def test_video_timestamps(batches):
    for number, rng in batches:
        count, size = int(rng.integers(1, 40)), int(rng.integers(1, 5))
        indices = np.sort(rng.integers(0, 5000, count)).tolist()
        rates = [24, 25, 30, 29.97, 23.976, 1, 2, 4, 20, 40, float(rng.uniform(0.1, 120))]
        fps = rates[rng.integers(len(rates))]
        times = Qwen3VLProcessor._calculate_timestamps(None, list(indices), fps, size)
        given = np.array(indices) if rng.random() < 0.3 else indices
        ours = qvl_fast.video_timestamps(given, fps, temporal_patch_size=size)
        assert ours == [f"<{time:.1f} seconds>" for time in times], f"batch {number}"
        assert given is not indices or len(indices) == count, "the argument was changed"


@pytest.mark.parametrize(("fps", "size"), [(20, 1), (40, 1), (10, 2), (20, 2), (4, 2), (8, 4)])
def test_video_timestamps_that_are_ties(fps, size):
    """Hundredths that end in 5: which are above, below and on the tie is a matter of float64."""
    indices = list(range(4000))
    times = Qwen3VLProcessor._calculate_timestamps(None, list(indices), fps, size)
    ours = qvl_fast.video_timestamps(indices, fps, temporal_patch_size=size)
    assert ours == [f"<{time:.1f} seconds>" for time in times]


# ---------------------------------------------------------------------------------------- rotary


def equal(ours, theirs):
    return all(
        mine.dtype == tensor.dtype and torch.equal(mine, tensor)
        for mine, tensor in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize(
    ("rotary", "config"),
    [
        (modeling_qwen2_vl.Qwen2VLVisionRotaryEmbedding, Qwen2VLConfig),
        (modeling_qwen2_5_vl.Qwen2_5_VLVisionRotaryEmbedding, Qwen2_5_VLConfig),
        (modeling_qwen3_vl.Qwen3VLVisionRotaryEmbedding, Qwen3VLConfig),
    ],
)
def test_vision_rotary(rotary, config, batches):
    width = "embed_dim" if config is Qwen2VLConfig else "hidden_size"
    heads = {80: 16, 72: 16, 64: 16}
    for number, rng in batches:
        head_dim = int(rng.choice([*heads, 4 * side(rng, 40)]))
        vision = config(vision_config={width: 2 * head_dim, "num_heads": 2}).vision_config
        theta = vision.rope_parameters["rope_theta"] = float(rng.choice([1e4, 500.0]))
        ids = torch.from_numpy(qvl_fast.position_ids(random_grids(rng, 2, 30)))
        theirs = rotary(vision)(torch.zeros(1), ids)
        ours = qvl_fast.vision_rotary(ids, head_dim, theta)
        assert equal(ours, theirs), f"batch {number}: head {head_dim}, {len(ids)} patches"


def text_config(config, head_dim, theta, sections):
    rope = {"rope_type": "default", "rope_theta": theta, "mrope_section": list(sections)}
    text = {"hidden_size": 2 * head_dim, "num_attention_heads": 2, "rope_parameters": rope}
    if config is Qwen3VLConfig:
        text["head_dim"] = head_dim
    return config(text_config=text).text_config


@pytest.mark.parametrize(
    ("rotary", "config", "interleaved"),
    [
        (modeling_qwen2_vl.Qwen2VLRotaryEmbedding, Qwen2VLConfig, False),
        (modeling_qwen2_5_vl.Qwen2_5_VLRotaryEmbedding, Qwen2_5_VLConfig, False),
        (modeling_qwen3_vl.Qwen3VLTextRotaryEmbedding, Qwen3VLConfig, True),
    ],
)
def test_mrope_rotary(rotary, config, interleaved, batches):
    for number, rng in batches:
        released = rng.random() < 0.5
        sections = [int(part) for part in rng.integers(1, 25, 3)]
        if released:
            sections = [24, 20, 20] if interleaved else [16, 24, 24]
        head_dim, theta = 2 * sum(sections), float(rng.choice([1e6, 5e6, 5e5]))
        ids = torch.from_numpy(
            rng.integers(0, 40_000, (3, rng.integers(1, 4), rng.integers(1, 99)))
        )
        theirs = rotary(text_config(config, head_dim, theta, sections))(torch.zeros(1), ids)
        ours = qvl_fast.mrope_rotary(
            ids,
            RopeConfig(
                head_dim=head_dim, theta=theta, sections=tuple(sections), interleaved=interleaved
            ),
        )
        assert equal(ours, theirs), f"batch {number}: {sections}, {theta}, {tuple(ids.shape)}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rotate(dtype, batches):
    for number, rng in batches:
        count, heads, head_dim = (
            int(rng.integers(1, 50)),
            int(rng.integers(1, 5)),
            4 * side(rng, 32),
        )
        ids = torch.from_numpy(rng.integers(0, 200, (count, 2)))
        q, k = torch.from_numpy(rng.normal(size=(2, count, heads, head_dim))).to(dtype)
        cos, sin = qvl_fast.vision_rotary(ids, head_dim)
        theirs = modeling_qwen2_vl.apply_rotary_pos_emb_vision(q, k, cos, sin)
        ours = [qvl_fast.rotate(states, cos[:, None], sin[:, None]) for states in (q, k)]
        assert equal(ours, theirs), f"batch {number}: vision, {count}, {heads}, {head_dim}"
        # The language model casts the table to its own type first, and rotates in that.
        cos, sin = cos[None].to(dtype), sin[None].to(dtype)
        q, k = q.transpose(0, 1)[None], k.transpose(0, 1)[None]
        theirs = modeling_qwen2_vl.apply_rotary_pos_emb(q, k, cos, sin)
        ours = [qvl_fast.rotate(states, cos[:, None], sin[:, None]) for states in (q, k)]
        assert equal(ours, theirs), f"batch {number}: language, {count}, {heads}, {head_dim}"
