"""``qvl-fast inspect``: what models make of image files, from their headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvl_fast.cli.report import show_failures, show_table
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.store.sources import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qvl_fast.config import ModelConfig

_HEADER = ("file", "height x width", "config", "resized", "grid", "rows", "tokens")


def inspect(files: Sequence[Path], configs: Sequence[ModelConfig]) -> int:
    """Print the sizes of every file under every configuration.

    Returns:
        1 if a file could not be read, else 0.
    """
    processors = {config.name: ImageProcessor(config, return_tensors="np") for config in configs}
    lines: list[tuple[str | Path, ...]] = []
    failures: list[Failure] = []
    for file in files:
        try:
            lines += _lines(file, processors)
        except (OSError, ValueError) as error:
            failures.append(Failure(file, error))
    if lines:
        show_table(_HEADER, lines, names=3)
    show_failures(failures)
    return 1 if failures else 0


def _lines(file: Path, processors: dict[str, ImageProcessor]) -> Iterator[tuple[str | Path, ...]]:
    height, width = image_size(file)
    for name, processor in processors.items():
        resized_height, resized_width = processor.resized_size(height, width)
        patch = processor.config.patch_size
        yield (
            file,
            f"{height} x {width}",
            name,
            f"{resized_height} x {resized_width}",
            f"1 x {resized_height // patch} x {resized_width // patch}",
            str(processor.num_patches(height, width)),
            str(processor.num_tokens(height, width)),
        )
