"""The images and videos of a folder of shards, by number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast._output.batch import ImageRows, VideoRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import check_form, hand_out, hand_out_seconds
from qvl_fast.config.checks import integer
from qvl_fast.store.errors import StoreError
from qvl_fast.store.index import Entry, read_index
from qvl_fast.store.kinds import Images, Videos
from qvl_fast.store.shard_file import map_rows

if TYPE_CHECKING:
    from collections.abc import Iterator


class Dataset:
    """What :func:`write_shards` or ``qvl-fast preprocess`` has written, as a map-style data set.

    Rows are mapped into memory and not read before they are used, so several worker processes
    share them. Pickles, and then opens the shards anew.

    Args:
        directory: of the index and the shards.
        return_tensors: ``"pt"`` for torch tensors or ``"np"`` for arrays.

    Attributes:
        entries: of each image or video its path, its grid and the place of its rows.
        configuration: the settings that the rows were made with.
        lengths: int64 ``(items,)``, the number of rows of each. No shard is opened for it.

    Raises:
        StoreError: the folder is not one of shards.
        OSError: it cannot be read.
        ValueError: bfloat16 rows are asked for as arrays, or ``return_tensors`` is unknown.
        ImportError: tensors are asked for and torch is not installed.

    Example:
        >>> dataset = Dataset("rows")  # doctest: +SKIP
        >>> dataset[0].pixel_values.shape, dataset.lengths[:1]  # doctest: +SKIP
        (torch.Size([1176, 1176]), array([1176]))
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, return_tensors: ReturnTensors = "pt"
    ) -> None:
        self._folder = Path(directory)
        self.configuration, self.entries = read_index(self._folder)
        self._form: ReturnTensors = return_tensors
        self._dtype: Any = self.configuration.get("dtype", "float32")
        self._video_dtype: Any = self.configuration.get("video", {}).get("dtype", self._dtype)
        check_form(return_tensors, self._dtype)
        check_form(return_tensors, self._video_dtype)
        self._shards: dict[str, NDArray[Any]] = {}

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of rows of each image or video, int64 ``(items,)``."""
        return np.array([entry.rows for entry in self.entries], np.int64)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> ImageRows[Any] | VideoRows[Any]:
        """Rows ``(N, columns)`` and grid ``(1, 3)`` of an image, or of a video with its times.

        Of an image whose tiles are put together again also ``image_sizes`` ``(1, 2)``, unless the
        folder is of a version that did not keep it. As every image is a sample of its own, nothing
        says which belong together.

        Writing to the rows changes them for this process, and never the file.

        Raises:
            IndexError: there is no such item.
            TypeError: ``index`` is not an integer.
            StoreError: the shard is not what the index says.
            OSError: it cannot be read.
        """
        number = integer("index", index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"index must be below {len(self)}, the number of items, got {number}")
        entry = self.entries[number]
        grid = hand_out(np.array([entry.grid], np.int64), "int64", self._form)
        if entry.video is None:
            rows = hand_out(self._rows(entry, Images.rows), self._dtype, self._form)
            image: ImageRows[Any] = ImageRows({Images.rows: rows, Images.grids: grid})
            if entry.image_size is not None:
                size = np.array([entry.image_size], np.int64)
                image[Images.sizes] = hand_out(size, "int64", self._form)
            return image
        rows = hand_out(self._rows(entry, Videos.rows), self._video_dtype, self._form)
        result: VideoRows[Any] = VideoRows({Videos.rows: rows, Videos.grids: grid})
        if (seconds := entry.video.second_per_grid_ts) is not None:
            result["second_per_grid_ts"] = hand_out_seconds([seconds], self._form)
        result.video_metadata = [entry.video.metadata]
        result.timestamps = [entry.video.timestamps]
        return result

    def __iter__(self) -> Iterator[ImageRows[Any] | VideoRows[Any]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"Dataset({str(self._folder)!r}, {len(self)} items, {self._dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_shards": {}}

    def _rows(self, entry: Entry, name: str) -> NDArray[Any]:
        path = self._folder / entry.shard
        if entry.shard not in self._shards:
            self._shards[entry.shard] = map_rows(path, name)
        rows = self._shards[entry.shard][entry.first_row : entry.first_row + entry.rows]
        if len(rows) != entry.rows:
            raise StoreError(
                f"{path} has no rows from {entry.first_row} to "
                f"{entry.first_row + entry.rows}, which the index names"
            )
        return rows
