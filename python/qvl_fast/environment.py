"""The environment variables that the package reads, all of them here."""

from __future__ import annotations

import os
import re
from typing import Literal, cast, get_args

from qvl_fast import _native

DevicePolicy = Literal["stock", "cpu-then-move"]


def device_policy() -> DevicePolicy:
    """What a processor in the place of one of transformers does with ``device=``.

    ``QVL_FAST_DEVICE_POLICY``, ``"stock"`` if not set; see
    :func:`qvl_fast.integrations.transformers.register`.

    Raises:
        ValueError: the variable is neither.
    """
    value = os.environ.get("QVL_FAST_DEVICE_POLICY") or "stock"
    if value not in get_args(DevicePolicy):
        known = ", ".join(get_args(DevicePolicy))
        raise ValueError(f"QVL_FAST_DEVICE_POLICY must be one of {known}, got {value!r:.80}")
    return cast("DevicePolicy", value)


def drop_ins_in_vllm() -> bool:
    """Whether our processors take the place of those of transformers in vLLM: ``QVL_FAST_VLLM``.

    Not unless it is 1.

    Raises:
        ValueError: the variable is neither 0 nor 1.
    """
    value = os.environ.get("QVL_FAST_VLLM") or "0"
    if value not in ("0", "1"):
        raise ValueError(f"QVL_FAST_VLLM must be 0 or 1, got {value!r:.80}")
    return value == "1"


def isa() -> str:
    """The instruction set to compute with: ``QVL_FAST_ISA``, else the fastest of this processor.

    Every instruction set gives the same bits; choosing one is for tests and measurements.

    Raises:
        ValueError: the variable names one that this processor or build does not have.
    """
    available = _native.available_isas()
    name = os.environ.get("QVL_FAST_ISA") or available[-1]
    if name not in available:
        raise ValueError(f"QVL_FAST_ISA must be one of {', '.join(available)} here, got {name!r}")
    return name


def memory_limit() -> int | None:
    """Bytes that may wait for a result: ``QVL_FAST_MEMORY_LIMIT``, None if not set.

    Raises:
        ValueError: the variable is not a number of bytes, of at most 18 digits.
    """
    value = os.environ.get("QVL_FAST_MEMORY_LIMIT")
    if not value:
        return None
    if not re.fullmatch("[0-9]{1,18}", value):
        raise ValueError(
            f"QVL_FAST_MEMORY_LIMIT must be a number of bytes, 0 or more, got {value!r:.80}"
        )
    return int(value)


def num_threads() -> int | None:
    """How many threads a call uses by default: ``QVL_FAST_NUM_THREADS``, None if not set.

    Raises:
        ValueError: the variable is not a positive integer of at most nine digits.
    """
    value = os.environ.get("QVL_FAST_NUM_THREADS")
    if not value:
        return None
    if not re.fullmatch("[1-9][0-9]{0,8}", value):
        raise ValueError(
            f"QVL_FAST_NUM_THREADS must be an integer from 1 to 999999999, got {value!r:.80}"
        )
    return int(value)


def model_seq_len() -> int:
    """Tokens that the frames of one video may fill, by qwen_vl_utils: ``MODEL_SEQ_LEN``.

    Raises:
        ValueError: the variable is not a number.
    """
    value = os.environ.get("MODEL_SEQ_LEN", "128000")
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        raise ValueError(f"MODEL_SEQ_LEN must be a number, got {value!r:.80}") from None


def world_size() -> int:
    """How many processes of one program torchrun runs: ``WORLD_SIZE``."""
    return _processes(os.environ.get("WORLD_SIZE", ""))


def local_world_size() -> int:
    """How many of them it runs on this machine: ``LOCAL_WORLD_SIZE``."""
    return _processes(os.environ.get("LOCAL_WORLD_SIZE", ""))


def _processes(value: str) -> int:
    """A number that is torchrun's; anything else is somebody else's."""
    return int(value) if re.fullmatch("[1-9][0-9]{0,8}", value) else 1
