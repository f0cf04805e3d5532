"""Random calls of the drop-ins and of the stock classes: the same results and the same errors.

``--image-drop-in-cases``, ``--file-drop-in-cases``, ``--video-drop-in-cases`` and
``--campaign-seed`` choose how many and which; a case is known by the seed and its number.
"""

import base64
import io
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from transformers.image_utils import ChannelDimension, PILImageResampling

from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing `min_pixels` and `max_pixels`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning"),
]

# Ours names the image and says what is wrong with it; stock fails where it comes to it.
CLEARER = (RuntimeError, ZeroDivisionError)


def some(rng, choices, chance):
    """Each of the choices with some chance; a list of values stands for one of them."""
    chosen = {name: values for name, values in choices.items() if rng.random() < chance}
    return {name: values[rng.integers(len(values))] for name, values in chosen.items()}


def made(kind, settings):
    # The constructor of stock writes into a size that it is given.
    return kind(**deepcopy(settings))


def outcome(call):
    try:
        return call()
    except Exception as error:
        return error


def difference(want, got):
    """How an outcome differs from stock's."""
    if isinstance(want, Exception):
        clearer = isinstance(want, CLEARER) and isinstance(got, ValueError)
        return None if isinstance(got, type(want)) or clearer else f"{got!r} instead of {want!r}"
    if isinstance(got, Exception):
        return f"{got!r} instead of a result"
    if type(got) is not type(want) or list(got) != list(want):
        return f"{type(got)} of {list(got)} instead of {type(want)} of {list(want)}"
    for name in want:
        if name == "video_metadata":
            if repr(got[name]) != repr(want[name]):
                return f"{name} {got[name]} instead of {want[name]}"
        elif type(got[name]) is not type(want[name]) or got[name].dtype != want[name].dtype:
            return f"{name} is of {type(got[name])}, {got[name].dtype}"
        elif got[name].shape != want[name].shape or not np.array_equal(
            bits(got[name]), bits(want[name])
        ):
            return f"{name} has other values"
    return None


def bits(values):
    return np.ascontiguousarray(values).view(np.uint8)


# ---------------------------------------------------------------------------------------- options

COMMON = {
    "size": [
        {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 40},
        {"shortest_edge": 20_000, "longest_edge": 30_000},
        {"shortest_edge": 4000, "longest_edge": 4001},
        {"shortest_edge": 9000, "longest_edge": 8000},
        {"shortest_edge": 9000},
        {"shortest_edge": 0, "longest_edge": 9000},
        {"height": 56, "width": 56},
    ],
    "patch_size": [14, 16, 7],
    "merge_size": [1, 2, 3],
    "temporal_patch_size": [1, 2, 3],
    "do_resize": [False, False, None, True],
    "do_rescale": [False, None],
    "do_normalize": [False, None],
    "rescale_factor": [1 / 127.5, 1.0, 0.3],
    "image_mean": [(0.5, 0.4, 0.3), [0.1, 0.2, 0.3], 0.5, (0.5,), [0.0, 0.0, 0.0]],
    "image_std": [(0.5, 0.4, 0.3), [0.1, 0.2, 0.3], 0.5, (0.5,), [1.0, 1.0, 0.0]],
    "resample": [*range(6), PILImageResampling.BICUBIC, PILImageResampling.BILINEAR],
    "do_convert_rgb": [False, None],
    "do_center_crop": [True, False],
    "do_pad": [True],
    "data_format": ["channels_last"],
    "default_to_square": [True],
    "unknown": [1],
}
OF_CALLS = {
    "input_data_format": ["channels_first", "channels_last", ChannelDimension.LAST],
    "device": ["cpu", torch.device("cpu"), "cpu:0"],
    "return_tensors": ["pt", "np", None, "tf", "xy"],
    "crop_size": [{"height": 28, "width": 28}],
}
OF_IMAGES = {
    "min_pixels": [28 * 28, 30_000],
    "max_pixels": [28 * 28 * 30, 20_000],
    "disable_grouping": [True, False],
    "image_seq_length": [7],
    "pad_size": [{"height": 560, "width": 560}],
}
# Most calls are to be of valid arguments, which a few rare ones would spoil.
RARE, USUAL = 0.03, 0.15
USUAL_NAMES = (
    "size",
    "do_resize",
    "min_pixels",
    "max_pixels",
    "return_tensors",
    "input_data_format",
)


def random_options(rng, choices):
    usual = {name: values for name, values in choices.items() if name in USUAL_NAMES}
    rare = {name: values for name, values in choices.items() if name not in usual}
    return some(rng, usual, USUAL) | some(rng, rare, RARE)


# ----------------------------------------------------------------------------------------- images

MODES = ("RGB", "RGB", "RGBA", "LA", "L", "1", "CMYK", "P", "I")
CHANNELS = (3, 3, 3, 3, 1, 4, 2)


def random_image(rng, picture, sides=(1, 40, 60, 84, 112, 150)):
    height, width = rng.choice(sides, 2, p=[0.02, *[0.98 / (len(sides) - 1)] * (len(sides) - 1)])
    pixels = (picture if rng.random() < 0.5 else noise)(rng, int(height), int(width))
    if rng.random() < 0.4:
        image = Image.fromarray(pixels).convert(str(rng.choice(MODES)))
        if image.mode == "P" and rng.random() < 0.5:
            image.info["transparency"] = int(rng.integers(0, 3))
        return image
    channels = int(rng.choice(CHANNELS))
    array = np.dstack([pixels, noise(rng, height, width)])[..., :channels]
    kind = rng.choice(["flat", "float", "int", "strided", "negative", *["plain"] * 12])
    array = {
        "flat": array[..., 0],
        "float": (array / 255).astype(np.float32),
        "int": array.astype(np.int64),
        "strided": np.repeat(array, 2, axis=1)[:, ::2],
        "negative": array[::-1],
    }.get(str(kind), np.ascontiguousarray(array))
    if array.ndim == 3 and rng.random() < 0.5:
        array = array.transpose(2, 0, 1)
    if kind == "negative" or rng.random() < 0.5:
        return array
    return torch.from_numpy(array)


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def random_images(rng, picture):
    images = [random_image(rng, picture) for _ in range(rng.integers(1, 4))]
    forms = (lambda i: i, tuple, lambda i: [i[:1], i[1:]], lambda i: i[0], lambda i: [i, []])
    odd = (lambda i: [], lambda i: None, lambda i: [[]], lambda i: [b"x"], lambda i: {"image": i})
    return (odd if rng.random() < 0.03 else forms)[rng.integers(5)](images)


def check_images(picture, rng):
    settings = random_options(rng, COMMON | OF_IMAGES)
    options = random_options(rng, COMMON | OF_CALLS | OF_IMAGES)
    if rng.random() < 0.03:
        options["resample"] = InterpolationMode.BICUBIC
    images = random_images(rng, picture)
    want, got = (
        outcome(lambda kind=kind: made(kind, settings)(images, **options))
        for kind in (transformers.Qwen2VLImageProcessor, Qwen2VLImageProcessor)
    )
    return f"{settings} {options}", difference(want, got)


def test_images(image_drop_in_chunk, run_campaign, picture):
    run_campaign("image_drop_in", image_drop_in_chunk, partial(check_images, picture))


# ------------------------------------------------------------------------------------------ files

FILES = {
    "JPEG": ("RGB", "RGB", "RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGB", "L", "RGBA", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "BMP": ("RGB",),
    "TIFF": ("RGB",),
}
FORMATS = ("JPEG",) * 6 + ("PNG",) * 4 + tuple(FILES)[2:]
# The longest sides of a tensor of stock's that it does not take for channels.
FILE_SIDES = (3, 40, 41, 60, 83, 112, 150)


def random_file(rng, picture):
    """The bytes of an image file: of some format and mode, turned, and now and then damaged."""
    pixels = (picture if rng.random() < 0.7 else noise)(rng, *map(int, rng.choice(FILE_SIDES, 2)))
    kind = str(rng.choice(FORMATS))
    mode = str(rng.choice(FILES[kind]))
    image = Image.fromarray(pixels)
    image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    options = {}
    if kind == "JPEG":
        options = some(
            rng,
            {
                "quality": [3, 50, 95, 100],
                "subsampling": [0, 1, 2],
                "progressive": [True],
                "optimize": [True],
                "restart_marker_blocks": [1, 3],
                "comment": [b"a picture"],
            },
            0.3,
        )
        if mode == "RGB" and "subsampling" not in options and rng.random() < 0.2:
            options["keep_rgb"] = True
    if mode == "P" and rng.random() < 0.5:
        options["transparency"] = int(rng.integers(0, 3))
    if rng.random() < 0.4:
        exif = Image.Exif()
        if rng.random() < 0.7:
            exif[0x0112] = int(rng.integers(0, 10))
        else:
            exif[0x0131] = "a program"
        options["exif"] = exif
    file = io.BytesIO()
    image.save(file, kind, **options)
    # Of a damaged GIF stock makes other pixels each time.
    is_damaged = kind != "GIF" and rng.random() < 0.3
    return damaged(rng, file.getvalue()) if is_damaged else file.getvalue()


def damaged(rng, file):
    at = int(rng.integers(0, len(file)))
    other = rng.bytes(int(rng.integers(1, 5)))
    ways = (
        lambda: file[:at],
        lambda: file[: len(file) - at % 9],
        lambda: file[:at] + other + file[at + len(other) :],
        lambda: file[:at] + other + file[at:],
        lambda: file[:at] + file[at + len(other) :],
        lambda: file + other,
    )
    return ways[rng.integers(len(ways))]()


def named(rng, file, path):
    """A text that stands for a file: its path, or the file itself in base64."""
    if rng.random() < 0.7:
        path.write_bytes(file)
        return str(path)
    text = base64.b64encode(file).decode()
    return f"data:image/x;base64,{text}" if rng.random() < 0.5 else text


def check_files(picture, folder, rng):
    images = [
        named(rng, random_file(rng, picture), folder / str(number))
        for number in range(rng.integers(1, 4))
    ]
    if rng.random() < 0.1:
        images.append(Image.fromarray(noise(rng, 40, 60)))
    if rng.random() < 0.05:
        images.append(str(folder / "missing"))
    forms = (lambda i: i, lambda i: i[0], tuple, lambda i: [i[:1], i[1:]])
    images = forms[rng.integers(len(forms))](images)
    options = random_options(rng, COMMON | OF_CALLS) if rng.random() < 0.3 else {}
    want, got = (
        outcome(lambda kind=kind: kind(size=dict(COMMON["size"][0]))(images, **options))
        for kind in (transformers.Qwen2VLImageProcessor, Qwen2VLImageProcessor)
    )
    return f"{options}", difference(want, got)


def test_files(file_drop_in_chunk, run_campaign, picture, tmp_path):
    run_campaign("file_drop_in", file_drop_in_chunk, partial(check_files, picture, tmp_path))


# ----------------------------------------------------------------------------------------- videos

OF_VIDEOS = {
    "cap_pixels_per_frame": [True, True, False],
    "max_video_tokens": [20, 100],
    "do_sample_frames": [True, True, False],
    "fps": [1, 2, 7.5],
    "num_frames": [2, 4, 5],
    "min_frames": [2, 6],
    "max_frames": [4, 6],
    "return_metadata": [True],
}
DROP_INS = (Qwen2VLVideoProcessor, Qwen3VLVideoProcessor)


def random_clip(rng):
    frames, height, width = rng.integers(1, 9), *rng.choice((28, 40, 64, 84, 96), 2)
    channels = int(rng.choice((3, 3, 3, 3, 3, 3, 1, 4)))
    clip = rng.integers(0, 256, (frames, height, width, channels), np.uint8)
    if channels == 4 and rng.random() < 0.5:
        clip[..., 3] = 255
    if channels == 3 and rng.random() < 0.2:
        return [Image.fromarray(frame) for frame in clip]
    if rng.random() < 0.05:
        clip = clip.astype(np.float32)
    if rng.random() < 0.5:
        clip = clip.transpose(0, 3, 1, 2)
    return clip if rng.random() < 0.5 else torch.from_numpy(clip)


def check_videos(rng):
    drop_in = DROP_INS[rng.integers(2)]
    bounds = {name: OF_IMAGES[name] for name in ("min_pixels", "max_pixels")}
    choices = COMMON | OF_VIDEOS | (bounds if drop_in is Qwen2VLVideoProcessor else {})
    settings = random_options(rng, choices)
    sampling = some(rng, OF_VIDEOS, 0.2)
    options = random_options(rng, choices | OF_CALLS) | sampling
    clips = [random_clip(rng) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.6:
        options["video_metadata"] = [
            {"total_num_frames": len(clip), "fps": 4.0, "duration": len(clip) / 4} for clip in clips
        ]
    else:
        clips = (lambda c: c, lambda c: c[0], lambda c: [c])[rng.integers(3)](clips)
    want, got = (
        outcome(lambda kind=kind: made(kind, settings)(clips, **options))
        for kind in (getattr(transformers, drop_in.__name__), drop_in)
    )
    return f"{drop_in.__name__} {settings} {options}", difference(want, got)


def test_videos(video_drop_in_chunk, run_campaign):
    run_campaign("video_drop_in", video_drop_in_chunk, check_videos)
