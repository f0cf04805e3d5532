"""A vision tower: how large it is, and where its patches are."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isqrt
from typing import Any, Self

from qvl_fast.config.checks import listed, positive_integer, positive_number, section

_BLOCK_LISTS = ("full_attention_blocks", "deepstack_blocks")


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerConfig:
    """The shape of a vision tower.

    Defaults are those of Qwen2-VL 7B. A tower with windows is one of Qwen2.5-VL, one with a table
    of positions one of Qwen3-VL or Qwen3.5.

    Attributes:
        patch_size: side of a patch in pixels.
        temporal_patch_size: frames that one row stands for.
        merge_size: side, in patches, of the block that the model merges into one token.
        depth: number of blocks.
        width: channels of a patch inside the tower.
        heads: attention heads; ``width / heads`` is a multiple of 4.
        mlp_width: hidden channels of a block's MLP.
        out_width: channels of a token, the width of the language model.
        window_size: side in pixels of the windows that most blocks attend within (Qwen2.5-VL);
            None if every block attends to whole frames.
        full_attention_blocks: the blocks, counted from 0, that attend to whole frames all the
            same. As in transformers, numbers beyond the last block do nothing.
        position_table_side: side of the square table of learned positions that is stretched over
            each frame (Qwen3-VL); None if there is none.
        deepstack_blocks: the blocks whose output is also handed to the language model (Qwen3-VL,
            but not Qwen3.5); likewise.
        rope_theta: base of the wavelengths of the rotary embedding.

    Raises:
        ValueError: a value is out of range, a window holds no token, or blocks are not listed in
            increasing order.
        TypeError: a value has the wrong type.
    """

    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    depth: int = 32
    width: int = 1280
    heads: int = 16
    mlp_width: int = 5120
    out_width: int = 3584
    window_size: int | None = None
    full_attention_blocks: tuple[int, ...] = ()
    position_table_side: int | None = None
    deepstack_blocks: tuple[int, ...] = ()
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        """Check and canonicalise the values, so that equal configurations compare equal."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _BLOCK_LISTS:
                object.__setattr__(self, entry.name, _increasing(entry.name, value))
            elif entry.name == "rope_theta":
                object.__setattr__(self, entry.name, positive_number(entry.name, value))
            elif value is not None:
                object.__setattr__(self, entry.name, positive_integer(entry.name, value))
        if self.width % (4 * self.heads):
            raise ValueError(
                f"width must be a multiple of 4 * heads = {4 * self.heads}, got {self.width}"
            )
        if self.window_size is not None and self.window_size < self.patch_size * self.merge_size:
            raise ValueError(
                "window_size must be at least patch_size * merge_size = "
                f"{self.patch_size * self.merge_size}, got {self.window_size}"
            )

    @property
    def head_dim(self) -> int:
        """Channels of an attention head."""
        return self.width // self.heads

    @classmethod
    def preset(cls, name: str) -> TowerConfig:
        """The tower of a released checkpoint such as ``"qwen2.5-vl-7b"``.

        A family's name alone means its 7B, 8B or 9B model; ``"qwen2-vl-tiny"`` and so on are for
        tests.

        Raises:
            ValueError: the name is not known; the message lists those that are.
        """
        try:
            return TOWERS[name]
        except (KeyError, TypeError):
            raise ValueError(f"preset must be one of {listed(TOWERS)}, got {name!r}") from None

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], model_type: str) -> Self:
        """The tower that the ``vision_config`` of a ``config.json`` describes.

        What is missing has the default of transformers for the model type.

        Args:
            settings: the ``vision_config``.
            model_type: of the model, such as ``"qwen2_5_vl"``.

        Raises:
            ValueError: the model type is not known, or the settings ask for something that the
                towers do not compute.
            TypeError: a value has the wrong type.
        """
        if model_type not in _DEFAULTS:
            raise ValueError(f"model_type must be one of {listed(_DEFAULTS)}, got {model_type!r}")
        settings = {_ALIASES.get(name, name): value for name, value in settings.items()}
        vision = {**_DEFAULTS[model_type], **settings}
        for name in ("hidden_act", "in_channels"):
            if vision[name] != (expected := _DEFAULTS[model_type][name]):
                raise ValueError(
                    f"{name} of a {model_type} tower must be {expected!r}, got {vision[name]!r}"
                )
        values = {name: vision[key] for name, key in _KEYS.items() if key in vision}
        if "embed_dim" in vision:  # Qwen2-VL, where hidden_size is that of the language model
            values["width"] = vision["embed_dim"]
            values["out_width"] = vision["hidden_size"]
            values["mlp_width"] = int(vision["embed_dim"] * vision["mlp_ratio"])
        if "num_position_embeddings" in vision:
            values["position_table_side"] = isqrt(vision["num_position_embeddings"])
        tower = cls(**values, rope_theta=_rope_theta(settings))
        if settings.get("head_dim") not in (None, tower.head_dim):
            raise ValueError(
                f"head_dim of a {model_type} tower must be width / heads = {tower.head_dim}, got "
                f"{settings['head_dim']!r}"
            )
        return tower


def _rope_theta(settings: Mapping[str, Any]) -> float:
    """The base of the wavelengths, where transformers looks for it."""
    rope = section(settings, "rope_scaling", "rope_parameters")
    # A checkpoint without a type of its own, or with the language models' "default", is axial.
    kind = rope.get("rope_type", rope.get("type", "axial"))
    if kind not in ("axial", "default"):
        raise ValueError(f"rope_type of a tower must be 'axial' or 'default', got {kind!r}")
    return rope.get("rope_theta", settings.get("rope_theta", 10_000.0))


def _increasing(name: str, value: Any) -> tuple[int, ...]:
    try:
        blocks = tuple(operator.index(block) for block in value)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of integers, got {value!r}") from None
    if list(blocks) != sorted(set(blocks)) or min(blocks, default=0) < 0:
        raise ValueError(f"{name} must count from 0 and increase, got {value!r}")
    return blocks


# Our names for what the vision_config of a checkpoint calls otherwise, or not at all.
_KEYS = {
    "patch_size": "patch_size",
    "temporal_patch_size": "temporal_patch_size",
    "merge_size": "spatial_merge_size",
    "depth": "depth",
    "width": "hidden_size",
    "heads": "num_heads",
    "mlp_width": "intermediate_size",
    "out_width": "out_hidden_size",
    "window_size": "window_size",
    "full_attention_blocks": "fullatt_block_indexes",
    "deepstack_blocks": "deepstack_visual_indexes",
}

# What the vision_config of transformers accepts under two names.
_ALIASES = {"num_hidden_layers": "depth", "num_attention_heads": "num_heads"}

_COMMON = {
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "depth": 32,
    "num_heads": 16,
    "in_channels": 3,
}
_QWEN3_5 = {
    **_COMMON,
    "patch_size": 16,
    "depth": 27,
    "hidden_size": 1152,
    "hidden_act": "gelu_pytorch_tanh",
    "intermediate_size": 4304,
    "out_hidden_size": 3584,
    "num_position_embeddings": 2304,
}
_QWEN3_VL = {**_QWEN3_5, "deepstack_visual_indexes": (8, 16, 24)}

# `model_type` -> what transformers assumes where the vision_config is silent.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "qwen2_vl": {
        **_COMMON,
        "embed_dim": 1280,
        "hidden_size": 3584,
        "hidden_act": "quick_gelu",
        "mlp_ratio": 4,
    },
    "qwen2_5_vl": {
        **_COMMON,
        "hidden_size": 3584,
        "hidden_act": "silu",
        "intermediate_size": 3420,
        "out_hidden_size": 3584,
        "window_size": 112,
        "fullatt_block_indexes": (7, 15, 23, 31),
    },
    "qwen3_vl": _QWEN3_VL,
    "qwen3_vl_moe": _QWEN3_VL,
    "qwen3_5": _QWEN3_5,
    "qwen3_5_moe": _QWEN3_5,
    "qwen4_exp": _QWEN3_5,
}


def _qwen2(out_width: int) -> TowerConfig:
    return TowerConfig(out_width=out_width)


def _qwen2_5(out_width: int, mlp_width: int = 3420) -> TowerConfig:
    return TowerConfig(
        mlp_width=mlp_width,
        out_width=out_width,
        window_size=112,
        full_attention_blocks=(7, 15, 23, 31),
    )


def _qwen3(out_width: int, *, small: bool = False) -> TowerConfig:
    return TowerConfig(
        patch_size=16,
        depth=24 if small else 27,
        width=1024 if small else 1152,
        mlp_width=4096 if small else 4304,
        out_width=out_width,
        position_table_side=48,
        deepstack_blocks=(5, 11, 17) if small else (8, 16, 24),
    )


def _qwen3_5(out_width: int, *, small: bool = False) -> TowerConfig:
    return replace(_qwen3(out_width, small=small), deepstack_blocks=())


_TINY = TowerConfig(depth=3, width=96, heads=4, mlp_width=192, out_width=64)

TOWERS: Mapping[str, TowerConfig] = {
    "qwen2-vl": _qwen2(3584),
    "qwen2-vl-2b": _qwen2(1536),
    "qwen2-vl-7b": _qwen2(3584),
    "qwen2-vl-72b": _qwen2(8192),
    "qwen2-vl-tiny": _TINY,
    "qwen2.5-vl": _qwen2_5(3584),
    "qwen2.5-vl-3b": _qwen2_5(2048),
    "qwen2.5-vl-7b": _qwen2_5(3584),
    "qwen2.5-vl-32b": _qwen2_5(5120, mlp_width=3456),
    "qwen2.5-vl-72b": _qwen2_5(8192, mlp_width=3456),
    "qwen2.5-vl-tiny": replace(_TINY, window_size=112, full_attention_blocks=(1,)),
    "qwen3-vl": _qwen3(4096),
    "qwen3-vl-2b": _qwen3(2048, small=True),
    "qwen3-vl-4b": _qwen3(2560, small=True),
    "qwen3-vl-8b": _qwen3(4096),
    "qwen3-vl-32b": _qwen3(5120),
    "qwen3-vl-30b-a3b": _qwen3(2048),
    "qwen3-vl-235b-a22b": _qwen3(4096),
    "qwen3-vl-tiny": replace(_TINY, patch_size=16, position_table_side=12, deepstack_blocks=(0, 1)),
    "qwen3.5": _qwen3_5(4096),
    "qwen3.5-4b": _qwen3_5(2560, small=True),
    "qwen3.5-9b": _qwen3_5(4096),
    "qwen3.5-27b": _qwen3_5(5120),
    "qwen3.5-tiny": replace(_TINY, patch_size=16, position_table_side=12),
}
