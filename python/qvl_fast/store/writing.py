"""From image files to a folder of shards."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvl_fast.store.index import Index
from qvl_fast.store.shards import ShardWriter
from qvl_fast.store.sources import Failure, collect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qvl_fast.processors.image import ImageProcessor
    from qvl_fast.store.sources import Source


def write_shards(
    paths: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    processor: ImageProcessor,
    *,
    shard_size: int = 512_000_000,
    resume: bool = False,
) -> list[Failure]:
    """Write the rows of image files to a folder of shards, going on past files that fail.

    Args:
        paths: image files, and folders to search for them.
        directory: where to write, a new folder or one to resume.
        processor: makes the rows.
        shard_size: bytes of a shard, exceeded only by an image that is larger alone.
        resume: whether to keep what the folder already holds of these paths, unchanged and with
            the same settings, and to drop the rest.

    Returns:
        The files that could not be used, with what went wrong.

    Raises:
        StoreError: the folder is in use, or cannot be written to.
        ModuleNotFoundError: safetensors is not installed, or torch for bfloat16.
    """
    sources, failures = collect(map(Path, paths))
    index = Index(Path(directory), configuration(processor), resume=resume)
    pending = index.retain(sources)
    writer = ShardWriter(processor, index, shard_size)
    index.claim()
    write(pending, writer, failures)
    index.commit([])
    return failures


def configuration(processor: ImageProcessor) -> dict[str, Any]:
    """All that decides what the rows of an image are, in JSON's types."""
    settings = {
        **asdict(processor.config),
        "reference": processor.reference,
        "dtype": processor.dtype,
        "temporal": processor.temporal,
    }
    return json.loads(json.dumps(settings))


def write(sources: Iterable[Source], writer: ShardWriter, failures: list[Failure]) -> None:
    """Write the rows of files, going on past those that fail.

    When it is interrupted, what was done by then is written.

    Args:
        sources: the files.
        writer: gathers their rows into shards.
        failures: takes in those that failed.

    Raises:
        StoreError: a shard could not be written.
    """
    try:
        for source in sources:
            try:
                writer.add(source)
            except (OSError, ValueError, MemoryError) as error:
                failures.append(Failure(source.path, error))
        writer.flush()
    except KeyboardInterrupt:
        writer.flush()
        raise
