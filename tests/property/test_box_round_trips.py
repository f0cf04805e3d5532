"""Boxes there and back, over sizes, models and orientations; answers over any text."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qvl_fast import boxes

SIDES = st.integers(30, 5000)
CONFIGS = st.sampled_from(["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])


@st.composite
def images_with_boxes(draw):
    height = draw(SIDES)
    width = draw(st.integers(max(30, height // 150), min(5000, height * 150)))
    edge = st.floats(0, 1)
    places = draw(st.lists(st.tuples(edge, edge, edge, edge), max_size=5))
    places = np.array(places).reshape(-1, 2, 2)
    corners = np.sort(places, axis=1).reshape(-1, 4) * ([width, height] * 2)
    return (height, width), np.minimum(corners, [width, height] * 2)


@given(images_with_boxes(), CONFIGS)
def test_there_and_back(image, config):
    size, places = image
    unrounded = boxes.to_model(places, size, config, rounding="none")
    np.testing.assert_allclose(boxes.from_model(unrounded, size, config), places, atol=1e-9)
    unit = boxes.from_model([1, 1], size, config)
    back = boxes.from_model(boxes.to_model(places, size, config), size, config)
    assert (np.abs(back - places).reshape(-1, 2) <= unit / 2 + 1e-9).all()


@given(images_with_boxes(), CONFIGS)
def test_whole_numbers_of_a_model_come_back_whole(image, config):
    size, places = image
    numbers = boxes.to_model(places, size, config)
    again = boxes.to_model(boxes.from_model(numbers, size, config), size, config)
    assert (again == numbers).all()


@given(images_with_boxes(), st.integers(1, 8))
def test_turning_there_and_back(image, orientation):
    size, places = image
    turned = boxes.turn(places, size, orientation, back=True)
    np.testing.assert_allclose(boxes.turn(turned, size, orientation), places, atol=1e-9)


@given(images_with_boxes(), CONFIGS, st.data())
def test_what_is_written_is_found(image, config, data):
    size, places = image
    label = st.none() | st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]))
    labels = [
        None if name is None else name.strip()
        for name in data.draw(st.lists(label, min_size=len(places), max_size=len(places)))
    ]
    text = boxes.format(places, size, config, labels=labels)
    found = boxes.parse(text, config)
    assert [region.label for region in found] == labels
    written = boxes.to_model(places, size, config).tolist()
    assert [list(region.coordinates) for region in found] == written


ALPHABET = st.sampled_from(
    ['{"bbox_2d": [', "1, 2, 3, 4", "]", "}", "{", '"label": "', '"', "\\", ",", "[", "<ref>",
     "</ref>", "<box>", "(1,2)", "(", ")", "1e400", "-", "\n", " ", "x", "'", '{"point_2d": [1, 2']
)  # fmt: skip


@given(st.lists(ALPHABET, max_size=60).map("".join) | st.text(), CONFIGS)
def test_any_text_can_be_parsed(text, config):
    for region in boxes.parse(text, config):
        assert len(region.coordinates) % 2 == 0
        assert all(isinstance(number, float) for number in region.coordinates)
