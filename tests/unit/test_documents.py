"""M-RoPE ids of packed rows, and masks that mean something else than they seem to."""

import numpy as np
import pytest
import torch

from qvl_fast import mrope_decode_position_ids, mrope_position_ids

IMAGE = [0, 1, 1, 1, 1, 0]
LARGE = [0, 0, *[1] * 6, 0]
VIDEO = [0, *[2] * 8, 0]


def alone(types, **options):
    return mrope_position_ids([types], **options)


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen2.5-vl"])
@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("order", ["mask", "documents alone"])
def test_ids_restart_with_each_document(config, pad, order):
    rows = [[IMAGE, [0, 0, 0], VIDEO], [VIDEO, LARGE]]
    length = max(sum(map(len, row)) for row in rows) + pad
    types, documents = np.zeros((2, 2, length), np.int64)
    for row, parts in enumerate(rows):
        documents[row, : sum(map(len, parts))] = np.repeat(
            np.arange(len(parts)) + 1, list(map(len, parts))
        )
        types[row, : sum(map(len, parts))] = np.concatenate(parts)
    image, large, video = [[1, 4, 4]], [[1, 4, 6]], [[2, 4, 4]]
    options = {"attention_mask": documents > 0} if order == "mask" else {}
    ids, deltas = mrope_position_ids(
        types,
        config=config,
        image_grid_thw=image + large,
        video_grid_thw=video * 2,
        documents=documents,
        **options,
    )
    grids = {
        id(IMAGE): {"image_grid_thw": image},
        id(LARGE): {"image_grid_thw": large},
        id(VIDEO): {"video_grid_thw": video},
    }
    for row, parts in enumerate(rows):
        expected, tokens = [], 0
        for part in parts:
            part_ids, part_deltas = alone(part, config=config, **grids.get(id(part), {}))
            expected.append(part_ids[:, 0])
            tokens += len(part)
        expected = np.concatenate(expected, axis=1)
        assert np.array_equal(ids[:, row, :tokens], expected)
        assert not ids[:, row, tokens:].any()
        # A later token goes on from the last document.
        follows = mrope_decode_position_ids(deltas[[row]], past_length=tokens)
        assert follows.item(0) == part_ids.max() + 1
        assert (deltas[row] + tokens == part_deltas + len(part)).all()


def test_one_document_is_a_row_as_ever():
    types = np.array([IMAGE + [0] * 3, [0] * 4 + [1] * 4 + [0]])
    mask = np.ones_like(types)
    mask[0, :2] = mask[1, 8:] = 0
    types[0] = [0, 0, 0, 1, 1, 1, 1, 0, 0]
    options = {"config": "qwen2.5-vl", "image_grid_thw": [[1, 4, 4]] * 2}
    expected = mrope_position_ids(types, attention_mask=mask, **options)
    for documents in (mask, 7 * mask, torch.from_numpy(3 * mask)):
        found = mrope_position_ids(types, documents=documents, **options)
        assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        ([[1, 1, 2]], ValueError, r"documents must have the shape \(1, 2\)"),
        ([[1, -1]], ValueError, "documents must not be negative, got -1"),
        ([[0, 0]], ValueError, "documents must have a token in every row, got none in row 0"),
        ([[1.0, 2.0]], TypeError, "documents must hold integers"),
    ],
)
def test_documents_are_checked(documents, error, message):
    with pytest.raises(error, match=message):
        mrope_position_ids([[0, 0]], config="qwen2-vl", documents=documents)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([[0.0, float("-inf")]], TypeError, "attention_mask has dtype float64.* added to scores"),
        ([[float("nan"), 1.0]], TypeError, "attention_mask has dtype float64"),
        (torch.ones(1, 2), TypeError, "attention_mask has dtype float32.*mask == 0"),
        ([[1, 2]], ValueError, "attention_mask must hold 0 and 1, got 1 to 2.* documents="),
        ([[-1, 0]], ValueError, "attention_mask must hold 0 and 1, got -1 to 0"),
    ],
)
def test_masks_that_are_not_of_zero_and_one_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        mrope_position_ids([[0, 0]], config="qwen2-vl", attention_mask=mask)
    with pytest.raises(error, match=message):
        mrope_decode_position_ids([[0]], attention_mask=mask)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
def test_masks_of_bool_and_integers(dtype):
    ids, _ = mrope_position_ids(
        [[0, 0, 0]], config="qwen2-vl", attention_mask=np.array([[0, 1, 1]], dtype)
    )
    assert ids[0].tolist() == [[0, 0, 1]]
