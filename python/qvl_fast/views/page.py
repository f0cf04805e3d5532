"""The page that shows what a model sees: a template with the data put in."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from PIL import Image

from qvl_fast.views.drawing import WINDOW_COLOURS, window_colours
from qvl_fast.views.seen import Seen

_TEMPLATE = "page.html"
_DATA = "/* data */"

# Good enough to judge what is legible, and a tenth of the size of the pixels.
_JPEG_QUALITY = 85


def filled(images: Sequence[dict[str, Any]]) -> str:
    """The page of some images.

    Names of files and answers of models are data here, never markup: they stand in JSON without
    any character that HTML knows, and the page puts them in as text.
    """
    template = (files("qvl_fast.views") / _TEMPLATE).read_text(encoding="utf-8")
    data = json.dumps({"images": images, "windowColours": WINDOW_COLOURS}, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return template.replace(_DATA, data)


def framed(text: str) -> str:
    """A page inside another, as notebooks show it, without access to that other."""
    return (
        f'<iframe srcdoc="{html.escape(text)}" sandbox="allow-scripts" title="what the model sees" '
        'style="width: 100%; height: 640px; border: 0"></iframe>'
    )


def step(seen: Seen) -> dict[str, Any]:
    """An image at one budget."""
    positions, windows = seen.positions, seen.windows
    return {
        "resized": seen.pixels.shape[:2],
        "patch": seen.patch_size,
        "merge": seen.config.image.merge_size,
        "tokens": seen.tokens,
        "positions": None if positions is None else positions.tolist(),
        "windows": None if windows is None else windows.tolist(),
        "colours": None if windows is None else window_colours(seen).ravel().tolist(),
        "picture": _data_url(seen),
    }


def _data_url(seen: Seen) -> str:
    buffer = io.BytesIO()
    Image.fromarray(seen.pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
