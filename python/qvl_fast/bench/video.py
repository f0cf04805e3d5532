"""Videos to rows, against transformers, on this machine.

Rows are first checked: they must be those of transformers to the bit. Then both take turns, as for
images. What a first call costs, and its peak of memory, is measured in a process of its own.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qvl_fast._input.video import VideoFile
from qvl_fast.bench.images import DifferenceError
from qvl_fast.bench.peak import peak_bytes
from qvl_fast.bench.timing import paired_medians, seconds_of
from qvl_fast.processors.video import VideoProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qvl_fast.config import VideoConfig


@dataclass(frozen=True)
class VideoCase:
    """What is compared.

    Attributes:
        name: for the table.
        config: of both processors.
        file: a video file; frames that are decoded already are taken from it if ``decoded``.
        decoded: whether both get frames in memory.
        frames: shape ``(T, H, W)`` of noise, instead of a file.
    """

    name: str
    config: VideoConfig
    file: Path | None = None
    decoded: bool = False
    frames: tuple[int, int, int] | None = None


def measure(case: VideoCase, rounds: int) -> dict[str, Any]:
    """Median seconds of both in a case, the share of decoding, and what the first call takes.

    Args:
        case: what is compared.
        rounds: of each contestant, in turns, after one to warm up.

    Raises:
        DifferenceError: our rows are not those of transformers.
    """
    torch.set_num_threads(1)
    runs = _Runs(case)
    runs.check()
    contestants: dict[str, Callable[[], object]] = {"theirs": runs.theirs, "ours": runs.ours}
    if case.file is not None and not case.decoded:
        contestants["our decoding"] = runs.decode
    medians = paired_medians(contestants, rounds)
    return {
        "case": case.name,
        "rows": list(runs.rows.shape),
        "seconds": medians,
        "times faster": medians["theirs"] / medians["ours"],
        "first call": {name: first_call(case, name) for name in ("theirs", "ours")},
    }


def first_call(case: VideoCase, contestant: str) -> dict[str, Any]:
    """Seconds of the first call in a process, and how much memory it takes beside its input."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_first_call, (case, contestant))


def _first_call(case: VideoCase, contestant: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    runs = _Runs(case, warm=False)
    run: Callable[[], object] = getattr(runs, contestant)
    seconds: list[float] = []
    peak = peak_bytes(lambda: seconds.append(seconds_of(run)))
    return {"seconds": seconds[0], "peak bytes": peak, "output bytes": runs.bytes}


class _Runs:
    """Both ways through the video of a case.

    Args:
        case: what is compared.
        warm: whether ours writes to memory that is used again.
    """

    def __init__(self, case: VideoCase, *, warm: bool = True) -> None:
        from qvl_fast.bench.stock_video import stock_processor

        self._ours = VideoProcessor(case.config, num_threads=1)
        self._stock = stock_processor(case.config)
        self._video: Any = str(case.file) if case.frames is None else _noise(case.frames)
        self._sampled = case.frames is None and not case.decoded
        if case.decoded and case.file is not None:
            with VideoFile(case.file) as file:
                indices = self._ours.sample(int(file.metadata.total_num_frames), file.metadata.fps)
                self._video = np.stack(list(file.frames(indices)))
        if not self._sampled:
            self._video = torch.from_numpy(self._video)
        rows = self._count() if warm else 0
        self.rows = torch.zeros((rows, self._ours.columns))
        self._warm = warm
        self.bytes = self._count() * self._ours.columns * 4

    def ours(self) -> Any:
        return self._ours(
            self._video,
            do_sample_frames=self._sampled,
            out=self.rows if self._warm else None,
        ).pixel_values_videos

    def theirs(self) -> Any:
        return self._stock(self._video, do_sample_frames=self._sampled)

    def decode(self) -> None:
        """Only what reads the frames that are taken."""
        with VideoFile(self._video) as file:
            for _ in file.frames(
                self._ours.sample(int(file.metadata.total_num_frames), file.metadata.fps)
            ):
                pass

    def check(self) -> None:
        """Refuses to measure what differs."""
        if not torch.equal(self.ours(), self.theirs()):
            raise DifferenceError("the rows differ")

    def _count(self) -> int:
        if self._sampled:
            with VideoFile(self._video) as file:
                return self._ours.num_patches(file.metadata)
        count, height, width, _ = self._video.shape
        known = {"total_num_frames": count, "height": height, "width": width}
        return self._ours.num_patches({**known, "frames_indices": list(range(count))})


def _noise(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
