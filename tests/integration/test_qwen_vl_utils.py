"""Our functions equal those of the installed qwen_vl_utils, and serve who calls them."""

import base64
import inspect
import io
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import qwen_vl_utils as stock
import torch
from PIL import Image
from qwen_vl_utils import vision_process

from qvl_fast import ImageError, ImageProcessor
from qvl_fast._input.errors import VideoError
from qvl_fast.integrations import qwen_vl_utils as ours
from qvl_fast.integrations.qwen_vl_utils.sampling import sampled_indices

MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "I;16", "CMYK")


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    ours.uninstall()


def noise(rng, height, width, mode="RGB"):
    """A picture of any mode; palettes have a transparent entry."""
    picture = Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8), "RGBA")
    if mode == "P":
        picture = picture.convert("RGB").quantize(16)
        picture.info["transparency"] = 3
        return picture
    if mode in ("PA", "I;16"):
        return picture.convert("RGB").convert({"PA": "P", "I;16": "L"}[mode]).convert(mode)
    return picture.convert(mode)


def encoded(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def outcome(function, *args, **kwargs):
    """What a call returns, pixels as bytes, or the type of what it raises."""
    try:
        result = function(*args, **kwargs)
    except (AssertionError, ValueError) as error:
        # Theirs divides by a side of zero.
        return ValueError if isinstance(error, ValueError) else AssertionError
    except ZeroDivisionError:
        return ValueError
    return comparable(result)


def comparable(result):
    if isinstance(result, Image.Image):
        return result.mode, result.size, result.tobytes()
    if isinstance(result, torch.Tensor):
        return result.dtype, result.shape, result.numpy().tobytes()
    if isinstance(result, list | tuple):
        return type(result), [comparable(item) for item in result]
    if isinstance(result, dict):
        return {key: comparable(value) for key, value in result.items()}
    return result


# Known answers.


@pytest.mark.parametrize(
    ("size", "element", "patch", "expected"),
    [
        ((100, 75), {}, 14, (112, 84)),
        ((100, 75), {}, 16, (96, 64)),
        ((20, 20), {}, 14, (56, 56)),
        ((1, 150), {}, 14, (28, 140)),
        ((70, 42), {}, 14, (56, 56)),
        ((60, 90), {"resized_height": 50, "resized_width": 200}, 14, (56, 196)),
        ((60, 90), {"resized_height": 50}, 14, (56, 84)),
        ((300, 400), {"max_pixels": 15680}, 14, (84, 140)),
        ((300, 400), {"min_pixels": 313600}, 14, (504, 672)),
        ((300, 400), {"image": None, "min_pixels": None}, 14, (308, 392)),
    ],
)
def test_sizes_of_images(size, element, patch, expected):
    picture = Image.new("RGB", size[::-1])
    for module in (ours, stock):
        width, height = module.fetch_image({**element, "image": picture}, patch).size
        assert (height, width) == expected


def test_smart_resize_may_leave_nothing():
    assert ours.smart_resize(28, 5000, 28, 3136, 7840) == (0, 1176)
    with pytest.raises(ValueError, match="height must be"):
        ours.fetch_image({"image": Image.new("RGB", (5000, 28)), "max_pixels": 7840})


@pytest.mark.parametrize(
    ("element", "patch", "expected"),
    [
        ({}, 14, (6, 3, 280, 392)),
        ({}, 16, (6, 3, 384, 384)),  # each frame is first brought to multiples of 64
        ({"min_pixels": 7840, "max_pixels": 15680}, 14, (6, 3, 84, 140)),
    ],
)
def test_sizes_of_frames(element, patch, expected):
    frames = [Image.new("RGB", (150, 100))] * 5
    for module in (ours, stock):
        assert module.fetch_video({**element, "video": frames}, patch).shape == expected


def test_max_pixels_of_a_video_below_its_least():
    element = {"video": [Image.new("RGB", (150, 100))] * 5, "max_pixels": 94080}
    for module in (ours, stock):
        with pytest.raises(AssertionError, match="pixels"):
            module.fetch_video(element)


# Random parity. Sides of one digit and thin ones are where rules of sizes go wrong.


def random_bounds(rng):
    bounds = {}
    if rng.random() < 0.3:
        bounds["max_pixels"] = int(rng.integers(1, 200_000))
    if rng.random() < 0.3:
        bounds["min_pixels"] = int(rng.integers(1, 200_000))
    for name in ("resized_height", "resized_width"):
        if rng.random() < 0.2:
            bounds[name] = int(rng.integers(1, 400))
    return bounds


def test_random_sizes():
    rng = np.random.default_rng(0)
    for case in range(20_000):
        height, width = np.exp(rng.uniform(0, 9, 2)).astype(int).tolist()
        factor = int(rng.choice([28, 32, 56, 64]))
        bounds = [None if rng.random() < 0.4 else float(np.exp(rng.uniform(3, 17))) for _ in "ab"]
        arguments = (height, width, factor, *bounds)
        expected = outcome(stock.smart_resize, *arguments)
        assert outcome(ours.smart_resize, *arguments) == expected, f"case {case}: {arguments}"


def test_random_images(utils_cases):
    for number, rng in utils_cases:
        mode = str(rng.choice(MODES))
        height, width = np.exp(rng.uniform(0, 6, 2)).astype(int).tolist()
        element = {"type": "image", **random_bounds(rng)}
        element[str(rng.choice(["image", "image_url"]))] = noise(rng, height, width, mode)
        patch = int(rng.choice([14, 16]))
        expected = outcome(stock.fetch_image, element, patch)
        case = f"case {number}: {mode} {height}x{width} {element}, {patch}"
        assert outcome(ours.fetch_image, element, image_patch_size=patch) == expected, case


def test_random_videos(utils_cases):
    for number, rng in utils_cases:
        height, width = np.exp(rng.uniform(1, 5, 2)).astype(int).tolist()
        frames = [noise(rng, height, width) for _ in range(rng.integers(1, 6))]
        element = {"type": "video", "video": frames, **random_bounds(rng)}
        for name in ("sample_fps", "raw_fps"):
            if rng.random() < 0.4:
                element[name] = float(rng.uniform(0.5, 30))
        if rng.random() < 0.3:
            element["total_pixels"] = int(rng.integers(1, 2_000_000))
        arguments = (element, int(rng.choice([14, 16])), *rng.choice([True, False], 2).tolist())
        expected = outcome(stock.fetch_video, *arguments)
        case = f"case {number}: {len(frames)} of {height}x{width} {arguments}"
        assert outcome(ours.fetch_video, *arguments) == expected, case


VIDEO = Path(__file__).parents[3] / "shared/data/cookbook/v_rBMQFpHspmo.mp4"


@pytest.mark.skipif(not VIDEO.exists(), reason="the cookbook's video is not there")
@pytest.mark.parametrize(
    "sampling",
    [
        {"nframes": 6},
        {"fps": 0.1},
        {"fps": 1.5, "video_start": 3.3, "video_end": 7.25, "max_frames": 5},
        {"min_frames": 9, "video_end": 5, "resized_height": 90, "resized_width": 120},
    ],
)
@pytest.mark.usefixtures("torchcodec")
def test_files(sampling, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr(vision_process, "FORCE_QWENVL_VIDEO_READER", "torchcodec")
    vision_process.get_video_reader_backend.cache_clear()
    for source in (str(VIDEO), f"file://{VIDEO}"):
        element = {"video": source, "max_pixels": 200_000, **sampling}
        (frames, metadata), sample_fps = ours.fetch_video(element, 16, True, True)
        (expected, their_metadata), their_fps = stock.fetch_video(element, 16, True, True)
        assert comparable(frames) == comparable(expected)
        assert sample_fps == their_fps
        # Whose reader it was is the one thing in which they differ.
        assert (metadata.pop("video_backend"), their_metadata.pop("video_backend")) == (
            "pyav",
            "torchcodec",
        )
        assert metadata == their_metadata


def test_random_sampling(utils_cases):
    for number, rng in utils_cases:
        for _ in range(20):
            total, fps = int(rng.integers(1, 5000)), float(rng.choice([23.976, 25, 29.97, 7.5]))
            element = {}
            if rng.random() < 0.3:
                element["nframes"] = int(rng.integers(1, 100))
            if rng.random() < 0.3:
                element["fps"] = float(rng.uniform(0.1, 40))
            for name in ("min_frames", "max_frames"):
                if rng.random() < 0.3:
                    element[name] = int(rng.integers(1, 400))
            for name in ("video_start", "video_end"):
                if rng.random() < 0.3:
                    element[name] = float(rng.uniform(-5, 100))
            expected = outcome(stock_indices, element, total, fps)
            found = outcome(sampled_indices, element, total, fps)
            assert found == expected, f"case {number}: {element}, {total} at {fps}"


def stock_indices(element, total, fps):
    first, last, among = vision_process.calculate_video_frame_range(element, total, fps)
    count = vision_process.smart_nframes(element, among, fps)
    return torch.linspace(first, last, count).round().long().tolist(), among


def test_photographs(photographs):
    content = [{"type": "image", "image": f"file://{file}"} for file in photographs[:8]]
    conversation = [{"role": "user", "content": content}]
    assert comparable(ours.process_vision_info(conversation)) == comparable(
        stock.process_vision_info(conversation)
    )


# Forms of images.


def test_forms_of_images(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "a.png").write_bytes(encoded(noise(rng, 50, 70, "RGBA")))
    text = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    lines = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    for source in (
        str(tmp_path / "a.png"),
        f"file://{tmp_path}/a.png",
        f"data:image/png;base64,{text}",
        f"data:image;base64,{lines}",
        Image.open(tmp_path / "a.png"),
    ):
        expected = comparable(stock.fetch_image({"image": source}))
        assert comparable(ours.fetch_image({"image": source})) == expected
        assert comparable(ours.fetch_image({"image_url": source, "image": source})) == expected
    # Theirs takes neither of these.
    for source in ((tmp_path / "a.png").read_bytes(), tmp_path / "a.png"):
        assert comparable(ours.fetch_image({"image": source})) == expected


def test_downloads_go_through_fetch():
    file = encoded(noise(np.random.default_rng(0), 50, 80))
    asked = []

    def fetch(text):
        asked.append(text)
        return file

    content = [{"image": f"https://host/{n}.png"} for n in range(3)]
    images, videos = ours.process_vision_info([{"role": "user", "content": content}], fetch=fetch)
    assert sorted(asked) == [f"https://host/{n}.png" for n in range(3)]
    assert [image.size for image in images] == [(84, 56)] * 3  # width, height
    assert videos is None


def test_exif_by_name(tmp_path):
    picture = noise(np.random.default_rng(0), 56, 84)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    path = tmp_path / "sideways.png"
    path.write_bytes(encoded(picture, exif=exif))
    element = {"image": str(path)}
    assert comparable(ours.fetch_image(element)) == comparable(stock.fetch_image(element))
    turned = ours.fetch_image(element, exif=True)
    assert comparable(turned) == comparable(picture.transpose(Image.Transpose.ROTATE_270))
    conversation = [{"role": "user", "content": [element]}]
    (image,), _ = ours.process_vision_info(conversation, exif=True)
    assert comparable(image) == comparable(turned)
    ours.install(exif=True)
    assert comparable(stock.fetch_image(element)) == comparable(turned)


# Conversations.


def conversations(rng):
    picture, frames = noise(rng, 60, 80), [noise(rng, 60, 80) for _ in range(3)]
    return [
        [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare"},
                    {"type": "image", "image": picture, "max_pixels": 28 * 28 * 8},
                    {"type": "video", "video": frames, "sample_fps": 4.0, "raw_fps": 24.0},
                ],
            },
        ],
        [{"role": "user", "content": [{"type": "image_url", "image_url": noise(rng, 30, 40)}]}],
    ]


@pytest.mark.parametrize("kwargs", [False, True])
@pytest.mark.parametrize("metadata", [False, True])
def test_conversations(kwargs, metadata):
    both = conversations(np.random.default_rng(0))
    text = [[{"role": "user", "content": [{"type": "text", "text": "No picture"}]}]]
    for messages in (both, both[0], both[1], text):
        for patch in (14, 16):
            arguments = (messages, kwargs, metadata, patch)
            assert comparable(ours.process_vision_info(*arguments)) == comparable(
                stock.process_vision_info(*arguments)
            )


@pytest.mark.parametrize(
    ("messages", "error", "words"),
    [
        ([], ValueError, "messages must hold at least one message"),
        ("text", TypeError, "messages must be a list"),
        ([["text"]], TypeError, "a message must be a mapping"),
        ([{"content": ["text"]}], TypeError, "an element of a message must be a mapping"),
        ([{"content": [{"type": "image"}]}], ValueError, "must have an image, image_url or video"),
        ([{"content": [{"image": None}]}], ImageError, "image must be a path.*NoneType"),
        ([{"content": [{"image": {"url": "a"}}]}], ImageError, "must have 'bytes' or a 'path'"),
        ([{"content": [{"image": np.zeros((9, 9, 3))}]}], ImageError, "must not be an array"),
        ([{"content": [{"image": b"no image"}]}], ImageError, "cannot be decoded"),
        ([{"content": [{"image": "data:image/png;base64,!!"}]}], ImageError, "cannot be decoded"),
        ([{"content": [{"image": "no/such.png"}]}], FileNotFoundError, "no/such.png"),
        ([{"content": [{"image": Image.new("RGB", (3000, 10))}]}], ValueError, "aspect ratio"),
        ([{"content": [{"image": Image.new("RGB", (0, 10))}]}], ValueError, "no pixels"),
        ([{"content": [{"video": []}]}], ValueError, "at least one picture"),
        ([{"content": [{"video": torch.zeros(2, 3, 9, 9)}]}], TypeError, "video must be a path"),
        ([{"content": [{"video": b"no video"}]}], VideoError, "cannot be"),
        ([{"content": [{"video": "no/such.mp4"}]}], FileNotFoundError, "no/such.mp4"),
    ],
)
def test_bad_input(messages, error, words):
    with pytest.raises(error, match=words):
        ours.process_vision_info(messages)


def test_pictures_of_different_sizes():
    frames = [Image.new("RGB", size) for size in ((100, 100), (100, 300))]
    with pytest.raises(ValueError, match="pictures of a video must get one size"):
        ours.fetch_video({"video": frames})


# Programs.


def test_verl_and_slime_look_at_signatures():
    """Both pass what the signature of `process_vision_info` lists and leave out the rest."""
    for name in ("process_vision_info", "fetch_image", "fetch_video", "smart_resize"):
        theirs = inspect.signature(getattr(stock, name)).parameters
        mine = inspect.signature(getattr(ours, name)).parameters
        positional = {
            key: value.default
            for key, value in mine.items()
            if value.kind is not value.KEYWORD_ONLY
        }
        assert positional == {key: value.default for key, value in theirs.items()}, name
        assert list(positional) == list(theirs), name
    given = {"image_patch_size": 16, "return_video_kwargs": True, "return_audio": True}
    parameters = inspect.signature(ours.process_vision_info).parameters
    taken = {key: value for key, value in given.items() if key in parameters}
    messages = conversations(np.random.default_rng(0))
    assert len(ours.process_vision_info(messages, **taken)) == 3


def test_megatron_bridge_imports_before():
    """It, NeMo and others hold the function that they imported before anything was installed."""
    importer = SimpleNamespace(process_vision_info=stock.process_vision_info)
    messages = conversations(np.random.default_rng(0))
    expected = comparable(importer.process_vision_info(messages))
    signature = inspect.signature(importer.process_vision_info)
    before = [importer.process_vision_info.__code__, vision_process.fetch_video.__defaults__]

    ours.install()
    assert importer.process_vision_info is stock.process_vision_info
    assert inspect.signature(importer.process_vision_info) == signature
    assert comparable(importer.process_vision_info(messages)) == expected
    # What only ours says shows whose it is.
    with pytest.raises(ValueError, match="messages must hold at least one message"):
        importer.process_vision_info([])
    with pytest.raises(ValueError, match="must be at most 200, got 1000"):
        stock.smart_resize(1, 1000, 28)

    ours.uninstall()
    assert [
        importer.process_vision_info.__code__,
        vision_process.fetch_video.__defaults__,
    ] == before
    with pytest.raises(IndexError):
        importer.process_vision_info([])


def test_installing_keeps_to_what_it_put_there(monkeypatch):
    code = stock.fetch_image.__code__
    ours.install()
    ours.install()
    vision_process.fetch_image.__code__ = (lambda ele, image_patch_size=14: "theirs").__code__
    ours.uninstall()
    assert stock.fetch_image({}) == "theirs"
    vision_process.fetch_image.__code__ = code
    ours.uninstall()

    monkeypatch.setattr(vision_process, "fetch_image", lambda element: element)
    before = stock.process_vision_info.__code__
    with pytest.raises(ImportError, match=r"fetch_image of qwen_vl_utils must be a function of"):
        ours.install()
    assert stock.process_vision_info.__code__ is before


def test_ms_swift_sets_constants(monkeypatch):
    """It writes its settings into the module, then resizes there and calls with do_resize=False."""
    picture = noise(np.random.default_rng(0), 300, 400)
    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 20)
    monkeypatch.setattr(vision_process, "VIDEO_MIN_TOKEN_NUM", 8)
    monkeypatch.setattr(vision_process, "VIDEO_MAX_TOKEN_NUM", 12)
    expected = comparable(
        [stock.fetch_image({"image": picture}), stock.fetch_video({"video": [picture] * 4})]
    )
    ours.install()
    image, video = (
        stock.fetch_image({"image": picture}),
        stock.fetch_video({"video": [picture] * 4}),
    )
    assert comparable([image, video]) == expected
    assert image.size == (140, 84)
    assert video.shape[2:] == (56, 112)
    batch = ImageProcessor("qwen2.5-vl", do_resize=False)(image)
    assert batch.image_grid_thw.tolist() == [[1, 6, 10]]


@pytest.mark.parametrize("name", ["MAX_RATIO", "FRAME_FACTOR"])
def test_constants_that_must_stay(monkeypatch, name):
    monkeypatch.setattr(vision_process, name, 3)
    with pytest.raises(ValueError, match=rf"{name} of qwen_vl_utils must be \d+, got 3"):
        ours.fetch_video({"video": [Image.new("RGB", (100, 100))] * 2})


def test_no_least_area():
    element = {"image": Image.new("RGB", (100, 75)), "min_pixels": 0}
    assert ours.fetch_image(element).size == stock.fetch_image(element).size


def test_model_seq_len_bounds_a_video(monkeypatch):
    monkeypatch.setattr(vision_process, "MODEL_SEQ_LEN", 1000)
    element = {"video": [noise(np.random.default_rng(0), 300, 400)] * 4}
    assert comparable(ours.fetch_video(element)) == comparable(stock.fetch_video(element))


def test_too_large_a_bound_is_said(caplog):
    element = {"video": [Image.new("RGB", (100, 100))] * 2, "max_pixels": 10**9}
    with caplog.at_level(logging.WARNING):
        ours.fetch_video(element)
    assert "max_pixels=1000000000 of a video exceeds its limit of" in caplog.text
