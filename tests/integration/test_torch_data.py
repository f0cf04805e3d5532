"""Loading with PyTorch's data loaders: rows, batches of a number of tokens, workers, resumption."""

import doctest
import pickle
import re
import runpy
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import qvl_fast
from qvl_fast.config import FAMILIES
from qvl_fast.integrations.torch_data import (
    Collate,
    RowTransform,
    TokenBatchSampler,
    batching,
    collate,
    image_lengths,
    transform,
)

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "samples" / name for name in ("coffee.png", "rocket.jpg", "chelsea.png")]
PROCESSOR = qvl_fast.ImageProcessor("qwen2.5-vl", max_pixels=28 * 28 * 30)


class Files(Dataset):
    """Sample n has image n % 3, and as many ids; every fourth has no image."""

    def __init__(self, count=12, numbers=True):
        self.count = count
        self.numbers = numbers
        self.transform = RowTransform(PROCESSOR)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        images = [] if index % 4 == 3 else [FILES[index % 3]]
        ids = torch.arange(1, index % 5 + 2)
        sample = {"images": images, "input_ids": ids, "labels": ids + 50}
        return self.transform({**sample, "number": index} if self.numbers else sample)


@pytest.mark.parametrize("module", [transform, collate, batching])
def test_the_examples_of_docstrings_hold(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {**vars(module), "qvl_fast": qvl_fast, "torch": torch}
    result = doctest.testmod(module, extraglobs=names)
    assert (result.failed, result.attempted > 0) == (0, True)


# -------------------------------------------------------------------------------------- transform


def test_a_transform_puts_rows_in_the_place_of_images():
    sample = {"images": FILES[:2], "label": "two"}
    found = pickle.loads(pickle.dumps(RowTransform(PROCESSOR)))(sample)
    expected = PROCESSOR(FILES[:2])
    assert list(found) == ["label", "pixel_values", "image_grid_thw"]
    assert torch.equal(found["pixel_values"], expected.pixel_values)
    assert torch.equal(found["image_grid_thw"], expected.image_grid_thw)
    assert list(sample) == ["images", "label"], "the argument was changed"


@pytest.mark.parametrize("sample", [{"label": 1}, {"label": 1, "images": []}])
def test_a_sample_without_images_has_no_rows(sample):
    assert RowTransform(PROCESSOR)(sample) == {"label": 1}


def test_a_broken_image_is_named():
    with pytest.raises(qvl_fast.ImageError) as caught:
        RowTransform(PROCESSOR)({"images": [FILES[0], b"no image"]})
    assert caught.value.index == 1


def test_lengths_are_those_of_the_rows():
    batch = PROCESSOR(FILES)
    assert image_lengths(FILES, PROCESSOR).tolist() == (batch.image_grid_thw.prod(1) // 4).tolist()
    assert image_lengths([], PROCESSOR).shape == (0,)
    with pytest.raises(qvl_fast.ImageError) as caught:
        image_lengths([FILES[0], b"no image"], PROCESSOR)
    assert caught.value.index == 1
    with pytest.raises(FileNotFoundError) as missing:
        image_lengths([FILES[0], "not/there.png"], PROCESSOR)
    assert missing.value.index == 1


# ---------------------------------------------------------------------------------------- collate


def test_rows_follow_each_other_and_sequences_are_padded():
    samples = [Files()[index] for index in (3, 0, 1)]
    batch = Collate()(samples)
    expected = PROCESSOR([FILES[0], FILES[1]])
    assert torch.equal(batch.pixel_values, expected.pixel_values)
    assert torch.equal(batch.image_grid_thw, expected.image_grid_thw)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [1, 0, 0, 0], [1, 2, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [
        [51, 52, 53, 54],
        [51, -100, -100, -100],
        [51, 52, -100, -100],
    ]
    assert batch["number"] == [3, 0, 1]
    assert type(batch) is qvl_fast.ImageRows


def test_a_batch_of_text_alone():
    batch = Collate()([{"input_ids": [1, 2]}, {"input_ids": [3]}])
    assert sorted(batch) == ["attention_mask", "input_ids"]
    assert len(batch) == 2  # Who trains takes a batch that is empty or false for none.


@pytest.mark.parametrize(
    "names", [("input_ids", "attention_mask"), ("attention_mask", "input_ids")]
)
def test_masks_of_a_tokenizer_stay(names):
    sequences = {"input_ids": ([5, 6, 7], [8]), "attention_mask": ([0, 1, 1], [1])}
    samples = [{name: sequences[name][number] for name in names} for number in range(2)]
    batch = Collate()(samples)
    assert batch["attention_mask"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]


@pytest.mark.parametrize("form", [None, "rows"])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_of_every_family_are_as_images_of_one_call(family, form):
    processor = qvl_fast.ImageProcessor(family, form=form)
    files = FILES[:2]  # of as many tiles each, where a family pads them
    batch = Collate()([{**processor(file), "input_ids": [1]} for file in files])
    expected = processor([[file] for file in files])
    assert type(batch) is type(expected)
    assert batch.keys() == expected.keys() | {"input_ids", "attention_mask"}
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
    assert [len(part) for part in batch.split()] == [len(part) for part in expected.split()]


def test_planes_of_several_shapes_are_refused():
    processor = qvl_fast.ImageProcessor("llava-next")
    wide, square = (np.zeros((*size, 3), np.uint8) for size in ((300, 1000), (700, 700)))
    message = r"pixel_values must be of one kind .*4, 3, 336.*5, 3, 336"
    with pytest.raises(ValueError, match=message):
        Collate()([processor(wide), processor(square)])


@pytest.mark.parametrize("dtype", ["bfloat16", "uint8"])
def test_every_form_of_rows_is_joined(dtype):
    processor = qvl_fast.ImageProcessor(PROCESSOR.config, dtype=dtype, temporal="compact")
    batch = Collate()([processor(file) for file in FILES])
    assert torch.equal(batch.pixel_values, processor(FILES).pixel_values)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "samples must hold at least one"),
        ([{"a": 1}, {}], r"samples\[1\] has no 'a'"),
        (
            [{"pixel_values": torch.zeros(1, 6)}, {"pixel_values": torch.zeros(1, 5)}],
            r"pixel_values .*float32 \(n, \*\[5\]\) and .*float32 \(n, \*\[6\]\)",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        Collate()(samples)


def test_pinning_without_an_accelerator_is_an_error():
    if torch.cuda.is_available():
        batch = Collate(pin_memory=True)([Files()[0]])
        assert all(batch[name].is_pinned() for name in ("pixel_values", "input_ids"))
        return
    with pytest.raises(RuntimeError):
        Collate(pin_memory=True)([Files()[0]])


# --------------------------------------------------------------------------------------- batching

LENGTHS = np.random.default_rng(0).integers(1, 60, 500)


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_hold_every_sample_once_and_fit(shuffle):
    sampler = TokenBatchSampler(LENGTHS, 100, shuffle=shuffle, window=128)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(chain.from_iterable(batches)) == list(range(500))
    assert max(LENGTHS[batch].sum() for batch in batches) <= 100
    # At most a twentieth is left free in the mean where many are packed at once.
    assert not shuffle or LENGTHS.sum() > 0.95 * 100 * len(batches)


def test_seed_and_epoch_decide_the_order():
    def order(seed, epoch):
        sampler = TokenBatchSampler(LENGTHS, 100, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    plain = TokenBatchSampler(LENGTHS, 100, shuffle=False)
    assert list(chain.from_iterable(plain)) == list(range(500))


def test_an_epoch_is_packed_once(monkeypatch):
    packings = []
    pack = batching.pack
    monkeypatch.setattr(batching, "pack", lambda *a, **k: packings.append(1) or pack(*a, **k))
    sampler = TokenBatchSampler(LENGTHS, 100, window=500)
    assert len(packings) == 1  # which refuses what no batch can hold
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        for batch in batches:
            batch.clear()  # Accelerate adds to the batches that it gets.
        assert {len(sampler) for _ in range(3)} == {len(batches)}
        assert sorted(chain.from_iterable(sampler)) == list(range(500))
        assert len(packings) == 2 + epoch


def test_several_processes_must_say_who_takes_what(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"rank and num_replicas must be given where 4 processes"):
        TokenBatchSampler(LENGTHS, 100)
    whole = list(TokenBatchSampler(LENGTHS, 100, rank=0, num_replicas=1))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="where 2 processes"):
        TokenBatchSampler(LENGTHS, 100)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    assert list(TokenBatchSampler(LENGTHS, 100)) == whole


def test_accelerate_shares_the_batches_of_a_sampler_that_shares_none():
    from accelerate.data_loader import BatchSamplerShard

    sampler = TokenBatchSampler(LENGTHS, 100, rank=0, num_replicas=1)
    shards = [BatchSamplerShard(sampler, 3, rank, even_batches=False) for rank in range(3)]
    assert sorted(chain.from_iterable(chain.from_iterable(shards))) == list(range(500))
    assert sum(map(len, shards)) == len(sampler)


def test_ranks_share_the_batches_evenly():
    whole = list(TokenBatchSampler(LENGTHS, 100, seed=5))
    shares = [
        list(TokenBatchSampler(LENGTHS, 100, seed=5, rank=r, num_replicas=4)) for r in range(4)
    ]
    assert {len(share) for share in shares} == {len(whole) // 4}
    together = [batch for turn in zip(*shares, strict=True) for batch in turn]
    assert together == whole[: len(together)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 10}, "lengths"),
        ({"capacity": 0}, "capacity .*0"),
        ({"lengths": [[1]]}, r"lengths .*\(1, 1\)"),
        ({"rank": 2, "num_replicas": 2}, "rank .*below num_replicas 2.*2"),
        ({"rank": 1}, "rank and num_replicas must be given together, got 1 and None"),
        ({"num_replicas": 2}, "rank and num_replicas must be given together, got None and 2"),
        ({"window": 0}, "window .*0"),
        ({"seed": -1}, "seed .*-1"),
    ],
)
def test_bad_arguments_of_a_sampler(changes, message):
    with pytest.raises(ValueError, match=message):
        TokenBatchSampler(**({"lengths": LENGTHS, "capacity": 100} | changes))


# ---------------------------------------------------------------------------------------- loaders


def same(batch, other):
    return batch.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in batch.items()
    )


def options(method="spawn", workers=2):
    sampler = TokenBatchSampler([1, 2, 3, 4] * 3, 8, seed=3)
    context = {"multiprocessing_context": method} if workers else {}
    return {"batch_sampler": sampler, "collate_fn": Collate(), "num_workers": workers, **context}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_give_the_same_batches(method):
    expected = list(DataLoader(Files(), **options(workers=0)))
    found = list(DataLoader(Files(), **options(method)))
    assert len(found) == len(expected) > 3
    assert all(map(same, found, expected))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata calls it
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_where_it_was_stopped(workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    def loader():
        return StatefulDataLoader(Files(), **options("fork", workers))

    def epochs(loader, first):
        for epoch in range(first, 2):
            loader.batch_sampler.set_epoch(epoch)
            yield from loader

    expected = list(epochs(loader(), 0))
    in_an_epoch = len(expected) // 2
    for stop in (1, in_an_epoch - 1, in_an_epoch + 2):
        stopped = loader()
        run = epochs(stopped, 0)
        before = [next(run) for _ in range(stop)]
        state = pickle.loads(pickle.dumps(stopped.state_dict()))
        run.close()
        resumed = loader()
        resumed.load_state_dict(state)
        after = list(epochs(resumed, 0 if stop < in_an_epoch else 1))
        assert len(before) + len(after) == len(expected)
        assert all(map(same, before + after, expected)), f"stopped after {stop}"


def test_a_state_of_other_batches_is_refused():
    batches = iter(TokenBatchSampler([1, 2, 3], 3))
    with pytest.raises(ValueError, match=r"state_dict .* 2 batches in epoch 0.* 7"):
        batches.load_state_dict({"epoch": 0, "yielded": 7})
    with pytest.raises(ValueError, match=r"yielded .*-1"):
        batches.load_state_dict({"epoch": 0, "yielded": -1})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_example_trains(monkeypatch, capsys):
    script = str(ROOT / "docs" / "train_tiny.py")
    monkeypatch.setattr(sys, "argv", [script, str(ROOT / "samples"), "--steps", "8"])
    runpy.run_path(script, run_name="__main__")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.5
