"""A prompt with an image, text and a video: tiny models answer our inputs as they answer theirs.

Ours are rows, grids, times, position ids and the plan of the tower; theirs are computed by the
processors of transformers, and by the model itself.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from qvl_fast import ImageProcessor, VideoProcessor, mrope_position_ids, plan
from qvl_fast.config import rope_config, tower_config

IMAGE, VIDEO, START, END = 60, 61, 62, 63
SMALL = {"hidden_size": 32, "intermediate_size": 32}
TEXT = {
    **SMALL,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 64,
    "pad_token_id": 0,
}
QWEN2_5 = SimpleNamespace(
    config=Qwen2_5_VLConfig,
    model=Qwen2_5_VLForConditionalGeneration,
    vision={
        "patch_size": 14,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "window_size": 56,
        "tokens_per_second": 2,
    },
    video=Qwen2VLVideoProcessor,
    text={},
    preset="qwen2.5-vl",
)
QWEN3 = SimpleNamespace(
    config=Qwen3VLConfig,
    model=Qwen3VLForConditionalGeneration,
    vision={
        "patch_size": 16,
        "out_hidden_size": 32,
        "num_position_embeddings": 49,
        "deepstack_visual_indexes": [0],
    },
    video=Qwen3VLVideoProcessor,
    text={"head_dim": 16},
    preset="qwen3-vl",
)
# Frames of 6 a second, of which every third is taken.
FRAMES = np.random.default_rng(1).integers(0, 256, (23, 70, 100, 3), np.uint8)
METADATA = {"total_num_frames": 23, "fps": 6.0, "frames_indices": list(range(23))}
PICTURE = FRAMES[0, :60, :80]
SIZES = {
    "image": {"shortest_edge": 56 * 56, "longest_edge": 128 * 128},
    "frame": {"shortest_edge": 56 * 56, "longest_edge": 84 * 112},
    "clip": {"shortest_edge": 4096, "longest_edge": 90_000},
}


def tiny(family):
    sections = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    config = family.config(
        text_config={**TEXT, **family.text, "rope_parameters": sections},
        vision_config={**SMALL, "depth": 2, "num_heads": 2, **family.vision},
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=END,
    )
    torch.manual_seed(0)
    return family.model(config).eval()


def prompt(image_grid, video_grid, timestamps):
    """Token ids; ``timestamps`` are empty where the prompt has none."""
    t, h, w = video_grid.tolist()
    ids = [5, START, *[IMAGE] * (image_grid.prod().item() // 4), END, 6, 7]
    if timestamps:
        for text in timestamps:
            letters = [ord(letter) % 50 for letter in text]
            ids += [*letters, START, *[VIDEO] * (h * w // 4), END]
    else:
        ids += [START, *[VIDEO] * (t * h * w // 4), END]
    ids = torch.tensor([[*ids, 8, 9]])
    return {
        "input_ids": ids,
        "mm_token_type_ids": (ids == IMAGE).long() + 2 * (ids == VIDEO).long(),
    }


def stock_inputs(family, image_size, video_size):
    patch = family.vision["patch_size"]
    images = Qwen2VLImageProcessor(patch_size=patch, size=image_size)(
        torch.from_numpy(PICTURE), return_tensors="pt"
    )
    videos = family.video(fps=2.0, do_sample_frames=True, size=video_size)(
        torch.from_numpy(FRAMES),
        video_metadata=[dict(METADATA)],
        return_tensors="pt",
        return_metadata=True,
    )
    (metadata,) = videos.pop("video_metadata")
    times = []
    if family is QWEN3:
        indices = np.asarray(metadata.frames_indices).tolist()
        seconds = Qwen3VLProcessor._calculate_timestamps(None, indices, metadata.fps, 2)
        times = [f"<{second:.1f} seconds>" for second in seconds]
    else:
        videos["second_per_grid_ts"] = torch.tensor([2 / metadata.sampled_fps])
    text = prompt(images["image_grid_thw"][0], videos["video_grid_thw"][0], times)
    return {**text, **images, **videos}


def our_inputs(family, model, image_size, video_size):
    patch = family.vision["patch_size"]
    images = ImageProcessor("qwen2.5-vl", patch_size=patch, size=image_size)(PICTURE)
    # The image processor of the reference is made with its own mean, not that of Qwen3-VL.
    processor = VideoProcessor(family.preset, fps=2, size=video_size)
    videos = processor(FRAMES, video_metadata=METADATA)
    times = videos.timestamps[0] if family is QWEN3 else []
    text = prompt(images.image_grid_thw[0], videos.video_grid_thw[0], times)
    grids = {name: value for name, value in {**images, **videos}.items() if name.endswith("thw")}
    positions, _ = mrope_position_ids(
        text["mm_token_type_ids"],
        config=rope_config(model.config),
        second_per_grid_ts=videos.get("second_per_grid_ts"),
        return_tensors="pt",
        **grids,
    )
    tower = tower_config(model.config)
    for kind in ("image", "video"):
        text |= plan(grids[f"{kind}_grid_thw"], tower).as_transformers_kwargs(f"{kind}_")
    return {**text, **images, **videos, "position_ids": positions}


@torch.no_grad()
@pytest.mark.parametrize("family", [QWEN2_5, QWEN3], ids=lambda family: family.preset)
def test_the_logits_are_identical(family):
    model = tiny(family)
    video_size = SIZES["clip" if family is QWEN3 else "frame"]
    theirs = stock_inputs(family, SIZES["image"], video_size)
    ours = our_inputs(family, model, SIZES["image"], video_size)
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert torch.equal(ours["pixel_values_videos"], theirs["pixel_values_videos"])
    stock = model(**theirs).logits
    assert stock.std() > 0.01
    model.model.rope_deltas = None
    assert torch.equal(model(**ours).logits, stock)
