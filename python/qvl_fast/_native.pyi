from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, final

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
def arrow_pixels(capsule: object, height: int, width: int) -> NDArray[np.uint8]: ...
def available_isas() -> list[str]: ...
def decoded_formats() -> list[str]: ...
def image_header(file: bytes) -> tuple[str, tuple[int, int], int, int | None] | None: ...
def processors() -> int: ...
def memory_stats() -> dict[str, int]: ...
def release_memory() -> int: ...
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
    def write_images(
        self,
        images: Sequence[NDArray[np.uint8] | None],
        load: Callable[
            [int, bool], NDArray[np.uint8] | tuple[bytes, tuple[str, tuple[int, int], int]]
        ],
        targets: Sequence[tuple[int, int]],
        out: NDArray[np.float32 | np.float16 | np.uint16 | np.uint8],
        *,
        num_threads: int,
        reduced: bool,
    ) -> None: ...
