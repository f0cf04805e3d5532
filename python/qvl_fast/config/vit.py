"""The vision transformers of the other families: one table, whose rows are values."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, cast

from qvl_fast.config.checks import check_choice, listed, positive_integer, positive_number, section

Activation = Literal["quick_gelu", "gelu", "gelu_pytorch_tanh"]
Norm = Literal["layer_norm", "rms_norm"]

_SIZES = ("patch_size", "side", "table_side", "depth", "width", "heads", "mlp_width")


@dataclass(frozen=True, kw_only=True, slots=True)
class VitConfig:
    """The shape of a vision transformer over square tiles.

    Defaults are those of CLIP ViT-L/14 at 336 pixels.

    Attributes:
        patch_size: side of a patch in pixels.
        side: patches along the side of a tile; pixels beyond whole patches are not seen.
        table_side: side of the square table of learned positions, which is stretched over tiles
            of other sides.
        depth: number of blocks.
        width: channels of a patch.
        heads: attention heads; they divide the width.
        mlp_width: hidden channels of a block's MLP.
        patch_bias: whether the patch embedding has a bias.
        class_token: whether a learned token, with a position of its own, comes before each tile.
        pre_norm: whether the input of the first block is normalized.
        norm: how the input of attention and MLP is normalized.
        norm_eps: what is added to the variance for it.
        qkv_bias: whether queries, keys and values have biases.
        qk_norm: whether queries and keys are normalized over the whole width (RMS, 1e-6).
        layer_scale: whether what attention and MLP add is scaled by channel.
        activation: of the MLPs, under its name in transformers: ``"gelu"`` is exact,
            ``"quick_gelu"`` is ``x * sigmoid(1.702 x)``.
        post_norm: whether the output of the last block is normalized.
        layers: whose outputs are the tokens, concatenated by channel: 0 is the input of the first
            block, i the output of the i-th, negative ones count from the end, and none of them
            meets ``post_norm``. None is the end of the tower. Blocks after the last one named are
            left out.
        keep_class: whether the class token is one of the tokens.

    Raises:
        ValueError: a value is out of range or not known.
        TypeError: a value has the wrong type.
    """

    patch_size: int = 14
    side: int = 24
    table_side: int = 24
    depth: int = 24
    width: int = 1024
    heads: int = 16
    mlp_width: int = 4096
    patch_bias: bool = False
    class_token: bool = True
    pre_norm: bool = True
    norm: Norm = "layer_norm"
    norm_eps: float = 1e-5
    qkv_bias: bool = True
    qk_norm: bool = False
    layer_scale: bool = False
    activation: Activation = "quick_gelu"
    post_norm: bool = False
    layers: tuple[int, ...] | None = None
    keep_class: bool = True

    def __post_init__(self) -> None:
        """Check and canonicalise the values, so that equal configurations compare equal."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _SIZES:
                object.__setattr__(self, entry.name, positive_integer(entry.name, value))
            elif entry.type == "bool" and not isinstance(value, bool):
                raise TypeError(f"{entry.name} must be a bool, got {value!r}")
        check_choice("activation", self.activation, Activation)
        check_choice("norm", self.norm, Norm)
        object.__setattr__(self, "norm_eps", positive_number("norm_eps", self.norm_eps))
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads = {self.heads}, got {self.width}")
        if self.layers is not None:
            object.__setattr__(self, "layers", _from_start(self.layers, self.depth))

    @property
    def head_dim(self) -> int:
        """Channels of an attention head."""
        return self.width // self.heads

    @property
    def temporal_patch_size(self) -> int:
        """Frames that one row stands for."""
        return 1

    @property
    def blocks(self) -> int:
        """Blocks that are computed: none behind the last layer asked for."""
        return self.depth if self.layers is None else max(self.layers)

    @classmethod
    def preset(cls, name: str) -> VitConfig:
        """The tower of a released model such as ``"llava-1.5"``.

        Raises:
            ValueError: the name is not known; the message lists those that are.
        """
        try:
            return VITS[name]
        except (KeyError, TypeError):
            raise ValueError(f"preset must be one of {listed(VITS)}, got {name!r}") from None

    @classmethod
    def from_qwen(cls, visual: Mapping[str, Any]) -> Self:
        """The vision transformer that ``visual`` in the ``config.json`` of Qwen-VL describes.

        What is missing is as in the one model that was released.

        Raises:
            TypeError, ValueError: as for the class.
        """
        size: dict[str, Any] = {"image_size": 448, "patch_size": 14, "mlp_ratio": 4.9231, **visual}
        given = {name: size[key] for key, name in _QWEN_KEYS.items() if key in size}
        width = given.get("width", VITS["qwen-vl"].width)
        given["mlp_width"] = int(width * size["mlp_ratio"])
        return cls(**_QWEN | given, side=size["image_size"] // size["patch_size"])

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """The tower that a ``config.json`` describes, a whole model's or a vision module's.

        What is missing has the default of transformers.

        Raises:
            ValueError: no tower is known for the model type, or the settings ask for something
                that it does not compute.
            TypeError: a value has the wrong type.
        """
        model_type: str = config.get("model_type", "")
        family = _FAMILIES.get(model_type)
        vision = config if family is None else section(config, "vision_config")
        kind: str = vision.get("model_type", model_type if family is None else family.vision)
        if kind not in _STOCK:
            raise ValueError(f"model_type must be one of {listed(VIT_TYPES)}, got {model_type!r}")
        settings = dict(_STOCK[kind])
        if family is not None and "model_type" not in vision:
            settings |= family.shape
        settings |= vision
        for name, expected in _REQUIRED.items():
            if settings.get(name, expected) != expected:
                raise ValueError(
                    f"{name} of a {kind} tower must be {expected!r}, got {settings[name]!r}"
                )
        patch_size = _square("patch_size", settings["patch_size"])
        side = _square("image_size", settings["image_size"]) // patch_size
        values: dict[str, Any] = {"patch_size": patch_size, "side": side, "table_side": side}
        values |= _COLUMNS[kind]
        values |= {name: settings[key] for key, name in _KEYS.items() if key in settings}
        if "use_mean_pooling" in settings:
            values["post_norm"] = not settings["use_mean_pooling"]
        if family is not None and family.layer is not None:
            values |= _selection(config, family)
        return cls(**values)


def _from_start(layers: Any, depth: int) -> tuple[int, ...]:
    """Numbers of layers, none of them negative."""
    try:
        given = tuple(operator.index(layer) for layer in _tuple(layers))
    except TypeError:
        raise TypeError(f"layers must be a sequence of integers, got {layers!r}") from None
    if not given or any(not -depth - 1 <= layer <= depth for layer in given):
        raise ValueError(f"layers must be from {-depth - 1} to {depth}, got {layers!r}")
    return tuple(layer % (depth + 1) for layer in given)


def _square(name: str, value: Any) -> int:
    """A side that a configuration may give twice."""
    sides = _tuple(value)
    if len(set(sides)) != 1:
        raise ValueError(f"{name} must be that of a square, got {value!r}")
    return positive_integer(name, sides[0])


def _tuple(value: Any) -> tuple[Any, ...]:
    """What a configuration gives as one value or a list of them."""
    return tuple(cast("list[Any]", value)) if isinstance(value, list | tuple) else (value,)


def _selection(config: Mapping[str, Any], family: _Family) -> dict[str, Any]:
    """Which tokens a model takes from its tower."""
    layer = config.get("vision_feature_layer", family.layer)
    # InternVL's -1 is the output of the whole tower, LLaVA's that of the last block.
    at_end = family.vision == "internvl_vision" and layer == -1
    strategy = config.get("vision_feature_select_strategy", family.strategy)
    return {"layers": None if at_end else _tuple(layer), "keep_class": strategy == "full"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Family:
    """What whole models of one `model_type` have and leave out.

    Attributes:
        vision: `model_type` of a vision_config that names none.
        shape: what it is where it says nothing.
        layer: the layer whose output is taken, None for the end of the tower.
        strategy: ``"default"`` if the class token is dropped, ``"full"`` if not.
    """

    vision: str
    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])
    layer: int | None = None
    strategy: str = "full"


# Settings of a vision_config -> columns of the table.
_KEYS = {
    "num_hidden_layers": "depth",
    "hidden_size": "width",
    "embed_dim": "width",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "hidden_act": "activation",
    "layer_norm_eps": "norm_eps",
    "norm_type": "norm",
    "attention_bias": "qkv_bias",
    "qkv_bias": "qkv_bias",
    "use_qk_norm": "qk_norm",
}

# Settings that would change what is computed, and the only values that the tower has.
_REQUIRED = {"num_channels": 3, "use_absolute_position_embeddings": True}

# What each kind of vision module computes, whatever its settings.
_COLUMNS: Mapping[str, dict[str, Any]] = {
    "clip_vision_model": {},
    "siglip_vision_model": {
        "patch_bias": True,
        "class_token": False,
        "pre_norm": False,
        "post_norm": True,
    },
    "internvl_vision": {"patch_bias": True, "pre_norm": False, "layer_scale": True},
    "blip_2_vision_model": {"patch_bias": True, "pre_norm": False, "post_norm": True},
    "idefics_vision": {},
}

# What transformers assumes where a vision_config is silent.
_BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
}
_STOCK: Mapping[str, Mapping[str, Any]] = {
    "clip_vision_model": {
        **_BASE,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
    "siglip_vision_model": {
        **_BASE,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    "internvl_vision": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 448,
        "patch_size": 14,
        "hidden_act": "gelu",
        "norm_type": "layer_norm",
        "layer_norm_eps": 1e-6,
        "attention_bias": False,
        "use_qk_norm": False,
        "use_mean_pooling": True,
    },
    "blip_2_vision_model": {
        "hidden_size": 1408,
        "intermediate_size": 6144,
        "num_hidden_layers": 39,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
    },
    "idefics_vision": {
        "embed_dim": 768,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    },
}

_LLAVA = _Family(
    vision="clip_vision_model",
    shape={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    },
    layer=-2,
    strategy="default",
)
_ONEVISION = _Family(
    vision="siglip_vision_model",
    shape={
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 26,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    },
    layer=-1,
)
_FAMILIES: Mapping[str, _Family] = {
    "clip": _Family(vision="clip_vision_model"),
    "siglip": _Family(vision="siglip_vision_model"),
    "llava": _LLAVA,
    "llava_next": _LLAVA,
    "llava_onevision": _ONEVISION,
    "internvl": _Family(vision="internvl_vision", layer=-1, strategy="default"),
    "blip-2": _Family(vision="blip_2_vision_model"),
    "idefics": _Family(vision="idefics_vision"),
}

# The model types that have such a tower, and those that are nothing else.
VIT_TYPES = (*_FAMILIES, *_STOCK)
BARE_VIT_TYPES = tuple(_STOCK)

_SIGLIP = VitConfig(
    side=27,
    table_side=27,
    depth=27,
    width=1152,
    mlp_width=4304,
    patch_bias=True,
    class_token=False,
    pre_norm=False,
    norm_eps=1e-6,
    activation="gelu_pytorch_tanh",
    post_norm=True,
)
_INTERNVIT = VitConfig(
    side=32,
    table_side=32,
    patch_bias=True,
    pre_norm=False,
    norm_eps=1e-6,
    layer_scale=True,
    activation="gelu",
    keep_class=False,
)

_QWEN: dict[str, Any] = {
    "table_side": 16,
    "depth": 48,
    "width": 1664,
    "mlp_width": 8192,
    "class_token": False,
    "norm_eps": 1e-6,
    "activation": "gelu",
}
_QWEN_KEYS = {"patch_size": "patch_size", "layers": "depth", "width": "width", "heads": "heads"}

VITS: Mapping[str, VitConfig] = {
    "clip-vit-l-336": VitConfig(),
    "llava-1.5": VitConfig(layers=(-2,), keep_class=False),
    "siglip-so400m-384": _SIGLIP,
    "llava-onevision": replace(_SIGLIP, depth=26, layers=(-1,)),
    "internvit-300m": _INTERNVIT,
    "internvit-6b": replace(
        _INTERNVIT,
        depth=45,
        width=3200,
        heads=25,
        mlp_width=12800,
        norm="rms_norm",
        qkv_bias=False,
        qk_norm=True,
    ),
    "eva-g": VitConfig(
        side=16,
        table_side=16,
        depth=39,
        width=1408,
        mlp_width=6144,
        patch_bias=True,
        pre_norm=False,
        norm_eps=1e-6,
        activation="gelu",
        post_norm=True,
    ),
    "idefics": VitConfig(
        side=16, table_side=16, depth=32, width=1280, mlp_width=5120, activation="gelu"
    ),
    "qwen-vl": VitConfig(**_QWEN, side=32),
}
