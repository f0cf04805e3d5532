"""The rows of a shard where they lie in the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qvl_fast.store.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

# NumPy has no bfloat16; its bit patterns are read.
_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8}


def map_rows(path: Path, name: str) -> NDArray[Any]:
    """The rows of a shard, ``(rows, columns)``, mapped into memory.

    Writing to them changes a private copy of a page, and never the file.

    Args:
        path: the shard.
        name: of the tensor.

    Raises:
        StoreError: the file is no shard.
        OSError: it cannot be read.
    """
    # A safetensors file: the length of the header, the header as JSON, and the data, in which the
    # header gives places.
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            rows: dict[str, Any] = json.loads(file.read(length))[name]
        first, end = rows["data_offsets"]
        data: NDArray[np.uint8] = np.memmap(path, np.uint8, "c", 8 + length + first, end - first)
        return np.asarray(data).view(_TYPES[rows["dtype"]]).reshape(rows["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is no shard of qvl-fast: {error!r}") from None
