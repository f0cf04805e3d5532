"""How a model writes where things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from qvl_fast.config.checks import check_choice, positive_integer

Markup: TypeAlias = Literal["json", "ref-box", "object-ref"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundingConfig:
    """How a model writes where things are.

    Attributes:
        scale: what the whole width, and the whole height, of the image counts; None if coordinates
            are pixels of the resized image.
        markup: ``"json"``, a list of objects with ``bbox_2d`` or ``point_2d`` and a ``label``;
            ``"object-ref"``, the tags of Qwen2-VL (``<|object_ref_start|>``, ``<|box_start|>``);
            ``"ref-box"``, those of Qwen-VL (``<ref>``, ``<box>``).

    Raises:
        ValueError: a scale below 1, or markup that is not known.
        TypeError: a value has the wrong type.
    """

    scale: int | None
    markup: Markup

    def __post_init__(self) -> None:
        """Check the values."""
        if self.scale is not None:
            object.__setattr__(self, "scale", positive_integer("scale", self.scale))
        check_choice("markup", self.markup, Markup)
