"""``qvl-fast inspect``: what models make of images and videos, without decoding them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, TypeAlias

from qvl_fast._input.video import VideoFile
from qvl_fast.cli.families import NONE, counted, table
from qvl_fast.cli.report import show_failures, show_table
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.video import VideoProcessor
from qvl_fast.store.sources import Failure, is_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qvl_fast.config import ModelConfig

Line: TypeAlias = "tuple[str | Path, ...]"

# Of a family that cuts images into tiles, the rows are those tiles, or frames of a video.
_IMAGES = ("file", "height x width", "config", "resized", "grid", "rows", "tokens")
_VIDEOS = (
    "file",
    "height x width",
    "config",
    "bound by",
    "timestamps",
    "seconds",
    "frames",
    "of",
    "resized",
    "grid",
    "seconds per grid",
    "rows",
    "tokens",
)


def inspect(
    files: Sequence[Path],
    configs: Sequence[ModelConfig],
    *,
    families: bool,
    timeout: float | None,
) -> int:
    """Print the sizes of every file under every configuration, images and videos apart.

    Args:
        files: images and videos.
        configs: of the models.
        families: whether to print the table of all families for the images, too.
        timeout: seconds that opening a video may take; None for no limit.

    Returns:
        1 if a file could not be read, else 0.
    """
    image_processors = {
        config.name: ImageProcessor(config, return_tensors="np") for config in configs
    }
    video_processors = {
        config.name: VideoProcessor(config, return_tensors="np")
        for config in configs
        if config.video is not None
    }
    sizes: dict[tuple[int, int], None] = {}
    images: list[Line] = []
    videos: list[Line] = []
    failures: list[Failure] = []
    for file in files:
        try:
            if is_video(file):
                videos += _video_lines(file, video_processors, timeout)
            else:
                size = image_size(file)
                sizes[size] = None
                images += _image_lines(file, size, image_processors)
        except (OSError, ValueError) as error:
            failures.append(Failure(file, error))
    if images:
        show_table(_IMAGES, images, names=3)
    if families and sizes:
        titles, lines = table(sizes)
        show_table(titles, lines, names=5)
    if videos:
        show_table(_VIDEOS, videos, names=5)
    show_failures(failures)
    return 1 if failures else 0


def _image_lines(
    file: Path, size: tuple[int, int], processors: dict[str, ImageProcessor]
) -> Iterator[Line]:
    """A line of each processor that takes such an image.

    Raises:
        ValueError: some refuse it; names the first. It comes after the lines of the others.
    """
    height, width = size
    refusals: list[str] = []
    for name, processor in processors.items():
        try:
            resized = processor.resized_size(height, width)
        except ValueError as error:
            refusals.append(f"{name}: {error}")
            continue
        rows = processor.num_patches(height, width)
        patch, tile = processor.config.patch_size, processor.config.layout.tile
        yield (
            file,
            _by(height, width),
            name,
            _by(*resized),
            _by(1, *(side // patch for side in resized)) if tile is None else f"tiles {_by(*tile)}",
            str(rows),
            counted(processor.num_tokens, height, width),
        )
    if refusals:
        raise ValueError(refusals[0])


def _video_lines(
    file: Path, processors: dict[str, VideoProcessor], timeout: float | None
) -> Iterator[Line]:
    if not processors:
        raise ValueError("is a video, and there are no settings for videos")
    with VideoFile(file, timeout=timeout) as video:
        whole = video.metadata
    for name, processor in processors.items():
        outline = processor.outline(whole)
        rows, seconds = prod(outline.grid), outline.second_per_grid_ts
        yield (
            file,
            _by(whole.height, whole.width),
            name,
            outline.bound or NONE,
            _shortened([time.strip("<>").removesuffix(" seconds") for time in outline.timestamps]),
            NONE if whole.duration is None else f"{whole.duration:.2f}",
            str(len(outline.metadata.frames_indices or ())),
            str(whole.total_num_frames),
            _by(*outline.resized),
            _by(*outline.grid),
            NONE if seconds is None else f"{seconds:.3f}",
            str(rows),
            counted(processor.num_tokens, whole),
        )


def _by(*sides: int | None) -> str:
    return " x ".join(map(str, sides))


def _shortened(times: list[str]) -> str:
    return " ".join(times if len(times) <= 4 else [*times[:2], "...", times[-1]])
