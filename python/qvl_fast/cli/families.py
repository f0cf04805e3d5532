"""What families make of images, in words: the table of the guide and of ``qvl-fast inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvl_fast.config import FAMILIES
from qvl_fast.config.layout import (
    Area,
    Halved,
    PatchBudget,
    Pinpoints,
    Ratio,
    Shortest,
    Shrink,
    Stretch,
    TokenBudget,
)
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qvl_fast.config import ImageConfig, ModelConfig

NONE = "-"
# The only reference that there is of a preset: its code has another than the class of transformers,
# or that has a single backend.
_REFERENCES = {"qwen-vl": "Pillow", "kimi-k2.5": "torchvision", "minimax-m3-vl": "torchvision"}
# The tower of `qvl_fast.models` that takes a preset's rows, by its own preset; `as` it, but for the
# number of patches, where a preset has another side.
_TOWERS = {
    "qwen2-vl": "qwen2-vl",
    "qwen2.5-vl": "qwen2.5-vl",
    "qwen3-vl": "qwen3-vl",
    "qwen3.5": "qwen3.5",
    "clip-224": "as clip-vit-l-336",
    "llava-1": "as llava-1.5",
    "llava-1.5": "llava-1.5",
    "llava-1.5-pad": "llava-1.5",
    "llava-next": "llava-1.5",
    "llava-onevision": "llava-onevision",
    "internvl": "internvit-300m, internvit-6b",
    "blip-2": "eva-g",
    "instructblip": "eva-g",
    "idefics": "idefics",
    "siglip-384": "siglip-so400m-384",
    "qwen-vl": "qwen-vl",
}


def table(sizes: Iterable[tuple[int, int]]) -> tuple[list[str], list[list[str]]]:
    """A line for the preset of each family.

    Args:
        sizes: height and width of images.

    Returns:
        The titles of the columns and the cells of each line: name, size rule, tiles, reference and
        tower, then for each size the tokens, and tiles where there are several.
    """
    sizes = tuple(sizes)
    titles = ["preset", "size", "tiles", "reference", "tower"]
    titles += [f"tokens of {height} x {width}" for height, width in sizes]
    return titles, [_line(model, sizes) for model in FAMILIES.values()]


def counted(count: Callable[..., int], *sizes: object) -> str:
    """How many tokens or tiles there are, where it is known."""
    try:
        return str(count(*sizes))
    except ValueError:  # The image is refused, or what becomes of a tile is up to the model.
        return NONE


def _line(model: ModelConfig, sizes: Sequence[tuple[int, int]]) -> list[str]:
    processor = ImageProcessor(model, return_tensors="np")
    return [
        model.name,
        _size(model.image),
        _tiles(model.image),
        _REFERENCES.get(model.name, "torchvision, Pillow"),
        _TOWERS.get(model.name, NONE),
        *(_seen(processor, *size) for size in sizes),
    ]


def _seen(processor: ImageProcessor, height: int, width: int) -> str:
    found = counted(processor.num_tokens, height, width)
    if processor.form == "planes":
        tiles = counted(processor.num_patches, height, width)
        if tiles not in ("1", NONE):
            return f"{found} of {tiles} tiles"
    return found


def _size(config: ImageConfig) -> str:
    layout = config.layout
    padded = "padded to a square, then " if layout.square else ""
    match layout.fit:
        case Area():
            return (
                f"multiples of {config.factor}, {config.min_pixels} to {config.max_pixels} pixels"
            )
        case Shrink(patches, _):
            return f"at most {patches} patches, padded to multiples of {config.factor}"
        case TokenBudget(least, most):
            return f"{least} to {most} tokens, padded to multiples of {config.factor}"
        case PatchBudget(most):
            return f"at most {most} patches of {config.patch_size}"
        case Halved():
            return f"halved, multiples of {config.factor}"
        case Stretch(height, width):
            return f"{height} x {width}"
        case Shortest(edge):
            return f"{padded}shorter side {edge}"
        case Pinpoints(canvases):
            return f"inside the best of {len(canvases)} canvases"
        case Ratio(least, most):
            return f"the nearest grid of {least} to {most} tiles"


def _tiles(config: ImageConfig) -> str:
    layout = config.layout
    if layout.tile is None:
        return NONE
    overview = {"none": "", "first": ", overview first", "last": ", overview last"}
    return f"{layout.tile[0]} x {layout.tile[1]}{overview[layout.overview]}"
