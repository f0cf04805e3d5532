"""``qvl-fast bench images``: the cases of :mod:`qvl_fast.bench.images` as a table and a record."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import PIL

from qvl_fast import _native
from qvl_fast.bench.images import (
    Corpus,
    DifferenceError,
    cases,
    concurrency,
    measure,
    torch_threads,
)
from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.report import show_failures, show_table
from qvl_fast.store.sources import Failure, collect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qvl_fast.config import ModelConfig

_HEADER = (
    "case",
    "tokens",
    "threads",
    "theirs",
    "one by",
    "theirs s",
    "ours s",
    "times faster",
    "than hf-processors-rs",
    "GB/s",
    "copy GB/s",
    "theirs peak MB",
    "ours peak MB",
)


def bench_images(
    paths: Sequence[Path], config: ModelConfig, *, threads: int, rounds: int, record: Path | None
) -> int:
    """Print a table of cases and write it to ``record``.

    Args:
        paths: images and folders of images.
        config: whose image part counts.
        threads: of the case of a batch; the others have one.
        rounds: of each contestant, in turns, after one to warm up; the median counts.
        record: a JSON file to write.

    Returns:
        1 if an image could not be read, else 0.

    Raises:
        CommandError: there is no image, or ours are not the bits of transformers.
    """
    corpus, failures = _load(paths)
    if not corpus.files:
        raise CommandError("no image could be read")
    results: list[dict[str, Any]] = []
    with torch_threads():
        for case in cases(config):
            if case.batched:
                case = replace(case, threads=threads)
            try:
                results.append(measure(case, corpus, config, rounds))
            except DifferenceError as error:
                raise CommandError(str(error)) from None
        shared = concurrency(corpus, config, threads, rounds)
    show_table(_HEADER, [_line(result) for result in results], names=1)
    if find_spec("hf_processors_rs") is None:
        print("hf-processors-rs is not installed, so it was not compared")
    show_table(("ours, float32, files", "seconds"), [(n, f"{s:.3f}") for n, s in shared.items()])
    show_failures(failures)
    if record is not None:
        content = _record(config.name, results, len(corpus.files), rounds) | {"concurrency": shared}
        text = json.dumps(content, indent=1)
        record.write_text(text + "\n", encoding="utf-8")
    return 1 if failures else 0


def _load(paths: Sequence[Path]) -> tuple[Corpus, list[Failure]]:
    sources, failures = collect(paths)
    corpus = Corpus()
    for source in sources:
        try:
            corpus.add(source.path.read_bytes())
        except (OSError, ValueError) as error:
            failures.append(Failure(source.path, error))
    return corpus, failures


def _line(result: Mapping[str, Any]) -> tuple[str, ...]:
    seconds, peak = result["seconds"], result["peak bytes"]

    def megabytes(name: str) -> str:
        return "" if peak.get(name) is None else f"{peak[name] / 1e6:.0f}"

    faster, rust = map(result["times faster"].get, ("theirs", "hf-processors-rs"))
    return (
        result["case"],
        "" if result["tokens"] is None else str(result["tokens"]),
        str(result["threads"]),
        "" if faster is None else "transformers",
        result.get("theirs, one by", ""),
        "" if faster is None else f"{seconds['theirs']:.3f}",
        f"{seconds['ours']:.3f}",
        "" if faster is None else f"{faster:.1f}",
        "" if rust is None else f"{rust:.1f}",
        f"{result['bytes'] / seconds['ours'] / 1e9:.1f}",
        f"{result['bytes'] / seconds['copy'] / 1e9:.1f}",
        megabytes("theirs"),
        megabytes("ours"),
    )


def _record(
    config: str, results: Sequence[Mapping[str, Any]], images: int, rounds: int
) -> dict[str, Any]:
    packages = (
        "qvl-fast",
        "numpy",
        "torch",
        "torchvision",
        "transformers",
        "qwen-vl-utils",
        "hf-processors-rs",
    )
    installed = [name for name in packages if find_spec(name.replace("-", "_"))]
    return {
        "config": config,
        "machine": f"{platform.machine()}, {_native.processors()} processors",
        "images": images,
        "rounds": rounds,
        "versions": {name: version(name) for name in installed} | {"pillow": PIL.__version__},
        "results": results,
    }
