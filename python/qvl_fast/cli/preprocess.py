"""``qvl-fast preprocess``: images and videos to rows in safetensors files, with an index."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.report import progress, show_failures, show_table
from qvl_fast.store.sources import collect
from qvl_fast.store.writing import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qvl_fast.processors.image import ImageProcessor
    from qvl_fast.processors.video import VideoProcessor


def preprocess(
    paths: Sequence[Path],
    out: Path,
    processor: ImageProcessor,
    video_processor: VideoProcessor | None,
    *,
    shard_size: int,
    resume: bool,
) -> int:
    """Write the rows of all files, going on past those that fail, and print a summary.

    Args:
        paths: files and folders.
        out: folder of the shards and the index.
        processor: makes the rows of images.
        video_processor: makes those of videos; None if the configuration has no settings for them.
        shard_size: bytes of a shard file.
        resume: whether to keep what ``out`` already holds and still applies.

    Returns:
        0, or 1 if a file failed, or 130 if interrupted; what was done by then is written.

    Raises:
        CommandError: there is no file to process.
        StoreError: ``out`` cannot be written to.
    """
    start = time.perf_counter()
    sources, failures = collect(paths, videos=video_processor is not None)
    files = len(sources) + len(failures)
    if not sources:
        show_failures(failures)
        raise CommandError(f"no image or video file in {', '.join(map(str, paths))}")
    run = Run(sources, failures, out, processor, video_processor, resume=resume)
    skipped = files - len(failures) - len(run.pending)
    interrupted = False
    try:
        with progress(len(run.pending)) as report:
            run.write(shard_size, report)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - start
    entries = run.index.entries
    written = [entry for source in run.pending if (entry := entries.get(str(source.path)))]
    videos = sum(entry.video is not None for entry in written)
    shards = {entry.shard for entry in written}
    rows = sum(entry.rows for entry in written)
    show_table(
        ("summary", ""),
        (
            ("files", str(files)),
            ("images written", str(len(written) - videos)),
            ("videos written", str(videos)),
            ("skipped", str(skipped)),
            ("failed", str(len(failures))),
            ("rows", str(rows)),
            *_tokens(processor, rows),
            ("shards", str(len(shards))),
            ("bytes", str(sum((out / shard).stat().st_size for shard in shards))),
            ("seconds", f"{seconds:.2f}"),
            ("files/s", f"{len(written) / seconds:.1f}"),
        ),
    )
    show_failures(failures)
    if interrupted:
        print("interrupted; --resume goes on from here", file=sys.stderr)
        return 130
    return 1 if failures else 0


def _tokens(processor: ImageProcessor, rows: int) -> list[tuple[str, str]]:
    """The line of the tokens, where blocks of rows become them; other layouts have other rules."""
    layout = processor.config.layout
    if layout.tokens is not None or layout.tile is not None:
        return []
    return [("tokens", str(rows // processor.config.merge_size**2))]
