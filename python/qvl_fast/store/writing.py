"""From image files to a folder of shards."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qvl_fast.store.sources import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qvl_fast.processors.image import ImageProcessor
    from qvl_fast.store.shards import ShardWriter
    from qvl_fast.store.sources import Source


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
