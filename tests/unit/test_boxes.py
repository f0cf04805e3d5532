"""Boxes between an image, its tokens and each model's own coordinates."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

import qvl_fast
from qvl_fast import ModelConfig, boxes

SIZE = (1080, 1920)


@pytest.mark.parametrize(
    ("config", "written"),
    [
        ("qwen2-vl", [0, 250, 500, 1000]),
        # 1080x1920 is resized to 1092x1932.
        ("qwen2.5-vl", [0, 273, 966, 1092]),
        ("qwen3-vl", [0, 250, 500, 1000]),
    ],
)
def test_one_box_in_each_convention(config, written):
    original = [[0, 270, 960, 1080]]
    assert boxes.to_model(original, SIZE, config).tolist() == [written]
    assert boxes.from_model([written], SIZE, config).tolist() == original


def test_pixels_of_the_resized_image_follow_the_budget():
    config = ModelConfig.preset("qwen2.5-vl")
    small = replace(config, image=config.image.override(max_pixels=1280 * 784))
    _, rows, columns = qvl_fast.ImageProcessor(small.image, return_tensors="np")(
        np.zeros((*SIZE, 3), np.uint8)
    ).image_grid_thw[0]
    corner = boxes.to_model([[0, 0, 1920, 1080]], SIZE, small)
    assert corner.tolist() == [[0, 0, 14 * columns, 14 * rows]]


def test_without_resizing_pixels_are_those_of_the_image():
    config = ModelConfig.preset("qwen2.5-vl")
    config = replace(config, image=config.image.override(do_resize=False))
    assert boxes.to_model([[28, 28, 56, 84]], (84, 56), config).tolist() == [[28, 28, 56, 84]]


@pytest.mark.parametrize(
    ("rounding", "expected"), [("nearest", [[2, 2]]), ("floor", [[1, 2]]), ("none", [[1.5, 2.5]])]
)
def test_rounding_is_named(rounding, expected):
    found = boxes.to_model([[3, 5]], (2000, 2000), "qwen3-vl", rounding=rounding)
    assert found.tolist() == expected
    assert found.dtype == (np.float64 if rounding == "none" else np.int64)


@pytest.mark.parametrize(
    "name", ["clip-224", "llava-1.5-pad", "llava-next", "llava-onevision", "internvl", "qwen-vl"]
)
@pytest.mark.parametrize("size", [(480, 640), (900, 500)])
def test_boxes_lie_on_the_canvas_where_their_pixels_do(name, size):
    box = [size[1] // 2 - 90, size[0] // 2 - 60, size[1] // 2 + 60, size[0] // 2 + 100]
    image = np.zeros((*size, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    processor = qvl_fast.ImageProcessor(name, dtype="uint8", return_tensors="np")
    height, width = processor.resized_size(*size)
    tiles = processor(image).pixel_values.reshape(-1, *processor(image).pixel_values.shape[-3:])
    rows, columns = height // tiles.shape[2], width // tiles.shape[3]
    overview = processor.config.layout.overview
    tiles = tiles[-rows * columns :] if overview == "first" else tiles[: rows * columns]
    canvas = tiles.reshape(rows, columns, *tiles.shape[1:]).transpose(0, 3, 1, 4, 2)
    y, x = np.nonzero(canvas.reshape(height, width, 3)[..., 0] > 127)
    found = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    expected = boxes.convert([box], size, name, source="original", target="resized")[0]
    assert np.abs(found - expected).max() <= 1
    back = boxes.convert([expected], size, name, source="resized", target="original")
    np.testing.assert_allclose(back, [box], atol=1e-9)


def test_what_has_no_grid_of_tokens_says_so():
    with pytest.raises(ValueError, match="'internvl' has no grid of tokens"):
        boxes.tokens_at([[1, 1]], SIZE, "internvl")
    with pytest.raises(ValueError, match="'internvl' does not say how the model writes boxes"):
        boxes.to_model([[1, 1]], SIZE, "internvl")
    # HunyuanOCR's has a token at the end of each line besides.
    assert boxes.tokens_at([[33, 65]], (512, 768), "hunyuan-ocr").tolist() == [2 * 24 + 1]


def test_the_tags_of_qwen_vl():
    text = boxes.format([[0, 0, 960, 540]], SIZE, "qwen-vl", labels=["sky"])
    assert text == "<ref>sky</ref><box>(0,0),(500,500)</box>"
    (region,) = boxes.parse(text, "qwen-vl")
    assert (region.label, region.kind) == ("sky", "box")


def test_shapes_stay():
    for shape in [(2,), (4,), (3, 2), (3, 4), (3, 8), (0, 4), (2, 5, 2)]:
        assert boxes.to_model(np.ones(shape), SIZE, "qwen3-vl").shape == shape
    assert boxes.to_model([], SIZE, "qwen3-vl").shape == (0, 4)


def test_every_box_that_is_wrong_is_reported_by_its_index():
    wrong = [[0, 0, 1, 1], [0, 0, 1921, 5], [5, 5, 1, 9], [0, 0, float("nan"), 1], [-1, 0, 1, 1]]
    with pytest.raises(boxes.BoxError) as caught:
        boxes.to_model(wrong, SIZE, "qwen3-vl")
    assert [problem.index for problem in caught.value.problems] == [1, 2, 3, 4]
    assert "boxes[1] must lie within 1920 x 1080" in str(caught.value)
    assert "boxes[2] must name its upper left corner first, got (5, 5, 1, 9)" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems


def test_the_numbers_of_another_generation_are_reported():
    with pytest.raises(boxes.BoxError, match="within 1000 x 1000, this model's coordinates"):
        boxes.from_model([[0, 0, 1919, 1079]], SIZE, "qwen3-vl")
    with pytest.raises(boxes.BoxError, match="whose pixels are this model's coordinates"):
        boxes.from_model([[0, 0, 1000, 1000]], (280, 280), "qwen2.5-vl")


@pytest.mark.parametrize(
    ("values", "config", "error", "message"),
    [
        ([[1, 2, 3]], "qwen3-vl", ValueError, "must alternate x and y"),
        ([[1, 2], [1, 2, 3, 4]], "qwen3-vl", ValueError, "same number of points"),
        ([["a", "b"]], "qwen3-vl", TypeError, "must be numbers"),
        ([[1, 2]], "qwen9-vl", ValueError, "preset must be one of"),
        ([[1, 2]], ModelConfig.preset("qwen3-vl").image, TypeError, "how the model writes"),
        ([[1, 2]], ModelConfig(name="mine"), ValueError, "'mine' does not say how"),
    ],
)
def test_bad_arguments_are_named(values, config, error, message):
    with pytest.raises(error, match=message):
        boxes.to_model(values, SIZE, config)


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        ((0, 5), ValueError, "height must be between 1 and .*, got 0"),
        ((5, -1), ValueError, "width must be between 1 and .*, got -1"),
        ((1.5, 5), TypeError, "height must be an integer, got 1.5"),
        (7, TypeError, r"size must be \(height, width\), got 7"),
        ((1, 2, 3), TypeError, r"size must be \(height, width\), got \(1, 2, 3\)"),
    ],
)
def test_bad_sizes_are_named(size, error, message):
    for call in (
        lambda: boxes.to_model([[0, 0]], size, "qwen3-vl"),
        lambda: boxes.turn([[0, 0]], size, 6),
        lambda: boxes.tokens_at([[0, 0]], size, "qwen3-vl"),
        lambda: boxes.rectangles([0], size, "qwen3-vl"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_an_image_that_the_model_cannot_take_is_refused():
    with pytest.raises(ValueError, match="1000"):
        boxes.to_model([[0, 0]], (1, 1000), "qwen3-vl")


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match=r"rounding must be one of .*, got 'up'"):
        boxes.to_model([[0, 0]], SIZE, "qwen3-vl", rounding="up")
    with pytest.raises(ValueError, match=r"source must be one of .*, got 'up'"):
        boxes.convert([[0, 0]], SIZE, "qwen3-vl", source="up", target="model")
    with pytest.raises(ValueError, match=r"target must be one of .*, got 'up'"):
        boxes.convert([[0, 0]], SIZE, "qwen3-vl", source="model", target="up")


def test_tokens_take_points_boxes_and_integers():
    with pytest.raises(ValueError, match=r"points must be \(N, 2\)"):
        boxes.tokens_at([[0, 0, 1, 1]], SIZE, "qwen3-vl")
    with pytest.raises(ValueError, match=r"boxes must be \(N, 4\)"):
        boxes.tokens_under([[0, 0]], SIZE, "qwen3-vl")
    with pytest.raises(TypeError, match="tokens must be integers, got float64"):
        boxes.rectangles([0.5], SIZE, "qwen3-vl")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_pixels_do(orientation):
    rng = np.random.default_rng(orientation)
    for _ in range(20):
        height, width = rng.integers(3, 40, 2)
        x0, y0 = rng.integers(0, width), rng.integers(0, height)
        x1, y1 = rng.integers(x0 + 1, width + 1), rng.integers(y0 + 1, height + 1)
        stored = np.zeros((height, width), np.uint8)
        stored[y0:y1, x0:x1] = 1
        image = Image.fromarray(stored)
        image.getexif()[0x0112] = orientation
        upright = np.asarray(ImageOps.exif_transpose(image))
        rows, columns = np.nonzero(upright)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        turned = boxes.turn([[x0, y0, x1, y1]], upright.shape, orientation)
        assert turned.tolist() == [expected]
        back = boxes.turn(turned, upright.shape, orientation, back=True)
        assert back.tolist() == [[x0, y0, x1, y1]]


def test_outlines_and_other_orientations_are_not_turned():
    with pytest.raises(ValueError, match="orientation must be between 1 and 8, got 9"):
        boxes.turn([[0, 0]], SIZE, 9)
    with pytest.raises(ValueError, match=r"boxes must be \(..., 2\) or"):
        boxes.turn([[0, 0, 1, 1, 2, 0]], SIZE, 3)


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen3-vl"])
def test_tokens_tile_the_image(config):
    size = (100, 75)
    processor = qvl_fast.ImageProcessor(config, return_tensors="np")
    count = processor.num_tokens(*size)
    rectangles = boxes.rectangles(np.arange(count), size, config)
    assert rectangles[0, :2].tolist() == [0, 0]
    assert rectangles[-1, 2:].tolist() == [75, 100]
    areas = np.prod(rectangles[:, 2:] - rectangles[:, :2], axis=1)
    np.testing.assert_allclose(areas.sum(), 100 * 75)
    centres = (rectangles[:, :2] + rectangles[:, 2:]) / 2
    assert boxes.tokens_at(centres, size, config).tolist() == list(range(count))
    assert boxes.tokens_at([[75, 100]], size, config).tolist() == [count - 1]
    with pytest.raises(IndexError, match=f"{count} tokens, got {count}"):
        boxes.rectangles([count], size, config)


def test_tokens_under_a_box():
    # 280x280 pixels are 10x10 tokens of 28x28.
    under = boxes.tokens_under(
        [[0, 0, 28, 28], [27, 0, 29, 28], [14, 14, 14, 14], [280, 280, 280, 280], [0, 0, 280, 280]],
        (280, 280),
        "qwen2.5-vl",
    )
    assert under.tolist() == [
        [0, 0, 1, 1], [0, 0, 2, 1], [0, 0, 1, 1], [9, 9, 10, 10], [0, 0, 10, 10],
    ]  # fmt: skip


@pytest.mark.parametrize("config", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
def test_what_is_written_is_found(config):
    original = [[0, 0, 960, 540], [1, 2, 1920, 1080]]
    labels = ['a "big" [cup]', None]
    text = boxes.format(original, SIZE, config, labels=labels)
    regions = boxes.parse(text, config)
    assert [region.label for region in regions] == labels
    numbers = boxes.to_model(original, SIZE, config).tolist()
    assert [list(region.coordinates) for region in regions] == numbers


def test_one_generation_to_another():
    old = boxes.format([[0, 0, 960, 540]], SIZE, "qwen2.5-vl", labels=["sky"])
    old += boxes.format([[960, 540]], SIZE, "qwen2.5-vl")
    assert boxes.translate(f"Here: {old}", SIZE, "qwen2.5-vl", "qwen2-vl") == (
        "<|object_ref_start|>sky<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>"
        "\n<|box_start|>(500,500)<|box_end|>"
    )
    with pytest.raises(boxes.BoxError) as caught:
        boxes.translate("(0,0),(5,5)(1,1),(2000,5)", SIZE, "qwen2-vl", "qwen3-vl")
    assert [problem.index for problem in caught.value.problems] == [1]


@pytest.mark.parametrize(
    ("values", "labels", "config", "message"),
    [
        ([[0, 0, 1, 1]], ["a", "b"], "qwen3-vl", "labels must be one for each of 1 boxes, got 2"),
        ([[0, 0, 1, 1]], ["</ref>"], "qwen2-vl", None),
        ([[0, 0, 1, 1]], ["<|box_end|>"], "qwen2-vl", "none of the model's tags"),
        ([[0, 0, 1, 1, 2, 0]], None, "qwen3-vl", "writes no outlines"),
        ([[0, 0, 1, 1, 2, 0]], None, "qwen2-vl", "outlines of 4 points, got 3"),
        ([0, 0, 1, 1], None, "qwen3-vl", r"must be \(N, 2\), \(N, 4\)"),
    ],
)
def test_what_cannot_be_written_is_refused(values, labels, config, message):
    if message is None:
        assert boxes.format(values, SIZE, config, labels=labels)
        return
    with pytest.raises(ValueError, match=message):
        boxes.format(values, SIZE, config, labels=labels)
