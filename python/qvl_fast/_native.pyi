from typing import SupportsIndex, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowWriter", "resize_into", "smart_resize"]

def smart_resize(
    height: SupportsIndex,
    width: SupportsIndex,
    factor: SupportsIndex = 28,
    min_pixels: SupportsIndex = 3136,
    max_pixels: SupportsIndex = 1003520,
) -> tuple[int, int]: ...
def resize_into(image: NDArray[np.uint8], out: NDArray[np.uint8], reference: str) -> None: ...

@final
class RowWriter:
    def __new__(
        cls,
        patch_size: int,
        temporal_patch_size: int,
        merge_size: int,
        *,
        temporal: str,
        dtype: str,
        reference: str,
        rescale_factor: float | None,
        mean_std: tuple[tuple[float, float, float], tuple[float, float, float]] | None,
    ) -> RowWriter: ...
    @property
    def columns(self) -> int: ...
    def grid(self, frames: int, height: int, width: int) -> tuple[int, int, int]: ...
    def write(
        self,
        frames: NDArray[np.uint8],
        height: int,
        width: int,
        out: NDArray[np.float32 | np.float16 | np.uint16 | np.uint8],
    ) -> tuple[int, int, int]: ...
