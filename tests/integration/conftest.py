"""Tiny checkpoints with all the files of a processor, made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The processor of each model type, and the video processor that it has.
MODELS = {
    "qwen2_vl": ("Qwen2VLProcessor", "Qwen2VLVideoProcessor", "Qwen2VLConfig"),
    "qwen2_5_vl": ("Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor", "Qwen2_5_VLConfig"),
    "qwen3_vl": ("Qwen3VLProcessor", "Qwen3VLVideoProcessor", "Qwen3VLConfig"),
}
WORDS = ("<unk>", "what", "is", "this", "seconds", "and", "here")
SPECIAL = ("<|pad|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``checkpoint(model_type)``: a directory with a configuration and processor, no weights."""
    folders: dict[str, Path] = {}

    def make(model_type: str) -> Path:
        if model_type not in folders:
            folders[model_type] = tmp_path_factory.mktemp(model_type)
            save(model_type, folders[model_type])
        return folders[model_type]

    return make


def save(model_type: str, folder: Path) -> None:
    import transformers

    processor, video_processor, config = MODELS[model_type]
    part: dict[str, Any] = {"image_processor": transformers.Qwen2VLImageProcessor()}
    part["video_processor"] = getattr(transformers, video_processor)(do_sample_frames=False)
    part["video_processor"].cap_pixels_per_frame = False
    getattr(transformers, processor)(**part, tokenizer=tokenizer()).save_pretrained(folder)
    getattr(transformers, config)().save_pretrained(folder)


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate([*WORDS, *SPECIAL])}
    spaced = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    spaced.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=spaced,
        unk_token="<unk>",
        pad_token="<|pad|>",
        additional_special_tokens=list(SPECIAL[1:]),
    )
