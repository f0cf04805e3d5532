"""Known answers of which image a token sees."""

import numpy as np
import pytest

from qvl_fast import image_attention_mask

BOS, END, IMAGE, FAKE, PAD = 1, 2, 3, 4, 0


def seen(ids, images, end=END):
    """The number of the image that each token sees, from 1; 0 for none."""
    mask = image_attention_mask([ids], images, image_token_id=IMAGE, eos_token_id=end)
    assert (mask.dtype, mask.shape) == (np.int64, (1, len(ids), images))
    assert mask.sum(axis=2).max() <= 1
    return (mask[0] @ np.arange(1, images + 1)).tolist()


@pytest.mark.parametrize(
    ("ids", "known"),
    [
        (
            [BOS, 7, IMAGE, 8, 9, IMAGE, 7, END, 5, PAD],
            [0, 0, 1, 1, 1, 2, 2, 2, 0, 0],
        ),
        # The fake token before an image still sees the image before that.
        (
            [BOS, 7, FAKE, IMAGE, FAKE, IMAGE, FAKE, 7],
            [0, 0, 0, 1, 1, 2, 2, 2],
        ),
    ],
)
def test_known_answers(ids, known):
    assert seen(ids, 2) == known


def test_images_are_numbered_on_behind_the_end_of_a_text():
    assert seen([IMAGE, END, 7, IMAGE, 7, END, END, 7], 2) == [1, 1, 0, 2, 2, 2, 0, 0]


def test_without_an_end_the_last_image_is_seen_to_the_end():
    assert seen([7, IMAGE, 7, END, 7], 1, end=None) == [0, 1, 1, 1, 1]


def test_images_beyond_those_that_there_is_room_for_are_not_seen():
    assert seen([IMAGE, 7, IMAGE, 7], 1) == [1, 1, 0, 0]
    assert seen([IMAGE, 7], 3) == [1, 1]


def test_rows_count_their_own_images():
    ids = [[7, IMAGE, 7], [IMAGE, IMAGE, 7], [7, 7, 7]]
    mask = image_attention_mask(ids, 2, image_token_id=IMAGE, eos_token_id=END)
    assert mask.tolist() == [
        [[0, 0], [1, 0], [1, 0]],
        [[1, 0], [0, 1], [0, 1]],
        [[0, 0], [0, 0], [0, 0]],
    ]


def test_without_images_nothing_is_seen():
    mask = image_attention_mask([[BOS, 7]], 0, image_token_id=IMAGE, eos_token_id=END)
    assert (mask.dtype, mask.tolist()) == (np.bool_, [[[False], [False]]])
