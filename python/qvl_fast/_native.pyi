from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsIndex, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RowWriter",
    "arrow_pixels",
    "available_isas",
    "cu_seqlens",
    "decoded_formats",
    "empty",
    "expand_placeholders",
    "image_header",
    "interpolation_taps",
    "memory_stats",
    "mrope_position_ids",
    "pack",
    "position_ids",
    "processors",
    "release_memory",
    "resize_into",
    "reverse_index",
    "set_memory_limit",
    "smart_resize",
    "window_index",
]

def smart_resize(
    height: SupportsIndex,
    width: SupportsIndex,
    factor: SupportsIndex = 28,
    min_pixels: SupportsIndex = 3136,
    max_pixels: SupportsIndex = 1003520,
) -> tuple[int, int]: ...
def resize_into(
    image: NDArray[np.uint8], out: NDArray[np.uint8], reference: str, isa: str
) -> None: ...
def arrow_pixels(schema: object, array: object, height: int, width: int) -> NDArray[np.uint8]: ...
def available_isas() -> list[str]: ...
def decoded_formats() -> list[str]: ...
def processors() -> int: ...
def memory_stats() -> dict[str, int]: ...
def release_memory() -> int: ...
def set_memory_limit(bytes: int) -> int: ...
def empty(shape: Sequence[int], dtype: str) -> NDArray[Any]: ...
def cu_seqlens(grid_thw: NDArray[np.int64]) -> NDArray[np.int32]: ...
def position_ids(grid_thw: NDArray[np.int64], merge_size: int) -> NDArray[np.int64]: ...
def window_index(
    grid_thw: NDArray[np.int64], window: int, merge_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]: ...
def reverse_index(window_index: NDArray[np.int64]) -> NDArray[np.int64]: ...
def interpolation_taps(
    grid_thw: NDArray[np.int64], side: int, merge_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def mrope_position_ids(
    types: NDArray[np.int64],
    kept: NDArray[np.bool_] | None,
    image_grid_thw: NDArray[np.int64],
    video_grid_thw: NDArray[np.int64],
    intervals: list[float],
    *,
    single: bool,
    videos_in_groups: bool,
    merge_size: int,
    advance: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def pack(lengths: NDArray[np.int64], capacity: int, strategy: str) -> list[list[int]]: ...
def expand_placeholders(
    input_ids: NDArray[np.int64], token_id: int, counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

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
        isa: str,
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
    def target(
        self, height: int, width: int, pixels: tuple[int, int] | None
    ) -> tuple[int, int]: ...

@final
class ImageHeader:
    @property
    def format(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def orientation(self) -> int | None: ...

def image_header(file: bytes) -> ImageHeader | None: ...

class _Lines(Protocol):
    size: tuple[int, int]
    def lines(self, first: int, last: int) -> NDArray[np.uint8]: ...

@final
class Batch:
    def __new__(cls, writer: RowWriter, pixels: tuple[int, int] | None) -> Batch: ...
    def add_pixels(self, image: NDArray[np.uint8]) -> None: ...
    def add_file(self, file: bytes, header: ImageHeader, orientation: int) -> None: ...
    def add_opened(self, height: int, width: int) -> None: ...
    @property
    def grids(self) -> list[tuple[int, int, int]]: ...
    @property
    def rows(self) -> int: ...
    def write(
        self,
        out: NDArray[np.float32 | np.float16 | np.uint16 | np.uint8],
        open: Callable[[int, int, int], NDArray[np.uint8] | _Lines],
        *,
        num_threads: int,
        reduced: bool,
    ) -> None: ...
