"""An image as one model sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import is_array
from qvl_fast._input.pixels import Pieces, read_pixels
from qvl_fast._input.source import prepare
from qvl_fast.index.mrope import mrope_position_ids
from qvl_fast.index.plans import plan
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.inverse import unpatchify

if TYPE_CHECKING:
    from PIL import Image

    from qvl_fast._input.source import File, ImageSource
    from qvl_fast.config import ModelConfig


@dataclass(frozen=True)
class Seen:
    """An image as one model sees it.

    Attributes:
        config: the model.
        original: (height, width) of the image in pixels, turned upright.
        pixels: uint8 (height, width, 3), the resized image, taken from the rows themselves.
    """

    config: ModelConfig
    original: tuple[int, int]
    pixels: NDArray[np.uint8]

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.config.image.patch_size

    @property
    def token_size(self) -> int:
        """Side of a token in pixels."""
        return self.config.image.factor

    @property
    def grid_thw(self) -> list[list[int]]:
        """The grid of patches, as the model takes it."""
        height, width = self.pixels.shape[:2]
        return [[1, height // self.patch_size, width // self.patch_size]]

    @property
    def tokens(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        height, width = self.pixels.shape[:2]
        return height // self.token_size, width // self.token_size

    @cached_property
    def positions(self) -> NDArray[np.int64] | None:
        """int64 (tokens, 3): time, height and width ids of each token for the language model.

        Those of a prompt in which one token stands before the image. None if the configuration
        does not say how they are made.
        """
        if self.config.rope is None:
            return None
        rows, columns = self.tokens
        types = np.ones((1, 1 + rows * columns), np.int64)
        types[0, 0] = 0
        ids, _ = mrope_position_ids(types, config=self.config.rope, image_grid_thw=self.grid_thw)
        return ids[:, 0, 1:].T

    @cached_property
    def windows(self) -> NDArray[np.int64] | None:
        """int64 (tokens,): the attention window of each token; None if the tower has none."""
        if self.config.tower is None:
            return None
        index = plan(self.grid_thw, self.config.tower)
        if index.window_index is None or index.cu_window_seqlens is None:
            return None
        # Bounds count patches, of which a token has several.
        lengths = np.diff(index.cu_window_seqlens) // self.config.image.merge_size**2
        windows = np.empty(len(index.window_index), np.int64)
        windows[index.window_index] = np.repeat(np.arange(len(lengths)), lengths)
        return windows


def see(image: ImageSource, config: ModelConfig) -> Seen:
    """An image as one model sees it.

    Raises:
        ImageError: the image cannot be read, or the model cannot take its size.
    """
    # Raw pixels, once for each patch: nothing is normalised that would have to be undone.
    processor = ImageProcessor(config, dtype="uint8", temporal="compact", return_tensors="np")
    batch = processor(image)
    (frames,) = unpatchify(batch.pixel_values, batch.image_grid_thw, config)
    return Seen(config, image_size(image), frames[0])


def decoded(image: ImageSource) -> ImageSource:
    """The same image, to be seen several times and decoded once.

    Raises:
        ImageError, OSError, TypeError: as a processor does.
    """
    source = prepare(image)
    if is_array(source):
        return source
    pixels = read_pixels(cast("File | Image.Image", source))
    if isinstance(pixels, Pieces):
        pixels = pixels.lines(0, pixels.size[0])
    return pixels[..., :3]


def with_budget(config: ModelConfig, max_pixels: int) -> ModelConfig:
    """The same model with another bound of the resized image."""
    image = config.image
    bounds = {"min_pixels": min(image.min_pixels, max_pixels), "max_pixels": max_pixels}
    return replace(config, image=image.override(**bounds))
