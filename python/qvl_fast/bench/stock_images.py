"""The image processors of transformers and of the Qwen utilities, to compare with."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torchvision.io import ImageReadMode, decode_image
from transformers import Qwen2VLImageProcessor, Qwen2VLImageProcessorPil

if TYPE_CHECKING:
    from collections.abc import Callable

    from qvl_fast.processors.image import ImageProcessor


def stock_processor(ours: ImageProcessor, **options: Any) -> Callable[[Any], torch.Tensor]:
    """What computes the rows of an image, or of a list of them, as ``ours`` does.

    Args:
        ours: whose configuration and reference it has.
        **options: of the stock processor.

    Returns:
        A function; its rows are of the type that the stock processor gives.
    """
    kind = Qwen2VLImageProcessor if ours.reference == "torchvision" else Qwen2VLImageProcessorPil
    settings = asdict(ours.config)
    size = {"shortest_edge": settings.pop("min_pixels"), "longest_edge": settings.pop("max_pixels")}
    stock: Any = kind(size=size, **(settings | options))
    return lambda images: stock(images, return_tensors="pt")["pixel_values"]


def decoded(file: bytes) -> torch.Tensor:
    """The pixels of a file by torchvision, uint8 ``(3, H, W)``."""
    data = torch.frombuffer(bytearray(file), dtype=torch.uint8)
    with warnings.catch_warnings():
        # It is deprecated, and still what the processor decodes with.
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_image(data, mode=ImageReadMode.RGB)


def qwen_utilities(ours: ImageProcessor) -> Callable[[Any], torch.Tensor] | None:
    """What computes rows of a PIL image by the Qwen utilities; None if they are not installed."""
    if find_spec("qwen_vl_utils") is None:
        return None
    fetch_image: Any = import_module("qwen_vl_utils").fetch_image
    bounds = {"min_pixels": ours.config.min_pixels, "max_pixels": ours.config.max_pixels}
    cut = stock_processor(ours, do_resize=False)
    return lambda image: cut(fetch_image({"image": image, **bounds}))
