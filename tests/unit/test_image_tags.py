"""Prompts of the first Qwen-VL: images by their paths, and boxes."""

import numpy as np
import pytest

from qvl_fast import ImageProcessor, boxes, image_paths, image_tag

PATHS = ["cat.jpg", "https://host/a%20b.png", "猫/é.png", "x" * 256]


@pytest.mark.parametrize("path", PATHS)
def test_known_ids(path):
    ids = image_tag(path)
    name = list(path.encode())
    assert ids.dtype == np.int64
    assert ids.tolist() == [151857, *name, *[151859] * (256 - len(name)), 151858]
    # As many as there are features to put in their place.
    assert len(ids) - 2 == ImageProcessor("qwen-vl", return_tensors="np").num_tokens(480, 640)


def test_paths_come_back_in_order():
    parts = [np.array([5, 200]), *(np.append(image_tag(path), 7) for path in PATHS)]
    ids = np.concatenate(parts)
    paths, places = image_paths(ids)
    assert paths == PATHS
    assert places.tolist() == [[3 + 259 * n, 259 + 259 * n] for n in range(len(PATHS))]
    nothing, places = image_paths([1, 2, 3])
    assert (nothing, places.shape) == ([], (0, 2))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", ValueError, "path must have 1 to 256 bytes in UTF-8, got 0"),
        ("é" * 129, ValueError, "path must have 1 to 256 bytes in UTF-8, got 258"),
        ("\ud800", ValueError, "path must be one that UTF-8 can write"),
        (b"cat.jpg", TypeError, "path must be a text or a path, got b'cat.jpg'"),
        (None, TypeError, "path must be a text or a path, got None"),
    ],
)
def test_paths_are_refused(path, error, message):
    with pytest.raises(error, match=message):
        image_tag(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (257, 9, r"256 places in each image tag, got tags that start at \[0\] and end at \[\]"),
        (9, 151857, r"tags that start at \[0, 9\]"),
        (1, 151859, "the bytes of a path and then 151859 in the image tag at 0"),
        (2, 256, "the bytes of a path and then 151859 in the image tag at 0"),
        (3, -1, "the bytes of a path and then 151859 in the image tag at 0"),
        (200, 65, "the bytes of a path and then 151859 in the image tag at 0"),
        (1, 0xFF, "a path in UTF-8 in the image tag at 0"),
    ],
)
def test_tags_are_refused(place, value, message):
    ids = image_tag("cat.jpg")
    ids[place] = value
    with pytest.raises(ValueError, match=message):
        image_paths(ids)


def test_boxes_are_written_and_read_between_tags():
    size, places = (480, 640), [[64, 48, 320, 240]]
    text = boxes.format(places, size, "qwen-vl", labels=["cat"])
    assert text == "<ref>cat</ref><box>(100,100),(500,500)</box>"
    [region] = boxes.parse(text, "qwen-vl")
    assert region.label == "cat"
    assert boxes.from_model([region.coordinates], size, "qwen-vl").tolist() == places
