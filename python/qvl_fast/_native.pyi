from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsIndex, final

import numpy as np
from numpy.typing import NDArray

from qvl_fast.index.position_classes import PositionClass

__all__ = [
    "Batch",
    "Fit",
    "ImageHeader",
    "Layout",
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
    "sample_frames",
    "segment_lengths",
    "set_memory_limit",
    "smart_resize",
    "utilities_frame_pixels",
    "utilities_linspace",
    "utilities_nframes",
    "utilities_smart_resize",
    "window_index",
]

def smart_resize(
    height: SupportsIndex,
    width: SupportsIndex,
    factor: SupportsIndex = 28,
    min_pixels: SupportsIndex = 3136,
    max_pixels: SupportsIndex = 1003520,
) -> tuple[int, int]:
    """The size an image is resized to before it is cut into patches.

    Both sides become multiples of ``factor``; the area comes to lie within ``min_pixels`` and
    ``max_pixels`` where rounding allows; the aspect ratio is kept as closely as that allows. Sides
    are rounded half to even and the result is not checked against the budget again, so that of a
    thin image may leave it. Semantics: ``smart_resize`` of the Qwen2-VL image processor in
    transformers.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.
        factor: ``patch_size * merge_size``; 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        min_pixels: least area in pixels.
        max_pixels: largest area in pixels.

    Returns:
        ``(height, width)`` in pixels.

    Raises:
        ValueError: an argument is not positive, ``min_pixels`` exceeds ``max_pixels``, or one side
            is more than 200 times the other.
        TypeError: an argument is not an integer.

    Example:
        >>> smart_resize(1080, 1920, max_pixels=1280 * 28 * 28)
        (728, 1316)
    """

def utilities_smart_resize(
    height: SupportsIndex,
    width: SupportsIndex,
    factor: SupportsIndex,
    min_pixels: float,
    max_pixels: float,
) -> tuple[int, int]:
    """``smart_resize`` of the Qwen utilities, which may shrink a side to 0.

    Raises:
        ValueError: an argument is not positive, ``min_pixels`` exceeds ``max_pixels``, or one side
            is more than 200 times the other.
    """

def utilities_frame_pixels(
    frames: SupportsIndex, min_pixels: float, max_pixels: float, total_pixels: float
) -> float:
    """``max_pixels`` of each of ``frames`` frames, as ``fetch_video`` of the Qwen utilities has it.

    Raises:
        ValueError: there is no frame.
    """

def utilities_nframes(
    total_frames: SupportsIndex,
    num_frames: int | None,
    rates: tuple[float, float] | None,
    *,
    min_frames: int | None,
    max_frames: int | None,
) -> int:
    """``smart_nframes`` of the Qwen utilities; None stands for their constants.

    Args:
        total_frames: of the video.
        num_frames: how many are wanted; ``nframes`` there.
        rates: instead, how many a second are wanted, and how many there are.
        min_frames: how many are taken at least.
        max_frames: how many are taken at most.

    Raises:
        ValueError: so many cannot be taken.
    """

def utilities_linspace(
    start: SupportsIndex, end: SupportsIndex, count: SupportsIndex, *, fused: bool
) -> NDArray[np.int64]:
    """The frames that the Qwen utilities take: ``torch.linspace(start, end, count).round()``.

    Args:
        start: the first.
        end: the last.
        count: how many.
        fused: whether torch multiplies and adds in one operation, which decides about a frame now
            and then: it does unless ``torch.backends.cpu.get_cpu_capability()`` is ``"DEFAULT"``.
    """

def sample_frames(
    total_frames: SupportsIndex,
    num_frames: int | None,
    rates: tuple[float, float] | None,
    *,
    rule: str,
    min_frames: int,
    max_frames: int,
    temporal_patch_size: int,
) -> NDArray[np.int64]:
    """The numbers of the frames that ``rule`` takes of a video.

    Args:
        total_frames: of the video.
        num_frames: how many are wanted.
        rates: instead, how many a second are wanted, and how many there are.
        rule: ``"qwen2-vl"``, ``"qwen3-vl"``, ``"llava-onevision"`` or ``"internvl"``.
        min_frames: how many are taken at least, if a rate is wanted.
        max_frames: how many are taken at most, likewise.
        temporal_patch_size: frames of a group.

    Raises:
        ValueError: so many cannot be taken.
    """

def resize_into(image: NDArray[np.uint8], out: NDArray[np.uint8], reference: str, isa: str) -> None:
    """Resize an image ``(H, W, C)`` to the size of ``out``, ``(height, width, 3)``."""

def arrow_pixels(
    schema: object, array: object, mode: str, height: int, width: int
) -> NDArray[np.uint8]:
    """The pixels of a Pillow image in a mode of four bytes, ``(height, width, 4)``, in its memory.

    Raises:
        ValueError: the capsules are not those of such an image.
    """

def available_isas() -> list[str]:
    """The instruction sets that this build and processor have, the slowest first."""

def decoded_formats() -> list[str]:
    """The names, as in Pillow, of the file formats that this build decodes itself."""

def processors() -> int:
    """Processors that this process may use: its affinity and, in a container, its quota of time."""

def memory_stats() -> dict[str, int]:
    """See :func:`qvl_fast.memory_stats`."""

def release_memory() -> int:
    """Give memory that waits for a result back to the system, and tables; returns its bytes."""

def set_memory_limit(bytes: int | None) -> int:
    """Bound the bytes that wait for a result, None: as by default; returns the limit that holds."""

def empty(shape: Sequence[int], dtype: str) -> NDArray[Any]:
    """An array of no particular values in recycled memory.

    Raises:
        MemoryError: the system has not got that much.
    """

def cu_seqlens(grid_thw: NDArray[np.int64]) -> NDArray[np.int32]:
    """See :func:`qvl_fast.cu_seqlens`; grids are int64 ``(n, 3)`` in C order, here and below."""

def position_ids(grid_thw: NDArray[np.int64], merge_size: int) -> NDArray[np.int64]:
    """See :func:`qvl_fast.position_ids`."""

def window_index(
    grid_thw: NDArray[np.int64], window: int, merge_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """See :func:`qvl_fast.window_index`; the side of a window is in tokens."""

def segment_lengths(boundaries: NDArray[np.int32]) -> list[tuple[int, int]]:
    """The lengths between ``boundaries`` and how many there are of each, the shortest first."""

def reverse_index(window_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """The permutation that undoes another."""

def interpolation_taps(
    grid_thw: NDArray[np.int64], side: int, merge_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """See :func:`qvl_fast.interpolation_taps`."""

def mrope_position_ids(
    types: NDArray[np.int64],
    kept: NDArray[np.bool_] | None,
    image_grid_thw: NDArray[np.int64],
    video_grid_thw: NDArray[np.int64],
    image_interval: int | None,
    intervals: list[tuple[float, float]],
    *,
    precision: str,
    videos_in_groups: bool,
    merge_size: int,
    rules: PositionClass,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """See :func:`qvl_fast.mrope_position_ids`.

    Args:
        types: int64 ``(B, S)``.
        kept: bool ``(B, S)``, False at padding; None if there is none.
        image_grid_thw: of the images of the whole batch.
        video_grid_thw: of the videos of the whole batch.
        image_interval: time ids between the groups of frames of an image; None if images take
            theirs from ``intervals``.
        intervals: of each item that takes one, in the order of the tokens, two factors of the time
            ids, multiplied one after the other; none if ``videos_in_groups``.
        precision: what the products are computed in: ``"single"``, ``"double"`` or ``"whole"``.
        videos_in_groups: whether each group of frames is numbered as an image.
        merge_size: side, in patches, of a token.
        rules: how everything else is numbered.
    """

def pack(lengths: NDArray[np.int64], capacity: int, strategy: str) -> list[list[int]]:
    """The items of each sequence; see :func:`qvl_fast.pack`."""

def expand_placeholders(
    input_ids: NDArray[np.int64], token_id: int, counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """See :func:`qvl_fast.expand_placeholders`."""

@final
class RowWriter:
    """Resizes images and writes their patch rows, for one configuration."""

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
        tile: tuple[int, int] | None,
        resample: str,
        margin: Sequence[int],
        channels_last: bool,
    ) -> RowWriter: ...
    @property
    def columns(self) -> int:
        """Elements in a row."""
    def grid(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """The grid ``(t, h, w)`` of frames of a size in pixels, which is not changed.

        Raises:
            ValueError: a side is not a multiple of the patches that are merged.
        """
    def write(
        self,
        frames: NDArray[np.uint8],
        height: int,
        width: int,
        out: NDArray[np.float32 | np.float16 | np.uint16 | np.uint8],
    ) -> tuple[int, int, int]:
        """Resize frames ``(T, H, W, C)`` and write their rows to ``out``; returns the grid."""
    def video_target(
        self,
        frames: int,
        height: int,
        width: int,
        *,
        budget: str,
        pixels: tuple[int, int] | None,
        tokens: int | None,
    ) -> tuple[tuple[int, int], str | None]:
        """``(height, width)`` that frames are resized to, and the setting that decided it.

        Args:
            frames: how many there are.
            height: of each in pixels.
            width: of each in pixels.
            budget: whether ``pixels`` are of a ``"frame"`` or of the ``"clip"``.
            pixels: the least and the largest number; None keeps the size.
            tokens: that cap the pixels of a frame, if anything does.

        Raises:
            ValueError: the size is not valid.
        """

@final
class Fit:
    """How large an image becomes; sides are in pixels."""

    @staticmethod
    def keep() -> Fit:
        """Images keep their size."""
    @staticmethod
    def area(factor: int, pixels: tuple[int, int], frames: int, small: str) -> Fit:
        """Multiples of a factor, of an area between ``pixels``, which counts ``frames`` times.

        Args:
            factor: what sides become multiples of.
            pixels: the least and the largest area.
            frames: how often the area counts.
            small: what becomes of an image with a side below the factor first: ``"keep"``,
                ``"enlarge"`` or ``"enlarge_sides"``.
        """
    @staticmethod
    def shrink(patch: int, factor: int, patches: int, side: int) -> Fit:
        """At most so many patches in all and along a side, padded to multiples of a factor."""
    @staticmethod
    def tokens(factor: int, frames: int, least: int, most: int) -> Fit:
        """Between so many tokens of side ``factor``, padded to whole ones.

        Args:
            factor: side of a token.
            frames: that a still image is repeated for.
            least: tokens at least.
            most: tokens at most.
        """
    @staticmethod
    def patches(patch: int, most: int) -> Fit:
        """The largest size of at most so many whole patches."""
    @staticmethod
    def halved(factor: int, pixels: tuple[int, int]) -> Fit:
        """Multiples of a factor, half as large as the sides that two areas allow."""
    @staticmethod
    def stretch(height: int, width: int) -> Fit:
        """One size for all."""
    @staticmethod
    def shortest(edge: int) -> Fit:
        """The shorter side becomes so long."""
    @staticmethod
    def pinpoints(canvases: Sequence[tuple[int, int]]) -> Fit:
        """Into the middle of the best of some canvases, ``(height, width)``."""
    @staticmethod
    def ratio(least: int, most: int) -> Fit:
        """The grid of tiles whose aspect ratio is nearest."""

@final
class Layout:
    """What of an image a model sees, and at which size.

    Raises:
        ValueError: settings that do not go together.
    """

    def __new__(
        cls,
        fit: Fit,
        *,
        tile: tuple[int, int] | None,
        square: bool,
        overview: str,
        reference: str,
    ) -> Layout: ...
    def canvas(self, height: SupportsIndex, width: SupportsIndex) -> tuple[int, int]:
        """``(height, width)`` of the canvas that an image of a size is put on."""
    def placement(
        self, height: SupportsIndex, width: SupportsIndex
    ) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """``(frame, before, resized, offset)`` of the height and the width of an image of a size.

        What lies at ``x`` in the image is at ``(x + before) * resized / frame + offset`` on its
        canvas.
        """
    def grid(
        self, writer: RowWriter, height: SupportsIndex, width: SupportsIndex
    ) -> tuple[int, int, int]:
        """The grid ``(tiles, h, w)`` of an image of a size as ``writer`` cuts it."""
    def anyres_tokens(self, along: int, most_tiles: int | None, height: int, width: int) -> int:
        """Tokens of an image whose tiles of ``along**2`` features are put together again.

        Raises:
            ValueError: a side is not valid.
        """

@final
class ImageHeader:
    """What the header of a file says."""

    @property
    def format(self) -> str:
        """The file's format, as Pillow calls it."""
    @property
    def height(self) -> int:
        """Scanlines, as stored."""
    @property
    def width(self) -> int:
        """Pixels of a scanline, as stored."""
    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
    @property
    def orientation(self) -> int | None:
        """The EXIF orientation, 1 to 8; None if Pillow has to be asked for it."""

def image_header(file: bytes) -> ImageHeader | None:
    """What the header of a file says, or None if Pillow has to judge the file."""

class _Lines(Protocol):
    """An image that hands out some lines at a time."""

    size: tuple[int, int]
    def lines(self, first: int, last: int) -> NDArray[np.uint8]:
        """``(last - first, W, 4)``, the fourth byte without meaning; asked for in order."""

@final
class Batch:
    """Images and videos whose rows are written in one call.

    Frames are added in order, and :meth:`end` and :meth:`end_laid_out` make an image or a video of
    those that were added since the last. Each is added with its pixels, or opened when its turn
    comes.
    """

    def __new__(cls, writer: RowWriter) -> Batch: ...
    def add_pixels(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Add a frame in memory, ``(H, W, C)`` with 1, 3 or 4 channels; returns its size."""
    def add_file(self, file: bytes, header: ImageHeader, orientation: int) -> tuple[int, int]:
        """Add a file that the core decodes; returns its size as it is seen."""
    def add_opened(self, height: int, width: int) -> tuple[int, int]:
        """Add a frame that is opened when its turn comes; returns its size."""
    def end(self, height: int, width: int) -> None:
        """End a video, whose frames are to be resized to ``(height, width)``.

        Raises:
            ValueError: it cannot be cut into patches, or there is no frame.
        """
    def end_laid_out(self, layout: Layout) -> None:
        """End an image, or a video, of whose frames ``layout`` says what becomes.

        Raises:
            ValueError: their size is not valid, their tiles cannot be cut into patches, or there is
                no frame.
        """
    @property
    def sizes(self) -> list[tuple[int, int]]:
        """``(height, width)`` of the first frame of each image or video."""
    @property
    def grids(self) -> list[tuple[int, int, int]]:
        """The grid ``(t, h, w)`` of each; the tiles of an image count as groups of frames."""
    @property
    def rows(self) -> int:
        """Rows of all of them."""
    def write(
        self,
        out: NDArray[np.float32 | np.float16 | np.uint16 | np.uint8],
        open: Callable[[int, int, int], NDArray[np.uint8] | _Lines],
        *,
        num_threads: int,
        reduced: bool,
        padded: int | None = None,
    ) -> None:
        """Write the rows of all images or videos, one after another, to ``out``.

        An exception about one of them has its place in ``index``.

        Args:
            out: exactly their rows, in C order.
            open: for the number and the height and width of a frame that was not added with its
                pixels, or whose file turns out damaged or unusual: its pixels ``(H, W, C)``, or an
                object that hands out some lines of it, four bytes a pixel. Threads call it.
            num_threads: that the call may use.
            reduced: whether a JPEG may be decoded at a fraction of its size.
            padded: rows that each image has, those beyond its own being zeros.
        """
