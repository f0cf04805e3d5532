"""Pictures of what a model sees, checked by their pixels."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import qvl_fast
from qvl_fast import ModelConfig, boxes, diff, view
from qvl_fast.config import FAMILIES
from qvl_fast.processors.writing import Stream
from qvl_fast.views import gallery, view_frames

GREY = np.full((280, 420, 3), 100, np.uint8)  # 10 x 15 tokens of Qwen2.5-VL, not resized.
PLAIN = replace(ModelConfig.preset("qwen2.5-vl"), tower=None)  # Without windows.


def grid_of(seen):
    height, width = seen.pixels.shape[:2]
    return [[1, height // seen.patch_size, width // seen.patch_size]]


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def pixels_of(picture):
    return np.asarray(picture).astype(int)


def test_the_picture_is_what_the_rows_hold():
    image = np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8)
    seen = view(image, "qwen3-vl").seen
    height, width = qvl_fast.ImageProcessor("qwen3-vl").resized_size(300, 500)
    assert (seen.pixels == qvl_fast.resize(image, height, width)).all()
    assert (seen.original, seen.tokens) == ((300, 500), (height // 32, width // 32))


def test_lines_lie_where_tokens_begin():
    picture = pixels_of(view(GREY, PLAIN).image)
    expected = np.full((280, 420, 3), 100)
    expected[::28] = expected[:, ::28] = round((100 + 255) / 2)
    assert np.abs(picture - expected).max() <= 1


def test_neighbouring_windows_have_different_colours():
    seen = view(np.zeros((500, 700, 3), np.uint8), "qwen2.5-vl").seen
    windows = seen.windows.reshape(seen.tokens)
    picture = pixels_of(view(np.zeros((500, 700, 3), np.uint8), "qwen2.5-vl").image)
    colours = picture[14::28, 14::28]  # The middle of each token.
    for axis in (0, 1):
        other_window = np.diff(windows, axis=axis) != 0
        other_colour = (np.diff(colours, axis=axis) != 0).any(axis=-1)
        assert (other_window == other_colour).all()
    assert view(GREY, "qwen3-vl").seen.windows is None


def test_windows_are_those_of_the_plan():
    seen = view(np.zeros((500, 700, 3), np.uint8), "qwen2.5-vl").seen
    plan = qvl_fast.plan(grid_of(seen), "qwen2.5-vl")
    bounds = plan.cu_window_seqlens // 4
    for number, (first, last) in enumerate(pairwise(bounds)):
        assert (seen.windows[plan.window_index[first:last]] == number).all()


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen3-vl"])
def test_position_ids_are_those_of_the_language_model(config):
    seen = view(GREY, config).seen
    tokens = len(seen.positions)
    ids, _ = qvl_fast.mrope_position_ids(
        [[0, *[1] * tokens, 0]], config=config, image_grid_thw=grid_of(seen)
    )
    assert (ids[:, 0, 1:-1] == seen.positions.T).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_seen(family):
    image = np.full((300, 400, 3), 90, np.uint8)
    image[100:200, 100:300] = 255
    pixels = view(image, family).seen.pixels
    assert pixels.min() <= 90
    assert pixels.max() == 255


@pytest.mark.parametrize(
    ("config", "tiles"),
    [
        ("clip-224", (1, 1)),
        ("llava-next", (2, 2)),
        ("llava-onevision", (2, 2)),
        ("internvl", (3, 4)),
    ],
)
def test_families_that_cut_images_show_their_tiles(config, tiles):
    image = np.full((480, 640, 3), 90, np.uint8)
    image[100:200, 100:300] = 255
    shown = view(image, config, boxes=[[100, 100, 300, 200]])
    assert (shown.seen.cell, shown.seen.tokens) == ("tile", tiles)
    # The tiles are put together as they were cut: what is white is one rectangle, in its place, of
    # which a cubic filter rounds the corners.
    y, x = np.nonzero(shown.seen.pixels[..., 0] > 180)
    found = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert np.abs(np.array(found) - shown.places[0].resized).max() <= 1
    assert (found[2] - found[0]) * (found[3] - found[1]) - len(x) <= 16
    assert shown.places[0].note.endswith("pixels of what the model sees")
    main, *overview = data_of(shown.html)["images"]
    assert main["steps"][0]["positions"] is None
    assert len(overview) == (config != "clip-224")
    if overview:
        assert overview[0]["name"].endswith(": overview")
        tile = shown.seen.overview.pixels[..., 0] > 180
        ratio = tile.sum() / tile.size
        assert ratio == pytest.approx(100 * 200 / (480 * 640), rel=0.05)


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
def test_frames_of_a_video(config, monkeypatch):
    clip = np.random.default_rng(0).integers(0, 256, (5, 112, 168, 3), np.uint8)
    known = {"total_num_frames": 50, "fps": 10.0, "frames_indices": [0, 10, 20, 30, 40]}
    views = view_frames((clip, known), config)
    processor = qvl_fast.VideoProcessor(config, return_tensors="np")
    batch = processor((clip, known))
    (groups, height, width), merged = batch.video_grid_thw[0].tolist(), 4
    assert len(views) == 2 * groups == 6
    assert views[2].name.endswith("group 1 at 2.5 seconds, frame 1 of 2")
    # The last frame is there twice.
    assert (views[4].seen.pixels == views[5].seen.pixels).all()
    assert not (views[0].seen.pixels == views[1].seen.pixels).all()
    tokens = height * width // merged
    if config == "qwen3-vl":
        ids = views[4].seen.positions
        assert ids[0].tolist() == [1, 1, 1]
    else:
        ids, _ = qvl_fast.mrope_position_ids(
            [[0] + [2] * (groups * tokens)],
            config=config,
            video_grid_thw=batch.video_grid_thw,
            second_per_grid_ts=batch.get("second_per_grid_ts"),
        )
        assert (views[4].seen.positions == ids[:, 0, 1 + 2 * tokens :].T).all()
    asked = []
    monkeypatch.setattr(
        Stream, "frame", lambda stream, number: asked.append(number) or clip[number]
    )
    shown = view_frames((clip, known), config, most_groups=2)
    assert sorted(asked) == [0, 1, 2, 3]
    for ours, whole in zip(shown, views[:4], strict=True):
        assert ours.name == whole.name
        assert (ours.seen.pixels == whole.seen.pixels).all()
        assert (ours.seen.positions == whole.seen.positions).all()
        assert ours.seen.windows is None or (ours.seen.windows == whole.seen.windows).all()
    assert len(data_of(gallery(views))["images"]) == 6


def test_bad_arguments_of_views_are_named():
    clip = np.zeros((2, 56, 56, 3), np.uint8)
    with pytest.raises(ValueError, match=r"most_groups must be between 1 and .*, got 0"):
        view_frames(clip, "qwen2-vl", most_groups=0)
    with pytest.raises(ValueError, match="config 'clip-224' does not describe the video"):
        view_frames(clip, "clip-224")
    with pytest.raises(TypeError, match="config must be a preset's name or a ModelConfig"):
        view(GREY, PLAIN.image)
    with pytest.raises(TypeError, match="boxes must be numbers"):
        view(GREY, PLAIN, boxes=[boxes.Region((1.0, 2.0)), "box"])
    assert view(GREY, PLAIN, boxes=[]).places == []


def test_scores_colour_their_tokens():
    scores = np.zeros(150)
    scores[17], scores[18] = 4.0, 2.0
    picture = pixels_of(view(GREY, PLAIN, scores=scores).image)
    middle = picture[14::28, 14::28].reshape(150, 3)
    plain = (middle == 100).all(axis=1)
    assert np.flatnonzero(~plain).tolist() == [17, 18]
    orange = np.array([0xD5, 0x5E, 0x00])
    assert np.abs(middle[17] - orange).sum() < np.abs(middle[18] - orange).sum()


@pytest.mark.parametrize("scores", [np.zeros(149), np.full(150, np.nan), np.zeros((10, 15))])
def test_scores_must_be_one_for_each_token(scores):
    with pytest.raises(ValueError, match="scores must be a finite number for each of 150 tokens"):
        view(GREY, PLAIN, scores=scores)


def test_boxes_lie_where_the_arithmetic_says():
    image = np.full((560, 840, 3), 100, np.uint8)
    small = replace(PLAIN, image=PLAIN.image.override(max_pixels=280 * 420))
    shown = view(image, small, boxes=[[100, 60, 300, 200]])  # Half of that when resized.
    yellow = (pixels_of(shown.image) == [0xF0, 0xE4, 0x42]).all(axis=-1)
    rows, columns = np.nonzero(yellow)
    assert abs(rows.min() - 30) <= 1
    assert abs(rows.max() - 100) <= 1
    assert abs(columns.min() - 50) <= 1
    assert abs(columns.max() - 150) <= 1
    (place,) = shown.places
    assert place.note == "5 x 3 tokens, 100 x 70 pixels of what the model sees"


def test_answers_are_drawn_and_those_that_cannot_be_are_listed():
    text = boxes.format([[0, 0, 40, 40]], (280, 420), PLAIN, labels=["cup"])
    text += boxes.format([[5, 5]], (280, 420), PLAIN, labels=["dot"])
    shown = view(GREY, PLAIN, text + '{"bbox_2d": [0, 0, 999, 999], "label": "far"}')
    assert [place.label for place in shown.places] == ["cup", "dot", "far"]
    assert shown.places[0].resized == (0, 0, 40, 40)
    assert shown.places[2].resized is None
    assert "must lie within 420 x 280" in shown.places[2].note
    with pytest.raises(boxes.BoxError):
        view(GREY, PLAIN, [[0, 0, 999, 999]])


@pytest.mark.parametrize("config", ["qwen2.5-vl", "qwen3-vl", "glm-4.1v"])
def test_smaller_budgets_are_of_tokens(config):
    image = np.zeros((1000, 1500, 3), np.uint8)
    shown = view(image, config)
    tokens = [seen.tokens[0] * seen.tokens[1] for seen in shown.smaller]
    assert len(tokens) == 3
    for budget, used in zip((64, 256, 1024), tokens, strict=True):
        assert 0.8 * budget < used <= budget
    assert view(image, "siglip2-naflex").smaller == []  # which no bound makes smaller


def test_the_page_holds_its_data_and_nothing_else_of_the_world():
    shown = view(GREY, "qwen2.5-vl", [[0, 0, 40, 40]])
    (image,) = data_of(shown.html)["images"]
    assert [step["tokens"] for step in image["steps"]] == [
        list(seen.tokens) for seen in (*shown.smaller, shown.seen)
    ]
    assert image["steps"][-1]["positions"] == shown.seen.positions.tolist()
    assert image["steps"][-1]["windows"] == shown.seen.windows.tolist()
    assert not re.search(r"https?://|//cdn|@import|url\(", shown.html.replace("http-equiv", ""))


def test_text_from_outside_is_never_markup(tmp_path):
    name = "<img src=x onerror=alert(1)>.png"
    Image.fromarray(GREY).save(tmp_path / name)
    hostile = '{"bbox_2d": [0, 0, 9, 9], "label": "</script><script>alert(1)</script>"}'
    page = view(tmp_path / name, PLAIN, hostile).html
    assert page.count("</script>") == 2  # Those of the template.
    assert "<img" not in page
    (image,) = data_of(page)["images"]
    assert image["name"].endswith(name)
    assert image["places"][0]["label"] == "</script><script>alert(1)</script>"


def test_files_by_their_ending(tmp_path):
    shown = view(GREY, PLAIN)
    shown.save(tmp_path / "page.html")
    shown.save(tmp_path / "picture.png")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == shown.html
    with Image.open(tmp_path / "picture.png") as picture:
        assert (pixels_of(picture) == pixels_of(shown.image)).all()
    with pytest.raises(ValueError, match="unknown file extension"):
        shown.save(tmp_path / "picture.xyz")


def test_notebooks():
    shown = view(GREY, PLAIN)
    assert shown._repr_png_().startswith(b"\x89PNG")
    frame = shown._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert 'sandbox="allow-scripts"' in frame
    assert "<canvas" not in frame  # All of the page is escaped.


def test_several_images_make_one_page():
    page = gallery([view(GREY, PLAIN), view(GREY[:140], "qwen3-vl")])
    assert [image["config"] for image in data_of(page)["images"]] == ["qwen2.5-vl", "qwen3-vl"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("temporal", ["full", "compact"])
def test_differences_are_counted_and_framed(dtype, temporal):
    processor = qvl_fast.ImageProcessor(PLAIN, dtype=dtype, temporal=temporal, return_tensors="np")
    image = GREY.copy()
    a = processor(image)
    image[28:42, 56:60, 1] += 3  # In patch 0 of token (1, 2).
    image[0, 0, 2] -= 1
    b = processor(image)
    found = diff(a.pixel_values, b.pixel_values, a.image_grid_thw, PLAIN)
    assert not found.equal
    assert found.patches.tolist() == [0, 4 * (15 + 2)]
    assert found.levels == pytest.approx(3, rel=1e-5)
    assert str(found) == "2 of 600 patches differ, by at most 3 of 255 levels"
    framed = (pixels_of(found.image) == [0xD5, 0x5E, 0x00]).all(axis=-1)
    ring = 14 * 14 - 10 * 10
    assert framed[28:42, 56:70].sum() == framed[:14, :14].sum() == ring
    assert framed.sum() == 2 * ring


@pytest.mark.parametrize("config", ["qwen3-vl", "hunyuan-ocr"])
def test_the_frame_is_around_the_pixels_that_differ(config):
    # By merged blocks in one, line by line in the other.
    image = np.full((512, 768, 3), 100, np.uint8)
    processor = qvl_fast.ImageProcessor(config, return_tensors="np")
    a = processor(image)
    image[16 * 5 : 16 * 6, 16 * 7 : 16 * 8] += 1
    b = processor(image)
    model = ModelConfig.preset(config)
    found = diff(a.pixel_values, b.pixel_values, a.image_grid_thw, model)
    assert (found.seen.pixels.shape, len(found.patches)) == ((512, 768, 3), 1)
    rows, columns = np.nonzero((pixels_of(found.image) == [0xD5, 0x5E, 0x00]).all(axis=-1))
    assert (rows.min(), rows.max() + 1) == (16 * 5, 16 * 6)
    assert (columns.min(), columns.max() + 1) == (16 * 7, 16 * 8)


def test_equal_rows():
    rows = qvl_fast.ImageProcessor(PLAIN)(GREY)
    found = diff(rows.pixel_values, rows.pixel_values.clone(), rows.image_grid_thw, PLAIN)
    assert found.equal
    assert str(found) == "equal"
    assert found.levels == 0


def test_rows_that_cannot_be_compared_are_refused():
    rows = qvl_fast.ImageProcessor(PLAIN, return_tensors="np")(GREY)
    with pytest.raises(ValueError, match="a and b must have the same shape"):
        diff(rows.pixel_values, rows.pixel_values[:-1], rows.image_grid_thw, PLAIN)
    with pytest.raises(ValueError, match="grid_thw must be that of one image"):
        diff(rows.pixel_values, rows.pixel_values, [[1, 20, 15], [1, 20, 15]], PLAIN)
    with pytest.raises(TypeError, match="b must be an array"):
        diff(rows.pixel_values, "rows", rows.image_grid_thw, PLAIN)


def test_frames_of_a_video_that_are_tiles():
    clip = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)
    views = view_frames(clip, "internvl", most_groups=2)
    assert len(views) == 2
    for frame, one in zip(clip, views, strict=False):
        assert np.array_equal(one.seen.pixels, qvl_fast.resize(frame, 448, 448))


def test_views_are_compared_as_objects_and_printed_in_a_line():
    rows = qvl_fast.ImageProcessor(PLAIN, return_tensors="np")(GREY)
    views = [view(GREY, PLAIN, boxes=[[0, 0, 50, 50]]) for _ in range(2)]
    same = rows.pixel_values, rows.pixel_values, rows.image_grid_thw, PLAIN
    for first, second in (views, [each.seen for each in views], [diff(*same) for _ in range(2)]):
        assert first == first
        assert first != second
        assert len({first, second}) == 2
        assert "\n" not in repr(first)
        assert len(repr(first)) < 1000
    assert repr(views[0].seen) == "Seen('qwen2.5-vl', original=(280, 420), resized=(280, 420))"
