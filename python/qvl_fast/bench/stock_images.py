"""The processors of transformers, the Qwen utilities and hf-processors-rs, to compare with."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torchvision.io import ImageReadMode, decode_image

from qvl_fast.bench.stock_families import STOCK, stock_family
from qvl_fast.config.layout import Area, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from qvl_fast.config import ImageConfig, ModelConfig
    from qvl_fast.processors.image import ImageProcessor

_QWEN = "Qwen2VLImageProcessor"


def has_stock(config: ModelConfig, reference: str) -> bool:
    """Whether transformers has an image processor for a model, with the backend of a reference."""
    kind = _class(config.name, config.image)
    suffix = "" if reference == "torchvision" else "Pil"
    return kind is not None and hasattr(transformers, kind + suffix)


def stock_processor(
    ours: ImageProcessor, preset: str, **options: Any
) -> Callable[[Any], torch.Tensor]:
    """What computes the rows or planes of an image, or of a list of them, as ``ours`` does.

    Args:
        ours: whose configuration and reference it has.
        preset: its name.
        **options: of the stock processor.

    Returns:
        A function; what it returns is of the type that the stock processor gives.

    Raises:
        ValueError: transformers has no such processor.
    """
    kind = _class(preset, ours.config)
    if kind is None:
        raise ValueError(f"transformers has no image processor for {preset}")
    if isinstance(ours.config.layout.fit, Area):
        settings = _settings(ours)
    else:
        _, given = STOCK[preset]
        settings = dict(given)
    stock = stock_family(kind, ours.reference, settings | options)

    def process(images: Any) -> torch.Tensor:
        result = stock(images, return_tensors="pt")
        pixels = result if isinstance(result, torch.Tensor) else result["pixel_values"]
        # Two models take their rows as small pictures.
        return pixels.flatten(1) if ours.form == "rows" else pixels

    return process


def _settings(ours: ImageProcessor) -> dict[str, Any]:
    """The configuration of ``ours``, whose fit is an area, as transformers has it."""
    settings = asdict(ours.config)
    del settings["layout"]
    size = {"shortest_edge": settings.pop("min_pixels"), "longest_edge": settings.pop("max_pixels")}
    return settings | {"size": size}


def _class(preset: str, image: ImageConfig) -> str | None:
    """The stock class of a preset, or of whatever cuts images as Qwen's; None if there is none."""
    if preset in STOCK:
        return STOCK[preset][0]
    return _QWEN if image.layout == Layout() else None


def decoded(file: bytes) -> torch.Tensor:
    """The pixels of a file by torchvision, uint8 ``(3, H, W)``."""
    data = torch.frombuffer(bytearray(file), dtype=torch.uint8)
    with warnings.catch_warnings():
        # It is deprecated, and still what the processor decodes with.
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_image(data, mode=ImageReadMode.RGB)


def qwen_utilities(ours: ImageProcessor, preset: str) -> Callable[[Any], torch.Tensor] | None:
    """What computes rows of a PIL image by the Qwen utilities.

    None if they are not installed, or not made for the model.
    """
    if find_spec("qwen_vl_utils") is None or _class(preset, ours.config) != _QWEN:
        return None
    fetch_image: Any = import_module("qwen_vl_utils").fetch_image
    bounds = {"min_pixels": ours.config.min_pixels, "max_pixels": ours.config.max_pixels}
    patch = ours.config.patch_size
    cut = stock_processor(ours, preset, do_resize=False)
    return lambda image: cut(fetch_image({"image": image, **bounds}, image_patch_size=patch))


def hf_processors(
    ours: ImageProcessor, preset: str, threads: int
) -> Callable[[Any], object] | None:
    """What computes rows of an image, or of a list of them, by hf-processors-rs, on ``threads``.

    None if it is not installed, or does not have the model or the type of the rows.
    """
    made_for = _class(preset, ours.config) == _QWEN and ours.dtype == "float32"
    if find_spec("hf_processors_rs") is None or not made_for:
        return None
    kind: Any = import_module("hf_processors_rs").Qwen2VLImageProcessor
    settings = _settings(ours) | {"image_processor_type": _QWEN}
    backend = "torchvision" if ours.reference == "torchvision" else "pil"
    process = kind.from_dict(settings, backend)
    return lambda images: process(images, num_threads=threads)
