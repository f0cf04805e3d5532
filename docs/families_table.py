"""The tables of docs/families.md, made from the presets and the classes that are known.

python docs/families_table.py        # writes them into the page
"""

from pathlib import Path

from qvl_fast import ImageProcessor
from qvl_fast.config import FAMILIES, ImageConfig
from qvl_fast.config.families import MODEL_TYPES
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

PAGE = Path(__file__).with_name("families.md")
SIZES = ((480, 640), (1080, 1920), (2000, 300))
# The tower of `qvl_fast.models` that takes their rows, by its preset.
TOWERS = {
    "qwen2-vl": "`qwen2-vl`",
    "qwen2.5-vl": "`qwen2.5-vl`",
    "qwen3-vl": "`qwen3-vl`",
    "qwen3.5": "`qwen3.5`",
    "clip-224": "as `clip-vit-l-336`",
    "llava-1.5": "`llava-1.5`",
    "llava-1.5-pad": "`llava-1.5`",
    "llava-next": "`llava-1.5`",
    "llava-onevision": "`llava-onevision`",
    "internvl": "`internvit-300m`, `internvit-6b`",
    "blip-2": "`eva-g`",
    "instructblip": "`eva-g`",
    "idefics": "`idefics`",
    "siglip-384": "`siglip-so400m-384`",
    "qwen-vl": "`qwen-vl`",
}
END = "<!-- end -->\n"


def presets() -> str:
    """One line for each family: its size rule, tiles, and what images of some sizes become."""
    titles = ["preset", "size", "tiles", *(f"tokens of {h} x {w}" for h, w in SIZES), "tower"]
    lines: list[list[str]] = []
    for name, model in FAMILIES.items():
        processor = ImageProcessor(model, return_tensors="np")
        counts = [_tokens(processor, *size) for size in SIZES]
        lines.append(
            [f"`{name}`", _size(model.image), _tiles(model.image), *counts, TOWERS.get(name, "")]
        )
    return _table(titles, lines)


def classes() -> str:
    """One line for each image processor that is known: the model types that have it."""
    lines = [
        [f"`{kind}`", ", ".join(f"`{model_type}`" for model_type in MODEL_TYPES[kind])]
        for kind in sorted(MODEL_TYPES)
    ]
    return _table(["class", "model types"], lines)


def _table(titles: list[str], lines: list[list[str]]) -> str:
    rows = [titles, ["-"] * len(titles), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


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
        return ""
    overview = {"none": "", "first": ", overview first", "last": ", overview last"}
    return f"{layout.tile[0]} x {layout.tile[1]}{overview[layout.overview]}"


def _tokens(processor: ImageProcessor, height: int, width: int) -> str:
    try:
        return str(processor.num_tokens(height, width))
    except ValueError:  # What becomes of a tile is up to the model.
        return ""


def updated(page: str) -> str:
    """The page with the tables of today."""
    for name, table in (("presets", presets), ("classes", classes)):
        start = f"<!-- {name}, made by families_table.py -->\n"
        before, rest = page.split(start)
        _, after = rest.split(END, maxsplit=1)
        page = f"{before}{start}{table()}{END}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
