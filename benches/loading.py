"""Images a second through data loaders, from files to rows: stock processors beside ours.

    python benches/loading.py [FOLDER] [--epochs N] [--rounds N] [--record FILE]

FOLDER holds photographs; ``../shared/data/cookbook`` by default. There are three harnesses, the
same for both: a DataLoader in one process, one with two workers, and Ray Data with two workers of a
CPU each. Everything starts from paths and ends with float32 rows in the process that would train;
stock reads files by torchvision. A process uses one thread. Contestants take turns; the clock of a
run starts with its first batch, so that the start of workers is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
import torchvision
import transformers
from torch.utils.data import DataLoader, Dataset

import qvl_fast
from qvl_fast.bench.stock_images import decoded, stock_processor
from qvl_fast.integrations.ray import RowStage
from qvl_fast.integrations.torch_data import Collate
from qvl_fast.store.sources import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH = 4
OURS = qvl_fast.ImageProcessor("qwen2.5-vl", max_pixels=1280 * 28 * 28, num_threads=1)


class StockRows:
    """The rows of a file by the stock processor, which is made where the first file comes."""

    processor: Callable[[Any], torch.Tensor] | None = None

    def __call__(self, file: str) -> dict[str, torch.Tensor]:
        if self.processor is None:
            torch.set_num_threads(1)
            self.processor = stock_processor(OURS, "qwen2.5-vl")
        return {"pixel_values": self.processor(decoded(Path(file).read_bytes()))}


class Rows(Dataset):
    """The rows of each file."""

    def __init__(self, files: list[str], rows: Callable[[str], dict[str, torch.Tensor]]) -> None:
        self.files = files
        self.rows = rows

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.rows(self.files[index])


class StockStage:
    """A stage of Ray Data with the stock processor."""

    def __init__(self) -> None:
        self.rows = StockRows()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"pixel_values": [self.rows(file)["pixel_values"].numpy() for file in batch["path"]]}


def through_a_loader(files: list[str], workers: int, *, is_stock: bool) -> Iterable[Any]:
    return DataLoader(
        Rows(files, StockRows() if is_stock else OURS),
        batch_size=BATCH,
        collate_fn=Collate(),
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=workers > 0,
    )


def through_ray(files: list[str], *, is_stock: bool) -> Iterable[Any]:
    import ray

    paths = ray.data.from_items(
        [{"path": file} for file in files], override_num_blocks=len(files) // BATCH
    )
    options: dict[str, Any] = {"concurrency": 2, "num_cpus": 1, "batch_size": BATCH}
    if is_stock:
        made = paths.map_batches(StockStage, **options)
    else:
        made = paths.map_batches(
            RowStage,
            fn_constructor_args=(OURS,),
            fn_constructor_kwargs={"column": "path"},
            **options,
        )
    return made.iter_batches(batch_size=BATCH, batch_format="numpy")


def rate(batches: Iterable[Any], images: int) -> float:
    """Images a second from the first batch on."""
    arriving = iter(batches)
    next(arriving)
    start = perf_counter()
    for _ in arriving:
        pass
    return (images - BATCH) / (perf_counter() - start)


def measure(harness: Callable[..., Iterable[Any]], images: int, rounds: int) -> dict[str, float]:
    """Medians of the rates, and of the ratios of two in turn."""
    contestants = [harness(is_stock=is_stock) for is_stock in (True, False)]
    pairs = [[rate(batches, images) for batches in contestants] for _ in range(rounds)]
    return {
        "stock": round(median(pair[0] for pair in pairs), 2),
        "ours": round(median(pair[1] for pair in pairs), 2),
        "times": round(median(pair[1] / pair[0] for pair in pairs), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/cookbook"))
    parser.add_argument("--epochs", type=int, default=4, help="how often a run sees each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [str(source.path) for source in collect([options.folder])[0]] * options.epochs

    harnesses: dict[str, Callable[..., Iterable[Any]]] = {
        "DataLoader, in one process": partial(through_a_loader, files, 0),
        "DataLoader, 2 workers": partial(through_a_loader, files, 2),
    }
    if find_spec("ray"):
        import ray

        # Ray's workers find the package where this process does.
        python = str(Path(qvl_fast.__file__).parents[1])
        environment = {"env_vars": {"PYTHONPATH": python, "OMP_NUM_THREADS": "1"}}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
        ray.data.DataContext.get_current().enable_progress_bars = False
        harnesses["Ray Data, 2 workers"] = partial(through_ray, files)
    results: list[dict[str, Any]] = []
    for name, harness in harnesses.items():
        figures = measure(harness, len(files), options.rounds)
        results.append({"harness": name, **figures})
        print(f"{name:27}", *(f"{key} {value};" for key, value in figures.items()), flush=True)
    if options.record:
        modules = (qvl_fast, transformers, torch, torchvision)
        record = {
            "machine": platform.processor() or platform.machine(),
            "processors": len(os.sched_getaffinity(0)),
            "unit": "images a second",
            "images": len(files),
            "rounds": options.rounds,
            "versions": {module.__name__: module.__version__ for module in modules},
            "results": results,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
