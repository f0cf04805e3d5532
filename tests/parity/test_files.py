"""Files of every format and mode, generated here: rows and sizes follow the stated rule.

The rule: opened as Pillow opens it, turned upright by its EXIF orientation, alpha or transparency
composited on white, everything else converted to RGB; then what transformers makes of that.
"""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps

from qvl_fast import ImageProcessor, image_size

HEIGHT, WIDTH = 41, 30
CONTAINERS = ("JPEG", "JPEG XMP", "PNG", "PNG eXIf last", "PNG XMP last", "WebP", "TIFF")
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{}"/></x:xmpmeta>'


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind, body):
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def before_end(png, kind, body):
    """A PNG file with one more chunk, after the pixels."""
    end = png.index(b"\0\0\0\0IEND")
    return png[:end] + chunk(kind, body) + png[end:]


def deep_png(values, colour_type):
    """A PNG of 16 bits a channel, which Pillow reads and does not write."""
    height, width = values.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    pixels = zlib.compress(lines)
    signature = b"\x89PNG\r\n\x1a\n"
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", pixels[:99]), chunk(b"IDAT", pixels[99:])]
    return signature + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def modes(picture):
    """One picture in every mode, with alpha that varies and all of 16 bits."""
    rng = np.random.default_rng(7)
    rgb = picture(rng, HEIGHT, WIDTH)
    alpha = rng.choice(np.array([0, 1, 77, 128, 254, 255], np.uint8), (HEIGHT, WIDTH))
    image = Image.fromarray(np.dstack([rgb, alpha]))
    deep = rgb[:, :, 0].astype(np.uint16) * 257
    return {
        **{mode: image.convert("RGB").convert(mode) for mode in ("1", "L", "RGB", "CMYK", "YCbCr")},
        **{mode: image.convert(mode) for mode in ("RGBA", "LA", "I", "F")},
        "P": image.convert("RGB").quantize(16),
        "I;16": Image.fromarray(deep),
    }


FILES = {
    **{f"JPEG {mode}": (mode, "JPEG", {}) for mode in ("1", "L", "RGB", "CMYK", "YCbCr")},
    "JPEG 4:4:4": ("RGB", "JPEG", {"subsampling": 0, "quality": 95}),
    "JPEG 4:2:2": ("RGB", "JPEG", {"subsampling": 1}),
    "JPEG 4:2:0": ("RGB", "JPEG", {"subsampling": 2}),
    "JPEG progressive": ("RGB", "JPEG", {"progressive": True}),
    "JPEG progressive 4:4:4": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "JPEG progressive L": ("L", "JPEG", {"progressive": True}),
    "JPEG progressive CMYK": ("CMYK", "JPEG", {"progressive": True}),
    "JPEG restarts": ("RGB", "JPEG", {"restart_marker_blocks": 2}),
    **{f"PNG {mode}": (mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "PNG P 4 bits": ("P", "PNG", {"bits": 4}),
    "PNG P index 0": ("P", "PNG", {"transparency": 0}),
    "PNG P index 9": ("P", "PNG", {"transparency": 9}),
    "PNG P bytes": ("P", "PNG", {"transparency": bytes(range(0, 256, 17))}),
    "PNG 1 tRNS": ("1", "PNG", {"transparency": 0}),
    "PNG L tRNS": ("L", "PNG", {"transparency": 128}),
    "PNG I;16 tRNS": ("I;16", "PNG", {"transparency": 128 * 257}),
    "PNG RGB tRNS": ("RGB", "PNG", {"transparency": "first pixel"}),
    "PNG RGB tRNS black": ("RGB", "PNG", {"transparency": (0, 0, 0)}),
    "WebP lossy": ("RGB", "WebP", {"quality": 60}),
    "WebP lossless": ("RGB", "WebP", {"lossless": True}),
    "WebP lossy alpha": ("RGBA", "WebP", {"quality": 60}),
    "WebP lossless alpha": ("RGBA", "WebP", {"lossless": True, "exact": True}),
    "WebP animated": ("RGBA", "WebP", {"save_all": True, "append_images": "black"}),
    **{f"GIF {mode}": (mode, "GIF", {}) for mode in ("1", "L", "P", "RGB", "RGBA")},
    "GIF P index 0": ("P", "GIF", {"transparency": 0}),
    "GIF P index 9": ("P", "GIF", {"transparency": 9, "interlace": False}),
    "GIF animated": ("P", "GIF", {"save_all": True, "append_images": "black", "transparency": 3}),
    **{f"BMP {mode}": (mode, "BMP", {}) for mode in ("1", "L", "P", "RGB", "RGBA")},
    **{
        f"TIFF {mode}": (mode, "TIFF", {})
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F")
    },
    "TIFF LZW": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "TIFF JPEG": ("RGB", "TIFF", {"compression": "jpeg"}),
    "TIFF CMYK deflate": ("CMYK", "TIFF", {"compression": "tiff_deflate"}),
    "PPM": ("RGB", "PPM", {}),
}
DEEP = {"PNG RGB 16 bits": 2, "PNG LA 16 bits": 4, "PNG RGBA 16 bits": 6}


@pytest.fixture(params=[*FILES, *DEEP])
def file(request, modes):
    """The bytes of one file."""
    if request.param in DEEP:
        values = np.array(modes["RGBA"]).astype(np.uint16) * 257
        channels = {2: [0, 1, 2], 4: [0, 3], 6: [0, 1, 2, 3]}[DEEP[request.param]]
        return deep_png(values[:, :, channels], DEEP[request.param])
    mode, format, options = FILES[request.param]
    image, options = modes[mode], dict(options)
    if options.get("transparency") == "first pixel":
        options["transparency"] = image.getpixel((0, 0))
    if "append_images" in options:
        options["append_images"] = [Image.new(mode, image.size)]
    return encode(image, format, **options)


def oriented(container, orientation, modes):
    """The bytes of a file that says it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb, rgba, xmp = modes["RGB"], modes["RGBA"], XMP.format(orientation).encode()
    match container:
        case "JPEG":
            return encode(rgb, "JPEG", exif=exif)
        case "JPEG XMP":
            return encode(rgb, "JPEG", xmp=xmp)
        case "PNG":
            return encode(rgba, "PNG", exif=exif)
        case "PNG eXIf last":
            return before_end(
                encode(rgba, "PNG"), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")
            )
        case "PNG XMP last":
            text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
            return before_end(encode(rgb, "PNG"), b"iTXt", text)
        case "WebP":
            return encode(rgba, "WebP", exif=exif, lossless=True)
        case "TIFF":
            return encode(rgba, "TIFF", tiffinfo={0x0112: orientation})


def upright_rgb(data):
    """The rule, spelled out."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert("RGB")


@pytest.fixture
def forms(tmp_path):
    """``forms(data)``: what one file can be given as."""
    opened = []

    def make(data):
        path = tmp_path / "image"  # the name says nothing about the format
        path.write_bytes(data)
        read_on = io.BytesIO(data)
        read_on.seek(len(data) // 2)
        opened.append(path.open("rb"))
        return [str(path), path, data, io.BytesIO(data), read_on, opened[-1]]

    yield make
    for file in opened:
        assert not file.closed, "a file object that was lent has been closed"
        file.close()


def assert_rule(data, forms, stock):
    image = upright_rgb(data)
    for reference in ("torchvision", "pillow"):
        want = stock(reference)(image, return_tensors="pt")
        process = ImageProcessor("qwen2-vl", reference=reference)
        for source in forms(data):
            got = process(source)
            assert torch.equal(got["image_grid_thw"], want["image_grid_thw"])
            assert torch.equal(got["pixel_values"], want["pixel_values"]), type(source)
            assert image_size(source) == (image.height, image.width)


def test_rule_holds(file, forms, stock):
    assert_rule(file, forms, stock)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", CONTAINERS)
def test_rule_holds_for_every_orientation(container, orientation, modes, forms, stock):
    data = oriented(container, orientation, modes)
    assert Image.open(io.BytesIO(data)).getexif().get(0x0112) == orientation, "no such file"
    assert_rule(data, forms, stock)


def test_stream_that_cannot_seek(modes, stock):
    """The size and the pixels come from one reading of a pipe; the size alone would use it up."""
    data = oriented("JPEG", 6, modes)

    def piped():
        read, write = os.pipe()
        with os.fdopen(write, "wb") as sink:
            sink.write(data)  # less than a pipe holds
        return os.fdopen(read, "rb")

    with piped() as stream:
        with pytest.raises(ValueError, match="cannot seek"):
            image_size(stream)
        assert stream.read() == data
    with piped() as stream:
        got = ImageProcessor("qwen2-vl")(stream)["pixel_values"]
    want = stock("torchvision")(upright_rgb(data), return_tensors="pt")["pixel_values"]
    assert torch.equal(got, want)


@pytest.mark.parametrize("container", CONTAINERS)
def test_pil_image_is_taken_as_it_is(container, modes, stock):
    data = oriented(container, 6, modes)
    got = ImageProcessor("qwen2-vl")(Image.open(io.BytesIO(data)))
    want = stock("torchvision")(Image.open(io.BytesIO(data)), return_tensors="pt")
    assert torch.equal(got["image_grid_thw"], want["image_grid_thw"])
    assert torch.equal(got["pixel_values"], want["pixel_values"])
    image = Image.open(io.BytesIO(data))
    assert image_size(image) == image.size[::-1]


def test_pil_image_is_not_changed(modes):
    image = modes["P"].copy()
    image.info["transparency"] = 3
    before = (image.mode, image.size, image.tobytes(), dict(image.info))
    ImageProcessor("qwen2-vl")(image)
    assert (image.mode, image.size, image.tobytes(), dict(image.info)) == before


def header(data):
    """A JPEG or PNG file up to where its pixels begin."""
    if data.startswith(b"\x89PNG"):
        return data[: data.index(b"IDAT") + 4]
    scan = data.index(b"\xff\xda")
    return data[: scan + 2 + int.from_bytes(data[scan + 2 : scan + 4])]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("JPEG", "PNG P"))])
def test_size_of_a_header_alone(name, modes):
    mode, format, options = FILES[name]
    data = encode(modes[mode], format, **options)
    assert len(header(data)) < len(data)
    assert image_size(header(data)) == (HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="decoded"):
        ImageProcessor("qwen2-vl")(header(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["JPEG", "JPEG XMP", "PNG"])
def test_upright_size_of_a_header_alone(container, orientation, modes):
    upright = (WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH)
    assert image_size(header(oriented(container, orientation, modes))) == upright


def test_size_decodes_nothing(file, monkeypatch):
    def load(image):
        raise AssertionError("pixels were decoded")

    height, width = upright_rgb(file).size[::-1]
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert image_size(file) == (height, width)


def test_forms_mix_in_a_batch(modes, tmp_path, stock):
    files = [encode(modes["RGB"], format) for format in ("PNG", "BMP", "TIFF")]
    path = tmp_path / "picture.jpg"
    path.write_bytes(files[1])
    array = np.array(modes["RGB"])
    batch = [files[0], path, io.BytesIO(files[2]), modes["RGB"], array, torch.from_numpy(array)]
    got = ImageProcessor("qwen2-vl")(batch)["pixel_values"]
    one = stock("torchvision")(modes["RGB"], return_tensors="pt")["pixel_values"]
    assert torch.equal(got, one.repeat(len(batch), 1))
