"""From the images of a sample to its rows, and to their number without decoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast._input.errors import about_image
from qvl_fast.processors.functional import image_size

if TYPE_CHECKING:
    from qvl_fast._input.source import ImageSource
    from qvl_fast.processors.image import ImageProcessor


@dataclass(frozen=True, slots=True)
class RowTransform:
    """Replaces a sample's images by their rows and grids.

    Attributes:
        processor: makes the rows. In a worker of a DataLoader it uses one thread.
        key: the entry with the images, one or a list. A sample may lack it, or have an empty list.

    Example:
        >>> transform = RowTransform(qvl_fast.ImageProcessor("qwen2.5-vl"), key="image")
        >>> sample = transform({"image": "samples/coffee.png", "label": 3})
        >>> list(sample), tuple(sample["pixel_values"].shape)
        (['label', 'pixel_values', 'image_grid_thw'], (1176, 1176))
    """

    processor: ImageProcessor
    key: str = "images"

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """The sample with ``pixel_values`` and ``image_grid_thw`` instead of its images.

        Args:
            sample: its entries by name; it is not changed.

        Returns:
            A new dict, the rows last.

        Raises:
            ImageError: an image cannot be used; ``.index`` is its place in the sample.
        """
        rest = {name: value for name, value in sample.items() if name != self.key}
        images = sample.get(self.key)
        if images is None or (type(images) in (list, tuple) and len(images) == 0):
            return rest
        return {**rest, **self.processor(images)}


def image_lengths(images: Iterable[ImageSource], processor: ImageProcessor) -> NDArray[np.int64]:
    """The number of tokens of each image, from its header alone.

    For :class:`TokenBatchSampler`, or to put samples of like length together. Add the lengths of
    the texts.

    Args:
        images: paths, bytes or whatever :func:`qvl_fast.image_size` takes.
        processor: that which will make the rows.

    Returns:
        int64 ``(n,)``.

    Raises:
        ImageError: an image cannot be used; ``.index`` is its place.
        OSError: a path that cannot be read, likewise.

    Example:
        >>> processor = qvl_fast.ImageProcessor("qwen2.5-vl")
        >>> image_lengths(["samples/coffee.png", "samples/rocket.jpg"], processor)
        array([294, 345])
    """
    lengths: list[int] = []
    for index, image in enumerate(images):
        try:
            lengths.append(processor.num_tokens(*image_size(image)))
        except Exception as error:
            raise about_image(error, index, image) from error.__cause__
    return np.array(lengths, np.int64)
