"""What a video, and a batch of them, may be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qvl_fast._input.arrays import is_array, pixel_array
from qvl_fast._input.header import channels_last
from qvl_fast._input.video.metadata import VideoMetadata, to_metadata

if TYPE_CHECKING:
    import torch

    from qvl_fast._input.source import ImageSource
    from qvl_fast._input.video import place

Metadata: TypeAlias = "VideoMetadata | Mapping[str, Any]"
AnyMetadata: TypeAlias = (
    "Metadata | Sequence[Metadata | None] | Sequence[Sequence[Metadata | None]]"
)
Frames: TypeAlias = "NDArray[np.uint8] | torch.Tensor | Sequence[ImageSource]"
VideoSource: TypeAlias = "place.VideoSource | Frames | tuple[place.VideoSource | Frames, Metadata]"
VideoBatch: TypeAlias = "VideoSource | Iterable[VideoSource] | Iterable[Sequence[VideoSource]]"

# Files of these kinds hold one picture, so that a list of them is one video and not several.
_STILL = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Pictures:
    """Frames that are images of their own, and read when they are wanted.

    Attributes:
        images: the frames.
    """

    images: list[Any]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.images)

    @property
    def metadata(self) -> VideoMetadata:
        """Their number, and their size if the first tells it without being read."""
        first = self.images[0]
        sized = isinstance(first, Image.Image)
        return VideoMetadata(
            total_num_frames=self.count,
            width=first.width if sized else None,
            height=first.height if sized else None,
            frames_indices=list(range(self.count)),
        )


class ArrayClip:
    """Frames in memory.

    Args:
        video: uint8 ``(T, H, W, C)`` or ``(T, C, H, W)``, an array or CPU tensor, or a list of
            such frames; a single frame may lack the first axis. Channels are inferred as in the
            reference.

    Attributes:
        frames: views ``(H, W, C)``, all of one size.

    Raises:
        TypeError: it is not uint8.
        ValueError: it has no frames, or no axis of channels, or frames of several sizes.
    """

    def __init__(self, video: Any) -> None:
        if is_array(video):
            pixels = pixel_array("video", video)
            stack = pixels[np.newaxis] if pixels.ndim == 3 else pixels
            if stack.ndim != 4 or len(stack) == 0:
                raise ValueError(
                    "video must have shape (T, H, W, 3) or (T, 3, H, W) and at least one frame, "
                    f"got {pixels.shape}"
                )
            self.frames = list(_channels_last(stack))
        else:
            self.frames = [_channels_last(pixel_array("video", frame)) for frame in video]
        shapes = sorted({frame.shape for frame in self.frames})
        if len(shapes) > 1:
            raise ValueError(f"video must have frames of one size, got {shapes[0]} and {shapes[1]}")

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of each."""
        height, width, _ = self.frames[0].shape
        return height, width

    @property
    def metadata(self) -> VideoMetadata:
        """Their number and size."""
        height, width = self.size
        return VideoMetadata(
            total_num_frames=self.count,
            width=width,
            height=height,
            frames_indices=list(range(self.count)),
        )


def _channels_last(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # The reference looks for 1 or 3 channels first, so that an axis of 4 may be the height.
    ends = {pixels.shape[-3], pixels.shape[-1]}
    return channels_last("video", pixels, (1, 3) if ends & {1, 3} else (4,))


class Given(NamedTuple):
    """A video of a batch, and what its caller says of it."""

    video: Any
    metadata: VideoMetadata | None


def flatten_videos(videos: VideoBatch, video_metadata: AnyMetadata | None) -> list[Given]:
    """One list of single videos with the metadata that was passed for each.

    A list of frames is one video: of PIL images, of 3-D arrays, or of paths that end like those
    of still pictures. Any other list is a batch, and may be nested.

    Raises:
        ValueError: there is no video, or not as many metadata as videos, or two for one.
        TypeError: metadata of another type.
    """
    flat = list(_singles(videos))
    if not flat:
        raise ValueError(f"videos must hold at least one video, got {videos!r:.80}")
    if video_metadata is None:
        return flat
    entries = list(_metadata_entries(video_metadata))
    if len(entries) != len(flat):
        raise ValueError(
            f"video_metadata must have one entry for each of {len(flat)} videos, got {len(entries)}"
        )
    for place, (given, entry) in enumerate(zip(flat, entries, strict=True)):
        if given.metadata is not None and entry is not None:
            raise ValueError(f"video_metadata is given twice for videos[{place}]")
    return [
        Given(given.video, given.metadata if entry is None else entry)
        for given, entry in zip(flat, entries, strict=True)
    ]


def is_file(video: Any) -> bool:
    """Whether a video has to be read from a file."""
    if isinstance(video, str | os.PathLike | bytes | bytearray | memoryview):
        return True
    return hasattr(video, "read")


def are_files(frames: ArrayClip | Pictures) -> bool:
    """Whether frames, or some of them, have to be read from somewhere."""
    return isinstance(frames, Pictures) and not all(
        isinstance(image, Image.Image) or is_array(image) for image in frames.images
    )


def frames_of(video: Any) -> ArrayClip | Pictures:
    """The clip of a video that is not a file.

    Raises:
        TypeError: neither frames nor a file.
        ValueError: there are no frames.
    """
    if is_array(video):
        return ArrayClip(video)
    if isinstance(video, Image.Image):
        return Pictures([video])
    if isinstance(video, list | tuple):
        images = list(cast("Sequence[Any]", video))
        if not images:
            raise ValueError("video must hold at least one frame, got none")
        return ArrayClip(images) if all(map(is_array, images)) else Pictures(images)
    raise TypeError(
        "video must be a path, bytes, a file object, a 4-D array or tensor, or a list of frames, "
        f"got {type(video).__name__}"
    )


def _singles(videos: Any) -> Iterator[Given]:
    if _has_metadata(videos):
        yield Given(videos[0], None if videos[1] is None else to_metadata(videos[1]))
    elif is_array(videos) and videos.ndim == 5:
        yield from (Given(video, None) for video in videos)
    elif is_file(videos) or is_array(videos) or isinstance(videos, Image.Image | Mapping):
        yield Given(videos, None)
    elif isinstance(videos, Iterable):
        items = list(cast("Iterable[Any]", videos))
        if items and all(map(_is_frame, items)):
            yield Given(items, None)
        else:
            for item in items:
                yield from _singles(item)
    else:
        yield Given(videos, None)


def _has_metadata(video: Any) -> bool:
    """Whether it is a video with its metadata, as ``process_vision_info`` returns them."""
    return (
        isinstance(video, tuple)
        and len(cast("tuple[Any, ...]", video)) == 2
        and isinstance(video[1], Mapping | VideoMetadata | None)
        and not _is_frame(video[1])
    )


def _is_frame(item: Any) -> bool:
    if isinstance(item, Image.Image):
        return True
    if is_array(item):
        return item.ndim == 3
    if isinstance(item, str | os.PathLike):
        return PurePath(cast("str | os.PathLike[str]", item)).suffix.lower() in _STILL
    return False


def _metadata_entries(value: Any) -> Iterator[VideoMetadata | None]:
    if value is None:
        yield None
    elif isinstance(value, list | tuple):
        for entry in cast("Sequence[Any]", value):
            yield from _metadata_entries(entry)
    else:
        yield to_metadata(value)
