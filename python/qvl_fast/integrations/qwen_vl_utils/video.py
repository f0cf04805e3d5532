"""Videos of messages, read, sampled and resized."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qvl_fast._output.torch import import_torch
from qvl_fast.integrations.qwen_vl_utils.constants import constant
from qvl_fast.integrations.qwen_vl_utils.image import (
    FETCH,
    Element,
    Fetch,
    fetch_pixels,
    fetch_size,
    in_parallel,
    located,
)
from qvl_fast.integrations.qwen_vl_utils.sampling import sampled_indices
from qvl_fast.integrations.qwen_vl_utils.sizes import frame_target
from qvl_fast.threads import default_num_threads

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from qvl_fast._input.video.file import VideoFile


def fetch_video(
    ele: Element,
    image_patch_size: int = 14,
    return_video_sample_fps: bool = False,
    return_video_metadata: bool = False,
    *,
    exif: bool = False,
    fetch: Fetch = FETCH,
) -> Any:
    """The frames of a video of a message, sampled and resized.

    Semantics: ``fetch_video`` of ``qwen_vl_utils`` 0.0.14, which it equals bit for bit. Frames are
    resized by torch in float32, as there, which is not the arithmetic of images or of the
    processors; its last bit depends on the processor. A video that is given as pictures is resized
    twice, each picture first as an image of its own whose sides are multiples of
    ``4 * image_patch_size``.

    Files are decoded by PyAV, with the pixels of torchcodec, which theirs takes by default.

    Args:
        ele: has the video in ``"video"``: a path, ``file://`` and a path, an http or https URL,
            the bytes of a file, or a list or tuple of pictures, each as :func:`fetch_image` takes
            it. ``"min_pixels"`` and ``"max_pixels"`` bound the area of a frame and
            ``"total_pixels"`` that of all, or ``"resized_height"`` and ``"resized_width"`` ask for
            a size. Of a file ``"fps"`` or ``"nframes"`` says how many frames are taken, between
            ``"min_frames"`` and ``"max_frames"``, ``"video_start"`` and ``"video_end"`` in seconds
            from where. For pictures ``"sample_fps"`` and ``"raw_fps"`` are the rates that they were
            sampled at and filmed at.
        image_patch_size: side of a patch in pixels: 14, or 16 for Qwen3-VL.
        return_video_sample_fps: whether to return ``(..., sample_fps)``.
        return_video_metadata: whether to return ``(frames, metadata)`` in place of the frames.
        exif: whether pictures in files are turned upright by their EXIF orientation.
        fetch: finds what a text names; by default a :class:`Fetcher`, which has limits.

    Returns:
        float32 ``(T, 3, height, width)`` of whole numbers from 0 to 255, T even; with metadata and
        rate as asked for.

    Raises:
        ImageError: a picture cannot be used, or an address is not allowed.
        VideoError: a file cannot be decoded.
        AssertionError, ValueError: bounds that cannot be met, no frames to take, or pictures of
            different sizes.
        TypeError: ``"video"`` is something else.
        OSError: a path cannot be read, or an address not be reached.
        ImportError: torch is not installed, or PyAV for a file.
    """
    with open_video(ele, image_patch_size, exif=exif, fetch=fetch) as video:
        frames = video.frames()
    count, height, width, _ = frames.shape
    resized = _resized(frames, frame_target(ele, count, (height, width), image_patch_size))
    result = (resized, video.metadata) if return_video_metadata else resized
    return (result, video.sample_fps) if return_video_sample_fps else result


def video_size(element: Element, video: Video, image_patch_size: int) -> tuple[int, int, int]:
    """``(T, height, width)`` of what :func:`fetch_video` returns; no pixels are decoded."""
    count = len(video.metadata["frames_indices"])
    return count, *frame_target(element, count, video.size(), image_patch_size)


class Video(Protocol):
    """A video whose frames are chosen and not yet read."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the whole video: ``fps``, ``frames_indices``, ``total_num_frames``."""
        ...

    @property
    def sample_fps(self) -> float:
        """Chosen frames a second."""
        ...

    def size(self) -> tuple[int, int]:
        """``(height, width)`` of a frame; no pixels are decoded."""
        ...

    def frames(self) -> NDArray[np.uint8]:
        """The chosen frames, ``(T, H, W, 3)``."""
        ...


@contextmanager
def open_video(
    element: Element, image_patch_size: int, *, exif: bool, fetch: Fetch
) -> Generator[Video]:
    """The video of an element of a message; a file is closed afterwards.

    Raises:
        KeyError: there is none.
        Exception: as :func:`fetch_video`.
    """
    source = element["video"]
    if isinstance(source, list | tuple):
        yield _Pictures(element, image_patch_size, exif=exif, fetch=fetch)
    else:
        with open_file(located(source, fetch)) as file:
            yield _Sampled(element, file)


def open_file(source: Any) -> VideoFile:
    """A file of a video, to be closed.

    Raises:
        VideoError, TypeError, OSError, ImportError: as :func:`fetch_video`.
    """
    # Imported here for who has no PyAV.
    from qvl_fast._input.video.file import VideoFile

    return VideoFile(source, num_threads=default_num_threads())


class _Sampled:
    """A file, and the frames to take of it."""

    def __init__(self, element: Element, file: VideoFile) -> None:
        whole = file.metadata
        if whole.fps is None:
            raise ValueError(f"video must say how many frames a second it has, got {whole}")
        indices, among = sampled_indices(element, int(whole.total_num_frames), whole.fps)
        self._file = file
        self.sample_fps: float = len(indices) / among * whole.fps
        self.metadata = {
            "fps": whole.fps,
            "frames_indices": indices,
            "total_num_frames": among,
            "video_backend": whole.video_backend,
        }

    def size(self) -> tuple[int, int]:
        whole = self._file.metadata
        if whole.height is None or whole.width is None:
            raise ValueError(f"video must say how large its frames are, got {whole}")
        return whole.height, whole.width

    def frames(self) -> NDArray[np.uint8]:
        return np.stack(list(self._file.frames(self.metadata["frames_indices"])))


class _Pictures:
    """A video that is given as pictures; the last is repeated if their number is odd."""

    def __init__(
        self, element: Element, image_patch_size: int, *, exif: bool, fetch: Fetch
    ) -> None:
        shared = {key: value for key, value in element.items() if key not in ("type", "video")}
        self._pictures = [{"image": picture, **shared} for picture in element["video"]]
        if not self._pictures:
            raise ValueError("video must hold at least one picture, got an empty list")
        # Theirs takes the side of a token for that of a patch here.
        self._patch = int(image_patch_size * constant("SPATIAL_MERGE_SIZE"))
        self._reading: dict[str, Any] = {"exif": exif, "fetch": fetch}
        step = constant("FRAME_FACTOR")
        self._count = math.ceil(len(self._pictures) / step) * step
        self.sample_fps: float = element.get("sample_fps", 2.0)
        rate = element.get("raw_fps", self.sample_fps)
        self.metadata = {
            "fps": rate,
            "frames_indices": list(range(self._count)),
            "total_num_frames": self._count / self.sample_fps * rate,
        }

    def size(self) -> tuple[int, int]:
        return self._one(
            {fetch_size(each, self._patch, **self._reading) for each in self._pictures}
        )

    def frames(self) -> NDArray[np.uint8]:
        pictures = in_parallel(
            lambda each: fetch_pixels(each, self._patch, **self._reading),
            self._pictures,
        )
        self._one({picture.shape[:2] for picture in pictures})
        return np.stack(pictures + pictures[-1:] * (self._count - len(pictures)))

    @staticmethod
    def _one(sizes: set[tuple[int, int]]) -> tuple[int, int]:
        if len(sizes) > 1:
            raise ValueError(f"pictures of a video must get one size, got {sorted(sizes)}")
        return sizes.pop()


def _resized(frames: NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """As torchvision resizes a tensor of uint8: in float32, then to whole numbers in range."""
    torch = import_torch()
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous().float()
    if tuple(planes.shape[2:]) == size:
        return planes
    resized = torch.nn.functional.interpolate(
        planes, size, mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp_(0, 255).round_()
