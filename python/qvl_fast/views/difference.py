"""Two sets of rows of one image: where trainer and server see different pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import is_array, is_tensor
from qvl_fast.config import model_config
from qvl_fast.index.grids import Grids, grid_array
from qvl_fast.processors.inverse import unpatchify
from qvl_fast.views.drawing import draw, png
from qvl_fast.views.seen import Seen

if TYPE_CHECKING:
    from PIL import Image

    from qvl_fast._output.rows import Rows
    from qvl_fast.config import ModelConfig
    from qvl_fast.processors.base import Reference


@dataclass(frozen=True, eq=False)
class Diff:
    """How two sets of rows of one image differ.

    Attributes:
        equal: whether they are the same numbers.
        patches: int64 (n,), the rows that differ.
        levels: by how much at most, in levels of 255.
        seen: the image of the first.
    """

    equal: bool
    patches: NDArray[np.int64] = field(repr=False)
    levels: float
    seen: Seen = field(repr=False)

    @cached_property
    def image(self) -> Image.Image:
        """The picture, with the patches framed that differ."""
        return draw(self.seen, patches=_places(self.patches, self.seen))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture.

        Args:
            path: of the file; its extension decides the format.

        Raises:
            ValueError: Pillow cannot write files with this extension.
            OSError: the file cannot be written.
        """
        self.image.save(Path(path))

    def _repr_png_(self) -> bytes:
        return png(self.image)

    def __str__(self) -> str:
        if self.equal:
            return "equal"
        count = len(self.patches)
        total = self.seen.tokens[0] * self.seen.tokens[1] * self.seen.config.image.merge_size**2
        return f"{count} of {total} patches differ, by at most {self.levels:.3g} of 255 levels"


def diff(
    a: Rows,
    b: Rows,
    grid_thw: Grids,
    config: str | ModelConfig,
    *,
    reference: Reference = "torchvision",
    original: tuple[int, int] | None = None,
) -> Diff:
    """Compare two sets of rows of one image.

    Args:
        a: rows of the image as :class:`ImageProcessor` makes them; the picture shows these.
        b: rows of the same shape: of another processor, version or backend.
        grid_thw: integers (1, 3), the image's grid.
        config: what ``a`` was made with, a preset's name or a :class:`ModelConfig`.
        reference: what ``a`` was made with.
        original: (height, width) of the image before it was resized, if that is known.

    Raises:
        TypeError: rows that are no arrays or CPU tensors.
        ValueError: rows of different shapes, or that do not fit grid and configuration.

    Example:
        >>> image = np.zeros((56, 56, 3), np.uint8)
        >>> a = ImageProcessor("qwen2.5-vl", return_tensors="np")(image)
        >>> image[0, 0] = 1
        >>> b = ImageProcessor("qwen2.5-vl", return_tensors="np")(image)
        >>> str(diff(a.pixel_values, b.pixel_values, a.image_grid_thw, "qwen2.5-vl"))
        '1 of 16 patches differ, by at most 1 of 255 levels'
    """
    model = model_config(config)
    grids = grid_array(grid_thw)
    if grids.shape != (1, 3) or grids[0, 0] != 1:
        raise ValueError(f"grid_thw must be that of one image, got {grids.tolist()}")
    frames = unpatchify(a, grids, model, reference=reference)[0]
    first, second = _floats("a", a), _floats("b", b)
    if first.shape != second.shape:
        raise ValueError(f"a and b must have the same shape, got {first.shape} and {second.shape}")
    # Not a number is unequal to itself, and is a difference only where the other has one.
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    (patches,) = np.nonzero(~same.all(axis=1))
    apart = np.abs(first[patches] - second[patches])
    levels = apart * _levels(model, a, apart.shape[1])
    return Diff(
        equal=not len(patches),
        patches=patches,
        levels=float(levels.max(initial=0)),
        seen=Seen(model, original or frames.shape[1:3], frames[0]),
    )


def _places(rows: NDArray[np.int64], seen: Seen) -> NDArray[np.int64]:
    """int64 (n, 2): the row and the column of the patch that each row holds."""
    image = seen.config.image
    columns = seen.pixels.shape[1] // seen.patch_size
    if image.layout.raster:
        return np.stack(np.divmod(rows, columns), axis=-1)
    merge = image.merge_size
    block, inside = np.divmod(rows, merge**2)
    blocks = np.stack(np.divmod(block, columns // merge), axis=-1)
    return merge * blocks + np.stack(np.divmod(inside, merge), axis=-1)


def _levels(config: ModelConfig, rows: Any, columns: int) -> NDArray[np.float64]:
    """What a difference of 1 in each column of a row is, in levels of 255."""
    if str(rows.dtype).endswith("uint8"):
        return np.ones(columns)
    image = config.image
    scale = 1 / image.rescale_factor if image.do_rescale else 1.0
    std = np.array(image.image_std) if image.do_normalize else np.ones(3)
    return np.repeat(scale * std, columns // 3)


def _floats(name: str, rows: Any) -> NDArray[np.float64]:
    if not is_array(rows):
        raise TypeError(f"{name} must be an array or a CPU tensor, got {type(rows).__name__}")
    if is_tensor(rows):
        rows = rows.detach().double().numpy()
    return np.asarray(rows, np.float64)
