"""Requests at the same time: 1, 2 and 6 threads that preprocess files, ours beside transformers.

    python benches/serving.py [FOLDER] [--rounds N] [--record FILE]

FOLDER holds photographs; ``../shared/data/cookbook`` by default. Each thread stands for a client of
a server: it hands over the bytes of a file, waits for the rows, drops them and takes the next file.
A round sends every file twice. Latency is what a request waits, throughput the requests a second
of all threads together.

Transformers, with torchvision's decoder, runs with PyTorch's threads as they are and with one for
each call, since its own threads are what calls at the same time fight over. The contestants take
turns in each round; "times" is the median over rounds of our throughput to that of the round's
faster way of transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
import transformers

import qvl_fast
from qvl_fast.bench.stock_images import decoded, stock_processor
from qvl_fast.bench.timing import seconds_of
from qvl_fast.store.sources import collect

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = (1, 2, 6)
PIXELS_OF_1280_TOKENS = 1280 * 28 * 28
OURS, STOCK, STOCK_SINGLE = "qvl_fast", "transformers", "transformers, one thread a call"


@dataclass
class Contestant:
    """One way to make rows, and what its requests took.

    Attributes:
        process: from the bytes of a file to its rows.
        torch_threads: PyTorch's for each call.
        latencies: seconds of every request.
        throughputs: requests a second of every round.
    """

    process: Callable[[bytes], torch.Tensor]
    torch_threads: int
    latencies: list[float] = field(default_factory=list)
    throughputs: list[float] = field(default_factory=list)

    def serve(self, files: list[bytes], clients: int) -> None:
        """One round."""
        torch.set_num_threads(self.torch_threads)

        def request(file: bytes) -> float:
            start = time.perf_counter()
            self.process(file)
            return time.perf_counter() - start

        def run() -> None:
            self.latencies += pool.map(request, files)

        with ThreadPoolExecutor(clients) as pool:
            self.throughputs.append(len(files) / seconds_of(run))

    def forget(self) -> None:
        """What was measured until now."""
        self.latencies.clear()
        self.throughputs.clear()

    def figures(self) -> dict[str, float]:
        """Of what was measured since then."""
        return {
            "latency, median, ms": round(1000 * median(self.latencies), 2),
            "latency, p90, ms": round(1000 * quantiles(self.latencies, n=10)[8], 2),
            "requests a second": round(median(self.throughputs), 2),
        }


def contestants() -> dict[str, Contestant]:
    ours = qvl_fast.ImageProcessor("qwen2.5-vl", max_pixels=PIXELS_OF_1280_TOKENS)
    stock = stock_processor(ours, "qwen2.5-vl")
    threads = torch.get_num_threads()

    def by_stock(file: bytes) -> torch.Tensor:
        return stock(decoded(file))

    return {
        OURS: Contestant(lambda file: ours(file)["pixel_values"], threads),
        STOCK: Contestant(by_stock, threads),
        STOCK_SINGLE: Contestant(by_stock, 1),
    }


def check(files: list[bytes], entrants: dict[str, Contestant]) -> None:
    """Nobody gains by other rows.

    Raises:
        AssertionError: rows differ.
    """
    for number, file in enumerate(files):
        if not torch.equal(entrants[OURS].process(file), entrants[STOCK].process(file)):
            raise AssertionError(f"image {number}: rows differ from those of transformers")


def measured(
    entrants: dict[str, Contestant], files: list[bytes], clients: int, rounds: int
) -> dict[str, Any]:
    for round_ in range(rounds + 1):
        for contestant in entrants.values():
            if round_ == 1:  # the first is to warm up
                contestant.forget()
            contestant.serve(2 * files, clients)
    rates = zip(*(entrants[name].throughputs for name in (OURS, STOCK, STOCK_SINGLE)), strict=True)
    times = [ours / max(stock) for ours, *stock in rates]
    figures = {name: contestant.figures() for name, contestant in entrants.items()}
    return {"clients": clients, **figures, "times": round(median(times), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/cookbook"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    files = [source.path.read_bytes() for source in collect([options.folder])[0]]
    entrants = contestants()
    check(files, entrants)
    results = []
    for clients in CLIENTS:
        result = measured(entrants, files, clients, options.rounds)
        results.append(result)
        for name in entrants:
            figures = "; ".join(f"{key} {value:g}" for key, value in result[name].items())
            print(f"{clients} at a time  {name:32} {figures}")
        times = result["times"]
        print(f"{clients} at a time  {times} times the requests of transformers\n", flush=True)
    if options.record:
        modules = (qvl_fast, transformers, torch, torchvision, np)
        record = {
            "machine": platform.processor() or platform.machine(),
            "processors": len(os.sched_getaffinity(0)),
            "images": len(files),
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in modules},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
