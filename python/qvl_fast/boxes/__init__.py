"""Points, boxes and outlines between an image and what a model reads and writes of it.

Each generation of Qwen-VL writes places in its own way: Qwen-VL and Qwen2-VL in thousandths of the
image between tags, Qwen2.5-VL in pixels of the *resized* image as JSON, Qwen3-VL in thousandths as
JSON. The model is therefore an argument of every function here. Coordinates are x before y, and
edges, not centres, of pixels: a box of the whole image is (0, 0, width, height).
"""

from qvl_fast.boxes.answers import Region, parse
from qvl_fast.boxes.coordinates import Rounding, from_model, to_model, turn
from qvl_fast.boxes.problems import BoxError, Problem
from qvl_fast.boxes.spaces import Space, convert
from qvl_fast.boxes.targets import format, translate
from qvl_fast.boxes.tokens import rectangles, tokens_at, tokens_under

__all__ = [
    "BoxError",
    "Problem",
    "Region",
    "Rounding",
    "Space",
    "convert",
    "format",
    "from_model",
    "parse",
    "rectangles",
    "to_model",
    "tokens_at",
    "tokens_under",
    "translate",
    "turn",
]
