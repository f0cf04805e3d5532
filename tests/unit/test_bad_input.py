"""Bad input raises a clear error that names the argument and its value, and never panics."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from qvl_fast import (
    ImageConfig,
    ImageProcessor,
    ModelConfig,
    image_size,
    patchify,
    resize,
    smart_resize,
)
from qvl_fast.processors import writing

RGB = np.zeros((56, 56, 3), np.uint8)  # 16 rows of 1176 columns
OUT = (16, 1176)
process = ImageProcessor("qwen2-vl")
process_bf16 = ImageProcessor("qwen2-vl", dtype="bfloat16")
as_it_is = ImageProcessor("qwen2-vl", do_resize=False)


def made(**overrides):
    return ImageProcessor("qwen2-vl", **overrides)


def png(height, width):
    """A small file that claims any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 9) + b"IDAT"


def jpeg():
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def overlapping(dtype):
    """An image that lies in the memory it is to be written to."""
    rows = np.zeros(OUT, dtype)
    image = rows.view(np.uint8).reshape(-1)[: RGB.size].reshape(RGB.shape)
    return ImageProcessor("qwen2-vl", dtype=str(rows.dtype))(image, out=rows)


def unaligned():
    return np.frombuffer(bytearray(4 * 16 * 1176 + 1), np.float32, offset=1).reshape(OUT)


class Refusing:
    def __index__(self):
        raise RuntimeError("it has no value yet")


def closed():
    file = io.BytesIO(jpeg())
    file.close()
    return file


def closed_image():
    image = Image.open(io.BytesIO(jpeg()))
    image.close()
    return image


SIDES = {
    "side 0": (lambda: smart_resize(0, 5), ValueError, r"height .*\b0\b"),
    "side -1": (lambda: smart_resize(5, -1), ValueError, r"width .*-1"),
    "side str": (lambda: smart_resize("56", 5), TypeError, r"height .*'56'"),
    "side float": (lambda: smart_resize(56, 56.0), TypeError, r"width .*56\.0"),
    "side None": (lambda: smart_resize(None, 5), TypeError, r"height .*None"),
    "side that raises": (lambda: smart_resize(Refusing(), 5), RuntimeError, "no value yet"),
    "side 2**60": (lambda: smart_resize(2**60, 2**60), ValueError, rf"height .*{2**60}"),
    "side 2**90": (lambda: smart_resize(5, 2**90), ValueError, rf"width .*{2**90}"),
    "area": (lambda: smart_resize(2**40, 2**40), ValueError, rf"height \* width .*{2**40}"),
    "ratio": (lambda: smart_resize(1, 201), ValueError, r"ratio .*200.*201"),
    "ratio just over": (lambda: smart_resize(1999, 9), ValueError, r"ratio .*200.*222\.1"),
    "factor 0": (lambda: smart_resize(5, 5, 0), ValueError, r"factor .*\b0\b"),
    "factor float": (lambda: smart_resize(5, 5, 2.5), TypeError, r"factor .*2\.5"),
    "min above max": (
        lambda: smart_resize(5, 5, 28, 10, 9),
        ValueError,
        r"min_pixels .*max_pixels=9.*10",
    ),
    "max 0": (lambda: smart_resize(5, 5, 28, 1, 0), ValueError, r"max_pixels .*\b0\b"),
    "resize to 0": (lambda: resize(RGB, 0, 5), ValueError, r"height .*\b0\b"),
    "resize to -3": (lambda: resize(RGB, 5, -3), ValueError, r"width .*-3"),
    "resize to float": (lambda: resize(RGB, 5, 5.0), TypeError, r"width .*5\.0"),
    "resize to str": (lambda: resize(RGB, "5", 5), TypeError, r"height .*'5'"),
    "resize to 2**60": (lambda: resize(RGB, 2**60, 2**60), ValueError, rf"height.*{2**60}"),
    "resize to 2**90": (lambda: resize(RGB, 5, 2**90), ValueError, rf"width.*{2**90}"),
    "count 0": (lambda: process.num_patches(0, 5), ValueError, r"height .*\b0\b"),
    "count ratio": (lambda: process.num_tokens(1, 201), ValueError, r"ratio .*200.*201"),
    "count 2**60": (lambda: process.num_patches(2**60, 5), ValueError, rf"height .*{2**60}"),
    "count str": (lambda: process.num_tokens("56", 5), TypeError, r"height .*'56'"),
    "count float": (lambda: process.num_patches(56, 56.5), TypeError, r"width .*56\.5"),
    "count as it is": (lambda: as_it_is.num_patches(56, 30), ValueError, r"width .*28.*30"),
    "count as it is -28": (lambda: as_it_is.num_patches(-28, 28), ValueError, r"height .*-28"),
    "count as it is str": (lambda: as_it_is.num_patches(28, "28"), TypeError, r"width.*'28'"),
    "count as it is 2**90": (
        lambda: as_it_is.num_patches(28 * 2**90, 28),
        ValueError,
        rf"height .*{28 * 2**90}",
    ),
    "not multiples": (lambda: as_it_is(RGB[:55]), ValueError, r"height .*28.*55"),
}

ARRAYS = {
    "empty height": (lambda: process(RGB[:0]), ValueError, r"(height|image).*\b0\b"),
    "empty width": (lambda: process(RGB[:, :0]), ValueError, r"(width|image).*\b0\b"),
    "thin": (lambda: process(np.zeros((2, 402, 3), np.uint8)), ValueError, "ratio .*200.*201"),
    "2 channels": (lambda: process(RGB[:, :, :2]), ValueError, r"image .*\(56, 56, 2\)"),
    "5 channels": (lambda: process(np.zeros((5, 56, 56), np.uint8)), ValueError, r"\(5, 56, 56\)"),
    "0-D": (lambda: process(np.array(7, np.uint8)), ValueError, r"image .*\(\)"),
    "2-D": (lambda: process(RGB[:, :, 0]), ValueError, r"image .*\(56, 56\)"),
    "2-D tensor": (lambda: process(torch.zeros(56, 56).byte()), ValueError, r"image .*56, 56"),
    "5-D": (lambda: process(RGB[None, None]), ValueError, r"image .*\(1, 1, 56, 56, 3\)"),
    "float32": (lambda: process(RGB.astype("float32")), TypeError, "image .*float32.*uint8"),
    "int16": (lambda: process(RGB.astype("int16")), TypeError, "image .*int16.*uint8"),
    "bool": (lambda: process(RGB.astype(bool)), TypeError, "image .*bool.*uint8"),
    "object": (lambda: process(RGB.astype(object)), TypeError, "image .*object.*uint8"),
    "float tensor": (lambda: process(torch.zeros(3, 56, 56)), TypeError, "image .*float32.*uint8"),
    "bool tensor": (
        lambda: process(torch.zeros(3, 56, 56).bool()),
        TypeError,
        "image .*bool.*uint8",
    ),
    "int8 tensor": (
        lambda: process(torch.zeros(3, 56, 56).char()),
        TypeError,
        "image .*int8.*uint8",
    ),
    "meta tensor": (
        lambda: process(torch.zeros(3, 56, 56, dtype=torch.uint8, device="meta")),
        TypeError,
        "image .*meta.*CPU",
    ),
    "gradient": (
        lambda: process(torch.zeros(3, 56, 56, requires_grad=True)),
        TypeError,
        "image .*(grad|float32.*uint8)",
    ),
    "sparse": (
        lambda: process(torch.zeros(3, 56, 56).byte().to_sparse()),
        TypeError,
        "image .*sparse",
    ),
    "resize 2-D": (lambda: resize(RGB[0], 5, 5), ValueError, r"image .*\(56, 3\)"),
    "resize 4 channels": (
        lambda: resize(np.zeros((9, 9, 4), np.uint8), 5, 5),
        ValueError,
        r"image .*\(9, 9, 4\)",
    ),
    "resize empty": (lambda: resize(RGB[:0], 5, 5), ValueError, r"image .*0"),
    "resize float": (lambda: resize(RGB / 255, 5, 5), TypeError, r"image .*float64.*uint8"),
    "resize list": (lambda: resize(RGB.tolist(), 5, 5), TypeError, r"image .*list"),
    "resize PIL": (lambda: resize(Image.new("RGB", (9, 9)), 5, 5), TypeError, r"image .*Image"),
    "size of 2-D": (lambda: image_size(RGB[0]), ValueError, r"image .*\(56, 3\)"),
    "size of float": (lambda: image_size(RGB / 255), TypeError, r"image .*float64.*uint8"),
    "frames 3-D": (lambda: patchify(RGB, "qwen2-vl"), ValueError, r"frames .*\(56, 56, 3\)"),
    "frames 4 channels": (
        lambda: patchify(np.zeros((1, 56, 56, 4), np.uint8), "qwen2-vl"),
        ValueError,
        r"frames .*\(1, 56, 56, 4\)",
    ),
    "frames float": (lambda: patchify(RGB[None] / 255, "qwen2-vl"), TypeError, "frames .*float64"),
    "frames list": (lambda: patchify([RGB], "qwen2-vl"), TypeError, "frames .*list"),
    "no frames": (lambda: patchify(RGB[None][:0], "qwen2-vl"), ValueError, r"frames .*\b0\b"),
    "frame sides": (lambda: patchify(RGB[None, :30], "qwen2-vl"), ValueError, r"height .*28.*30"),
    "two compact frames": (
        lambda: patchify(np.stack([RGB, RGB]), "qwen2-vl", temporal="compact"),
        ValueError,
        "temporal .*compact.* 2",
    ),
}

SOURCES = {
    "None": (lambda: process(None), TypeError, "image.* None"),
    "number": (lambda: process(5), TypeError, "image.* int"),
    "dict": (lambda: process({"url": "x"}), TypeError, "image.* dict"),
    "size of None": (lambda: image_size(None), TypeError, "image.* None"),
    "size of a list": (lambda: image_size([RGB]), TypeError, "image.* list"),
    "empty list": (lambda: process([]), ValueError, r"images .*\[\]"),
    "empty tuple": (lambda: process(()), ValueError, r"images .*\(\)"),
    "list of empty lists": (lambda: process([[], []]), ValueError, r"images .*\[\[\], \[\]\]"),
    "empty stack": (lambda: process(RGB[None][:0]), ValueError, r"images .*"),
    "list in a list of images": (lambda: process([RGB, [RGB]]), TypeError, "image.* list"),
    "list of lists of lists": (lambda: process([[[RGB]]]), TypeError, "image.* list"),
    "URL": (lambda: process("https://a.b/c.png"), ValueError, "image .*https://a.b/c.png.*URL"),
    "size of a URL": (lambda: image_size("http://a.b/c"), ValueError, "image .*http://a.b/c.*URL"),
    "missing": (lambda: process("no/such.png"), FileNotFoundError, "no/such.png"),
    "size of a missing": (lambda: image_size("no/such.png"), FileNotFoundError, "no/such.png"),
    "no bytes": (lambda: process(b""), ValueError, r"image .*0 bytes"),
    "text": (lambda: process(b"hello" * 9), ValueError, r"image .*45 bytes"),
    "text stream": (lambda: process(io.StringIO("x")), (ValueError, TypeError), "image .*StringIO"),
    "closed file": (lambda: process(closed()), ValueError, "image .*closed"),
    "closed PIL image": (lambda: process(closed_image()), ValueError, "image .*PIL.*closed"),
    "PostScript": (
        lambda: process(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 56 56\n%%EndComments\n"),
        ValueError,
        "image .* is a PostScript program, not pixels",
    ),
    "truncated JPEG": (lambda: process(jpeg()[:3000]), ValueError, "image .*3000 bytes.*truncated"),
    "bomb": (lambda: process(png(60000, 60000)), ValueError, r"image .*3600000000 pixels"),
    "size of a bomb": (lambda: image_size(png(60000, 60000)), ValueError, "image .*3600000000 pix"),
    "PNG without height": (lambda: process(png(0, 9)), ValueError, "image .*"),
    "thin file": (lambda: process(png(1, 201)), ValueError, "ratio .*200.*201"),
    "empty PIL image": (
        lambda: process(Image.new("RGB", (0, 9))),
        ValueError,
        r"(image|width) .*\b0\b",
    ),
    "PIL mode La": (lambda: process(Image.new("La", (9, 9))), ValueError, "image .*mode La"),
}

RESULTS = {
    "out too short": (
        lambda: process(RGB, out=np.zeros((15, 1176), np.float32)),
        ValueError,
        r"out .*16, 1176.*\(15, 1176\)",
    ),
    "out too wide": (
        lambda: process(RGB, out=np.zeros((16, 1177), np.float32)),
        ValueError,
        r"out .*16, 1176.*\(16, 1177\)",
    ),
    "out 1-D": (
        lambda: process(RGB, out=np.zeros(16 * 1176, np.float32)),
        ValueError,
        r"out .*\(18816,\)",
    ),
    "out float64": (lambda: process(RGB, out=np.zeros(OUT)), TypeError, "out .*float32.*float64"),
    "out big-endian": (lambda: process(RGB, out=np.zeros(OUT, ">f4")), TypeError, "out .*>f4"),
    "out float16 tensor": (
        lambda: process(RGB, out=torch.zeros(OUT).half()),
        TypeError,
        "out .*float32.*float16",
    ),
    "out read-only": (
        lambda: process(RGB, out=np.broadcast_to(np.float32(0), OUT)),
        ValueError,
        "out ",
    ),
    "out read-only array": (
        lambda: process(RGB, out=np.frombuffer(bytes(4 * 16 * 1176), np.float32).reshape(OUT)),
        ValueError,
        "out .*(read-only|writeable)",
    ),
    "out every second column": (
        lambda: process(RGB, out=np.zeros((16, 2352), np.float32)[:, ::2]),
        ValueError,
        r"out .*contiguous.*\(9408, 8\)",
    ),
    "out in Fortran order": (
        lambda: process(RGB, out=np.zeros(OUT, np.float32, order="F")),
        ValueError,
        "out .*contiguous",
    ),
    "out expanded": (
        lambda: process(RGB, out=torch.zeros(1, 1176).expand(OUT)),
        ValueError,
        "out .*contiguous",
    ),
    "out unaligned": (lambda: process(RGB, out=unaligned()), ValueError, "out .*aligned"),
    "out over a uint8 input": (lambda: overlapping(np.uint8), ValueError, "out .*overlap"),
    "out over a float32 input": (lambda: overlapping(np.float32), ValueError, "out .*overlap"),
    "out on meta": (
        lambda: process(RGB, out=torch.zeros(OUT, device="meta")),
        TypeError,
        "out .*meta.*CPU",
    ),
    "out with grad": (
        lambda: process(RGB, out=torch.zeros(OUT, requires_grad=True)),
        TypeError,
        "out .*grad",
    ),
    "out sparse": (
        lambda: process(RGB, out=torch.zeros(OUT).to_sparse()),
        (TypeError, ValueError),
        "out .*sparse",
    ),
    "out list": (lambda: process(RGB, out=[[0.0]]), TypeError, "out .*list"),
    "out array for bfloat16": (
        lambda: process_bf16(RGB, out=np.zeros(OUT, np.uint16)),
        TypeError,
        "out .*tensor.*bfloat16",
    ),
    "out bfloat16 for float32": (
        lambda: process(RGB, out=torch.zeros(OUT).bfloat16()),
        TypeError,
        "out .*float32.*bfloat16",
    ),
    "out float16 for bfloat16": (
        lambda: process_bf16(RGB, out=torch.zeros(OUT).half()),
        TypeError,
        "out .*bfloat16.*float16",
    ),
    "out uint16 for bfloat16": (
        lambda: process_bf16(RGB, out=torch.zeros(OUT, dtype=torch.uint16)),
        TypeError,
        "out .*bfloat16.*uint16",
    ),
    "patchify out": (
        lambda: patchify(RGB[None], "qwen2-vl", out=np.zeros((9, 1176), np.float32)),
        ValueError,
        r"out .*16, 1176.*\(9, 1176\)",
    ),
    "bfloat16 as NumPy": (
        lambda: process_bf16(RGB, return_tensors="np"),
        ValueError,
        "bfloat16.*NumPy.*return_tensors='pt'",
    ),
    "return_tensors": (
        lambda: process(RGB, return_tensors="tf"),
        ValueError,
        "return_tensors .*'pt'.*'np'.*'tf'",
    ),
}

SETTINGS = {
    "preset": (
        lambda: ImageProcessor("qwen9"),
        ValueError,
        "preset .*qwen2-vl.*qwen2.5-vl.*qwen3-vl.*'qwen9'",
    ),
    "ModelConfig.preset": (lambda: ModelConfig.preset("x"), ValueError, "qwen2-vl.*qwen3-vl.*'x'"),
    "config None": (lambda: ImageProcessor(None), TypeError, "config .*None"),
    "patchify config": (lambda: patchify(RGB[None], 5), TypeError, "config .*5"),
    "reference": (lambda: made(reference="pil"), ValueError, "reference .*'torchvision'.*'pil'"),
    "resize reference": (lambda: resize(RGB, 5, 5, reference=None), ValueError, "reference .*None"),
    "dtype": (lambda: made(dtype="float64"), ValueError, "dtype .*'bfloat16'.*'float64'"),
    "dtype NumPy": (lambda: made(dtype=np.float32), (ValueError, TypeError), "dtype .*float32"),
    "dtype NumPy, made": (
        lambda: made(dtype=np.dtype("float32")),
        (ValueError, TypeError),
        "dtype .*float32",
    ),
    "dtype torch": (lambda: made(dtype=torch.int32), ValueError, "dtype .*int32"),
    "temporal": (lambda: made(temporal="half"), ValueError, "temporal .*'compact'.*'half'"),
    "unknown": (lambda: made(max_size=5), TypeError, "'max_size'"),
    "std 0": (lambda: made(image_std=[0.5, 0, 0.5]), ValueError, r"image_std .*0\.0"),
    "std NaN": (lambda: made(image_std=float("nan")), ValueError, "image_std .*(nan|NaN)"),
    "std inf": (lambda: made(image_std=float("inf")), ValueError, "image_std .*inf"),
    "std below float32": (lambda: made(image_std=1e-60), ValueError, "image_std .*(1e-60|0\\.0)"),
    "mean NaN": (
        lambda: made(image_mean=[0.5, float("nan"), 0]),
        ValueError,
        "image_mean .*[nN]a[nN]",
    ),
    "mean inf": (lambda: made(image_mean=float("-inf")), ValueError, "image_mean .*-inf"),
    "mean of two": (lambda: made(image_mean=[0.5, 0.5]), ValueError, r"image_mean .*\[0\.5, 0\.5"),
    "mean str": (lambda: made(image_mean="abc"), TypeError, "image_mean .*'a"),
    "mean of digits": (lambda: made(image_mean="123"), TypeError, "image_mean .*'123'"),
    "rescale 0": (lambda: made(rescale_factor=0), ValueError, r"rescale_factor .*\b0"),
    "rescale NaN": (
        lambda: made(rescale_factor=float("nan")),
        ValueError,
        "rescale_factor .*[nN]a[nN]",
    ),
    "rescale 10**400": (
        lambda: made(rescale_factor=10**400),
        (ValueError, TypeError),
        "rescale_factor",
    ),
    "rescale str": (lambda: made(rescale_factor="0.5"), TypeError, "rescale_factor .*'0.5'"),
    "rescale None": (lambda: made(rescale_factor=None), TypeError, "rescale_factor .*None"),
    "min over max": (
        lambda: made(min_pixels=50, max_pixels=49),
        ValueError,
        "min_pixels .*max_pixels=49.* 50",
    ),
    "min 0": (lambda: made(min_pixels=0), ValueError, r"min_pixels .*\b0\b"),
    "max float": (lambda: made(max_pixels=1e6), TypeError, r"max_pixels .*1000000\.0"),
    "max 2**60": (
        lambda: made(max_pixels=2**60)(RGB),
        ValueError,
        rf"max_pixels .*{2**60}",
    ),
    "min 2**52": (
        lambda: made(min_pixels=2**52, max_pixels=2**53)(RGB),
        (ValueError, MemoryError),
        "min_pixels|allocate",
    ),
    "size without longest": (
        lambda: made(size={"shortest_edge": 5}),
        ValueError,
        "size .*'longest_edge'.*{'shortest_edge': 5}",
    ),
    "size of sides": (
        lambda: made(size={"height": 5, "width": 5}),
        ValueError,
        "size .*shortest_edge.*'height': 5",
    ),
    "size number": (lambda: made(size=5), (ValueError, TypeError), "size .*5"),
    "size of 0": (
        lambda: made(size={"shortest_edge": 0, "longest_edge": 9}),
        ValueError,
        r"(min_pixels|shortest_edge) .*\b0\b",
    ),
    "patch 0": (lambda: made(patch_size=0), ValueError, r"patch_size .*\b0\b"),
    "patch huge": (lambda: made(patch_size=2**70), (ValueError, TypeError), f"patch_size.*{2**70}"),
    "merge float": (lambda: made(merge_size=2.0), TypeError, r"merge_size .*2\.0"),
    "temporal_patch -1": (lambda: made(temporal_patch_size=-1), ValueError, "temporal_patch_s.*-1"),
    "flag str": (lambda: made(do_resize="no"), TypeError, "do_resize .*'no'"),
    "ImageConfig": (lambda: ImageConfig(patch_size="14"), TypeError, "patch_size .*'14'"),
}

TABLE = {**SIDES, **ARRAYS, **SOURCES, **RESULTS, **SETTINGS}


@pytest.mark.parametrize("name", TABLE)
def test_refused(name):
    call, error, message = TABLE[name]
    with pytest.raises(error, match=message):
        call()


def test_the_table_is_complete():
    parts = (SIDES, ARRAYS, SOURCES, RESULTS, SETTINGS)
    assert len(TABLE) == sum(map(len, parts)), "a name occurs twice, and hides a row"


# ------------------------------------------------------------------ what needs files or a setting


@pytest.fixture
def bad_files(tmp_path):
    contents = {
        "text.png": b"no picture",
        "empty.jpg": b"",
        "cut.jpg": jpeg()[:3000],
        "good.jpg": jpeg(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("form", ["str", "Path", "file"])
@pytest.mark.parametrize("name", ["text.png", "empty.jpg", "cut.jpg"])
def test_bad_file_is_named(name, form, bad_files):
    path = bad_files / name
    with path.open("rb") as file, pytest.raises(ValueError, match=name):
        process({"str": str(path), "Path": path, "file": file}[form])


def test_directory_as_an_image(tmp_path):
    for call in (process, image_size):
        with pytest.raises((OSError, ValueError), match=tmp_path.name):
            call(tmp_path)


@pytest.mark.parametrize("name", ["", "missing"])
def test_directory_without_configuration(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"preprocessor_config\.json") as caught:
        ModelConfig.from_pretrained(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("call", [process, image_size])
def test_decompression_bomb_by_the_limit_of_pillow(call, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(ValueError, match=r"image .*8100 pixels.*8000"):
        call(jpeg())


def test_what_pillow_only_warns_of_is_decoded_by_the_core(monkeypatch):
    """Of more pixels than its limit, and not twice as many; Pillow would hold them all."""
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg())).save(file, "PNG")
    data = file.getvalue()
    expected = process(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    monkeypatch.setattr(writing, "read_pixels", None)
    with pytest.warns(Image.DecompressionBombWarning, match="8100 pixels"):
        found = process(data)
    assert (found.pixel_values == expected.pixel_values).all()


def test_nothing_is_written_before_every_array_is_checked():
    out = np.full((100, 1176), 7, np.float32)
    with pytest.raises(TypeError, match="float32"):
        process([RGB, RGB.astype(np.float32)], out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("bad", ["cut.jpg", "text.png", "missing.png"])
def test_batch_errors_tell_which(bad, index, bad_files):
    images = [RGB, bad_files / "good.jpg", RGB]
    images[index] = bad_files / bad
    with pytest.raises((ValueError, OSError)) as caught:
        process(images)
    assert caught.value.index == index
    assert caught.value.source is images[index]


def test_batch_errors_count_through_nested_lists_and_stacks():
    bad = RGB.astype(np.int16)
    for images in ([[RGB], [RGB, bad]], [np.stack([RGB, RGB]), bad]):
        with pytest.raises(TypeError, match="int16") as caught:
            process(images)
        assert caught.value.index == 2
        assert caught.value.source is bad


# --------------------------------------------------------------------------- strange but not bad


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
def test_negative_strides_are_read(reference):
    noise = np.random.default_rng(0).integers(0, 256, (100, 70, 3), np.uint8)
    for view in (noise[::-1], noise[:, ::-1], noise[..., ::-1], noise[::-2, ::-3]):
        call = ImageProcessor("qwen2-vl", reference=reference)
        want = call(view.copy())["pixel_values"]
        assert torch.equal(call(view)["pixel_values"], want)
        copied = resize(view.copy(), 40, 50, reference=reference)
        assert np.array_equal(resize(view, 40, 50, reference=reference), copied)


def test_ambiguous_channels_warn_and_come_first(stock):
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 4), np.uint8)
    with pytest.warns(UserWarning, match=r"\(3, 40, 4\)"):
        got = process(image)
    want = stock("torchvision", min_pixels=3136)(image, return_tensors="pt")
    assert torch.equal(got["pixel_values"], want["pixel_values"])


def python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )


def test_without_torch():
    ran = python(
        """
import sys
sys.modules["torch"] = None
import numpy, qvl_fast
image = numpy.zeros((56, 56, 3), "uint8")
process = qvl_fast.ImageProcessor("qwen2-vl")
assert process(image, return_tensors="np")["pixel_values"].shape == (16, 1176)
assert qvl_fast.patchify(image[None], "qwen2-vl").shape == (16, 1176)
assert qvl_fast.resize(image, 5, 5).shape == (5, 5, 3)
out = numpy.zeros((16, 1176), "float32")
assert numpy.shares_memory(process(image, out=out, return_tensors="np")["pixel_values"], out)
for bad, error, text in (
    (lambda: process(image), ImportError, "return_tensors='np'"),
    (lambda: qvl_fast.patchify(image[None], "qwen2-vl", dtype="bfloat16"), ImportError, "torch"),
    (lambda: process(image, out=[0], return_tensors="np"), TypeError, "out"),
):
    try:
        bad()
    except error as caught:
        assert text in str(caught), caught
    else:
        raise AssertionError(f"no {error}")
"""
    )
    assert ran.returncode == 0, ran.stderr


def test_import_is_light():
    ran = python(
        "import sys, qvl_fast; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr
