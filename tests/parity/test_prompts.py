"""Expanded prompts and token types equal those of the stock processors."""

import re

import numpy as np
import pytest

from qvl_fast import ImageProcessor, expand_placeholders, mm_token_type_ids, video_timestamps

IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
START, END = "<|vision_start|>", "<|vision_end|>"
# What may stand beside a placeholder: merges, digits, several scripts, white space, nothing.
TEXTS = (
    "Describe the picture in detail, the pictures' details too.",
    " 12 cats\n\n  and 345 dogs",
    "请描述这张图片。",
    "Ünïcode 😀 e\u0301",
    "<|image_pad",
    "<0.5 seconds>",
    " ",
    "",
)
# Small, so that prompts are short: an image has 4 to 16 tokens, a group of frames about as many.
PIXELS = {"min_pixels": 64 * 64, "max_pixels": 128 * 128}
VIDEO_PIXELS = {"shortest_edge": 2 * 64 * 64, "longest_edge": 4 * 128 * 128}
FRAMES = 300  # that a video had before it was sampled


@pytest.fixture(scope="module", params=["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def stock_processor(name, tiny_processor):
    return tiny_processor(name, PIXELS, {"size": VIDEO_PIXELS, "do_sample_frames": False})


def random_prompt(rng):
    """A prompt, and the pixels of the images and of the videos in it."""
    prompt, images, videos = "", [], []
    for pad in rng.choice(["", IMAGE, VIDEO], rng.integers(1, 8)):
        if pad == IMAGE:
            images.append(np.zeros((*rng.integers(40, 200, 2), 3), np.uint8))
        if pad == VIDEO:
            videos.append(np.zeros((rng.integers(2, 8), *rng.integers(40, 200, 2), 3), np.uint8))
        marked = pad == VIDEO or (pad == IMAGE and rng.random() < 0.7)
        prompt += START + pad + END if marked else pad
        prompt += str(rng.choice(TEXTS))
    return prompt, images, videos


def with_timestamps(prompt, sampled, rates):
    """The prompt that Qwen3-VL reads: a timestamp and a placeholder for each group of frames."""
    stamps = map(video_timestamps, sampled, rates)
    shown = ("".join(stamp + START + VIDEO + END for stamp in groups) for groups in stamps)
    return re.sub(re.escape(VIDEO), lambda _: next(shown), prompt)


def test_prompts(name, stock_processor, batches):
    process = ImageProcessor(name, **PIXELS)
    tokenizer = stock_processor.tokenizer
    image_id, video_id = tokenizer.convert_tokens_to_ids([IMAGE, VIDEO])
    seen = np.zeros(2, int)
    for number, rng in batches:
        prompt, images, videos = random_prompt(rng)
        rates = rng.uniform(0.5, 60, len(videos)).tolist()
        sampled = [np.sort(rng.choice(FRAMES, len(video), replace=False)) for video in videos]
        theirs = stock_processor(
            text=[prompt, "a text beside it, so that the shorter of the two is padded"],
            images=images or None,
            videos=videos or None,
            video_metadata=[
                {"fps": rate, "total_num_frames": FRAMES, "frames_indices": frames.tolist()}
                for rate, frames in zip(rates, sampled, strict=True)
            ],
            padding=True,
            return_tensors="pt",
        )
        batch = f"batch {number}: {prompt!r}, {[item.shape for item in (*images, *videos)]}"

        image_counts = [process.num_tokens(*image.shape[:2]) for image in images]
        groups = theirs["video_grid_thw"].tolist() if videos else []
        if name == "qwen3-vl":
            prompt = with_timestamps(prompt, sampled, rates)
            groups = [[1, h, w] for t, h, w in groups for _ in range(t)]
        video_counts = [t * h * w // 4 for t, h, w in groups]
        ids = tokenizer(prompt).input_ids
        for token, counts in ((image_id, image_counts), (video_id, video_counts)):
            ids, offsets = expand_placeholders(ids, token, counts)
            spans = [ids[start:end].tolist() for start, end in offsets]
            assert spans == [[token] * count for count in counts], batch
        kept = theirs["attention_mask"][0].bool()
        assert ids.tolist() == theirs["input_ids"][0][kept].tolist(), batch

        types = mm_token_type_ids(
            theirs["input_ids"], image_token_id=image_id, video_token_id=video_id
        )
        assert types.tolist() == theirs["mm_token_type_ids"].tolist(), batch
        seen += len(images), len(videos)
    assert len(batches) < 60 or min(seen) > 60, "too few images or videos to tell"
