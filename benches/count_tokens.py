"""How much faster `count_tokens` is than running the processor to see how long its output is.

    python benches/count_tokens.py FOLDER [--rounds N] [--record FILE]

Each image of the folder is a conversation of its own, as in a filter by length. "processor" is
``apply_chat_template(tokenize=True)`` of the stock processor. "utilities" is what verl does:
``process_vision_info`` and the processor; ``count_tokens(road="both")`` gives the same number. The
tokenizer is trained here on one line, so text costs less than with a real one, on both sides.
"""

from __future__ import annotations

import argparse
import json
import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import transformers
from qwen_vl_utils import process_vision_info

import qvl_fast
from qvl_fast.bench.timing import paired_medians

TEMPLATE = """
{%- for message in messages %}{% for item in message.content -%}
{% if item.type == "image" %}<|image_pad|>{% else %}{{ item.text }}{% endif %}
{%- endfor %}{% endfor -%}
"""
QWEN3 = {
    "patch_size": 16,
    "size": {"shortest_edge": 65536, "longest_edge": 4096 * 4096},
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}
FAMILIES = {
    "qwen2.5-vl": (transformers.Qwen2_5_VLProcessor, {}, transformers.Qwen2VLVideoProcessor),
    "qwen3-vl": (transformers.Qwen3VLProcessor, QWEN3, transformers.Qwen3VLVideoProcessor),
}


def stock_processor(family: str) -> Any:
    processor, image, video_processor = FAMILIES[family]
    tokenizer = transformers.Qwen2Tokenizer().train_new_from_iterator(
        ["Describe this image."], 300, new_special_tokens=["<|image_pad|>", "<|video_pad|>"]
    )
    return processor(
        transformers.Qwen2VLImageProcessor(**image),
        tokenizer,
        video_processor(),
        chat_template=TEMPLATE,
    )


def by_processor(processor: Any, conversation: Any) -> int:
    return processor.apply_chat_template(conversation, tokenize=True, return_tensors="pt").numel()


def by_utilities(processor: Any, conversation: Any) -> int:
    text = processor.apply_chat_template(conversation, tokenize=False)
    patch_size = processor.image_processor.patch_size
    images, _ = process_vision_info(conversation, image_patch_size=patch_size)
    return len(processor(text=[text], images=images)["input_ids"][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(
        file
        for file in options.folder.iterdir()
        if file.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    text = {"type": "text", "text": "Describe this image."}
    conversations = [
        [{"role": "user", "content": [{"type": "image", "image": str(file)}, text]}]
        for file in files
    ]
    results = []
    for family in FAMILIES:
        processor = stock_processor(family)
        for name, stock, road in (
            ("processor", by_processor, "processor"),
            ("utilities", by_utilities, "both"),
        ):
            count = partial(qvl_fast.count_tokens, processor=processor, road=road)
            for conversation in conversations:
                if count(conversation) != stock(processor, conversation):
                    raise AssertionError(f"{family}, {name}: {conversation} is counted wrong")
            runs = {
                "stock": lambda stock=stock, processor=processor: [
                    stock(processor, conversation) for conversation in conversations
                ],
                "count_tokens": lambda count=count: list(map(count, conversations)),
            }
            seconds = paired_medians(runs, options.rounds)
            ratio = seconds["stock"] / seconds["count_tokens"]
            milliseconds = {run: round(1000 * value, 2) for run, value in seconds.items()}
            results.append(
                {"family": family, "against": name, **milliseconds, "times": round(ratio)}
            )
            print(
                f"{family:11} {name:10} {len(files)} images: stock {milliseconds['stock']} ms, "
                f"count_tokens {milliseconds['count_tokens']} ms, {ratio:.0f} times"
            )
    if options.record:
        record = {
            "machine": platform.processor() or platform.machine(),
            "images": len(files),
            "threads": 1,
            "rounds": options.rounds,
            "versions": {
                "qwen_vl_utils": version("qwen-vl-utils"),
                **{m.__name__: m.__version__ for m in (qvl_fast, transformers, torch, np, PIL)},
            },
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
