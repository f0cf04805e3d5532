"""How many threads a call uses when it is not told."""

from __future__ import annotations

import sys

from qvl_fast import _native, environment


def default_num_threads() -> int:
    """1 where other processes work beside this one, else what the environment or the system says.

    A DataLoader's worker and a daemonic process, such as those of a ``multiprocessing.Pool``, are
    one of many. Elsewhere ``QVL_FAST_NUM_THREADS`` counts, or else the processors that this process
    may use: its affinity and, in a container, its quota of time.

    Raises:
        ValueError: the variable is not a positive integer.
    """
    if is_one_of_many():
        return 1
    return environment.num_threads() or _native.processors()


def is_one_of_many() -> bool:
    """Whether other processes like this one work beside it.

    So it is in a DataLoader's worker and in a daemonic process.
    """
    return _in_data_loader_worker() or _is_daemonic()


def _in_data_loader_worker() -> bool:
    # Who is in a worker has imported this.
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None


def _is_daemonic() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.current_process().daemon
