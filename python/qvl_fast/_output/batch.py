"""What a processor returns."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, Self, TypeVar

from qvl_fast._input.arrays import is_array
from qvl_fast._output.torch import as_tensor

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class ImageRows(dict[str, T]):
    """The rows and grids of a batch of images: a dict that works as ``model(**batch)``.

    It pickles, and takes further entries such as ``input_ids``. Its entries are attributes too, and
    its length is the number of images.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches.
    """

    def __getattr__(self, name: str) -> T:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute or entry {name!r}"
            ) from None

    def __len__(self) -> int:
        return len(self._grids()) if "image_grid_thw" in self else 0

    def to(
        self,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        *,
        non_blocking: bool = False,
    ) -> ImageRows[torch.Tensor]:
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

    def pin_memory(self) -> ImageRows[torch.Tensor]:
        """A copy in page-locked memory, from which a device copies without waiting.

        Raises:
            ImportError: torch is not installed.
            RuntimeError: torch has no accelerator.
        """

        def pinned(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.pin_memory()

        return self._mapped(pinned)

    def split(self) -> list[Self]:
        """A batch for each image, of views; further entries are left out."""
        result: list[Self] = []
        rows: Any = self["pixel_values"]
        grids = self._grids()
        first = 0
        for place, grid in enumerate(grids.tolist()):
            end = first + prod(grid)
            parts = {"pixel_values": rows[first:end], "image_grid_thw": grids[place : place + 1]}
            result.append(type(self)(parts))
            first = end
        return result

    def _grids(self) -> Any:
        return self["image_grid_thw"]

    def _mapped(self, function: Callable[[torch.Tensor], torch.Tensor]) -> ImageRows[torch.Tensor]:
        result: ImageRows[Any] = ImageRows(self)
        for name, value in self.items():
            if is_array(value):
                result[name] = function(as_tensor(value))
        return result
