"""Rows gathered into safetensors files of a chosen size."""

from __future__ import annotations

import json
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from qvl_fast._output.rows import hand_out, row_memory, storage
from qvl_fast.store.atomic import replacing
from qvl_fast.store.errors import StoreError
from qvl_fast.store.index import Entry, path_text
from qvl_fast.store.kinds import Images
from qvl_fast.store.spill import on_disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qvl_fast._output.forms import ReturnTensors
    from qvl_fast._output.rows import Rows
    from qvl_fast.store.index import Index
    from qvl_fast.store.kinds import Kind
    from qvl_fast.store.sources import Source

# What an image or a video adds to the grids, an image to its sizes, a video to its seconds.
_GRID_BYTES = 3 * 8
_SIZE_BYTES = 2 * 8
_SECONDS_BYTES = 8


class ShardWriter:
    """Turns files of one kind into rows and writes a shard whenever the next would not fit.

    Rows are computed in place, in one buffer of a shard's size that serves every shard.

    Args:
        kind: makes the rows.
        index: receives the entries of each shard once it is written.
        size: bytes of a shard file, exceeded only by a file whose rows are larger alone.

    Raises:
        StoreError: there is no memory for a shard of this size.
        ModuleNotFoundError: bfloat16 without torch.
    """

    def __init__(self, kind: Kind, index: Index, size: int) -> None:
        self._kind = kind
        self._index = index
        self._size = size
        self._configuration = json.dumps(index.configuration)
        # NumPy, and so its half of safetensors, has no bfloat16.
        tensors = kind.processor.dtype == "bfloat16"
        self._form: ReturnTensors = "pt" if tensors else "np"
        self._safetensors = import_module(f"safetensors.{'torch' if tensors else 'numpy'}")
        self._row_bytes = self._allocate(1).nbytes
        try:
            self._buffer = self._allocate(size // self._row_bytes)
        except (MemoryError, ValueError):
            raise StoreError(f"no memory for a shard of {size} bytes") from None
        self._begin()

    def add(self, source: Source, report: Callable[[float], object]) -> None:
        """Compute the rows of a file, after writing the shard before it if they do not fit.

        Args:
            source: the file.
            report: is told what share of it is done.

        Raises:
            ValueError, OSError, MemoryError: the file is to blame; the others are as they were.
            StoreError: the shard could not be written.
        """
        rows, video, image_size = self._kind.expect(source.path)
        needed = rows * self._row_bytes + _GRID_BYTES + _quoted_twice(path_text(str(source.path)))
        if video is not None:
            needed += _SECONDS_BYTES + _quoted_twice(video.timestamps)
        if image_size is not None:
            needed += _SIZE_BYTES
        if self._entries and self._bytes + needed > self._size:
            self.flush()
        if rows > len(self._target):
            # Larger than a shard: it gets one of its own, since nothing fits beside it. A long
            # video may be larger than memory, too.
            self._target = self._allocate_on_disk(rows)
        first_row = self._filled()
        out = self._target[first_row : first_row + rows]
        grid = self._kind.fill(source.path, out, self._form, report)
        self._bytes += needed
        # Everything else follows from the entries, so an interrupt comes before or after this one
        # step and cannot leave the writer in between.
        self._entries.append(
            Entry(
                path=str(source.path),
                size=source.size,
                mtime_ns=source.mtime_ns,
                grid=grid,
                shard=self._index.next_shard,
                first_row=first_row,
                rows=prod(grid),
                video=video,
                image_size=image_size,
            )
        )

    def flush(self) -> None:
        """Write what has been gathered, if anything; to be called again if it was interrupted.

        Raises:
            StoreError: a file could not be written.
        """
        if not self._entries:
            return
        grids = np.array([entry.grid for entry in self._entries], np.int64)
        tensors = {
            self._kind.rows: self._target[: self._filled()],
            self._kind.grids: hand_out(grids, "int64", self._form),
        }
        sizes = [entry.image_size for entry in self._entries if entry.image_size is not None]
        if sizes:
            tensors[Images.sizes] = hand_out(np.array(sizes, np.int64), "int64", self._form)
        metadata = {
            "sources": json.dumps([path_text(entry.path) for entry in self._entries]),
            "configuration": self._configuration,
        }
        videos = [entry.video for entry in self._entries if entry.video is not None]
        if videos:
            metadata["timestamps"] = json.dumps([video.timestamps for video in videos])
            told = [video.second_per_grid_ts for video in videos]
            if None not in told:
                seconds = np.array(told, np.float64)
                tensors["second_per_grid_ts"] = hand_out(seconds, "float64", self._form)
        with replacing(self._index.folder / self._entries[0].shard) as temporary:
            self._save(tensors, temporary, metadata)
        self._index.commit(self._entries)
        self._begin()

    def _save(self, tensors: dict[str, Rows], path: Path, metadata: dict[str, str]) -> None:
        from safetensors import SafetensorError

        try:
            self._safetensors.save_file(tensors, path, metadata)
        except SafetensorError as error:  # which hides what the system said
            raise OSError(str(error)) from error

    def _begin(self) -> None:
        self._entries: list[Entry] = []
        self._target: Rows = self._buffer
        self._bytes = self._kind.header_bytes + len(json.dumps(self._configuration))

    def _filled(self) -> int:
        return self._entries[-1].first_row + self._entries[-1].rows if self._entries else 0

    def _allocate(self, rows: int) -> Rows:
        processor = self._kind.processor
        memory = storage((rows, processor.columns), processor.dtype, None, ())
        return hand_out(memory, processor.dtype, self._form)

    def _allocate_on_disk(self, rows: int) -> Rows:
        processor = self._kind.processor
        dtype = row_memory(self._buffer).dtype
        memory = on_disk(self._index.folder, (rows, processor.columns), dtype)
        return hand_out(memory, processor.dtype, self._form)


def _quoted_twice(value: Any) -> int:
    """Bytes of a text or a list in a JSON list that is itself a text in the header's JSON."""
    return len(json.dumps(json.dumps(value)))
