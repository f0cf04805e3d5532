"""Position ids of the transformers that this process imports: cases on stdin, answers on stdout.

For campaign.py, which starts it with one version after the other on the path. Both sides are JSON.
"""

import inspect
import json
import sys
from importlib import import_module
from types import SimpleNamespace

import torch

# Of text, of the marker before an item, and of the placeholders of images and videos.
TEXT, START, IMAGE, VIDEO = 1, 2, 4, 5


def stub(family, tokens_per_second):
    """Something with the methods of the family's model and with its configuration, not its weights.

    Raises:
        ImportError: this version has no such model.
    """
    module = import_module(f"transformers.models.{family}.modeling_{family}")
    # Until 4.51 the method was the whole model's.
    models = [
        getattr(module, name + suffix)
        for name in ("Qwen2VL", "Qwen2_5_VL", "Qwen3VL", "Qwen3_5")
        for suffix in ("Model", "ForConditionalGeneration")
        if hasattr(module, name + suffix)
    ]
    model = next(model for model in models if hasattr(model, "get_rope_index"))
    names = ("get_rope_index", "get_vision_position_ids")
    methods = {name: vars(model)[name] for name in names if name in vars(model)}
    made = type("Stub", (), methods)()
    made.config = SimpleNamespace(
        vision_config=SimpleNamespace(spatial_merge_size=2, tokens_per_second=tokens_per_second),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
    )
    return made


def answer(case):
    """Ids and deltas of a case, or the name of what was raised."""
    model = stub(case["family"], case["tokens_per_second"])
    ids = torch.tensor(case["input_ids"])
    seconds = case["seconds"]
    if seconds is not None and case["precision"]:
        seconds = torch.tensor(seconds, dtype=getattr(torch, case["precision"]))
    arguments = {
        "input_ids": ids,
        "mm_token_type_ids": (ids == IMAGE).long() + 2 * (ids == VIDEO).long(),
        "image_grid_thw": torch.tensor(case["images"]) if case["images"] else None,
        "video_grid_thw": torch.tensor(case["videos"]) if case["videos"] else None,
        "second_per_grid_ts": seconds,
        "attention_mask": None if case["mask"] is None else torch.tensor(case["mask"]),
    }
    taken = inspect.signature(model.get_rope_index).parameters
    try:
        found = model.get_rope_index(**{k: v for k, v in arguments.items() if k in taken})
    except Exception as error:
        return type(error).__name__
    return [tensor.tolist() for tensor in found]


if __name__ == "__main__":
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
