"""What pip builds with (PEP 517): maturin, and the JPEG decoder where the machine can build it."""

from collections.abc import Mapping
from typing import Any

import maturin
from features import cargo_features, missing_tools
from maturin import (
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """As maturin, and cmake if only that is missing: pip can install it, but not nasm."""
    cmake = ["cmake"] if missing_tools() == ["cmake"] else []
    return [*maturin.get_requires_for_build_wheel(config_settings), *cmake]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """As maturin, with the features that can be built."""
    return maturin.build_wheel(wheel_directory, _buildable(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """As maturin, with the features that can be built."""
    return maturin.build_editable(wheel_directory, _buildable(config_settings), metadata_directory)


def _buildable(config_settings: Settings) -> dict[str, Any]:
    arguments = maturin.get_maturin_pep517_args(config_settings)
    if not any("features" in argument for argument in arguments):  # else the user has chosen
        arguments = [*arguments, *cargo_features()]
    return {**(config_settings or {}), "maturin.build-args": arguments}
