"""Images whose placeholders were cut off go with their rows."""

import numpy as np
import pytest
import torch

from qvl_fast import drop_truncated, expand_placeholders

IMAGE = 99
GRIDS = [(1, 2, 4), (1, 2, 2), (3, 4, 4)]
TOKENS = [2, 1, 12]
ROWS = np.repeat(np.arange(3), [8, 4, 48])[:, None] * np.ones((1, 6))
PROMPT, _ = expand_placeholders([1, IMAGE, 2, 3, IMAGE, IMAGE, 4], IMAGE, TOKENS)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("length", range(len(PROMPT) + 1))
def test_every_length(length, side):
    ids = PROMPT[:length] if side == "right" else PROMPT[len(PROMPT) - length :]
    # Image by image, without sums: from the end that is whole, as many as have all their tokens.
    kept, left = [], int((ids == IMAGE).sum())
    for number in range(3) if side == "right" else (2, 1, 0):
        if TOKENS[number] > left:
            break
        left -= TOKENS[number]
        kept.append(number)
    kept.sort()
    found = drop_truncated(ids, ROWS, GRIDS, token_id=IMAGE, truncation_side=side)
    assert found[0].tolist() == (ids[: length - left] if side == "right" else ids[left:]).tolist()
    assert sorted(set(found[1][:, 0].tolist())) == kept
    assert len(found[1]) == sum(4 * TOKENS[number] for number in kept)
    assert found[2] == [GRIDS[number] for number in kept]


def test_forms_are_kept_and_memory_is_shared():
    ids, rows, grids = torch.tensor(PROMPT[:6]), torch.tensor(ROWS), torch.tensor(GRIDS)
    found = drop_truncated(ids, rows, grids, token_id=IMAGE)
    assert [tensor.data_ptr() for tensor in found] == [t.data_ptr() for t in (ids, rows, grids)]
    assert [len(tensor) for tensor in found] == [6, 12, 2]
    assert drop_truncated(PROMPT.tolist(), ROWS, GRIDS, token_id=IMAGE)[0] == PROMPT.tolist()


def test_videos_of_a_mixed_prompt():
    """Counted apart from images: a video at the end takes no image with it."""
    ids = [1, IMAGE, IMAGE, 2, 98, 98]
    rows = np.zeros((8, 6))
    whole = drop_truncated(ids, rows, [(1, 2, 4)], token_id=IMAGE)
    assert whole[0] == ids
    cut = drop_truncated(ids, np.zeros((12, 6)), [(1, 2, 6)], token_id=98)
    assert [len(part) for part in cut] == [4, 0, 0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"input_ids": [[1, 2]]}, ValueError, r"input_ids .*\(1, 2\)"),
        ({"input_ids": [0.5]}, TypeError, "input_ids .*float64"),
        ({"rows": ROWS[:-1]}, ValueError, "grid_thw .* 59 rows.* 60"),
        ({"grid_thw": [(1, 2)]}, ValueError, r"grid_thw .*\(1, 2\)"),
        ({"input_ids": [IMAGE] * 16}, ValueError, "input_ids .* 15 placeholders 99.* 16"),
        ({"input_ids": [1, IMAGE, 2]}, ValueError, "input_ids .*right.* 1 placeholders"),
        ({"input_ids": [1, IMAGE, 2], "truncation_side": "left"}, ValueError, "at the left"),
        ({"truncation_side": "top"}, ValueError, "truncation_side .*'top'"),
        ({"token_id": 1.5}, (TypeError, ValueError), "token_id .*1.5"),
        ({"merge_size": 0}, ValueError, "merge_size .*0"),
    ],
)
def test_refused(changes, error, message):
    arguments = {"input_ids": PROMPT, "rows": ROWS, "grid_thw": GRIDS, "token_id": IMAGE}
    with pytest.raises(error, match=message):
        drop_truncated(**(arguments | changes))
