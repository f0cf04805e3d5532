"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qvl_fast.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a path to write to; what was written takes the place of ``path`` on success.

    The temporary file lies in a folder of its own beside ``path``, because safetensors makes
    further ones of random names: what a killed process leaves goes with the next file written.

    Raises:
        StoreError: the file could not be written; ``path`` is as it was.
    """
    scratch = path.parent / ".partial"
    temporary = scratch / path.name
    try:
        scratch.mkdir(exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            # safetensors makes files for their owner alone; the umask decides, as for any file.
            temporary.chmod(mode)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            shutil.rmtree(scratch)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}") from error
