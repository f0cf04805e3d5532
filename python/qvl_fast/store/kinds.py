"""The kinds of files that rows are made of: how each becomes rows, and what a shard calls them."""

from __future__ import annotations

from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from qvl_fast._input.video import VideoFile
from qvl_fast.processors.functional import image_size
from qvl_fast.store.index import VideoEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qvl_fast._output.forms import ReturnTensors
    from qvl_fast._output.rows import Rows
    from qvl_fast.processors.image import ImageProcessor
    from qvl_fast.processors.video import VideoProcessor

# Groups of frames that are in memory beside the rows of a shard.
_GROUPS_PER_CHUNK = 8


class Expected(NamedTuple):
    """What is known of a file's rows before they are computed.

    Attributes:
        rows: how many there will be.
        video: what else is kept of a video.
        image_size: height and width of an image whose tiles are put together again.
    """

    rows: int
    video: VideoEntry | None = None
    image_size: list[int] | None = None


class Kind(Protocol):
    """What turns files of one kind into rows.

    Attributes:
        rows: the name of the rows in a shard.
        grids: the name of the grids in a shard.
        header_bytes: upper bound of a shard's header without the texts of its metadata.
    """

    rows: ClassVar[str]
    grids: ClassVar[str]

    @property
    def header_bytes(self) -> int:
        """See above."""
        ...

    @property
    def processor(self) -> ImageProcessor | VideoProcessor:
        """What computes them."""
        ...

    def expect(self, path: Path) -> Expected:
        """Look at a file.

        Raises:
            ValueError, OSError: it is not of this kind.
        """
        ...

    def fill(
        self, path: Path, out: Rows, form: ReturnTensors, report: Callable[[float], object]
    ) -> list[int]:
        """Write the rows of a file.

        Args:
            path: the file.
            out: memory of as many rows as are expected.
            form: of ``out``.
            report: is told what share of them is written.

        Returns:
            The grid.

        Raises:
            ValueError, OSError, MemoryError: the file is to blame.
        """
        ...


class Images:
    """See :class:`Kind`."""

    rows: ClassVar[str] = "pixel_values"
    grids: ClassVar[str] = "image_grid_thw"
    sizes: ClassVar[str] = "image_sizes"

    def __init__(self, processor: ImageProcessor) -> None:
        self.processor = processor
        self._sized = processor.config.layout.sized
        self.header_bytes = 384 if self._sized else 256

    def expect(self, path: Path) -> Expected:
        """From the header."""
        size = image_size(path)
        return Expected(
            self.processor.num_patches(*size), image_size=[*size] if self._sized else None
        )

    def fill(
        self, path: Path, out: Rows, form: ReturnTensors, report: Callable[[float], object]
    ) -> list[int]:
        """In one step."""
        batch = self.processor(path, out=out, return_tensors=form)
        report(1)
        grids: Any = batch["image_grid_thw"]
        return grids[0].tolist()


class Videos:
    """See :class:`Kind`.

    Raises:
        ModuleNotFoundError: PyAV is not installed.
    """

    rows: ClassVar[str] = "pixel_values_videos"
    grids: ClassVar[str] = "video_grid_thw"
    header_bytes: int = 384

    def __init__(self, processor: VideoProcessor) -> None:
        import_module("av")  # or every video would fail for the same reason
        self.processor = processor

    def expect(self, path: Path) -> Expected:
        """From the packets, which are not decoded."""
        with VideoFile(path, timeout=self.processor.timeout) as file:
            outline = self.processor.outline(file.metadata)
        return Expected(
            prod(outline.grid),
            VideoEntry(outline.metadata, outline.timestamps, outline.second_per_grid_ts),
        )

    def fill(
        self, path: Path, out: Rows, form: ReturnTensors, report: Callable[[float], object]
    ) -> list[int]:
        """Some frames at a time."""
        frames = _GROUPS_PER_CHUNK * self.processor.config.temporal_patch_size
        target: Any = out
        first, groups = 0, 0
        size: list[int] = []
        for chunk in self.processor.iter_rows(path, frames_per_chunk=frames, return_tensors=form):
            rows: Any = chunk["pixel_values_videos"]
            target[first : first + len(rows)] = rows
            first += len(rows)
            more, *size = chunk["video_grid_thw"][0].tolist()
            groups += more
            report(first / len(out))
        return [groups, *size]
