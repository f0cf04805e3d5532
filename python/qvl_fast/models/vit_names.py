"""What checkpoints call the tensors of a vision transformer, and what we call them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from qvl_fast.config import VitConfig

# Of transformers' CLIP, SigLIP, InternViT, BLIP-2 and Idefics, and of Qwen-VL; in this order.
_NAMES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^embeddings\.(patch_embedding|patch_embeddings\.projection)\.", "patch_embed.proj."),
        (r"^embeddings\.(class_embedding|cls_token)$", "class_embed.weight"),
        (r"^embeddings\.position_embeddings?(\.weight)?$", "pos_embed.weight"),
        (r"^pre_layrnorm\.", "pre_norm."),
        (r"^(post_layernorm|layernorm)\.", "norm."),
        (r"^encoder\.layers?\.", "blocks."),
        (r"\.(self_attn|attention)\.", ".attn."),
        (r"\.(out_proj|projection|projection_layer)\.", ".proj."),
        (r"\.(layer_norm1|layernorm_before)\.", ".norm1."),
        (r"\.(layer_norm2|layernorm_after)\.", ".norm2."),
        (r"\.lambda_([12])$", r".scale\1.weight"),
        (r"^conv1\.", "patch_embed.proj."),
        (r"^positional_embedding$", "pos_embed.weight"),
        (r"^ln_pre\.", "pre_norm."),
        (r"^transformer\.resblocks\.", "blocks."),
        (r"\.ln_([12])\.", r".norm\1."),
        (r"\.mlp\.c_fc\.", ".mlp.fc1."),
        (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    )
]

# Poolers, and what masked training needs.
_UNUSED = re.compile(r"^(head\.|embeddings\.(mask_token|position_ids)$)")
_PART = re.compile(r"^(.*\.attn)\.([qkv])_proj\.(weight|bias)$")
_BLOCK = re.compile(r"^blocks\.(\d+)\.")


def vit_weights(tensors: Iterable[tuple[str, Tensor]], config: VitConfig) -> dict[str, Tensor]:
    """The weights of a :class:`VitTower`, from those of a checkpoint.

    Args:
        tensors: name and tensor, without the prefix that the model puts before the tower's.
        config: the shape; what it leaves out is dropped.
    """
    weights: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for stock, tensor in tensors:
        name = stock
        for pattern, ours in _NAMES:
            name = pattern.sub(ours, name)
        block = _BLOCK.match(name)
        if _UNUSED.match(name) or (block and int(block[1]) >= config.blocks):
            continue
        if name.startswith("norm.") and not (config.post_norm and config.layers is None):
            continue
        if part := _PART.match(name):
            together = f"{part[1]}.qkv.{part[3]}"
            three = parts.setdefault(together, {})
            three[part[2]] = tensor
            if len(three) == 3:
                weights[together] = torch.cat([three[which] for which in "qkv"])
                del parts[together]
        elif name.endswith((".attn.in_proj.weight", ".attn.in_proj.bias")):
            weights[name.replace("in_proj", "qkv")] = _heads_apart(tensor, config)
        elif name == "patch_embed.proj.weight":
            weights[name] = tensor[:, :, None]  # (W, 3, 1, p, p)
        elif name in ("class_embed.weight", "pos_embed.weight"):
            weights[name] = tensor.reshape(-1, config.width)
        else:
            weights[name] = tensor
    return weights


def _heads_apart(tensor: Tensor, config: VitConfig) -> Tensor:
    """Queries, keys and values one after the other, which Qwen-VL has head by head."""
    split = tensor.view(config.heads, 3, config.head_dim, *tensor.shape[1:])
    return split.transpose(0, 1).flatten(0, 2)  # of (3, H, D, ...)
