"""What a processor returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from qvl_fast._input.arrays import is_array
from qvl_fast._output.torch import as_tensor, is_torch_dtype

if TYPE_CHECKING:
    import torch

    from qvl_fast._input.video.metadata import VideoMetadata

T = TypeVar("T")
_SECONDS = "second_per_grid_ts"


class BatchRows(dict[str, T]):
    """The rows and grids of a batch: a dict that works as ``model(**batch)``.

    It pickles, and takes further entries such as ``input_ids``. Its entries are attributes too,
    which may be assigned to. As of any dict, its length is the number of entries; that of images is
    the length of their grids.
    """

    _ROWS: ClassVar[str]
    # Entries that have a line for each item.
    _LINES: ClassVar[tuple[str, ...]]

    def __getattr__(self, name: str) -> T:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute or entry {name!r}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self:
            self[name] = value
        else:
            super().__setattr__(name, value)

    def to(
        self,
        device: str | int | torch.device | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        *,
        non_blocking: bool = False,
    ) -> BatchRows[torch.Tensor]:
        """A batch of tensors on a device; entries that are neither arrays nor tensors stay.

        Args:
            device: where to; where they are by default. A type instead is ``dtype``.
            dtype: of what is of a float type. Grids and uint8 rows keep theirs, and so do
                ``second_per_grid_ts``, of which position ids are made.
            non_blocking: whether not to wait for the copy; needs :meth:`pin_memory`.

        Raises:
            ImportError: torch is not installed.
        """
        where: Any = device
        if is_torch_dtype(device):
            where, dtype = None, device

        def moved(name: str, tensor: torch.Tensor) -> torch.Tensor:
            casts = tensor.is_floating_point() and name != _SECONDS
            return tensor.to(
                device=where, dtype=dtype if casts else None, non_blocking=non_blocking
            )

        return self._mapped(moved)

    def pin_memory(self) -> BatchRows[torch.Tensor]:
        """A copy in page-locked memory, from which a device copies without waiting.

        Raises:
            ImportError: torch is not installed.
            RuntimeError: torch has no accelerator.
        """

        def pinned(_: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.pin_memory()

        return self._mapped(pinned)

    def split(self) -> list[Self]:
        """A batch for each item, of views; further entries are left out.

        Raises:
            ValueError: the grids stand for more or fewer rows than there are.
        """
        result: list[Self] = []
        rows: Any = self.get(self._ROWS, ())
        counts = self._counts()
        if sum(counts) != len(rows):
            raise ValueError(
                f"{self._ROWS} must be the {sum(counts)} that its items have, got {len(rows)}"
            )
        first = 0
        for place, count in enumerate(counts):
            parts = {self._ROWS: rows[first : first + count]}
            for name in self._LINES:
                if name in self:
                    lines: Any = self[name]
                    parts[name] = lines[place : place + 1]
            part = type(self)(parts)
            self._complete(part, place)
            result.append(part)
            first += count
        return result

    def _complete(self, part: Any, place: int) -> None:
        """Give the batch of one item what else belongs to it."""

    def _counts(self) -> list[int]:
        """How many rows each item has."""
        grids: Any = self.get(self._LINES[0])
        return [] if grids is None else [prod(grid) for grid in grids.tolist()]

    def _mapped(
        self, function: Callable[[str, torch.Tensor], torch.Tensor]
    ) -> BatchRows[torch.Tensor]:
        result: Any = copy(self)
        for name, value in self.items():
            if is_array(value):
                result[name] = function(name, as_tensor(value))
        return result


class ImageRows(BatchRows[T]):
    """The rows and grids of a batch of images, a dict that works as ``model(**batch)``.

    Further entries such as ``input_ids`` may be added. Entries are attributes too.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches; of images
            that are cut into tiles ``(tiles, h, w)``, in patches of a tile.
        image_sizes: int64 ``(images, 2)``, height and width of each before any resizing; of those
            whose tiles are put together again.
    """

    _ROWS = "pixel_values"
    _LINES = ("image_grid_thw", "image_sizes")


class ImagePlanes(BatchRows[T]):
    """The tiles of a batch of images as planes, as the stock models of most families take them.

    Attributes:
        pixel_values: ``(images, 3, height, width)`` where each has one tile; ``(tiles, 3, height,
            width)``, or ``(images, most tiles, 3, height, width)`` with zeros after those of an
            image.
        num_patches: int64 ``(images,)``, the tiles of each, if they come one after another.
        image_sizes: int64 ``(images, 2)``, height and width of each before any resizing, if there
            are zeros.
        batch_num_images: int64 ``(samples,)``, the images of each sample, if the layout depends on
            that.
    """

    _ROWS = "pixel_values"
    _LINES = ("image_sizes", "num_patches")

    def _counts(self) -> list[int]:
        if "num_patches" in self:
            counts: Any = self["num_patches"]
            return counts.tolist()
        pixels: Any = self["pixel_values"]
        return [1] * len(pixels)


class PaddedRows(BatchRows[T]):
    """The patches of a batch of images, equally many of each, as the stock SigLIP 2 takes them.

    Attributes:
        pixel_values: ``(images, patches, columns)``; zeros after those that an image has.
        pixel_attention_mask: int32 ``(images, patches)``, 1 for patches of the image.
        spatial_shapes: int64 ``(images, 2)``, patches of each from top to bottom and from left to
            right.
    """

    _ROWS = "pixel_values"
    _LINES = ("spatial_shapes", "pixel_attention_mask")

    def _counts(self) -> list[int]:
        shapes: Any = self["spatial_shapes"]
        return [1] * len(shapes)


class _Videos(BatchRows[T]):
    """A batch of videos, and what belongs to each that no model takes."""

    _ROWS = "pixel_values_videos"

    video_metadata: Sequence[VideoMetadata]
    timestamps: Sequence[Sequence[str]]

    def _complete(self, part: Any, place: int) -> None:
        for name in ("video_metadata", "timestamps"):
            if name in vars(self):  # Not where a trainer has made the dict anew of its entries.
                setattr(part, name, getattr(self, name)[place : place + 1])


class VideoRows(_Videos[T]):
    """The rows and grids of a batch of videos, a dict like :class:`ImageRows`.

    Attributes:
        pixel_values_videos: ``(N, columns)``, the rows of all videos one after another.
        video_grid_thw: int64 ``(videos, 3)``, the grid ``(t, h, w)`` of each: groups of frames, and
            patches.
        second_per_grid_ts: seconds from one group of frames to the next, ``(videos,)``; only for
            models that read it (Qwen2.5-VL).
        video_metadata: of each video, with the frames that were taken. Like the next, not an entry
            of the dict: no model takes it.
        timestamps: of each video, what the prompt of a Qwen3-VL says before each group of frames;
            see :func:`qvl_fast.video_timestamps`.
    """

    _LINES = ("video_grid_thw", _SECONDS)


class VideoPlanes(_Videos[T]):
    """The frames of a batch of videos as planes, as the stock models of most families take them.

    Attributes:
        pixel_values_videos: ``(videos, frames, 3, height, width)``.
        video_metadata: see :class:`VideoRows`.
        timestamps: see :class:`VideoRows`.
    """

    _LINES = ()

    def _counts(self) -> list[int]:
        pixels: Any = self[self._ROWS]
        return [1] * len(pixels)
