"""Images to rows or planes, against transformers, on this machine.

Every case is first checked: the bits must be those of transformers. Then the contestants
take turns. Each may process the images one by one or in one batch; the faster way of transformers
counts, and ours is called in the same way.
"""

from __future__ import annotations

import ctypes
import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from qvl_fast import _native
from qvl_fast.bench.peak import peak_bytes
from qvl_fast.bench.timing import paired_medians, seconds_of
from qvl_fast.config.layout import Area
from qvl_fast.processors.image import ImageProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from qvl_fast.config import ModelConfig


class DifferenceError(Exception):
    """Our rows are not those of transformers: there is nothing to time."""


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes:
        name: for the table.
        tokens: most tokens of an image; None where images have a size of their own.
        inputs: what both get: "tensors", "pil" or "bytes".
        options: of our processor.
        threads: of both.
        fresh: whether all memory is given back to the system before each image, so that nothing is
            recycled on either side; otherwise ours writes to an ``out=`` that is used again.
        batched: whether ours takes all images as one batch, even if theirs is faster one by one.
    """

    name: str
    tokens: int | None = 16384
    inputs: str = "tensors"
    options: tuple[tuple[str, Any], ...] = ()
    threads: int = 1
    fresh: bool = False
    batched: bool = False


_COMPACT = (("dtype", "uint8"), ("temporal", "compact"))

CASES = (
    Case("float32"),
    Case("float32, PIL images", inputs="pil"),
    Case("float32, nothing recycled", fresh=True),
    Case("float32", tokens=1280),
    Case("float32, PIL images", tokens=1280, inputs="pil"),
    Case("float32, files", tokens=1280, inputs="bytes"),
    Case("bfloat16", options=(("dtype", "bfloat16"),)),
    Case("uint8 compact", options=_COMPACT),
    Case("uint8 compact", tokens=1280, options=_COMPACT),
    Case("float32, Pillow's reference", options=(("reference", "pillow"),)),
    Case("float32, files", inputs="bytes"),
    Case("float32, files, a batch", inputs="bytes", batched=True),
)


def cases(config: ModelConfig) -> tuple[Case, ...]:
    """The cases of a model: those of one number of tokens, where that can be chosen."""
    if isinstance(config.image.layout.fit, Area):
        return CASES
    most = CASES[0].tokens
    return tuple(replace(case, tokens=None) for case in CASES if case.tokens == most)


class Corpus:
    """The images of a benchmark, in the forms that cases need."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.pictures: list[Image.Image] = []
        self.tensors: list[torch.Tensor] = []

    def add(self, file: bytes) -> None:
        """Take in an image file.

        Raises:
            ValueError, OSError: it cannot be decoded.
        """
        picture = Image.open(io.BytesIO(file)).convert("RGB")
        self.files.append(file)
        self.pictures.append(picture)
        self.tensors.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous())

    def form(self, inputs: str) -> Sequence[Any]:
        """What a case hands to both."""
        return {"tensors": self.tensors, "pil": self.pictures, "bytes": self.files}[inputs]


def measure(case: Case, corpus: Corpus, config: ModelConfig, rounds: int) -> dict[str, Any]:
    """The median seconds of every contestant in a case, with what they compared.

    Args:
        case: what is compared.
        corpus: the images.
        config: whose image part counts.
        rounds: of each contestant, in turns, after one to warm up.

    Raises:
        DifferenceError: our rows are not those of transformers.
    """
    torch.set_num_threads(case.threads)
    options = dict(case.options)
    if case.tokens is not None:
        options["max_pixels"] = case.tokens * config.image.factor**2
    ours = ImageProcessor(config, num_threads=case.threads, **options)
    images = corpus.form(case.inputs)
    runs = _Runs(ours, images, case.fresh)
    result: dict[str, Any] = {
        "case": case.name,
        "tokens": case.tokens,
        "threads": case.threads,
        "images": len(images),
        "bytes": runs.bytes,
    }
    contestants: dict[str, Callable[[], object]] = {}
    batched = case.batched
    if _has_peer(config, ours):
        _check(ours, case, corpus, config.name)
        for name, ways in _rivals(case, ours, corpus, config.name).items():
            # One round tells which way is worth more of them.
            way = min(ways, key=lambda way: seconds_of(ways[way]))
            contestants[name] = ways[way]
            if name == "theirs":
                result["theirs, one by"] = way
                batched |= way == "batch"
    contestants["ours"] = runs.one_batch if batched else runs.one_by_one
    contestants["copy"] = runs.copy
    medians = paired_medians(contestants, rounds)
    result["seconds"] = medians
    result["times faster"] = {
        name: medians[name] / medians["ours"] for name in medians if name not in ("ours", "copy")
    }
    result["peak bytes"] = {
        name: peak_bytes(run) for name, run in contestants.items() if name != "copy"
    }
    return result


def concurrency(corpus: Corpus, config: ModelConfig, threads: int, rounds: int) -> dict[str, float]:
    """Seconds of a batch on one and on several threads, and of Python threads that share images."""

    def batch(num_threads: int) -> Callable[[], object]:
        ours = ImageProcessor(config, num_threads=num_threads)
        return _Runs(ours, corpus.files, fresh=False).one_batch

    def callers(count: int) -> Callable[[], object]:
        ours = ImageProcessor(config)

        def call(file: bytes) -> None:
            ours(file)

        def run() -> None:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(call, corpus.files))

        return run

    return paired_medians(
        {
            "a batch, 1 thread": batch(1),
            f"a batch, {threads} threads": batch(threads),
            f"{threads} Python threads, an image a call": callers(threads),
            f"{4 * threads} Python threads, an image a call": callers(4 * threads),
        },
        rounds,
    )


def _has_peer(config: ModelConfig, ours: ImageProcessor) -> bool:
    """Whether transformers is there, and has a processor for the model and the reference."""
    if find_spec("transformers") is None:
        return False
    from qvl_fast.bench.stock_images import has_stock

    return has_stock(config, ours.reference)


class _Runs:
    """Our ways through the images of a case."""

    def __init__(self, ours: ImageProcessor, images: Sequence[Any], fresh: bool) -> None:
        self._ours = ours
        self._images = images
        self._fresh = fresh
        rows = [self._count(image) for image in images]
        self._rows = rows
        self._one = self._room(max(rows))
        self._all: torch.Tensor | None = None
        self.bytes = sum(rows) * ours.columns * self._one.element_size()
        self._copied = self._room(max(rows))

    def one_by_one(self) -> None:
        for image in self._images:
            if self._fresh:
                _give_back_memory()
            self._ours(image, out=None if self._fresh else self._one)

    def one_batch(self) -> None:
        if self._fresh:
            _give_back_memory()
        elif self._all is None:
            self._all = self._room(self._count(list(self._images)))
        self._ours(list(self._images), out=self._all)

    def copy(self) -> None:
        """What it takes to write the same bytes to warm memory."""
        for rows in self._rows:
            self._one[:rows].copy_(self._copied[:rows])

    def _count(self, images: Any) -> int:
        """Rows of an image or of a batch, with those that it is padded with."""
        return self._ours(images)["pixel_values"].numel() // self._ours.columns

    def _room(self, rows: int) -> torch.Tensor:
        return torch.zeros((rows, self._ours.columns), dtype=getattr(torch, self._ours.dtype))


def _give_back_memory() -> None:
    """Returns what is free to the system: ours, and the C library's if that can be told to."""
    _native.release_memory()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _rivals(
    case: Case, ours: ImageProcessor, corpus: Corpus, preset: str
) -> dict[str, dict[str, Callable[[], object]]]:
    """By name, the ways of all others through the images of a case: transformers first."""
    from qvl_fast.bench.stock_images import (
        decoded,
        hf_processors,
        qwen_utilities,
        stock_processor,
    )

    stock = stock_processor(ours, preset)
    images = corpus.form(case.inputs)
    dtype = torch.bfloat16 if ours.dtype == "bfloat16" else torch.float32

    def pixels(image: Any) -> Any:
        return decoded(image) if isinstance(image, bytes) else image

    def one_by_one() -> None:
        for image in images:
            if case.fresh:
                _give_back_memory()
            stock(pixels(image)).to(dtype)

    def one_batch() -> None:
        stock([pixels(image) for image in images]).to(dtype)

    rivals: dict[str, dict[str, Callable[[], object]]] = {
        "theirs": {"image": one_by_one, "batch": one_batch}
    }
    utilities = qwen_utilities(ours, preset)
    if case.inputs == "pil" and utilities is not None:

        def by_utilities() -> None:
            for image in images:
                utilities(image)

        rivals["qwen-vl-utils"] = {"image": by_utilities}
    rust = hf_processors(ours, preset, case.threads)
    if rust is not None:

        def rust_one_by_one() -> None:
            for image in images:
                rust(image)

        rivals["hf-processors-rs"] = {
            "image": rust_one_by_one,
            "batch": lambda: rust(list(images)),
        }
    return rivals


def _check(ours: ImageProcessor, case: Case, corpus: Corpus, preset: str) -> None:
    """Refuses to measure what differs."""
    from qvl_fast.bench.stock_images import stock_processor

    raw = {"do_rescale": False, "do_normalize": False} if ours.dtype == "uint8" else {}
    stock = stock_processor(ours, preset, **raw)
    for index, (image, picture) in enumerate(
        zip(corpus.form(case.inputs), corpus.pictures, strict=True)
    ):
        rows = ours(image)["pixel_values"]
        expected = stock(picture).to(rows.dtype)
        if rows.shape != expected.shape:  # compact
            patch = ours.config.patch_size
            expected = expected.view(len(expected), 3, -1, patch, patch)[:, :, 0].flatten(1)
        if not torch.equal(rows, expected):
            raise DifferenceError(f"case {case.name!r}: the rows of image {index} differ")


@contextmanager
def torch_threads() -> Generator[None]:
    """Leaves torch's threads as they were."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
