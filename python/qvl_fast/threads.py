"""How many threads a call uses when it is not told."""

from __future__ import annotations

import sys
from typing import Any

from qvl_fast import _native, environment

# The standard library's, and the copy of it that Hugging Face data sets use.
_PROCESS_MODULES = ("multiprocessing.process", "multiprocess.process")


def default_num_threads() -> int:
    """A number that suits the process and those that work beside it.

    One in a worker of a DataLoader or of a ``multiprocessing.Pool``, which are daemonic processes.
    Elsewhere ``QVL_FAST_NUM_THREADS``; if it is not set, one in any other process that
    ``multiprocessing`` or ``multiprocess`` has started, such as a worker of a
    ``ProcessPoolExecutor`` or of ``datasets.map``; or else the processors that this process may use
    (its affinity and, in a container, its quota of time), of which the processes that torchrun
    starts on one machine get equal shares.

    Raises:
        ValueError: the variable is not a positive integer.
    """
    if is_one_of_many():
        return 1
    if (number := environment.num_threads()) is not None:
        return number
    if any(module.parent_process() is not None for module in _process_modules()):
        return 1
    return max(1, _native.processors() // environment.local_world_size())


def is_one_of_many() -> bool:
    """Whether other processes like this one work beside it.

    So it is in a daemonic process, such as a DataLoader's worker.
    """
    return any(module.current_process().daemon for module in _process_modules())


def _process_modules() -> list[Any]:
    # A process that was started by one of the modules has imported it.
    return [sys.modules[name] for name in _PROCESS_MODULES if name in sys.modules]
