"""Position ids by version of transformers: what versions that were run have answered.

In prompts t is text, S and E the markers around an item, I and V placeholders of images and videos,
0 padding, and a number after * how often what stands before it comes.
"""

import warnings
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from qvl_fast import RopeConfig, mrope_position_ids
from qvl_fast.index import position_classes

CONFIGS = {
    "Qwen2-VL": RopeConfig(),
    "Qwen2.5-VL": RopeConfig(tokens_per_second=2),
    "Qwen3-VL": RopeConfig(videos_in_groups=True),
}
CLASSES = ("4.49", "4.57", "5.2", "5.3", "5.5.4", "5.6", "5.18")
TYPES = {"0": -1, "t": 0, "S": 0, "E": 0, "I": 1, "V": 2}
pytestmark = pytest.mark.filterwarnings("ignore:positions .* reproduce a bug")


def tokens(prompt):
    pieces = (piece.partition("*") for piece in prompt.split())
    return "".join(token * int(count or 1) for token, _, count in pieces)


def ids_of(model, prompts, positions, seconds=None, **grids):
    """Kept ids ``(3, ...)`` of each row, the ids of padding, and deltas."""
    rows = [tokens(prompt) for prompt in prompts]
    types = np.array([[TYPES[token] for token in row] for row in rows])
    kept = types >= 0
    ids, deltas = mrope_position_ids(
        np.maximum(types, 0),
        config=CONFIGS[model],
        attention_mask=None if kept.all() else kept,
        second_per_grid_ts=None if seconds is None else np.array(seconds, np.float32),
        positions=positions,
        **grids,
    )
    padding = {int(value) for value in ids[:, ~kept].ravel()}
    return [ids[:, row, kept[row]].tolist() for row in range(len(rows))], padding, deltas.ravel()


def numbers(text):
    return [int(number) for number in text.split()]


# ------------------------------------------------------------------------------- known answers

VIDEO_A = {
    "4.57": ("0 1 2 2 3 3 4 4 5 6", -3),
    "5.2": ("0 1 2 2 3 3 4 4 5 6", 0),
    "5.3": ("0 1 2 2 2 2 2 2 4 5", -4),
    "5.6": ("0 1 2 2 3 3 4 4 4 5", -4),
}


@pytest.mark.parametrize("positions", VIDEO_A)
def test_a_video_of_qwen2(positions):
    time, delta = VIDEO_A[positions]
    prompt, grid = "t S V*6 E t", [(3, 2, 4)]
    [(t, h, w)], _, deltas = ids_of("Qwen2-VL", [prompt], positions, video_grid_thw=grid)
    time = numbers(time)
    after = time[-2:]
    assert (t, deltas.tolist()) == (time, [delta])
    assert h == [0, 1, *[2] * 6, *after]
    assert w == [0, 1, *[2, 3] * 3, *after]


VIDEO_B = {
    "4.57": ("0 1 2 2 2 2 3 3 3 3 4 5", "0 1 2 2 3 3 2 2 3 3 4 5", -6),
    "5.2": ("0 1 2 2 2 2 3 3 3 3 4 5", "0 1 2 2 3 3 2 2 3 3 4 5", 0),
    "5.3": ("0 1 2 2 2 2 2 2 2 2 4 5", "0 1 2 2 2 2 3 3 3 3 4 5", -6),
    "5.6": ("0 1 2 2 2 2 3 3 3 3 4 5", "0 1 2 2 3 3 2 2 3 3 4 5", -6),
}


@pytest.mark.parametrize("positions", VIDEO_B)
def test_the_heights_of_a_video_of_qwen2(positions):
    time, height, delta = VIDEO_B[positions]
    grid = [(2, 4, 4)]
    [ids], _, deltas = ids_of("Qwen2-VL", ["t S V*8 E t"], positions, video_grid_thw=grid)
    assert ids == [numbers(time), numbers(height), numbers("0 1 2 3 2 3 2 3 2 3 4 5")]
    assert deltas.tolist() == [delta]


PADDED = {
    "Qwen2-VL": {"4.57": (1, [-2, 0]), "5.2": (0, [0, 0]), "5.3": (0, [0, 0]), "5.6": (0, [0, 0])},
    "Qwen3-VL": {"4.57": (1, [-2, 0]), "5.2": (0, [-2, 0]), "5.3": (0, [0, 0]), "5.4": (0, [0, 0])},
}


@pytest.mark.parametrize(
    ("model", "positions"), [(model, name) for model, names in PADDED.items() for name in names]
)
def test_padding(model, positions):
    prompts, grids = ["0 0 t S I I E t", "t S I I E t t t"], [(1, 2, 4)] * 2
    rows, padding, deltas = ids_of(model, prompts, positions, image_grid_thw=grids)
    time = ["0 1 2 2 4 5", "0 1 2 2 4 5 6 7"]
    width = ["0 1 2 3 4 5", "0 1 2 3 4 5 6 7"]
    for ids, t, w in zip(rows, time, width, strict=True):
        assert ids == [numbers(t), numbers(t), numbers(w)]
    assert (padding, deltas.tolist()) == (
        {PADDED[model][positions][0]},
        PADDED[model][positions][1],
    )


SECONDS_A = {
    "4.49": ("0 1 2 2 5 5 8 8 9 10", 1),
    "4.57": ("0 1 2 2 4 4 6 6 7 8", -1),
    "5.2": ("0 1 2 2 4 4 6 6 7 8", -1),
    "5.3": ("0 1 4 4 4 4 4 4 4 5", -4),
    "5.5.4": ("0 1 4 4 4 4 4 4 4 5", -4),
    "5.6": ("0 1 2 2 4 4 6 6 4 5", -3),
    "5.18": ("0 1 2 2 5 5 8 8 4 5", -1),
}


@pytest.mark.parametrize("positions", CLASSES)
def test_a_video_with_seconds(positions):
    time, delta = SECONDS_A[positions]
    grid = [(3, 2, 4)]
    [ids], _, deltas = ids_of("Qwen2.5-VL", ["t S V*6 E t"], positions, [1.5], video_grid_thw=grid)
    assert (ids[0], deltas.tolist()) == (numbers(time), [delta])


SECONDS_B = {
    "4.49": ("0 1 2 3 4 5", 1, [-1, 0]),
    "4.57": ("0 1 2 2 3 4", 1, [-1, -1]),
    "5.2": ("0 1 2 2 3 4", 0, [-1, -1]),
    "5.5.4": ("0 1 0 0 3 4", 0, [0, -1]),
    "5.6": ("0 1 2 2 3 4", 0, [0, -1]),
    "5.18": ("0 1 2 3 3 4", 0, [0, -1]),
}


@pytest.mark.parametrize("positions", SECONDS_B)
def test_an_image_and_a_video_of_less_than_a_second(positions):
    time, pad, expected = SECONDS_B[positions]
    prompts = ["0 S I I E t", "t S V V E t"]
    grids = {"image_grid_thw": [(1, 2, 4)], "video_grid_thw": [(2, 2, 2)]}
    rows, padding, deltas = ids_of("Qwen2.5-VL", prompts, positions, [0.5], **grids)
    still = numbers("0 1 1 3 4")
    assert rows[0] == [still, still, numbers("0 1 2 3 4")]
    assert rows[1][0] == numbers(time)
    assert (padding, deltas.tolist()) == ({pad}, expected)


def test_images_of_5_3_use_up_seconds():
    """There the original runs out of seconds: StopIteration."""
    prompts = ["0 S I I E t", "t S V V E t"]
    grids = {"image_grid_thw": [(1, 2, 4)], "video_grid_thw": [(2, 2, 2)]}
    with pytest.raises(ValueError, match=r"second_per_grid_ts .* 2 images and videos"):
        ids_of("Qwen2.5-VL", prompts, "5.3", [0.5], **grids)


# Times, delta, and the id that the first token after the video has.
SECONDS_C = {
    "4.49": ("0 1 2 9 16 17 18 19 20 20 22", 12, 17),
    "4.57": ("0 1 2 8 14 15 16 17 18 18 20", 10, 15),
    "5.2": ("0 1 2 8 14 15 16 17 18 18 20", 10, 15),
    "5.3": ("0 1 12 12 12 3 4 5 12 12 8", 2, 3),
    "5.5.4": ("0 1 12 12 12 3 4 5 6 6 8", 2, 3),
    "5.6": ("0 1 2 8 14 3 4 5 6 6 8", 4, 3),
    "5.18": ("0 1 2 9 16 3 4 5 6 6 8", 6, 3),
}


@pytest.mark.parametrize("positions", CLASSES)
def test_a_video_and_then_an_image(positions):
    time, delta, b = SECONDS_C[positions]
    # The image takes the second entry in 5.3; the original ignores it elsewhere, we refuse it.
    seconds = [3.7, 1.0] if positions == "5.3" else [3.7]
    grids = {"image_grid_thw": [(1, 4, 2)], "video_grid_thw": [(3, 2, 2)]}
    prompt = "t S V V V E t S I I E"
    [ids], _, deltas = ids_of("Qwen2.5-VL", [prompt], positions, seconds, **grids)
    start = [0, 1, 2, 2, 2]
    assert ids[0] == numbers(time)
    assert ids[1] == [*start, b, b + 1, b + 2, b + 3, b + 4, b + 5]
    assert ids[2] == [*start, b, b + 1, b + 2, b + 3, b + 3, b + 5]
    assert deltas.tolist() == [delta]


@pytest.mark.parametrize("positions", ["4.57", "5.2", "5.3", "5.4"])
def test_a_video_of_qwen3(positions):
    prompt, grid = "t S V V E t S V V E t", [(2, 2, 4)]
    [ids], _, deltas = ids_of("Qwen3-VL", [prompt], positions, video_grid_thw=grid)
    time = numbers("0 1 2 2 4 5 6 7 7 9 10")
    assert ids == [time, time, list(range(11))]
    assert deltas.tolist() == [0]


@pytest.mark.parametrize(
    ("positions", "expected"),
    [("4.57", [-3, 0]), ("5.2", [-3, 0]), ("5.3", [-2, 0]), ("5.4", [-2, 0])],
)
def test_videos_and_an_image_of_qwen3(positions, expected):
    prompts = ["0 t S V*4 E", "t t S V E S I E"]
    grids = {"image_grid_thw": [(1, 2, 2)], "video_grid_thw": [(1, 4, 4), (1, 2, 2)]}
    rows, _, deltas = ids_of("Qwen3-VL", prompts, positions, **grids)
    assert rows[0] == [
        numbers("0 1 2 2 2 2 4"),
        numbers("0 1 2 2 3 3 4"),
        numbers("0 1 2 3 2 3 4"),
    ]
    assert rows[1] == [list(range(8))] * 3
    assert deltas.tolist() == expected


@pytest.mark.parametrize(("positions", "expected"), [("4.57", -1), ("5.2", -2), ("5.6", 0)])
def test_the_padding_of_a_row_of_one_token(positions, expected):
    """Without images and videos the original takes the largest id of padding, too."""
    _, _, deltas = ids_of("Qwen2.5-VL", ["0 0 t"], positions)
    assert deltas.tolist() == [expected]


# ------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.49.0", "4.49"),
        ("4.51.3", "4.49"),
        ("4.52", "4.57"),
        ("4.57.6", "4.57"),
        ("5.1.0", "4.57"),
        ("5.2.0.dev0", "5.2"),
        ("5.3.0rc1", "5.3"),
        ("5.5", "5.3"),
        ("5.5.3", "5.3"),
        ("5.5.4", "5.5.4"),
        ("5.6", "5.6"),
        ("5.17.1", "5.6"),
        ("5.18", "5.18"),
        ("5.24.0", "5.18"),
        ("6.0", "5.18"),
    ],
)
def test_versions_resolve_to_their_class(text, expected):
    rules = position_classes.resolve(text, None, CONFIGS["Qwen2.5-VL"])
    assert rules.name == expected


@pytest.fixture
def installed(monkeypatch):
    """Sets what version of transformers seems to be installed; None for none."""

    def pretend(text):
        def version(name):
            assert name == "transformers"
            if text is None:
                raise PackageNotFoundError(name)
            return text

        monkeypatch.setattr(position_classes, "version", version)
        position_classes._installed.cache_clear()

    yield pretend
    position_classes._installed.cache_clear()


@pytest.mark.parametrize(
    ("text", "as_in"), [("4.57.6", "4.57"), ("5.23.0", "5.18"), (None, "5.18"), ("4.40", "5.18")]
)
def test_the_default_is_the_installed_version(text, as_in, installed):
    installed(text)
    options = {"video_grid_thw": [(3, 2, 4)], "second_per_grid_ts": [1.5]}
    types = [[0, 0, *[2] * 6, 0, 0]]
    found = mrope_position_ids(types, config="qwen2.5-vl", **options)
    expected = mrope_position_ids(types, config="qwen2.5-vl", positions=as_in, **options)
    assert all(map(np.array_equal, found, expected))


# -------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("model", "positions", "kind", "warned"),
    [
        ("Qwen2-VL", "5.3", "video", True),
        ("Qwen2-VL", "5.5.4", "video", True),
        ("Qwen2-VL", "5.3", "image", False),
        ("Qwen2-VL", "5.6", "video", False),
        ("Qwen2.5-VL", "5.3", "image", True),
        ("Qwen2.5-VL", "5.5.4", "image", False),
        ("Qwen2.5-VL", "5.5.4", "video", True),
        ("Qwen2.5-VL", "4.57", "video", False),
        ("Qwen3-VL", "5.3", "video", False),
    ],
)
def test_a_bug_is_reproduced_with_a_warning(model, positions, kind, warned):
    number = {"image": 1, "video": 2}[kind]
    grids = {f"{kind}_grid_thw": [(1, 2, 2)]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mrope_position_ids([[0, number]], config=CONFIGS[model], positions=positions, **grids)
    assert [warning.filename for warning in caught] == [__file__] * warned
    assert all(f"positions {positions!r}" in str(warning.message) for warning in caught)
