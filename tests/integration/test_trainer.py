"""The Trainer of transformers over batches of ours: text alone, images, videos, and all of them."""

import numpy as np
import pytest
import torch
import transformers
from torch.utils.data import IterableDataset

import qvl_fast
from qvl_fast.integrations.torch_data import Collate

IMAGE, VIDEO, START, END = range(100, 104)
IMAGES = qvl_fast.ImageProcessor("qwen2-vl", max_pixels=56**2)
VIDEOS = qvl_fast.VideoProcessor("qwen2-vl", max_pixels=4 * 56**2, do_sample_frames=False)
COLLATE = Collate(padding={"input_ids": 0, "labels": -100, "mm_token_type_ids": 0})


class Stream(IterableDataset):
    """Samples in order, whose number nobody knows before."""

    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


def tiny_model():
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3]}
    text = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 104}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    special = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None}
    torch.manual_seed(0)
    return transformers.Qwen2VLForConditionalGeneration(
        transformers.Qwen2VLConfig(
            text_config={**text, **heads, **special, "rope_parameters": rope},
            vision_config={"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 2},
            image_token_id=IMAGE,
            video_token_id=VIDEO,
            vision_start_token_id=START,
            vision_end_token_id=END,
        )
    )


def sample(rng, has_image, has_video):
    """Some text and what belongs to it, of random sizes."""
    ids, entries = rng.integers(1, 100, rng.integers(3, 9)).tolist(), {}
    if has_image:
        image = IMAGES(rng.integers(0, 256, (*rng.integers(40, 90, 2), 3), np.uint8))
        ids += [START, *[IMAGE] * (int(image.image_grid_thw.prod()) // 4), END]
        entries |= image
    if has_video:
        video = VIDEOS(rng.integers(0, 256, (4, *rng.integers(40, 90, 2), 3), np.uint8))
        ids += [START, *[VIDEO] * (int(video.video_grid_thw.prod()) // 4), END]
        entries |= video
    types = qvl_fast.mm_token_type_ids([ids], image_token_id=IMAGE, video_token_id=VIDEO)[0]
    return {**entries, "input_ids": ids, "labels": ids, "mm_token_type_ids": types}


@pytest.mark.parametrize(
    "kinds",
    [[(0, 0)], [(1, 0)], [(0, 1)], [(0, 0), (1, 0), (0, 1), (1, 1)]],
    ids=["text", "images", "videos", "all"],
)
def test_it_trains_and_evaluates(kinds, tmp_path):
    rng = np.random.default_rng(0)
    samples = [sample(rng, *kinds[number % len(kinds)]) for number in range(5)]
    model = tiny_model()
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=6,
            learning_rate=3e-3,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            remove_unused_columns=False,
            save_strategy="no",
            report_to=[],
            accelerator_config={"dispatch_batches": False},
            use_cpu=True,
        ),
        train_dataset=samples,
        data_collator=COLLATE,
    )
    before = trainer.evaluate(Stream(samples))["eval_loss"]
    trainer.train()
    assert trainer.evaluate(Stream(samples))["eval_loss"] < 0.9 * before
    found = trainer.predict(Stream(samples))
    assert len(found.label_ids) == len(found.predictions) == len(samples)
    # The samples are counted by the first entry of a batch.
    loader = trainer.get_eval_dataloader(Stream(samples))
    assert trainer.evaluation_loop(loader, "count", prediction_loss_only=True).num_samples == 5
    for place, one in enumerate(samples):
        with torch.no_grad():
            alone = model.eval()(**COLLATE([one])).logits[0].numpy()
        assert np.allclose(found.predictions[place, : len(alone)], alone, atol=1e-4)
