"""WebP files, animated or not, by Pillow: FFmpeg decodes only still ones."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.errors import VideoError
from qvl_fast._input.files import opened
from qvl_fast._input.pixels import rgb_pixels
from qvl_fast._input.video.metadata import VideoMetadata

if TYPE_CHECKING:
    from PIL import Image

    from qvl_fast._input.video.place import Place


class WebPReader:
    """A WebP file, whose transparency is composited on white as that of an image is.

    Args:
        place: where the file is.

    Raises:
        ValueError: Pillow cannot decode it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        with opened(place, error=VideoError) as image:
            count = int(getattr(image, "n_frames", 1))
            # Only a frame that is decoded tells how long it is shown.
            seconds = sum(_milliseconds(image, number) for number in range(count)) / 1000
            self._metadata = VideoMetadata(
                total_num_frames=count,
                fps=count / seconds if seconds else None,
                width=image.width,
                height=image.height,
                duration=seconds,
                video_backend="pillow",
            )

    @property
    def metadata(self) -> VideoMetadata:
        """The rate is None where no frame says how long it is shown."""
        return self._metadata

    def frames(self, indices: NDArray[np.int64]) -> Generator[NDArray[np.uint8]]:
        """The frames of these indices, which do not decrease."""
        last, pixels = -1, np.empty((0, 0, 3), np.uint8)
        with opened(self._place, error=VideoError) as image:
            for index in indices.tolist():
                if index != last:
                    image.seek(index)
                    pixels, last = _pixels(image), index
                yield pixels

    def close(self) -> None:
        """Nothing is open between the frames of one call."""


def _milliseconds(image: Image.Image, number: int) -> int:
    image.seek(number)
    image.load()
    return int(image.info.get("duration", 0))


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(rgb_pixels(image))  # Pillow decodes the next frame into the same memory
