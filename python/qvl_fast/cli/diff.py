"""``qvl-fast diff``: whether transformers makes the same rows of an image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from qvl_fast.bench.stock_images import stock_processor
from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.text import printable
from qvl_fast.processors.functional import image_size
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.views import diff as difference

if TYPE_CHECKING:
    from pathlib import Path

    from qvl_fast.config import ModelConfig
    from qvl_fast.processors.base import Reference


def diff(file: Path, config: ModelConfig, reference: Reference, *, out: Path | None) -> int:
    """Compare, print what was found, and draw it.

    Returns:
        1 if the rows differ, else 0.

    Raises:
        CommandError: the image cannot be used, the grids differ, or there is nothing to compare.
    """
    processor = ImageProcessor(config, reference=reference)
    if processor.form != "rows":
        raise CommandError(f"argument --config: rows are compared, and {config.name} takes none")
    try:
        ours = processor(file)
        original = image_size(file)
        # By its path, so that transformers decodes it too.
        theirs = stock_processor(processor, config.name)(str(file))
        found = difference(
            ours.pixel_values,
            theirs,
            ours.image_grid_thw,
            config,
            reference=reference,
            original=original,
        )
        print(f"{printable(file, sys.stdout)}: {found}")
        if out is not None:
            found.save(out)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return 0 if found.equal else 1
