"""A whole model: its parts, the presets of released families, and checkpoint directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from qvl_fast.config.checks import listed, read_json
from qvl_fast.config.image import ImageConfig
from qvl_fast.config.rope import RopeConfig
from qvl_fast.config.tower import TOWERS, TowerConfig

if TYPE_CHECKING:
    import os

_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What one model expects of its input.

    Attributes:
        name: the preset's name, or the directory's.
        image: how an image becomes patch rows.
        tower: the shape of the vision tower; None if the checkpoint does not say.
        rope: how the language model numbers its tokens; None if the checkpoint does not say.
    """

    name: str
    image: ImageConfig = field(default_factory=ImageConfig)
    tower: TowerConfig | None = None
    rope: RopeConfig | None = None

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """The configuration that the released checkpoints of a model family have.

        Raises:
            ValueError: the name is not known; the message lists those that are.
        """
        try:
            return PRESETS[name]
        except (KeyError, TypeError):
            raise ValueError(f"preset must be one of {listed(PRESETS)}, got {name!r}") from None

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> ModelConfig:
        """The configuration of a checkpoint directory.

        Reads the image processor from ``processor_config.json`` (nested, as transformers 5 saves
        it) or else from ``preprocessor_config.json``, and the tower and the rope from
        ``config.json`` if there is one of a known model type. Nothing is downloaded.

        Raises:
            FileNotFoundError: the directory holds no settings of an image processor.
            ValueError: a file is not JSON, or asks for what is not reproduced exactly.
        """
        directory = Path(directory).resolve()
        image = (read_json(directory / "processor_config.json") or {}).get("image_processor")
        if image is None:
            image = read_json(directory / "preprocessor_config.json")
        if image is None:
            raise FileNotFoundError(
                f"directory {str(directory)!r} has neither a processor_config.json with an "
                "image_processor nor a preprocessor_config.json"
            )
        if not isinstance(image, Mapping):
            raise ValueError(f"image_processor in {directory} must be an object, got {image!r:.80}")
        tower, rope = _model_parts(read_json(directory / "config.json") or {})
        return cls(
            name=directory.name,
            image=ImageConfig.from_dict(cast("dict[str, Any]", image)),
            tower=tower,
            rope=rope,
        )


Part = TypeVar("Part", ImageConfig, TowerConfig, RopeConfig)


def image_config(config: str | ModelConfig | ImageConfig) -> ImageConfig:
    """The image part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, ImageConfig, "image")


def tower_config(config: str | ModelConfig | TowerConfig) -> TowerConfig:
    """The tower part of what a ``config=`` argument may be; a name is also a tower preset's."""
    if isinstance(config, str):
        return TowerConfig.preset(config)
    return _part(config, TowerConfig, "tower")


def rope_config(config: str | ModelConfig | RopeConfig) -> RopeConfig:
    """The rope part of what a ``config=`` argument may be; see :func:`_part`."""
    return _part(config, RopeConfig, "rope")


def _part(config: str | ModelConfig | Part, kind: type[Part], name: str) -> Part:
    """The part that a function needs of a preset's name, a model's configuration or the part.

    Raises:
        ValueError: an unknown preset, or a checkpoint that did not describe the part.
        TypeError: something else.
    """
    if isinstance(config, kind):
        return config
    model: Any = ModelConfig.preset(config) if isinstance(config, str) else config
    if not isinstance(model, ModelConfig):
        raise TypeError(
            f"config must be a preset's name, a ModelConfig or the {kind.__name__}, got {config!r}"
        )
    part: Part | None = getattr(model, name)
    if part is None:
        raise ValueError(
            f"config {model.name!r} does not describe the {name}: the checkpoint had no "
            f"config.json of a known model type ({listed(_MODEL_TYPES)})"
        )
    return part


def _model_parts(config: Mapping[str, Any]) -> tuple[TowerConfig | None, RopeConfig | None]:
    """Tower and rope of a ``config.json``; what it leaves out has the model type's default."""
    preset = _MODEL_TYPES.get(config.get("model_type", ""))
    if preset is None or preset.rope is None:
        return None, None
    vision: Mapping[str, Any] = config.get("vision_config") or {}
    text: Mapping[str, Any] = config.get("text_config") or config  # Older files are flat.
    rope: Mapping[str, Any] = text.get("rope_parameters") or text.get("rope_scaling") or {}
    tower = TowerConfig.from_dict(vision, config["model_type"])
    head_dim = text.get("head_dim")
    heads, width = text.get("num_attention_heads"), text.get("hidden_size")
    if head_dim is None and heads and width and not preset.rope.interleaved:
        head_dim = width // heads  # Qwen3-VL has a default of its own.
    scaling = rope.get("rope_type", rope.get("type", "default"))
    theta = rope.get("rope_theta", text.get("rope_theta"))
    per_second = preset.rope.tokens_per_second and vision.get("tokens_per_second", 4)
    return tower, replace(
        preset.rope,
        merge_size=tower.merge_size,
        tokens_per_second=per_second,
        head_dim=head_dim or preset.rope.head_dim,
        theta=theta or (500_000.0 if preset.rope.interleaved else 1_000_000.0),
        sections=tuple(rope.get("mrope_section", preset.rope.sections)),
        scaling="default" if scaling == "mrope" else scaling,
    )


_QWEN2 = ImageConfig(min_pixels=56 * 56, max_pixels=28 * 28 * 16384)
_QWEN3 = ImageConfig(
    patch_size=16,
    min_pixels=256 * 256,
    max_pixels=4096 * 4096,
    image_mean=_HALF,
    image_std=_HALF,
)

PRESETS: Mapping[str, ModelConfig] = {
    config.name: config
    for config in (
        ModelConfig(name="qwen2-vl", image=_QWEN2, tower=TOWERS["qwen2-vl"], rope=RopeConfig()),
        ModelConfig(
            name="qwen2.5-vl",
            image=_QWEN2,
            tower=TOWERS["qwen2.5-vl"],
            rope=RopeConfig(tokens_per_second=2),
        ),
        ModelConfig(
            name="qwen3-vl",
            image=_QWEN3,
            tower=TOWERS["qwen3-vl"],
            rope=RopeConfig(
                videos_in_groups=True, theta=5_000_000.0, sections=(24, 20, 20), interleaved=True
            ),
        ),
    )
}

# `model_type` in a config.json -> the preset whose structure it has.
_MODEL_TYPES: Mapping[str, ModelConfig] = {
    "qwen2_vl": PRESETS["qwen2-vl"],
    "qwen2_5_vl": PRESETS["qwen2.5-vl"],
    "qwen3_vl": PRESETS["qwen3-vl"],
    "qwen3_vl_moe": PRESETS["qwen3-vl"],
}
