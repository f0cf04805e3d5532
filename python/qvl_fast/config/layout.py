"""What of an image a model sees, and at which size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

from qvl_fast.config.checks import check_choice, integer, positive_integer, sizes_listed, two_sides

Overview = Literal["none", "first", "last"]
Stack = Literal["one", "flat", "padded", "masked"]
Filter = Literal["bicubic", "bilinear", "lanczos", "box", "hamming"]
Small = Literal["keep", "enlarge", "enlarge_sides"]

# Sides and numbers of tiles from here on are refused by the core.
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Area:
    """Sides are multiples of a factor, the area is within the bounds of the configuration (Qwen).

    Attributes:
        frames: whether the bounds count the area once for each frame of a row (GLM-4V).
        small: what becomes of an image with a side below the factor first: ``"keep"``;
            ``"enlarge"``, both sides alike and rounded down (GLM-4V); ``"enlarge_sides"``, one
            after the other and rounded half to even (PaddleOCR-VL).
        expand: how many times the factor sides are multiples of (Glmga); by torchvision's
            reference, as the class for Pillow takes no notice of it.
    """

    frames: bool = False
    small: Small = "keep"
    expand: int = 1

    def __post_init__(self) -> None:
        check_choice("small", self.small, Small)


@dataclass(frozen=True, slots=True)
class Shrink:
    """At most so many patches; the image never grows, and is padded with black (Kimi-K2.5).

    Attributes:
        patches: of an image, at most.
        side: patches along a side, at most.
    """

    patches: int
    side: int


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Between so many tokens, and padded with black to whole ones (GLM-5).

    An image is enlarged only if it has less pixels than the least number of tokens.

    Attributes:
        least: tokens of an image, at least.
        most: at most.
        expand: how many times the factor sides are multiples of; see :class:`Area`.
    """

    least: int
    most: int
    expand: int = 1


@dataclass(frozen=True, slots=True)
class PatchBudget:
    """The largest size of whole patches, of which there may be so many (SigLIP 2).

    Attributes:
        most: patches of an image, at most.
    """

    most: int


@dataclass(frozen=True, slots=True)
class Halved:
    """Half as large as the roots of the area's bounds allow the sides to be (GLM-Image).

    Images with a side below the factor, or an aspect ratio above 4, are refused.
    """


@dataclass(frozen=True, slots=True)
class Stretch:
    """One size for all images, whatever their aspect ratio.

    Attributes:
        height: in pixels.
        width: in pixels.
    """

    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Shortest:
    """The shorter side becomes so long, the other keeps the aspect ratio.

    Attributes:
        edge: in pixels.
    """

    edge: int


@dataclass(frozen=True, slots=True)
class Pinpoints:
    """Inside the best of these canvases, in its middle (LLaVA-NeXT, LLaVA-OneVision).

    Attributes:
        canvases: ``(height, width)`` in pixels, multiples of the tile.
    """

    canvases: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """The grid of tiles whose aspect ratio is nearest (InternVL).

    Attributes:
        least: tiles at least.
        most: tiles at most.
    """

    least: int = 1
    most: int = 12


Fit: TypeAlias = (
    "Area | Shrink | TokenBudget | PatchBudget | Halved | Stretch | Shortest | Pinpoints | Ratio"
)


@dataclass(frozen=True, slots=True)
class TileTokens:
    """Every tile, or frame of a video, becomes so many tokens.

    Attributes:
        count: tokens of a tile.
        after: tokens that follow those of all tiles, such as one that stands for a newline.
    """

    count: int
    after: int = 0


@dataclass(frozen=True, slots=True)
class AnyresTokens:
    """Tiles are put together again, cut to the image's aspect ratio, and rows end with a newline.

    Attributes:
        side: features along a side of a tile.
        most_tiles: of whose features there are as many tokens at most; None for any number.
    """

    side: int
    most_tiles: int | None = None


@dataclass(frozen=True, slots=True)
class LineTokens:
    """Every merged block of patches becomes a token, and each line of them ends with one more.

    Attributes:
        around: tokens of an image besides, before the first line and after the last.
    """

    around: int = 0


Tokens: TypeAlias = "TileTokens | AnyresTokens | LineTokens"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What of an image a model sees, and at which size; the default is Qwen's.

    The image is padded to a square if asked for, resized, and put on a canvas of tiles: cropped to
    a single one, or cut into several. A tile is what a model takes as one picture.

    Attributes:
        fit: how large the image becomes.
        tile: ``(height, width)`` of a tile in pixels; None if all of a resized image is one.
        square: whether the image is padded first, with the mean colour.
        overview: whether the whole image, stretched to a tile, comes besides: ``"first"``, or
            ``"last"`` if it has several tiles.
        filter: that images are resized with.
        stack: how the tiles of a batch are put together: ``"one"`` for each image, ``"flat"``, all
            one after another, or ``"padded"`` with black to as many for each image. Or
            ``"masked"``: the patches of each, padded with zeros to as many as it may have, and a
            mask that tells them apart.
        tokens: what a tile becomes in the language model; by default a token for each merged block
            of patches.
        raster: whether patches come line by line, rather than by merged blocks.
        channels_last: whether the columns of a patch are y, x, channel, frame, rather than channel,
            frame, y, x.
        together: the layout of images of which several are in a sample; None if it is the same.

    Raises:
        ValueError: an unknown name, a side or number that is not positive, or settings that do not
            go together.
        TypeError: a value has the wrong type.
    """

    fit: Fit = Area()
    tile: tuple[int, int] | None = None
    square: bool = False
    overview: Overview = "none"
    filter: Filter = "bicubic"
    stack: Stack = "one"
    tokens: Tokens | None = None
    raster: bool = False
    channels_last: bool = False
    together: Layout | None = None

    def __post_init__(self) -> None:
        check_choice("overview", self.overview, Overview)
        check_choice("filter", self.filter, Filter)
        check_choice("stack", self.stack, Stack)
        for name in ("square", "raster", "channels_last"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.tile is not None:
            height, width = two_sides("tile", self.tile)
            tile = positive_integer("tile", height), positive_integer("tile", width)
            object.__setattr__(self, "tile", tile)
        object.__setattr__(self, "fit", _checked(self.fit))
        tiled = isinstance(self.fit, (Pinpoints, Ratio)) or self.overview != "none"
        if tiled and self.tile is None:
            raise ValueError(f"tile must be given for fit {self.fit!r}, got None")
        if (self.stack == "masked") != isinstance(self.fit, PatchBudget):
            raise ValueError(
                f"stack must be 'masked' for a PatchBudget and for nothing else, got "
                f"{self.stack!r} for {self.fit!r}"
            )

    @property
    def sized(self) -> bool:
        """Whether rows go with the sizes that images had, by which tiles are put together again."""
        return self.stack == "padded"


def _checked(fit: Any) -> Fit:
    """``fit`` with its numbers as integers.

    Raises:
        TypeError, ValueError: it is none, or a number is out of range.
    """
    match fit:
        case Halved():
            return fit
        case Area():
            return replace(fit, expand=positive_integer("expand", fit.expand))
        case Pinpoints(canvases):
            return Pinpoints(sizes_listed("pinpoints", canvases))
        case Ratio(least, most):
            return Ratio(integer("min_patches", least, 0), positive_integer("max_patches", most))
        case Shrink() | TokenBudget() | PatchBudget() | Stretch() | Shortest():
            names = fit.__dataclass_fields__
            numbers = {name: positive_integer(name, getattr(fit, name)) for name in names}
            for name, number in numbers.items():
                if number > _MOST:
                    raise ValueError(f"{name} must be at most 2**20, got {number}")
            return cast("Fit", replace(fit, **numbers))
        case _:
            raise TypeError(f"fit must be one of the classes of this module, got {fit!r}")
