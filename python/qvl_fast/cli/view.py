"""``qvl-fast view``: images and videos as a model sees them, on a page or as a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.report import show_failures
from qvl_fast.cli.text import printable
from qvl_fast.store.sources import Failure, is_video
from qvl_fast.views import View, gallery, view_frames
from qvl_fast.views import view as view_image
from qvl_fast.views.seen import with_budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qvl_fast.config import ModelConfig


def view(
    files: Sequence[Path],
    config: ModelConfig,
    *,
    max_pixels: int | None,
    boxes: Path | None,
    out: Path,
) -> int:
    """Write one page or one picture.

    Returns:
        1 if a file could not be read, else 0.

    Raises:
        CommandError: arguments that do not fit each other, or a file that cannot be written.
    """
    if boxes and (len(files) > 1 or is_video(files[0])):
        raise CommandError("argument --boxes: an answer is about one image")
    is_page = out.suffix.lower() == ".html"
    if not is_page and len(files) > 1:
        raise CommandError(f"argument --out: several images make a page, so {out} must be .html")
    if max_pixels:
        try:
            config = with_budget(config, max_pixels)
        except ValueError as error:
            raise CommandError(f"argument --max-pixels: {error}") from None
    answer = boxes.read_text(encoding="utf-8", errors="replace") if boxes else None
    views: list[View] = []
    failures: list[Failure] = []
    for file in files:
        try:
            if is_video(file):
                views += view_frames(file, config)
            else:
                views.append(view_image(file, config, answer))
        except (OSError, ValueError) as error:
            failures.append(Failure(file, error))
    if views:
        try:
            if is_page:
                out.write_text(gallery(views), encoding="utf-8")
            else:
                views[0].save(out)
        except ValueError as error:
            raise CommandError(f"argument --out: {error}") from None
        print(printable(out, sys.stdout))
    show_failures(failures)
    return 1 if failures else 0
