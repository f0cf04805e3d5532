"""Which calls are computed here, and which are left to transformers.

Stock has checked and completed the arguments by the time that a drop-in sees them.
"""

from __future__ import annotations

import inspect
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import torch
import transformers
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode

from qvl_fast import environment
from qvl_fast.config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qvl_fast._output.rows import DType
    from qvl_fast.environment import DevicePolicy

Device: TypeAlias = "torch.device | None"
Made = TypeVar("Made")

# The steps of a stock class that are computed or called here, and all arguments where each counts.
Steps: TypeAlias = "Mapping[str, set[str] | None]"
# Those of the step in which stock computes.
SETTINGS = {
    *("do_resize", "size", "resample", "do_rescale", "rescale_factor", "do_normalize"),
    *("image_mean", "image_std", "patch_size", "temporal_patch_size", "merge_size"),
    "return_tensors",
}

logger = logging.getLogger(__name__)
_registered_policy: DevicePolicy | None = None


def check_steps(stock: type, steps: Steps) -> None:
    """Refuse a stock class that computes otherwise than the one that is reproduced here.

    Where a step is gone or has an argument more, calls could fail, or give other rows in silence.

    Raises:
        RuntimeError: it is of another version of transformers; names the step.
    """
    for name, wanted in steps.items():
        step: Any = getattr(stock, name, None)
        if step is None or (wanted is not None and _arguments(step) != wanted):
            raise RuntimeError(
                f"{stock.__name__} of transformers {transformers.__version__} has "
                f"{'no' if step is None else 'another'} {name}, on which ours relies; install a "
                "version of qvl_fast that knows this one"
            )


def _arguments(method: Callable[..., Any]) -> set[str]:
    named = inspect.signature(method).parameters.values()
    return {each.name for each in named if each.kind != each.VAR_KEYWORD} - {"self"}


class NotReproducedError(Exception):
    """A call that transformers is to compute; its text says why, without any values."""


def computed(
    processor: object, ours: Callable[[], Mapping[str, Any]], stock: Any
) -> dict[str, Any]:
    """What ``ours`` computes, or ``stock`` if that leaves the call to it, which is logged once."""
    try:
        return dict(ours())
    except NotReproducedError as reason:
        _log_once(type(processor).__name__, str(reason))
    return dict(stock())


@cache
def _log_once(kind: str, reason: str) -> None:
    logger.warning("%s leaves calls to transformers %s", kind, reason)


def row_settings(
    *,
    do_rescale: bool | None,
    do_normalize: bool | None,
    rescale_factor: Any,
    image_mean: Any,
    image_std: Any,
    patch_size: Any,
    temporal_patch_size: Any,
    merge_size: Any,
    **_: Any,
) -> dict[str, Any]:
    """From the arguments of stock, the settings of :class:`ImageConfig` for pixels of their size.

    A flag may be None, which is off. What stock does not look at may be anything, and is left out.

    Raises:
        NotReproducedError: a mean or std that torch may take in another precision.
    """
    settings: dict[str, Any] = {
        "patch_size": patch_size,
        "temporal_patch_size": temporal_patch_size,
        "merge_size": merge_size,
        "do_rescale": bool(do_rescale),
        "do_normalize": bool(do_normalize),
    }
    if do_rescale:
        settings["rescale_factor"] = rescale_factor
    if do_normalize:
        if not (_is_plain(image_mean) and _is_plain(image_std)):
            raise NotReproducedError("whose mean or std is not of Python's numbers")
        settings |= {"image_mean": image_mean, "image_std": image_std}
    return settings


def made_of(settings: Mapping[str, Any], make: Callable[[ImageConfig], Made]) -> Made:
    """What ``make`` makes of a configuration with these settings.

    Raises:
        NotReproducedError: one is refused; stock may not refuse it, or has an error of its own.
    """
    environment.isa()  # A wrong variable is not to be taken for a wrong setting.
    try:
        return make(ImageConfig(**settings))
    except (TypeError, ValueError):
        logger.debug("a setting is left to transformers", exc_info=True)
        raise NotReproducedError("with an unusual setting") from None


def row_dtype(config: ImageConfig) -> DType:
    """The type of stock's rows: that of the pixels, if nothing is computed with them."""
    return "float32" if config.do_rescale or config.do_normalize else "uint8"


def check_filter(do_resize: bool | None, resample: Any) -> None:
    """Leave other filters to stock.

    Raises:
        NotReproducedError: images are to be resized, and not by the bicubic filter.
    """
    # A plain 3 equals Pillow's.
    if do_resize and resample not in (Image.Resampling.BICUBIC, InterpolationMode.BICUBIC):
        raise NotReproducedError("whose filter is not bicubic")


def check_pixels(pixels: torch.Tensor) -> None:
    """Leave pixels to stock that cannot be read where they lie.

    Raises:
        NotReproducedError: not a dense uint8 tensor on the CPU.
    """
    if pixels.dtype != torch.uint8:
        raise NotReproducedError("whose pixels are not uint8")
    if pixels.device.type != "cpu" or pixels.layout != torch.strided:
        raise NotReproducedError("whose pixels are not in the CPU's memory")


def computed_on(device: str | torch.device | None) -> tuple[Device, Device]:
    """Where a call that names a device is computed, and where its rows are moved then.

    None stands for the CPU, and for not being moved.
    """
    if device is None or torch.device(device).type == "cpu":
        return None, None
    named = torch.device(device)
    return (named, None) if device_policy() == "stock" else (None, named)


def device_policy() -> DevicePolicy:
    """What is done with a device: what :func:`set_device_policy` said, or else the environment."""
    return _registered_policy or environment.device_policy()


def set_device_policy(policy: DevicePolicy | None) -> None:
    """Say what is done with a device; None leaves it to the environment."""
    global _registered_policy
    _registered_policy = policy


def _is_plain(values: Any) -> bool:
    items = cast("tuple[Any, ...]", values) if isinstance(values, tuple) else (values,)
    return all(isinstance(item, int | float) for item in items)
