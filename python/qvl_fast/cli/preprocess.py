"""``qvl-fast preprocess``: image files to rows in safetensors files, with an index."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.report import show_failures, show_table, tracking
from qvl_fast.store.index import Index
from qvl_fast.store.shards import ShardWriter
from qvl_fast.store.sources import collect
from qvl_fast.store.writing import configuration, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qvl_fast.processors.image import ImageProcessor


def preprocess(
    paths: Sequence[Path], out: Path, processor: ImageProcessor, *, shard_size: int, resume: bool
) -> int:
    """Write the rows of all files, going on past those that fail, and print a summary.

    Args:
        paths: files and folders.
        out: folder of the shards and the index.
        processor: makes the rows.
        shard_size: bytes of a shard file.
        resume: whether to keep what ``out`` already holds and still applies.

    Returns:
        0, or 1 if a file failed, or 130 if interrupted; what was done by then is written.

    Raises:
        CommandError: there is no file to process.
        StoreError: ``out`` cannot be written to.
    """
    start = time.perf_counter()
    sources, failures = collect(paths)
    files = len(sources) + len(failures)
    if not sources:
        show_failures(failures)
        raise CommandError(f"no image file in {', '.join(map(str, paths))}")
    index = Index(out, configuration(processor), resume=resume)
    pending = index.retain(sources)
    writer = ShardWriter(processor, index, shard_size)
    index.claim()
    interrupted = False
    try:
        with tracking(pending) as tracked:
            write(tracked, writer, failures)
        index.commit([])
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - start
    written = [entry for source in pending if (entry := index.entries.get(str(source.path)))]
    shards = {entry.shard for entry in written}
    rows = sum(entry.rows for entry in written)
    show_table(
        ("summary", ""),
        (
            ("files", str(files)),
            ("images written", str(len(written))),
            ("skipped", str(len(sources) - len(pending))),
            ("failed", str(len(failures))),
            ("rows", str(rows)),
            ("tokens", str(rows // processor.config.merge_size**2)),
            ("shards", str(len(shards))),
            ("bytes", str(sum((out / shard).stat().st_size for shard in shards))),
            ("seconds", f"{seconds:.2f}"),
            ("images/s", f"{len(written) / seconds:.1f}"),
        ),
    )
    show_failures(failures)
    if interrupted:
        print("interrupted; --resume goes on from here", file=sys.stderr)
        return 130
    return 1 if failures else 0
