"""The drop-ins for the processors of transformers, case by case: what is computed here and how."""

import base64
import copy
import gc
import inspect
import logging
import pickle
import subprocess
import sys
import weakref
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import ExifTags, Image
from torchvision.transforms.v2 import InterpolationMode
from transformers import image_processing_backends
from transformers.image_utils import load_image_as_tensor

from qvl_fast import ImageError
from qvl_fast.integrations.transformers import stock
from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

DROP_INS = (Qwen2VLImageProcessor, Qwen2VLVideoProcessor, Qwen3VLVideoProcessor)
VIDEO_DROP_INS = DROP_INS[1:]

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (100, 150, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
CLIP = rng.integers(0, 256, (5, 60, 90, 3), np.uint8)


def stock_class(drop_in):
    return getattr(transformers, drop_in.__name__)


@pytest.fixture
def left_to_stock(caplog):
    """What the log says of calls of the test that went to transformers."""
    stock._log_once.cache_clear()
    caplog.set_level(logging.WARNING, stock.__name__)
    return lambda: [
        record.getMessage() for record in caplog.records if record.name == stock.__name__
    ]


def same(got, want):
    assert type(got) is type(want)
    assert list(got) == list(want)
    for name in want:
        assert type(got[name]) is type(want[name])
        assert got[name].dtype == want[name].dtype
        assert got[name].shape == want[name].shape
        assert bytes(np.asarray(got[name]).data) == bytes(np.asarray(want[name]).data)


def detached(batch):
    return {name: value.detach() for name, value in batch.items()}


def same_of_images(images, settings=None, **options):
    want = transformers.Qwen2VLImageProcessor(**settings or {})(copy.copy(images), **options)
    got = Qwen2VLImageProcessor(**settings or {})(images, **options)
    same(got, want)
    return got


def same_of_clips(drop_in, clips, settings=None, **options):
    want = stock_class(drop_in)(**settings or {})(clips, **options)
    got = drop_in(**settings or {})(clips, **options)
    same(got, want)
    return got


# ----------------------------------------------------------------------- the classes from outside


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_has_the_name_and_the_signatures_of_stock(drop_in):
    theirs = stock_class(drop_in)
    assert issubclass(drop_in, theirs)
    assert (drop_in.__name__, drop_in.__qualname__) == (theirs.__name__, theirs.__qualname__)
    assert drop_in.valid_kwargs is theirs.valid_kwargs
    for method in ("__init__", "__call__", "preprocess"):
        assert inspect.signature(getattr(drop_in, method)) == inspect.signature(
            getattr(theirs, method)
        )


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_saves_the_bytes_of_stock(drop_in, tmp_path):
    size = {"shortest_edge": 3136, "longest_edge": 50176}
    for kind, name in ((stock_class(drop_in), "theirs"), (drop_in, "ours")):
        kind(size=dict(size), do_normalize=False).save_pretrained(tmp_path / name)
    (theirs,) = (tmp_path / "theirs").iterdir()
    (ours,) = (tmp_path / "ours").iterdir()
    assert (ours.name, ours.read_bytes()) == (theirs.name, theirs.read_bytes())
    loaded = drop_in.from_pretrained(tmp_path / "theirs")
    assert type(loaded) is drop_in
    assert loaded.to_dict() == stock_class(drop_in).from_pretrained(tmp_path / "ours").to_dict()


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_pickles_and_copies_without_the_core(drop_in):
    processor = drop_in(patch_size=16)
    call = {"videos": [CLIP]} if drop_in in VIDEO_DROP_INS else {"images": [PICTURE]}
    want = processor(**call, return_tensors="pt")
    for copied in (copy.deepcopy(processor), pickle.loads(pickle.dumps(processor))):
        assert type(copied) is drop_in
        assert copied.patch_size == 16
        same(copied(**call, return_tensors="pt"), want)
    assert len(pickle.dumps(processor)) < 2000


def test_unpickles_in_a_process_that_has_registered_nothing():
    program = """
import pickle, sys
processor = pickle.load(sys.stdin.buffer)
pickle.dump(processor([pickle.load(sys.stdin.buffer)], return_tensors="np"), sys.stdout.buffer)
"""
    processor = Qwen2VLImageProcessor(max_pixels=28 * 28 * 8)
    sent = pickle.dumps(processor) + pickle.dumps(PIXELS)
    done = subprocess.run([sys.executable, "-c", program], input=sent, stdout=-1, check=True)
    same(pickle.loads(done.stdout), processor([PIXELS], return_tensors="np"))


def test_no_cache_keeps_a_processor_alive():
    processor = Qwen2VLImageProcessor()
    processor([PICTURE])
    alive = weakref.ref(processor)
    del processor
    gc.collect()
    assert alive() is None


def test_the_constructor_writes_into_a_given_size_as_that_of_stock_does():
    sizes = [{"shortest_edge": 3136, "longest_edge": 50176} for _ in range(2)]
    Qwen2VLImageProcessor(size=sizes[0], max_pixels=9000)
    transformers.Qwen2VLImageProcessor(size=sizes[1], max_pixels=9000)
    assert sizes[0] == sizes[1] == {"shortest_edge": 3136, "longest_edge": 9000}


# ---------------------------------------------------------------------------- images computed here

COMPUTED = {
    "a PIL image": PICTURE,
    "RGBA": [PICTURE.convert("RGBA")],
    "greys": [PICTURE.convert("L"), PICTURE.convert("1")],
    "CMYK": (PICTURE.convert("CMYK"),),
    "lines of pixels": PIXELS,
    "planes": PIXELS.transpose(2, 0, 1),
    "tensors": [torch.from_numpy(PIXELS), torch.from_numpy(PIXELS).permute(2, 0, 1)],
    "one channel": [PIXELS[..., :1], PIXELS[..., :1].transpose(2, 0, 1)],
    "four channels": [np.dstack([PIXELS, PIXELS[..., :1]])],
    "every other pixel": [PIXELS[::2, ::2]],
    "nested": [[PICTURE], [PICTURE, PIXELS]],
    "nested with nothing": [[PICTURE], []],
    "mixed sizes": [PICTURE, PIXELS[:60, :40], PICTURE],
    "a stack": np.stack([PIXELS, PIXELS[::-1]]),
    "a list of a stack": [np.stack([PIXELS, PIXELS[::-1]])],
}


@pytest.mark.parametrize("images", COMPUTED.values(), ids=COMPUTED)
def test_images_are_computed_here(images, left_to_stock):
    same_of_images(images, return_tensors="pt")
    assert not left_to_stock()


def test_a_two_dimensional_array_is_an_image_in_a_nested_list(left_to_stock):
    same_of_images([[PIXELS[..., 0]]])
    assert not left_to_stock()


def test_the_transparency_of_a_palette_counts(left_to_stock):
    palette = PICTURE.quantize(40)
    palette.info["transparency"] = 0
    same_of_images([palette])
    assert not left_to_stock()


OPTIONS = [
    {"size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 8}},
    {"do_resize": False, "patch_size": 5, "size": {"shortest_edge": 1, "longest_edge": 1}},
    {"do_rescale": False},
    {"do_normalize": False},
    {"rescale_factor": 1 / 127.5},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": 0.5},
    {"patch_size": 16, "merge_size": 1, "temporal_patch_size": 3},
    {"resample": InterpolationMode.BICUBIC},
    {"resample": Image.Resampling.BICUBIC},
    {"do_convert_rgb": False},
    {"input_data_format": "channels_last"},
    {"disable_grouping": True},
    {"device": "cpu"},
    {"device": torch.device("cpu", 0)},
    {"do_pad": True, "pad_size": {"height": 500, "width": 500}},
    {"data_format": "channels_last", "image_seq_length": 3},
    {"do_center_crop": True, "crop_size": {"height": 28, "width": 28}},
    {"return_tensors": "np"},
    {"return_tensors": "pt"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_are_reproduced(options, left_to_stock):
    same_of_images([PIXELS, PICTURE], **options)
    settings = {name: value for name, value in options.items() if name != "return_tensors"}
    same_of_images([PIXELS, PICTURE], settings)
    assert not left_to_stock()


@pytest.mark.filterwarnings("ignore:Passing `min_pixels` and `max_pixels`:FutureWarning")
def test_the_bounds_of_a_call(left_to_stock):
    same_of_images([PICTURE], min_pixels=28 * 28 * 40, max_pixels=28 * 28 * 60)
    same_of_images([PICTURE], max_pixels=28 * 28 * 4)
    assert not left_to_stock()


def test_bytes_of_pixels_where_nothing_is_computed_with_them(left_to_stock):
    raw = {"do_rescale": False, "do_normalize": False}
    assert same_of_images([PICTURE], **raw)["pixel_values"].dtype == torch.uint8
    same_of_images([PICTURE], raw)
    assert not left_to_stock()


def test_where_the_channels_are_is_asked_once(left_to_stock):
    both = np.ascontiguousarray(PIXELS[:4, :84])  # (4, 84, 3): RGBA planes or lines of pixels
    same_of_images([both], input_data_format="channels_last")
    narrow = rng.integers(0, 256, (3, 84, 4), np.uint8)
    assert not left_to_stock()
    same_of_images([narrow])
    assert left_to_stock() == [
        "Qwen2VLImageProcessor leaves calls to transformers with an image of 1, 3 or 4 columns"
    ]


def test_files_are_read_by_stock(tmp_path, left_to_stock):
    path = tmp_path / "picture.png"
    PICTURE.save(path)
    same_of_images(str(path))
    same_of_images([[str(path)], [PICTURE]])
    assert not left_to_stock()


def test_nothing_is_copied_before_it_is_resized(monkeypatch):
    def process_image(*_, **__):
        raise AssertionError("stock copies images here")

    monkeypatch.setattr(Qwen2VLImageProcessor, "process_image", process_image)
    Qwen2VLImageProcessor()([PICTURE, PIXELS])


# ---------------------------------------------------------------------------- images left to stock

FLOATS = (PIXELS / 255).astype(np.float32)
LEFT = {
    "whose filter is not bicubic": [
        ([PICTURE], {"resample": 2}),
        ([PICTURE], {"resample": Image.Resampling.LANCZOS}),
        ([PICTURE], {"resample": InterpolationMode.NEAREST}),
    ],
    "whose pixels are not uint8": [
        ([FLOATS], {}),
        ([PICTURE, torch.from_numpy(FLOATS).requires_grad_()], {}),
        ([PIXELS.astype(np.int64)], {}),
    ],
    "whose pixels are not in the CPU's memory": [([torch.from_numpy(PIXELS).to("meta")], {})],
    "with an image that is not RGB, unless do_convert_rgb": [
        ([PICTURE.convert("L")], {"do_convert_rgb": False}),
    ],
    "with an image of other channels": [
        ([PIXELS[..., :1]], {"do_convert_rgb": False}),
        ([PIXELS[..., :2]], {"input_data_format": "channels_last"}),
    ],
    "with an unusual setting": [
        ([PICTURE], {"image_mean": (0.5,)}),
        ([PICTURE], {"image_std": [1.0, 1.0, 0.0]}),
        ([PICTURE], {"size": {"shortest_edge": 3136}}),
        ([PICTURE], {"size": {"shortest_edge": 0, "longest_edge": 9000}}),
        ([PICTURE], {"size": {"shortest_edge": 9000, "longest_edge": 3136}}),
        ([PICTURE], {"rescale_factor": 0.0}),
    ],
    "without an image": [([], {}), ([[]], {})],
}


def outcome(call):
    try:
        return call()
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("reason", "images", "options"),
    [(reason, *call) for reason, calls in LEFT.items() for call in calls],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_left_to_stock(reason, images, options, left_to_stock):
    want = outcome(lambda: transformers.Qwen2VLImageProcessor()(images, **options))
    for _ in range(2):
        got = outcome(lambda: Qwen2VLImageProcessor()(images, **options))
        if isinstance(want, Exception):
            assert (type(got), str(got)) == (type(want), str(want))
            assert got.__context__ is None or not isinstance(
                got.__context__, stock.NotReproducedError
            )
        elif want["pixel_values"].device.type == "cpu":
            same(detached(got), detached(want))
    assert left_to_stock() == [f"Qwen2VLImageProcessor leaves calls to transformers {reason}"]


@pytest.mark.parametrize("images", [None, PIXELS[..., 0], b"x", {"image": PICTURE}, [b"x"], "no"])
def test_what_is_no_image_is_refused_as_by_stock(images):
    want = outcome(lambda: transformers.Qwen2VLImageProcessor()(images))
    got = outcome(lambda: Qwen2VLImageProcessor()(images))
    assert isinstance(want, Exception)
    assert (type(got), str(got)) == (type(want), str(want))


def test_options_are_refused_as_by_stock():
    for options in ({"return_tensors": "tf"}, {"do_center_crop": True}, {"device": "nowhere"}):
        want = outcome(
            lambda options=options: transformers.Qwen2VLImageProcessor()([PIXELS], **options)
        )
        got = outcome(lambda options=options: Qwen2VLImageProcessor()([PIXELS], **options))
        assert isinstance(want, Exception)
        assert type(got) is type(want)


def saved(path, **options):
    PICTURE.save(path, **options)
    return str(path)


def in_base64(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


@pytest.fixture
def files(tmp_path):
    """Texts that name images, of which stock reads none but the last."""
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = saved(tmp_path / "a.jpg", exif=turned, progressive=True)
    png = saved(tmp_path / "a.png")
    texts = [jpeg, png, in_base64(jpeg), f"data:image/png;base64,{in_base64(png)}"]
    return [*texts, saved(tmp_path / "a.webp")]


@pytest.fixture
def read_by_stock(monkeypatch):
    """The files that stock has decoded."""
    read = []

    def load(text):
        read.append(text)
        return load_image_as_tensor(text)

    monkeypatch.setattr(image_processing_backends, "load_image_as_tensor", load)
    return read


def test_files_are_decoded_here(files, read_by_stock):
    images = [*files[:2], PIXELS, *files[2:]]
    want = transformers.Qwen2VLImageProcessor()(images, return_tensors="pt")
    assert read_by_stock == files
    for nested in (images, tuple(images), [images[:2], images[2:]]):
        read_by_stock.clear()
        same(Qwen2VLImageProcessor()(nested, return_tensors="pt"), want)
        assert read_by_stock == files[-1:]
    read_by_stock.clear()
    same_of_images(files[0])
    assert len(read_by_stock) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file[: len(file) // 2],
        lambda file: file[:-2],  # libjpeg goes on without a mark at the end, Pillow does not
        lambda file: b"",
        lambda file: b"no image",
        # Pillow takes it, libpng does not, or the other way round.
        lambda file: file[:-7] + b"x" + file[-6:],
        None,
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_damaged_files_are_as_in_stock(damage, name, tmp_path):
    whole, path = saved(tmp_path / f"whole {name}"), tmp_path / name
    if damage:
        path.write_bytes(damage(Path(whole).read_bytes()))
    images = [whole, str(path)]
    want = outcome(lambda: transformers.Qwen2VLImageProcessor()(images))
    got = outcome(lambda: Qwen2VLImageProcessor()(images))
    if isinstance(want, Exception):
        assert (type(got), str(got)) == (type(want), str(want))
    else:
        same(got, want)


def app1(body):
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body


def exif(kind=3, value=6):
    """EXIF with nothing but an orientation, by default an integer of two bytes."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12" + kind.to_bytes(2) + b"\0\0\0\x01"
    return b"Exif\0\0" + tiff + value.to_bytes(2) + bytes(6)


XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"


@pytest.mark.parametrize(
    ("segments", "is_ours"),
    [
        ([app1(exif())], True),
        ([app1(exif(value=9))], True),
        ([app1(exif()), app1(XMP)], True),
        ([app1(XMP)], True),
        # Pillow turns it, stock looks at the first segment only.
        ([app1(XMP), app1(exif())], False),
        # Pillow does not turn these, stock does.
        ([app1(b"Nxif" + exif()[4:])], False),
        ([app1(exif(kind=0))], False),
        ([b"\xff\xff" + app1(exif())], True),
    ],
)
def test_files_are_turned_as_in_stock(segments, is_ours, tmp_path, read_by_stock):
    path = tmp_path / "a.jpg"
    file = Path(saved(path)).read_bytes()
    path.write_bytes(file[:2] + b"".join(segments) + file[2:])
    want = transformers.Qwen2VLImageProcessor()([str(path)])
    read_by_stock.clear()
    same(Qwen2VLImageProcessor()([str(path)]), want)
    assert read_by_stock == ([] if is_ours else [str(path)])


def software(name):
    """EXIF with the name of a program, and no orientation."""
    tags = Image.Exif()
    tags[ExifTags.Base.Software] = name
    return tags.tobytes()[len(b"Exif\0\0") :]


@pytest.mark.parametrize(
    ("chunks", "is_ours"),
    [
        ([], True),
        ([software("screencapture")], True),
        ([exif(value=1)[6:]], False),
        ([exif()[6:]], False),
        # What the bytes of the tag are in, we do not ask.
        ([software("\x01\x12")], False),
        ([software("screencapture"), exif()[6:]], False),
    ],
)
def test_png_files_that_no_decoder_turns_are_decoded_here(chunks, is_ours, tmp_path, read_by_stock):
    path = tmp_path / "a.png"
    file = Path(saved(path)).read_bytes()
    for body in chunks:
        checked = b"eXIf" + body
        sums = zlib.crc32(checked).to_bytes(4)
        at = file.index(b"IDAT") - 4
        file = file[:at] + len(body).to_bytes(4) + checked + sums + file[at:]
    path.write_bytes(file)
    want = transformers.Qwen2VLImageProcessor()([str(path)])
    read_by_stock.clear()
    same(Qwen2VLImageProcessor()([str(path)]), want)
    assert read_by_stock == ([] if is_ours else [str(path)])


def test_what_leaves_files_to_stock_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, stock.__name__)
    path = tmp_path / "narrow.png"
    Image.fromarray(PIXELS).resize((2, 1000)).save(path)
    with pytest.raises(ValueError, match="aspect ratio"):
        Qwen2VLImageProcessor()(str(path))
    [record] = [record for record in caplog.records if record.levelno == logging.DEBUG]
    assert record.getMessage() == "files are left to transformers"
    assert "aspect ratio" in str(record.exc_info[1])


def test_files_in_another_order_of_channels_are_as_in_stock(files):
    want = outcome(
        lambda: transformers.Qwen2VLImageProcessor()(files[1], input_data_format="channels_last")
    )
    got = outcome(lambda: Qwen2VLImageProcessor()(files[1], input_data_format="channels_last"))
    assert type(got) is type(want)


def test_an_image_that_cannot_be_used_is_named():
    processor = Qwen2VLImageProcessor()
    with pytest.raises(ImageError, match="200") as caught:
        processor([PICTURE, PIXELS[:2].repeat(3, axis=1)])
    assert caught.value.index == 1
    # Where stock divides by zero, or fails to reshape.
    with pytest.raises(ImageError) as caught:
        processor([PICTURE, PICTURE, PIXELS[:0]])
    assert caught.value.index == 2
    with pytest.raises(ImageError, match="multiple of patch_size"):
        processor([PICTURE], do_resize=False)


# ----------------------------------------------------------------------------- attributes, devices


@pytest.mark.filterwarnings("ignore:Passing `min_pixels` and `max_pixels`:FutureWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.size.__setitem__("longest_edge", 28 * 28 * 6),
        lambda p: setattr(p.size, "longest_edge", 28 * 28 * 6),
        lambda p: setattr(p, "size", {"shortest_edge": 9000, "longest_edge": 90000}),
        lambda p: setattr(p, "max_pixels", 28 * 28 * 6),
        lambda p: setattr(p, "min_pixels", 28 * 28 * 60),
        lambda p: setattr(p, "do_normalize", False),
        lambda p: setattr(p, "patch_size", 16),
        lambda p: setattr(p, "image_mean", [0.5, 0.5, 0.5]),
        lambda p: setattr(p, "unknown", 3),
    ],
)
def test_attributes_that_are_set_later_act_as_in_stock(change, left_to_stock):
    theirs, ours = transformers.Qwen2VLImageProcessor(), Qwen2VLImageProcessor()
    before = ours([PICTURE])
    same(before, theirs([PICTURE]))
    change(theirs)
    change(ours)
    same(ours([PICTURE]), theirs([PICTURE]))
    assert ours.to_dict() == theirs.to_dict()
    assert not left_to_stock()


def test_a_device_is_left_to_stock_by_default(left_to_stock):
    want = outcome(lambda: transformers.Qwen2VLImageProcessor()([PICTURE], device="meta"))
    got = outcome(lambda: Qwen2VLImageProcessor()([PICTURE], device="meta"))
    assert type(got) is type(want)
    assert left_to_stock() == [
        "Qwen2VLImageProcessor leaves calls to transformers that name a device, by the policy "
        "'stock'"
    ]


@pytest.fixture
def cpu_then_move(monkeypatch):
    monkeypatch.setenv("QVL_FAST_DEVICE_POLICY", "cpu-then-move")


@pytest.mark.parametrize("resample", [3, 2])
def test_rows_are_moved_to_a_device(cpu_then_move, resample):
    """Also those that stock computes: they are the CPU's all the same."""
    batch = Qwen2VLImageProcessor()([PICTURE], device="meta", resample=resample)
    assert batch["pixel_values"].device.type == "meta"
    assert batch["pixel_values"].shape == (80, 1176)
    assert batch["image_grid_thw"].tolist() == [[1, 8, 10]]


def test_an_unknown_policy_is_refused(monkeypatch):
    monkeypatch.setenv("QVL_FAST_DEVICE_POLICY", "gpu")
    with pytest.raises(ValueError, match="QVL_FAST_DEVICE_POLICY must be one of stock, cpu-then"):
        Qwen2VLImageProcessor()([PICTURE], device="meta")


# ------------------------------------------------------------------------------------------ videos

CLIPS = {
    "an array": CLIP,
    "planes": CLIP.transpose(0, 3, 1, 2),
    "a tensor": torch.from_numpy(CLIP),
    "pictures": [Image.fromarray(frame) for frame in CLIP],
    "several": [CLIP, CLIP[:2, :40], torch.from_numpy(CLIP[:4])],
    "nested": [[CLIP], [CLIP[:2]]],
    "greys": CLIP[..., :1],
}
VIDEO_OPTIONS = [
    {"size": {"shortest_edge": 3000, "longest_edge": 9000}},
    {"cap_pixels_per_frame": True},
    {"cap_pixels_per_frame": True, "size": {"shortest_edge": 9000, "longest_edge": 90000}},
    {"do_resize": False, "patch_size": 5, "merge_size": 3},
    {"do_rescale": False, "do_normalize": False},
    {"do_normalize": False},
    {"patch_size": 7, "merge_size": 1, "temporal_patch_size": 3},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": 0.5, "rescale_factor": 1 / 127.5},
    {"input_data_format": "channels_last"},
    {"device": "cpu"},
    {"return_tensors": "np"},
    {"return_tensors": "pt"},
]


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
@pytest.mark.parametrize("clips", CLIPS.values(), ids=CLIPS)
def test_clips_are_computed_here(drop_in, clips, left_to_stock):
    same_of_clips(drop_in, clips, do_sample_frames=False)
    assert not left_to_stock()


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
def test_clips_that_stock_makes_rgb_are_computed_here(drop_in, left_to_stock):
    opaque = np.insert(CLIP, 3, 255, axis=3)
    same_of_clips(drop_in, opaque, do_sample_frames=False, input_data_format="channels_last")
    assert not left_to_stock()


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
@pytest.mark.parametrize("options", VIDEO_OPTIONS, ids=str)
def test_video_options_are_reproduced(drop_in, options, left_to_stock):
    same_of_clips(drop_in, [CLIP, CLIP[:3]], do_sample_frames=False, **options)
    assert not left_to_stock()


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
def test_frames_are_sampled_by_stock(drop_in, left_to_stock):
    metadata = {"total_num_frames": 30, "fps": 10.0, "duration": 3.0}
    clip = rng.integers(0, 256, (30, 40, 60, 3), np.uint8)
    sampling = {"do_sample_frames": True, "fps": 2, "video_metadata": [metadata]}
    same_of_clips(drop_in, [clip], **sampling)
    want = stock_class(drop_in)()([clip], **sampling, return_metadata=True)["video_metadata"]
    got = drop_in()([clip], **sampling, return_metadata=True)["video_metadata"]
    assert repr(got) == repr(want)
    assert not left_to_stock()


def test_clips_are_not_copied():
    clips = [CLIP, torch.from_numpy(CLIP)]
    views = Qwen3VLVideoProcessor()._prepare_input_videos(clips, True)
    for given, view in zip(clips, views, strict=True):
        assert view.shape == (5, 3, 60, 90)
        assert view.data_ptr() == torch.as_tensor(given).data_ptr()


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
@pytest.mark.parametrize(
    ("reason", "clips", "options"),
    [
        # The utilities hand on frames as floats.
        ("whose pixels are not uint8", torch.from_numpy(CLIP).permute(0, 3, 1, 2).float(), {}),
        ("whose filter is not bicubic", CLIP, {"resample": 2}),
        ("with a clip that is not RGB", CLIP[..., :1], {"do_convert_rgb": False}),
        ("with an unusual setting", CLIP, {"image_mean": (0.5,)}),
    ],
)
def test_clips_that_are_left_to_stock(drop_in, reason, clips, options, left_to_stock):
    call = {"do_sample_frames": False, **options}
    want = outcome(lambda: stock_class(drop_in)()(clips, **call))
    got = outcome(lambda: drop_in()(clips, **call))
    if isinstance(want, Exception):
        assert (type(got), str(got)) == (type(want), str(want))
    else:
        same(got, want)
    assert left_to_stock() == [f"{drop_in.__name__} leaves calls to transformers {reason}"]


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
def test_sizes_of_clips_are_refused_as_by_stock(drop_in):
    for size in ({"shortest_edge": 3000}, {"shortest_edge": 0, "longest_edge": 3000}):
        call = {"do_sample_frames": False, "size": size}
        want = outcome(lambda call=call: stock_class(drop_in)()(CLIP, **call))
        got = outcome(lambda call=call: drop_in()(CLIP, **call))
        assert isinstance(want, ValueError)
        assert (type(got), str(got)) == (type(want), str(want))


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
@pytest.mark.parametrize("clip", [CLIP, CLIP.astype(np.float32)])
def test_rows_of_clips_are_moved_to_a_device(cpu_then_move, drop_in, clip):
    want = drop_in()(clip, do_sample_frames=False)
    got = drop_in()(clip, do_sample_frames=False, device="meta")
    assert got["pixel_values_videos"].device.type == "meta"
    assert got["pixel_values_videos"].shape == want["pixel_values_videos"].shape
    assert torch.equal(got["video_grid_thw"], want["video_grid_thw"])


@pytest.mark.parametrize("drop_in", VIDEO_DROP_INS)
def test_a_device_of_clips_is_left_to_stock_by_default(drop_in, left_to_stock):
    want = outcome(lambda: stock_class(drop_in)()(CLIP, do_sample_frames=False, device="meta"))
    got = outcome(lambda: drop_in()(CLIP, do_sample_frames=False, device="meta"))
    assert type(got) is type(want)
    assert len(left_to_stock()) == 1
