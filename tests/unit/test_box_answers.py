"""What is found in what models write."""

import pytest

from qvl_fast.boxes import Region, parse

JSON = [
    # Whole answers.
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "cup"}]', [((1, 2, 3, 4), "cup")]),
    ('```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "label": "cup"}\n]\n```', [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "cup"}', [((1, 2, 3, 4), "cup")]),
    ('{"label": "cup", "bbox_2d": [1, 2, 3, 4]}', [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4]}', [((1, 2, 3, 4), None)]),
    ('{"bbox": [1, 2, 3, 4], "name": "cup"}', [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4], "text_content": "Total: 5"}', [((1, 2, 3, 4), "Total: 5")]),
    ('{"point_2d": [10, 20], "label": "tip"}', [((10, 20), "tip")]),
    ('{"point_2d": [[10, 20], [30, 40]], "label": "tip"}', [((10, 20), "tip"), ((30, 40), "tip")]),
    ('{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]]}', [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]),
    ('{"bbox_2d": [[1, 2], [3, 4]]}', [((1, 2, 3, 4), None)]),
    ('{"polygon": [[1, 2], [3, 4], [5, 0]], "label": "sail"}', [((1, 2, 3, 4, 5, 0), "sail")]),
    ('{"bbox_2d": [1.5, 2.25, 3, 4]}', [((1.5, 2.25, 3, 4), None)]),
    ('[{"bbox_2d":[1,2,3,4],"label":"a"},{"bbox_2d":[5,6,7,8],"label":"b"}]',
     [((1, 2, 3, 4), "a"), ((5, 6, 7, 8), "b")]),
    # Several objects that are no list, and lists one after the other.
    ('{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7, 8]}',
     [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]),
    ('{"bbox_2d": [1, 2, 3, 4]}\n{"bbox_2d": [5, 6, 7, 8]}',
     [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]),
    ('[{"bbox_2d": [1, 2, 3, 4]}] or [{"bbox_2d": [5, 6, 7, 8]}]',
     [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]),
    # Nested.
    ('{"objects": [{"bbox_2d": [1, 2, 3, 4], "label": "cup"}]}', [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "cup", "more": {"colour": "red"}}',
     [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "cup", "parts": [{"bbox_2d": [1, 2, 2, 2]}]}',
     [((1, 2, 3, 4), "cup"), ((1, 2, 2, 2), None)]),
    # Prose and quotes around.
    ('The cup is here: {"bbox_2d": [1, 2, 3, 4], "label": "cup"}. Enjoy!', [((1, 2, 3, 4), "cup")]),
    ('A 5" screen: [{"bbox_2d": [1, 2, 3, 4], "label": "screen"}]', [((1, 2, 3, 4), "screen")]),
    ('Braces {like these} mean nothing. {"bbox_2d": [1, 2, 3, 4]}', [((1, 2, 3, 4), None)]),
    ('<think>{"x": 1}</think>[{"bbox_2d": [1, 2, 3, 4]}]', [((1, 2, 3, 4), None)]),
    # Labels.
    ('{"bbox_2d": [1, 2, 3, 4], "label": "a [big] {cup}"}', [((1, 2, 3, 4), "a [big] {cup}")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "a \\"big\\" cup"}', [((1, 2, 3, 4), 'a "big" cup')]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "a "big" cup"}', [((1, 2, 3, 4), 'a "big" cup')]),
    ('{"label": "a "big" cup", "bbox_2d": [1, 2, 3, 4]}', [((1, 2, 3, 4), 'a "big" cup')]),
    ("{'bbox_2d': [1, 2, 3, 4], 'label': 'cup'}", [((1, 2, 3, 4), "cup")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}', [((1, 2, 3, 4), "杯子")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "كوب"}', [((1, 2, 3, 4), "كوب")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "\\u676f"}', [((1, 2, 3, 4), "杯")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": ""}', [((1, 2, 3, 4), "")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": null}', [((1, 2, 3, 4), None)]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": 7}', [((1, 2, 3, 4), None)]),
    ('{"bbox_2d": [1, 2, 3, 4,], "label": "cup",}', [((1, 2, 3, 4), "cup")]),
    # Cut off.
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "a"}, {"bbox_2d": [5, 6, 7', [((1, 2, 3, 4), "a")]),
    ('```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "a"},\n{"bbox_', [((1, 2, 3, 4), "a")]),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "a"}, {"bbox_2d": [5, 6, 7, 8], "label": "b',
     [((1, 2, 3, 4), "a")]),
    ('{"objects": [{"bbox_2d": [1, 2, 3, 4], "label": "a"}, {"bbo', [((1, 2, 3, 4), "a")]),
    ('[{"bbox_2d": [1, 2', []),
    # No places.
    ("", []),
    ("There is no cup.", []),
    ("[]", []),
    ("{}", []),
    ('{"bbox_2d": []}', []),
    ('{"bbox_2d": [1, 2, 3]}', []),
    ('{"bbox_2d": ["1", "2", "3", "4"]}', []),
    ('{"bbox_2d": [1, 2, null, 4]}', []),
    ('{"bbox_2d": [true, false, true, true]}', []),
    ('{"bbox_2d": [NaN, 2, 3, 4]}', []),
    ('{"bbox_2d": [1e999, 2, 3, 4]}', []),
    ('{"bbox_2d": {"x": 1}}', []),
    ('{"bbox_2d": [[1, 2, 3, 4], 5]}', []),
]  # fmt: skip

TAGS = [
    ("<ref>cup</ref><box>(1,2),(3,4)</box>", [((1, 2, 3, 4), "cup")]),
    ("<ref> the cup </ref><box>(1, 2), (3, 4)</box>", [((1, 2, 3, 4), "the cup")]),
    ("<ref>cups</ref><box>(1,2),(3,4)</box><box>(5,6),(7,8)</box>",
     [((1, 2, 3, 4), "cups"), ((5, 6, 7, 8), "cups")]),
    ("<|object_ref_start|>cup<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>",
     [((1, 2, 3, 4), "cup")]),
    ("<|object_ref_start|>cup<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|><|im_end|>",
     [((1, 2, 3, 4), "cup")]),
    ("<|box_start|>(10,20)<|box_end|>", [((10, 20), None)]),
    # A place without a name shares that of the one before only if it follows at once.
    ("<ref>cup</ref> <box>(1,2),(3,4)</box>\n<box>(5,6),(7,8)</box>",
     [((1, 2, 3, 4), "cup"), ((5, 6, 7, 8), None)]),
    ("(1,2),(3,4)(5,6),(7,8)", [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]),
    ("<|quad_start|>(1,2),(3,4),(5,6),(7,8)<|quad_end|>", [((1, 2, 3, 4, 5, 6, 7, 8), None)]),
    ("<ref>杯子</ref><box>(1,2),(3,4)</box>和<ref>猫</ref><box>(5,6),(7,8)</box>",
     [((1, 2, 3, 4), "杯子"), ((5, 6, 7, 8), "猫")]),
    # Special tokens left out when the answer was decoded.
    ("cup(1,2),(3,4)", [((1, 2, 3, 4), None)]),
    # A name belongs to what follows it, not to all that comes later.
    ("<ref>cup</ref><box>(1,2),(3,4)</box> and a dog at <box>(5,6),(7,8)</box>",
     [((1, 2, 3, 4), "cup"), ((5, 6, 7, 8), None)]),
    ("<ref>cup (blue)</ref><box>(1,2),(3,4)</box>", [((1, 2, 3, 4), "cup (blue)")]),
    ("<ref>at (9,9),(9,9)</ref><box>(1,2),(3,4)</box>", [((1, 2, 3, 4), "at (9,9),(9,9)")]),
    # Cut off.
    ("<ref>a</ref><box>(1,2),(3,4)</box><ref>b</ref><box>(5,6),(7", [((1, 2, 3, 4), "a")]),
    ("<ref>a</ref><box>(1,2),(3,4)</box><quad>(5,6),(7,8),(9,", [((1, 2, 3, 4), "a")]),
    ("<ref>a</ref><box>(1,2),(3,4)</box><ref>b", [((1, 2, 3, 4), "a")]),
    # No places.
    ("It costs (3,50) in all.", []),
    ("<ref>cup</ref>", []),
    ("<box></box>", []),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), JSON)
@pytest.mark.parametrize("config", ["qwen2.5-vl", "qwen3-vl"])
def test_what_is_whole_in_json_is_found(text, found, config):
    assert parse(text, config) == [Region(places, label) for places, label in found]


@pytest.mark.parametrize(("text", "found"), TAGS)
def test_what_is_whole_between_tags_is_found(text, found):
    assert parse(text, "qwen2-vl") == [Region(places, label) for places, label in found]


@pytest.mark.parametrize(
    ("text", "config", "problem"),
    [
        ('{"bbox_2d": [0, 0, 1919, 1079]}', "qwen3-vl", "within 1000 x 1000"),
        ("<box>(1,2),(3,1001)</box>", "qwen2-vl", "within 1000 x 1000"),
        ('{"bbox_2d": [30, 40, 10, 20]}', "qwen3-vl", "upper left corner first"),
        ('{"bbox_2d": [30, 40, 10, 20]}', "qwen2.5-vl", "upper left corner first"),
        ('{"point_2d": [-1, 20]}', "qwen2.5-vl", "must lie within"),
    ],
)
def test_what_cannot_be_meant_says_so(text, config, problem):
    first, second = parse(text + text, config)
    assert problem in first.problem
    assert problem in second.problem


def test_kinds():
    kinds = [
        region.kind for region in parse("(1,2),(3,4),(5,6) (1,2),(3,4)<box>(1,2)</box>", "qwen2-vl")
    ]
    assert kinds == ["outline", "box", "point"]


@pytest.mark.parametrize("text", [b"bytes", None, ["list"]])
def test_text_must_be_a_string(text):
    with pytest.raises(TypeError, match="text must be a string"):
        parse(text, "qwen2-vl")


HOSTILE = [
    '{"', '{"\\', '"\\', "{", '{"a":[', '[{"bbox_2d":[[[[', "<ref>", "(1,2),", "(", '{"label":"',
    "{'bbox_2d': [1,", "(1,", '{"bbox_2d": [1,2', '" , ', "(1,2),(3,4)<", " ", "(1 ", '"label": ',
    '{"bbox_2d": [9', "[", "}", '}{"', "\\",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("prefix", ["", "{", '{"label": "', "<ref>", "(1"])
@pytest.mark.timeout(20)
def test_hostile_text_takes_no_more_time_than_other_text(piece, prefix):
    # At this length anything that grows with the square of it takes minutes.
    text = prefix + piece * (300_000 // len(piece)) + "}"
    for config in ("qwen2-vl", "qwen3-vl"):
        parse(text, config)
