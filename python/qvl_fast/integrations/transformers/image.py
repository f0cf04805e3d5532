"""A ``Qwen2VLImageProcessor`` whose pixels are computed here."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import ChannelDimension, SizeDict, infer_channel_dimension_format

from qvl_fast._output.batch import ImageRows
from qvl_fast.config import ImageConfig
from qvl_fast.integrations.transformers.files import StandIns
from qvl_fast.integrations.transformers.stock import (
    SETTINGS,
    NotReproducedError,
    Steps,
    check_filter,
    check_pixels,
    computed,
    computed_on,
    logger,
    made_of,
    row_dtype,
    row_settings,
)
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qvl_fast._input.files import CoreFile

_CHANNELS = (1, 3, 4)
# Its types are those of its documentation, which are narrower than what it takes.
_Stock: Any = transformers.Qwen2VLImageProcessor
_infer_channels: Any = infer_channel_dimension_format
STEPS: Steps = {
    "_preprocess_image_like_inputs": None,
    "fetch_images": None,
    "_prepare_images_structure": None,
    "_preprocess": SETTINGS | {"images", "disable_grouping"},
}
# In transformers the arguments of a class are found beside it, by this name.
Qwen2VLImageProcessorKwargs = _Stock.valid_kwargs


class Qwen2VLImageProcessor(_Stock):
    """The image processor of the Qwen-VL models in transformers, with the same bits and errors.

    It has the name of the stock class, its signature, its JSON and its attributes, which may be set
    at any time. Calls that it does not reproduce are left to the stock class, and the log says why.
    Threads may share it.

    Raises:
        ImageError: an image that cannot be used; see :class:`qvl_fast.ImageProcessor`. Other errors
            are those of stock.
    """

    # The one method that gets arguments which stock has completed, and images that stock has not
    # yet copied.
    def _preprocess_image_like_inputs(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        kwargs["device"], move_to = computed_on(kwargs["device"])
        return_tensors, kwargs["return_tensors"] = kwargs["return_tensors"], None
        rows = self._rows_of_files(images, *args, **kwargs)
        if rows is None:
            images = self.fetch_images(images)
            # Stock flattens the images itself, and refuses some that have been flattened before.
            rows = computed(
                self,
                ours=partial(self._rows, images, {}, *args, **kwargs),
                stock=partial(super()._preprocess_image_like_inputs, images, *args, **kwargs),
            )
        rows["pixel_values"] = rows["pixel_values"].to(move_to)
        return BatchFeature(data=rows, tensor_type=return_tensors)

    def _rows_of_files(self, images: Any, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The rows of images among which are files that the core decodes.

        None if there are no such files, or if anything is wrong: what it is depends on stock's
        decoder and on its order of work.
        """
        stand_ins = StandIns()
        images = stand_ins.in_place_of_files(images)
        if not stand_ins.files:
            return None
        try:
            return dict(self._rows(self.fetch_images(images), stand_ins.files, *args, **kwargs))
        except Exception:
            logger.debug("files are left to transformers", exc_info=True)
            return None

    def _rows(
        self,
        images: Any,
        files: Mapping[int, CoreFile],
        *,
        do_convert_rgb: bool | None,
        input_data_format: str | ChannelDimension | None,
        device: torch.device | None,
        **settings: Any,
    ) -> ImageRows[torch.Tensor]:
        if device is not None:
            raise NotReproducedError("that name a device, by the policy 'stock'")
        if files and input_data_format not in (None, ChannelDimension.FIRST):
            raise NotReproducedError("with files whose pixels are to be read in another order")
        processor = _processor_of_call(**settings)
        flat = [
            files.get(id(image)) or _pixels(image, do_convert_rgb, input_data_format)
            for image in self._prepare_images_structure(images)
        ]
        if not flat:
            raise NotReproducedError("without an image")
        rows: Any = processor(flat, return_tensors="pt")
        return rows


def _processor_of_call(
    do_resize: bool | None, size: SizeDict, resample: Any, **others: Any
) -> ImageProcessor:
    """Our processor for the arguments of a call."""
    check_filter(do_resize, resample)
    settings = row_settings(**others) | {"do_resize": bool(do_resize)}
    if do_resize:
        settings |= {"min_pixels": size.shortest_edge, "max_pixels": size.longest_edge}
    return made_of(settings, _processor)


# By settings and not by drop-in: a cache on a method would keep every drop-in alive.
@lru_cache(maxsize=32)
def _processor(config: ImageConfig) -> ImageProcessor:
    return ImageProcessor(config, dtype=row_dtype(config))


def _pixels(
    image: Any, convert: bool | None, channels: str | ChannelDimension | None
) -> Image.Image | torch.Tensor:
    """An image as we take it: a PIL image, or a view ``(C, H, W)`` of the pixels of another."""
    if isinstance(image, Image.Image):
        if not convert and (image.mode != "RGB" or "transparency" in image.info):
            raise NotReproducedError("with an image that is not RGB, unless do_convert_rgb")
        return image
    pixels = torch.from_numpy(image) if isinstance(image, np.ndarray) else image
    if not isinstance(pixels, torch.Tensor) or pixels.ndim not in (2, 3):
        raise NotReproducedError("with an image that is no PIL image, nor an array of 2 or 3 axes")
    check_pixels(pixels)
    if pixels.ndim == 2:
        pixels = pixels.unsqueeze(0)
    else:
        if channels is None:
            channels = _infer_channels(pixels, num_channels=_CHANNELS)
        if channels == ChannelDimension.LAST:
            pixels = pixels.permute(2, 0, 1)
    if len(pixels) not in (_CHANNELS if convert else (3,)):
        raise NotReproducedError("with an image of other channels")
    if pixels.shape[2] in _CHANNELS:
        # Our processor would ask again where its channels are.
        raise NotReproducedError("with an image of 1, 3 or 4 columns")
    return pixels
