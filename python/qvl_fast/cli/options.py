"""Values of options, for argparse: its error messages name the option, these the value."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from pathlib import Path

from qvl_fast.config import FAMILIES, ModelConfig

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def positive_integer(text: str) -> int:
    """An integer of at least 1."""
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) == 0:
        raise ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def positive_rate(text: str) -> float:
    """A number above 0, such as ``2`` or ``0.5``."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) == 0:
        raise ArgumentTypeError(f"must be a positive number, got {text!r}")
    return float(text)


def image_batch(text: str) -> tuple[int, int, int]:
    """A number of images and their height and width, such as ``8x448x448``."""
    match = re.fullmatch("([1-9][0-9]{0,5})x([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if match is None:
        raise ArgumentTypeError(f"must be NxHxW such as 8x448x448, got {text!r}")
    return int(match[1]), int(match[2]), int(match[3])


def byte_size(text: str) -> int:
    """A number of bytes such as ``1000000``, ``1000kB`` or ``1MB``."""
    match = re.fullmatch("([0-9]{1,18}) ?([kMG]B)?", text, re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise ArgumentTypeError(
            f"must be a positive number of bytes, kB, MB or GB such as 512MB, got {text!r}"
        )
    return int(match[1]) * _UNITS[(match[2] or "").lower()]


def model_config(text: str) -> ModelConfig:
    """The configuration with the name of a preset or in a checkpoint directory."""
    if text in FAMILIES:
        return FAMILIES[text]
    directory = Path(text)
    if not directory.is_dir():
        presets = ", ".join(FAMILIES)
        raise ArgumentTypeError(f"must be one of {presets} or a directory, got {text!r}")
    try:
        # Resolved, because the configuration is named after the directory and "." is no name.
        return ModelConfig.from_pretrained(directory.resolve())
    except (OSError, TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{text!r} cannot be used: {error}") from None


def model_configs(text: str) -> list[ModelConfig]:
    """One configuration, or with ``all`` that of every family."""
    return list(FAMILIES.values()) if text == "all" else [model_config(text)]
