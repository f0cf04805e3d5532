"""Memory that lies on disk, for rows that are larger than a shard."""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def on_disk(folder: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose memory the system may write to a file without a name, and take back.

    Args:
        folder: where there is room for it.
        shape: of the array.
        dtype: of its elements.

    Raises:
        OSError: there is not so much room.
    """
    size = shape[0] * shape[1] * dtype.itemsize
    with TemporaryFile(dir=folder) as file:
        if sys.platform == "linux":
            # Room that is found missing only when a page is written ends the process.
            os.posix_fallocate(file.fileno(), 0, size)
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))
