"""What a model sees of an image, as a picture and as a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qvl_fast._input.names import describe
from qvl_fast.config import model_config, positive_integer
from qvl_fast.config.layout import Area
from qvl_fast.views import page
from qvl_fast.views.drawing import draw, png
from qvl_fast.views.places import Place, places_of
from qvl_fast.views.seen import Seen, decoded, see, see_frames, with_budget

if TYPE_CHECKING:
    from PIL import Image

    from qvl_fast._input.source import ImageSource
    from qvl_fast._input.video.clips import VideoSource
    from qvl_fast.boxes import Region
    from qvl_fast.config import ModelConfig

# The budgets, in tokens, that a page shows beside the model's own.
_BUDGETS = (64, 256, 1024, 4096)


@dataclass(frozen=True, eq=False)
class View:
    """What a model sees of an image. Notebooks show it as a page.

    Attributes:
        name: of the image.
        seen: the resized pixels, the grid, position ids and windows.
        smaller: the same with smaller budgets, the smallest first.
        places: boxes, points and outlines, with what the model can still resolve of them.
        scores: float64 (tokens,) from 0 to 1, or None.
    """

    name: str
    seen: Seen
    smaller: Sequence[Seen] = ()
    places: Sequence[Place] = ()
    scores: NDArray[np.float64] | None = field(default=None, repr=False)

    @cached_property
    def image(self) -> Image.Image:
        """A PIL picture of the resized size with the pixels, tokens, windows, scores and boxes."""
        boxes = [place.resized for place in self.places if place.resized is not None]
        return draw(self.seen, boxes=boxes, scores=self.scores)

    @cached_property
    def html(self) -> str:
        """A page by itself, without anything that would have to be fetched."""
        return gallery([self])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, or the picture if the name does not end in .html.

        Args:
            path: of the file; its extension decides the format.

        Raises:
            ValueError: Pillow cannot write files with this extension.
            OSError: the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".html":
            path.write_text(self.html, encoding="utf-8")
        else:
            self.image.save(path)

    def _repr_html_(self) -> str:
        return page.framed(self.html)

    def _repr_png_(self) -> bytes:
        return png(self.image)


def view(
    image: ImageSource,
    config: str | ModelConfig,
    boxes: ArrayLike | str | Sequence[Region] | None = None,
    scores: ArrayLike | None = None,
) -> View:
    """What a model sees of an image.

    Args:
        image: whatever a processor takes.
        config: a preset's name or a :class:`ModelConfig`.
        boxes: (N, 2 * points) pixels of the original image; or the model's answer, as text or
            parsed.
        scores: (tokens,) numbers, such as attention; the lowest is transparent, the highest in full
            colour.

    Raises:
        ImageError, OSError, TypeError: an image that cannot be used, as from a processor.
        BoxError: boxes outside the image or with corners swapped, each by its index. Those of an
            answer are listed on the page instead.
        ValueError: an unknown preset, or scores that are not one finite number for each token.

    Example:
        >>> shown = view("samples/coffee.png", "qwen2.5-vl", boxes=[[180, 20, 400, 210]])
        >>> shown.image.size, shown.places[0].note
        ((588, 392), '8 x 8 tokens, 216 x 186 pixels of what the model sees')
    """
    model = model_config(config)
    source = decoded(image)
    seen = see(source, model)
    rows, columns = seen.tokens
    budgets: list[int] = []
    if isinstance(fit := model.image.layout.fit, Area):
        frames = model.image.temporal_patch_size if fit.frames else 1
        area = frames * model.image.factor**2
        budgets = [tokens * area for tokens in _BUDGETS if tokens < rows * columns]
    return View(
        name=_name(image),
        seen=seen,
        smaller=[see(source, with_budget(model, pixels)) for pixels in budgets],
        places=[] if boxes is None else places_of(boxes, seen),
        scores=None if scores is None else _scaled(scores, rows * columns),
    )


def view_frames(
    video: VideoSource, config: str | ModelConfig, *, most_groups: int = 8
) -> list[View]:
    """What a model sees of a video, frame by frame; :func:`gallery` makes one page of them.

    Frames of a group, which are pairs in released models, share their tokens and position ids.

    Args:
        video: whatever :class:`VideoProcessor` takes.
        config: a preset's name or a :class:`ModelConfig`.
        most_groups: so many groups of frames are shown, from the first on.

    Raises:
        VideoError, OSError, TypeError: a video that cannot be used, as from a processor.
        ValueError: an unknown preset, or one that takes no videos.
    """
    most = positive_integer("most_groups", most_groups)
    name = _name(video[0] if isinstance(video, tuple) else video)
    frames = see_frames(video, model_config(config), most)
    return [View(name=f"{name}: {place}", seen=seen) for place, seen in frames]


def gallery(views: Sequence[View]) -> str:
    """One page for several images, with an index. An overview has an entry of its own.

    Args:
        views: of the images, in the order of the page.

    Returns:
        HTML without links to other files.
    """
    return page.filled([content for view in views for content in _contents(view)])


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else describe(source)


def _scaled(scores: ArrayLike, tokens: int) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64)
    if values.shape != (tokens,) or not np.isfinite(values).all():
        raise ValueError(
            f"scores must be a finite number for each of {tokens} tokens, got shape {values.shape}"
        )
    lowest, highest = values.min(), values.max()
    return (values - lowest) / (highest - lowest or 1.0)


def _contents(view: View) -> Iterator[dict[str, Any]]:
    seen = view.seen
    common = {"config": seen.config.name, "original": seen.original}
    yield {
        **common,
        "name": view.name,
        "steps": [page.step(step) for step in (*view.smaller, seen)],
        "places": [place.shown for place in view.places],
        "scores": None if view.scores is None else np.round(view.scores, 3).tolist(),
    }
    if seen.overview is not None:
        name, steps = f"{view.name}: overview", [page.step(seen.overview)]
        yield {**common, "name": name, "steps": steps, "places": [], "scores": None}
