"""What a processor returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from qvl_fast._input.arrays import is_array
from qvl_fast._output.torch import as_tensor

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class ImageTensors(dict[str, T]):
    """The pixels of a batch of images, and what goes with them: works as ``model(**batch)``.

    It pickles, and takes further entries such as ``input_ids``. Its entries are attributes too, and
    its length is the number of images.
    """

    def __getattr__(self, name: str) -> T:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute or entry {name!r}"
            ) from None

    def to(
        self,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        *,
        non_blocking: bool = False,
    ) -> ImageTensors[torch.Tensor]:
        """A batch of tensors on a device; entries that are neither arrays nor tensors stay.

        Args:
            device: where to; where they are by default.
            dtype: of what is of a float type. Grids and uint8 rows keep theirs.
            non_blocking: whether not to wait for the copy; needs :meth:`pin_memory`.

        Raises:
            ImportError: torch is not installed.
        """

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            kind = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=kind, non_blocking=non_blocking)

        return self._mapped(moved)

    def pin_memory(self) -> ImageTensors[torch.Tensor]:
        """A copy in page-locked memory, from which a device copies without waiting.

        Raises:
            ImportError: torch is not installed.
            RuntimeError: torch has no accelerator.
        """

        def pinned(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.pin_memory()

        return self._mapped(pinned)

    def __len__(self) -> int:
        return len(self._counts())

    def split(self) -> list[Self]:
        """A batch for each image, of views; further entries are left out."""
        result: list[Self] = []
        pixels: Any = self["pixel_values"]
        first = 0
        for place, count in enumerate(self._counts()):
            parts = {"pixel_values": pixels[first : first + count]}
            for name in _OF_IMAGES:
                if name in self:
                    values: Any = self[name]
                    parts[name] = values[place : place + 1]
            result.append(type(self)(parts))
            first += count
        return result

    @abstractmethod
    def _counts(self) -> list[int]:
        """How many of ``pixel_values`` each image has."""

    def _mapped(
        self, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> ImageTensors[torch.Tensor]:
        result: ImageTensors[Any] = type(cast("Any", self))(self)
        for name, value in self.items():
            if is_array(value):
                result[name] = function(as_tensor(value))
        return result


class ImageRows(ImageTensors[T]):
    """The rows and grids of a batch of images.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches; of images
            that are cut into tiles ``(tiles, h, w)``, in patches of a tile.
        image_sizes: int64 ``(images, 2)``, height and width of each before any resizing; of those
            whose tiles are put together again.
    """

    def _counts(self) -> list[int]:
        grids: Any = self["image_grid_thw"]
        return [prod(grid) for grid in grids.tolist()]


class ImagePlanes(ImageTensors[T]):
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

    def _counts(self) -> list[int]:
        if "num_patches" in self:
            counts: Any = self["num_patches"]
            return counts.tolist()
        pixels: Any = self["pixel_values"]
        return [1] * len(pixels)


# Entries that have a line for each image.
_OF_IMAGES = ("image_grid_thw", "image_sizes", "num_patches")
