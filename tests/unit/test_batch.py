"""What a processor returns, as training loops and servers use it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import BatchFeature

from qvl_fast import ImageProcessor, ImageRows, VideoProcessor

IMAGES = [np.full((56 + 28 * n, 84, 3), 40 * n, np.uint8) for n in range(3)]
process = ImageProcessor("qwen2.5-vl")


def test_it_is_a_dict_whose_entries_are_attributes():
    batch = process(IMAGES)
    assert isinstance(batch, dict)
    assert set(batch) == {"pixel_values", "image_grid_thw"}
    assert dict(**batch) == {name: batch[name] for name in batch}
    assert batch.pixel_values is batch["pixel_values"]
    batch["input_ids"] = [1, 2]
    assert batch.input_ids == [1, 2]
    assert not hasattr(batch, "labels")
    with pytest.raises(AttributeError, match="'labels'"):
        _ = batch.labels


@pytest.mark.parametrize("form", ["pt", "np"])
def test_it_splits_and_its_length_is_that_of_a_dict(form):
    batch = process(IMAGES, return_tensors=form)
    parts = batch.split()
    assert [len(each) for each in (batch, *parts)] == [2] * 4
    for part, image in zip(parts, IMAGES, strict=True):
        alone = process(image, return_tensors=form)
        assert type(part) is ImageRows
        assert np.array_equal(part["pixel_values"], alone["pixel_values"])
        assert np.array_equal(part["image_grid_thw"], alone["image_grid_thw"])
    parts[1]["pixel_values"][:] = 7  # a view
    assert (np.asarray(batch["pixel_values"]) == 7).any()


@pytest.mark.parametrize(
    "carry", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy]
)
def test_it_pickles_and_copies(carry):
    batch = process(IMAGES)
    other = carry(batch)
    assert type(other) is ImageRows
    assert list(other) == list(batch)
    assert all(torch.equal(other[name], batch[name]) for name in batch)


@pytest.mark.parametrize("form", ["pt", "np"])
def test_to_moves_everything_and_casts_what_is_of_a_float_type(form):
    batch = process(IMAGES, return_tensors=form)
    batch["names"] = ["a", "b", "c"]
    moved = batch.to("cpu", torch.bfloat16, non_blocking=True)
    assert type(moved) is ImageRows
    assert moved.pixel_values.dtype is torch.bfloat16
    expected = torch.as_tensor(batch["pixel_values"]).to(torch.bfloat16)
    assert torch.equal(moved.pixel_values, expected)
    assert moved.image_grid_thw.dtype is torch.int64
    assert moved["names"] == ["a", "b", "c"]
    assert batch.to("meta").pixel_values.device.type == "meta"
    raw = ImageProcessor("qwen2.5-vl", dtype="uint8")(IMAGES, return_tensors=form)
    assert raw.to(dtype=torch.float16).pixel_values.dtype is torch.uint8


def test_an_entry_may_be_assigned_to_as_an_attribute():
    batch = process(IMAGES)
    batch.pixel_values = batch.pixel_values.half()
    assert batch["pixel_values"].dtype is torch.float16
    assert pickle.loads(pickle.dumps(batch)).pixel_values.dtype is torch.float16
    batch.note = "no entry"
    assert "note" not in batch


def test_rows_that_are_not_those_of_the_grids_are_not_split():
    batch = process(IMAGES)
    batch["pixel_values"] = batch.pixel_values[:-1]
    with pytest.raises(ValueError, match=r"pixel_values must be the \d+ that its items have, got"):
        batch.split()
    assert ImageRows(input_ids=[1]).split() == []


def test_a_type_alone_is_taken_as_batches_of_transformers_take_it():
    batch, stock = process(IMAGES), BatchFeature(process(IMAGES))
    ours, theirs = batch.to(torch.bfloat16), stock.to(torch.bfloat16)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert {name: value.dtype for name, value in ours.items()} == {
        "pixel_values": torch.bfloat16,
        "image_grid_thw": torch.int64,
    }


def test_seconds_are_not_rounded_with_the_rows():
    clip = np.zeros((60, 56, 56, 3), np.uint8)
    metadata = {"total_num_frames": 60, "fps": 29.97, "width": 56, "height": 56}
    batch = VideoProcessor("qwen2.5-vl")(clip, video_metadata=metadata)
    halved = ImageRows(batch).to(torch.bfloat16)  # as Collate joins them
    for other in (batch.to(torch.bfloat16), halved):
        assert other.pixel_values_videos.dtype is torch.bfloat16
        assert torch.equal(other.second_per_grid_ts, batch.second_per_grid_ts)


def collate(images):
    return process(images)


@pytest.mark.parametrize("workers", [0, 1])
def test_it_comes_through_a_data_loader(workers):
    batch = next(iter(DataLoader(IMAGES, 3, collate_fn=collate, num_workers=workers)))
    assert type(batch) is ImageRows
    assert torch.equal(batch.pixel_values, process(IMAGES).pixel_values)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_page_locked_memory_needs_an_accelerator():
    with pytest.raises(RuntimeError):
        process(IMAGES).pin_memory()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_page_locked_memory():
    batch = process(IMAGES)
    pinned = batch.pin_memory()
    assert type(pinned) is ImageRows
    assert all(value.is_pinned() for value in pinned.values())
    loader = DataLoader(IMAGES, 3, collate_fn=collate, pin_memory=True)
    loaded = next(iter(loader))
    assert type(loaded) is ImageRows
    assert loaded.pixel_values.is_pinned()
    there = loaded.to("cuda", non_blocking=True)
    assert torch.equal(there.pixel_values.cpu(), batch.pixel_values)
