"""Train a tiny Qwen2.5-VL with random weights on a folder of images.

    python docs/train_tiny.py samples --steps 12

It learns to read out the names of the files, in a loop to start one's own from. Needs torch and
transformers; takes seconds on a CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

import qvl_fast
from qvl_fast.integrations.torch_data import (
    Collate,
    RowTransform,
    TokenBatchSampler,
    image_lengths,
)

# Texts are tokenised to their bytes; special tokens follow.
START, END, IMAGE, VIDEO, STOP, PAD = range(256, 262)
PROMPT = [START, IMAGE, END, *b"What is this? "]


class Captions(Dataset):
    """A sample for each image of a folder: its rows, and a prompt with its name as the answer."""

    def __init__(self, files: list[Path], processor: qvl_fast.ImageProcessor) -> None:
        self.files = files
        self.processor = processor
        self.transform = RowTransform(processor, key="image")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        sample = self.transform({"image": self.files[index]})
        counts = sample["image_grid_thw"].prod(1) // self.processor.config.merge_size**2
        answer = [*self.files[index].stem.encode(), STOP]
        ids, _ = qvl_fast.expand_placeholders(PROMPT + answer, IMAGE, counts, return_tensors="pt")
        labels = ids.clone()
        labels[: -len(answer)] = -100  # The loss is of the answer alone.
        return {**sample, "input_ids": ids, "labels": labels}

    def lengths(self) -> torch.Tensor:
        """Tokens of each sample, without decoding an image."""
        texts = [len(PROMPT) + len(file.stem.encode()) for file in self.files]
        return torch.tensor(texts) + torch.from_numpy(image_lengths(self.files, self.processor))


class AddPositions:
    """Collates, and adds what the model would otherwise compute with loops in its forward pass."""

    def __init__(self, config: Qwen2_5_VLConfig) -> None:
        self.config = config
        self.collate = Collate(padding={"input_ids": PAD, "labels": -100})

    def __call__(self, samples: list[dict[str, torch.Tensor]]) -> qvl_fast.ImageRows:
        batch = self.collate(samples)
        batch["position_ids"], _ = qvl_fast.mrope_position_ids(
            qvl_fast.mm_token_type_ids(
                batch["input_ids"], image_token_id=IMAGE, video_token_id=VIDEO
            ),
            config=self.config,
            image_grid_thw=batch["image_grid_thw"],
            attention_mask=batch["attention_mask"],
            return_tensors="pt",
        )
        return batch


def tiny_model() -> Qwen2_5_VLForConditionalGeneration:
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": PAD + 1}
    rope = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
    special = {"pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={**small, **heads, **rope, **special},
            vision_config={**vision, "out_hidden_size": 64, "fullatt_block_indexes": [1]},
            image_token_id=IMAGE,
            video_token_id=VIDEO,
            vision_start_token_id=START,
            vision_end_token_id=END,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=200, help="most tokens of a batch")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    model = tiny_model().to(device)
    # A checkpoint's: qvl_fast.ImageProcessor.from_pretrained(directory).
    processor = qvl_fast.ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 64)
    files = sorted(
        file for file in options.folder.iterdir() if file.suffix in {".png", ".jpg", ".jpeg"}
    )
    dataset = Captions(files, processor)
    sampler = TokenBatchSampler(dataset.lengths(), options.tokens)
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=AddPositions(model.config),
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        pin_memory=device == "cuda",
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    step = 0
    while step < options.steps:
        for batch in loader:
            batch = batch.to(device, non_blocking=True)
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            images, tokens = len(batch.image_grid_thw), batch["input_ids"].numel()
            print(f"step {step}: {images} images, {tokens} tokens, loss {loss.item():.3f}")
            if step == options.steps:
                break
        sampler.set_epoch(sampler.epoch + 1)


if __name__ == "__main__":
    main()
