"""The JSON of processors of transformers whose sizes are sides, as their classes read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qvl_fast.config.checks import positive_integer
from qvl_fast.config.layout import Layout, Shortest, Stretch

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """The settings that decide what of an image or a frame a model sees.

    Attributes:
        settings: the JSON.
        size: that of the class, where the JSON has none; None if the class has no such size.
        tile: what the class crops to, where the JSON does not say; None if it does not crop.
        size_to_square: whether a size of one number is both sides, rather than the shorter.
    """

    settings: Settings
    size: Shortest | Stretch | None = None
    tile: tuple[int, int] | None = None
    size_to_square: bool = True

    def flag(self, name: str, default: bool) -> bool:
        """A flag; null is off.

        Raises:
            TypeError: it is something else.
        """
        value = self.settings.get(name, default)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true, false or null, got {value!r}")
        return value

    def number(self, name: str, default: int) -> int:
        """A positive integer."""
        return positive_integer(name, self.settings.get(name, default))

    def sides(self, name: str, *, square: bool) -> dict[str, int] | None:
        """A size with its keys; None if the JSON has none.

        Raises:
            ValueError: it is null.
        """
        if name not in self.settings:
            return None
        match self.settings[name]:
            case int(side) if square:
                size: dict[str, Any] = {"height": side, "width": side}
            case int(side):
                size = {"shortest_edge": side}
            case [height, width]:
                size = {"height": height, "width": width}
            case {**sides} if sides:
                size = {key: side for key, side in sides.items() if side is not None}
            case other:
                raise ValueError(f"{name} must be a number or sides in pixels, got {other!r}")
        return {key: positive_integer(f"{name}[{key!r}]", side) for key, side in size.items()}

    def fit(self) -> Shortest | Stretch:
        """How ``size`` says that images are resized.

        Raises:
            ValueError: its keys are others than a class of one tile has.
        """
        size = self.sides("size", square=self.size_to_square)
        match size:
            case None if self.size is not None:
                return self.size
            case {"shortest_edge": edge, **rest} if not rest:
                return Shortest(edge)
            case {"height": height, "width": width, **rest} if not rest:
                return Stretch(height, width)
            case _:
                raise ValueError(
                    "size must have the keys 'height' and 'width', or 'shortest_edge', got "
                    f"{self.settings.get('size')!r}"
                )

    def one_tile(self) -> Layout:
        """Resized, then cropped where ``do_center_crop`` says so: all that most classes do.

        Raises:
            ValueError: pictures of several shapes would come out.
        """
        fit = self.fit()
        if self.flag("do_center_crop", self.tile is not None):
            return Layout(fit=fit, tile=self._crop())
        if not self.flag("do_resize", True):
            raise ValueError(
                "do_resize must be true where images are not cropped, got "
                f"{self.settings['do_resize']!r}: pictures of several shapes cannot be put together"
            )
        return Layout(fit=fit, tile=whole(fit))

    def _crop(self) -> tuple[int, int]:
        """``(height, width)`` that images are cropped to."""
        match size := self.sides("crop_size", square=True):
            case None if self.tile is not None:
                return self.tile
            case {"height": height, "width": width}:
                return height, width
            case _:
                raise ValueError(f"crop_size must have the keys 'height' and 'width', got {size!r}")


def whole(fit: Shortest | Stretch) -> tuple[int, int]:
    """``(height, width)`` of all images once they are resized.

    Raises:
        ValueError: they differ.
    """
    if isinstance(fit, Shortest):
        raise ValueError(
            f"size must have the keys 'height' and 'width' where images are not cropped, got "
            f"shortest_edge {fit.edge}: pictures of several shapes cannot be put together"
        )
    return fit.height, fit.width
