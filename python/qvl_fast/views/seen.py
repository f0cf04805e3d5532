"""An image as one model sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.arrays import is_array
from qvl_fast._input.pixels import read_rgb
from qvl_fast._input.source import prepare
from qvl_fast.index.mrope import mrope_position_ids
from qvl_fast.index.plans import plan
from qvl_fast.processors.base import check_areas
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.inverse import unpatchify
from qvl_fast.processors.video import VideoProcessor

if TYPE_CHECKING:
    from PIL import Image

    from qvl_fast._input.source import File, ImageSource
    from qvl_fast._input.video.clips import VideoSource
    from qvl_fast.config import ModelConfig, RopeConfig


@dataclass(frozen=True, eq=False, repr=False)
class Seen:
    """An image, or a frame of a video, as one model sees it.

    Attributes:
        config: the model.
        original: (height, width) of the image in pixels, turned upright.
        pixels: uint8 (height, width, 3), the resized image, taken from the rows themselves.
        positions: int64 (tokens, 3), time, height and width ids of each token for the language
            model, where one token stands before the image or video; None if that is not known.
        windows: int64 (tokens,), the attention window of each token; None if the tower has none.
        overview: the whole image once more, as large as a tile, where the model gets that too.
    """

    config: ModelConfig
    original: tuple[int, int]
    pixels: NDArray[np.uint8]
    positions: NDArray[np.int64] | None = None
    windows: NDArray[np.int64] | None = None
    overview: Seen | None = None

    def __repr__(self) -> str:
        resized = self.pixels.shape[:2]
        return f"Seen({self.config.name!r}, original={self.original}, resized={resized})"

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.config.image.patch_size

    @property
    def cell(self) -> Literal["token", "tile"]:
        """What the picture is divided into: tiles, for families that cut an image into them."""
        return "token" if self.config.image.layout.tile is None else "tile"

    @property
    def token_size(self) -> int:
        """Side of a token, or a tile, in pixels."""
        tile = self.config.image.layout.tile
        return self.config.image.factor if tile is None else tile[0]

    @property
    def tokens(self) -> tuple[int, int]:
        """Rows and columns of tokens, or of tiles."""
        height, width = self.pixels.shape[:2]
        return height // self.token_size, width // self.token_size


def see(image: ImageSource, config: ModelConfig) -> Seen:
    """An image as one model sees it; of one that is cut into tiles, those put together again.

    Raises:
        ImageError: the image cannot be read, or the model cannot take its size.
    """
    # Raw pixels, once for each patch: nothing is normalised that would have to be undone.
    form = "rows" if config.image.layout.stack == "masked" else None
    processor = ImageProcessor(
        config, form=form, dtype="uint8", temporal="compact", return_tensors="np"
    )
    batch = processor(image)
    size = image_size(image)
    if config.image.layout.tile is not None:
        canvas, overview = _tiles(batch.pixel_values, processor, size)
        shown = None if overview is None else Seen(config, size, overview)
        return Seen(config, size, canvas, overview=shown)
    grid = batch.image_grid_thw
    (frames,) = unpatchify(batch.pixel_values, grid, config)
    positions = config.rope and _positions(config.rope, image_grid_thw=grid)
    return Seen(config, size, frames[0], positions, _windows(config, grid))


def see_frames(video: VideoSource, config: ModelConfig, most: int) -> Iterator[tuple[str, Seen]]:
    """The frames of a video as one model sees them, with what they are.

    Frames share their tokens with the others of their group. Those of the first ``most`` groups
    are shown, and only they are decoded.

    Raises:
        VideoError: the video cannot be read, or the model cannot take it.
        ValueError: the configuration does not say how the model takes videos.
    """
    processor = VideoProcessor(config, dtype="uint8", return_tensors="np")
    shown = most * processor.config.temporal_patch_size
    chunks: Any = processor.iter_rows(video, frames_per_chunk=shown)
    with closing(chunks):
        batch = next(chunks)
    (known,), (times,) = batch.video_metadata, batch.timestamps
    if processor.form == "planes":
        # (frames, height, width, 3)
        frames = batch.pixel_values_videos[0].transpose(0, 2, 3, 1)
        size = known.height or frames.shape[1], known.width or frames.shape[2]
        for place, pixels in enumerate(frames):
            yield f"frame {place} at {times[place].strip('<>')}", Seen(config, size, pixels)
        return
    grid = batch.video_grid_thw
    (frames,) = unpatchify(batch.pixel_values_videos, grid, processor.config)
    groups = int(grid[0, 0])
    size = known.height or frames.shape[1], known.width or frames.shape[2]
    positions = None
    if config.rope is not None:
        # Where text with the time stands between groups, each is numbered as an image is.
        alone = config.rope.videos_in_groups
        whole = -(-len(known.frames_indices) // processor.config.temporal_patch_size)
        kind, count = ("image_grid_thw", 1) if alone else ("video_grid_thw", whole)
        given = {kind: [[count, *grid[0, 1:]]]}
        if "second_per_grid_ts" in batch:
            given["second_per_grid_ts"] = batch["second_per_grid_ts"]
        positions = _positions(config.rope, **given)
        positions = np.tile(positions, (groups, 1)) if alone else positions
    windows = _windows(config, grid)
    for group, several in enumerate(np.split(frames, groups)):
        own = slice(group * (tokens := grid[0, 1:].prod() // config.image.merge_size**2), None)
        for place, pixels in enumerate(several):
            yield (
                f"group {group} at {times[group].strip('<>')}, frame {place + 1} of {len(several)}",
                Seen(
                    config,
                    size,
                    pixels,
                    None if positions is None else positions[own][:tokens],
                    None if windows is None else windows[own][:tokens],
                ),
            )


def _positions(rope: RopeConfig, **grids: Any) -> NDArray[np.int64]:
    """int64 (tokens, 3) of an image or a video."""
    kind = 2 if "video_grid_thw" in grids else 1
    grid = np.asarray(grids["video_grid_thw" if kind == 2 else "image_grid_thw"], np.int64)
    tokens = int(grid.prod()) // rope.merge_size**2
    types = np.full((1, 1 + tokens), kind, np.int64)
    types[0, 0] = 0
    ids, _ = mrope_position_ids(types, config=rope, return_tensors="np", **grids)
    return ids[:, 0, 1:].T


def _windows(config: ModelConfig, grid: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """int64 (tokens,), or None if the tower has none."""
    if config.tower is None:
        return None
    index = plan(grid, config.tower)
    if index.window_index is None or index.cu_window_seqlens is None:
        return None
    # Bounds count patches, of which a token has several.
    lengths = np.diff(index.cu_window_seqlens) // config.image.merge_size**2
    windows = np.empty(len(index.window_index), np.int64)
    windows[index.window_index] = np.repeat(np.arange(len(lengths)), lengths)
    return windows


def _tiles(
    planes: NDArray[np.uint8], processor: ImageProcessor, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The tiles of an image put together again, and the overview if there is one."""
    height, width = processor.resized_size(*size)
    # (tiles, height, width, 3)
    tiles = planes.reshape(-1, *planes.shape[-3:]).transpose(0, 2, 3, 1)
    _, tile_height, tile_width, _ = tiles.shape
    rows, columns = height // tile_height, width // tile_width
    overview = None
    if len(tiles) > rows * columns:
        first = processor.config.layout.overview == "first"
        overview, tiles = (tiles[0], tiles[1:]) if first else (tiles[-1], tiles[:-1])
    grid = tiles.reshape(rows, columns, tile_height, tile_width, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(height, width, 3), overview


def decoded(image: ImageSource) -> ImageSource:
    """The same image, to be seen several times and decoded once.

    Raises:
        ImageError, OSError, TypeError: as a processor does.
    """
    source = prepare(image)
    if is_array(source):
        return source
    return read_rgb(cast("File | Image.Image", source))


def with_budget(config: ModelConfig, max_pixels: int) -> ModelConfig:
    """The same model with another bound of the resized image.

    Raises:
        ValueError: its images have no such bound.
    """
    image = config.image
    check_areas(image.layout, {"max_pixels": max_pixels})
    bounds = {"min_pixels": min(image.min_pixels, max_pixels), "max_pixels": max_pixels}
    return replace(config, image=image.override(**bounds))
