"""The processors of transformers, the Qwen utilities and hf-processors-rs, to compare with."""

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
    stock: Any = kind(**(_settings(ours) | options))
    return lambda images: stock(images, return_tensors="pt")["pixel_values"]


def _settings(ours: ImageProcessor) -> dict[str, Any]:
    """The configuration of ``ours`` as transformers writes it."""
    settings = asdict(ours.config)
    size = {"shortest_edge": settings.pop("min_pixels"), "longest_edge": settings.pop("max_pixels")}
    return settings | {"size": size}


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


def hf_processors(ours: ImageProcessor, threads: int) -> Callable[[Any], object] | None:
    """What computes rows of an image, or of a list of them, by hf-processors-rs, on ``threads``.

    None if it is not installed, or rows are of a type that it does not have.
    """
    if find_spec("hf_processors_rs") is None or ours.dtype != "float32":
        return None
    kind: Any = import_module("hf_processors_rs").Qwen2VLImageProcessor
    settings = _settings(ours) | {"image_processor_type": "Qwen2VLImageProcessor"}
    backend = "torchvision" if ours.reference == "torchvision" else "pil"
    process = kind.from_dict(settings, backend)
    return lambda images: process(images, num_threads=threads)
