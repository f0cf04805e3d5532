"""Whatever decodes a file, the core or Pillow: the pixels are Pillow's, or both refuse the file."""

import io
import itertools
import mmap
import re
import struct
import tempfile
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps
from test_files import chunk, encode, upright_rgb

import qvl_fast.processors.writing
from qvl_fast import ImageProcessor, _native, resize

HEIGHT, WIDTH = 61, 84
# Rows that are the pixels themselves: nothing that differs can be lost in resizing.
AS_PIXELS = {"patch_size": 1, "merge_size": 1, "temporal": "compact", "dtype": "uint8"}
UNRESIZED = {"do_resize": False, **AS_PIXELS}
to_pixels = ImageProcessor("qwen2.5-vl", **UNRESIZED)
to_rows = ImageProcessor("qwen2.5-vl")

needs_jpeg = pytest.mark.skipif(
    "JPEG" not in _native.decoded_formats(), reason="this build leaves JPEG to Pillow"
)

# ------------------------------------------------------------------------------ what is compared


def pixels(source, process=to_pixels):
    batch = process(source, return_tensors="np")
    _, height, width = batch["image_grid_thw"][0]
    return batch["pixel_values"].reshape(height, width, 3)


def pillow(data):
    return np.array(upright_rgb(data))


def outcome(decode, source):
    """Pixels or an error, whatever is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return decode(source)
        except Exception as error:
            return error


def reason(error):
    """What an exception says, but for the objects that it shows with their addresses."""
    return re.sub(r" <[^>]*>", "", str(error) or type(error).__name__)


def difference(data, source=None):
    """How the result for ``source``, a form of ``data``, differs from Pillow's, if it does."""
    want, got = outcome(pillow, data), outcome(pixels, data if source is None else source)
    if isinstance(want, Exception):
        if not isinstance(got, ValueError | OSError):
            return f"Pillow: {want!r}; here: {got if isinstance(got, Exception) else 'pixels'!r}"
        return None if reason(want) in reason(got) else f"Pillow: {want!r}; here: {got!r}"
    if isinstance(got, Exception):
        return f"Pillow: pixels; here: {got!r}"
    if want.shape != got.shape:
        return f"Pillow: {want.shape}; here: {got.shape}"
    unequal = (want != got).any(axis=2)
    return f"{unequal.sum()} of {unequal.size} pixels differ" if unequal.any() else None


def assert_no_differences(variants):
    """``variants`` are pairs of a name and the bytes of a file."""
    differing = {name: found for name, data in variants if (found := difference(data))}
    examples = "\n".join(f"{name}: {found}" for name, found in list(differing.items())[:20])
    assert not differing, f"{len(differing)} differ, such as\n{examples}"


@pytest.fixture
def small_images_only(monkeypatch):
    """A damaged header may claim any size; what is large is refused."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 17)


# ------------------------------------------------------------------------------------------ JPEG


def saved(format="JPEG", mode="RGB", **options):
    return lambda image: encode(image.convert(mode), format, **options)


def replaced(make, *changes):
    """Files of ``make`` with some bytes exchanged for others."""

    def change(image):
        data = make(image)
        for old, new in changes:
            assert old in data, "nothing to replace"
            data = data.replace(old, new, 1)
        return data

    return change


def with_marker(make, code, body):
    """Files of ``make`` with one more segment at their beginning."""
    segment = struct.pack(">3sBH", b"\xff\xd8\xff", code, len(body) + 2) + body
    return replaced(make, (b"\xff\xd8", segment))


def segments(jpeg):
    """The parts of a JPEG file: each marker with all that follows it up to the next."""
    at, parts = 2, []
    while jpeg[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] == 0xDA:  # up to a marker that is not a stuffed byte or a restart
            end += re.search(rb"\xff[^\0\xd0-\xd7]", jpeg[end:]).start()
        parts.append(jpeg[at:end])
        at = end
    return parts


def first_scans(count, **options):
    """Progressive files that end early, as they should but for the missing scans."""

    def make(image):
        parts = segments(encode(image, "JPEG", progressive=True, **options))
        scans = [at for at, part in enumerate(parts) if part[1] == 0xDA]
        assert count < len(scans)
        return b"\xff\xd8" + b"".join(parts[: scans[count]]) + b"\xff\xd9"

    return make


def frame(kind, width, height, components):
    """A frame header; components are (id, sampling factors, quantization table)."""
    body = struct.pack(">BHHB", 8, height, width, len(components))
    body += b"".join(bytes(component) for component in components)
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def reinterpreted(subsampling, factors, size, tables=None):
    """Files in samplings that Pillow does not write, whose blocks an encoder wrote for another one.

    Where both have as many blocks in a unit and as many units in the image, it is a proper file.
    """

    def make(image):
        parts = segments(encode(image, "JPEG", subsampling=subsampling))
        for at, part in enumerate(parts):
            if part[1] == 0xC0:
                components = [*zip((1, 2, 3), factors, (0, 1, 1), strict=True)]
                parts[at] = frame(0xC0, *size(*image.size), components)
            elif part[1] == 0xDA and tables:
                used = b"".join(bytes(pair) for pair in zip((1, 2, 3), tables, strict=True))
                parts[at] = part[:5] + used + part[11:]
        return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"

    return make


def planar(*factors, missing=0):
    """Files with a scan for each component, each an encoder's grey file of its own."""

    def make(image):
        across, down = (max(factor[axis] for factor in factors) for axis in (0, 1))
        planes = []
        for band, (x, y) in zip(image.convert("YCbCr").split(), factors, strict=True):
            side = -(-image.width * x // across), -(-image.height * y // down)
            planes.append(segments(encode(band.resize(side), "JPEG")))
        ids = range(1, len(planes) + 1)
        components = [(name, 16 * x + y, 0) for name, (x, y) in zip(ids, factors, strict=True)]
        head = [part for part in planes[0] if part[1] not in (0xC0, 0xDA)]
        scans = [
            part[:5] + bytes([name]) + part[6:]
            for name, plane in zip(ids, planes, strict=True)
            for part in plane
            if part[1] == 0xDA
        ]
        head.append(frame(0xC0, *image.size, components))
        return b"\xff\xd8" + b"".join(head + scans[: len(scans) - missing]) + b"\xff\xd9"

    return make


def exif(orientation, thumbnail=None, kind=3, count=1):
    """An EXIF block in two directories, the second for a thumbnail."""
    value = {2: b"%d" % orientation, 3: struct.pack("<H", orientation)}.get(
        kind, struct.pack("<I", orientation)
    )
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value.ljust(4, b"\0"))
    second = 26 if thumbnail else 0
    block = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", second)
    if thumbnail:
        where = struct.pack("<HHII", 0x0201, 4, 1, second + 30)
        length = struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail))
        block += struct.pack("<H", 2) + where + length + bytes(4) + thumbnail
    return b"Exif\0\0" + block


NOISE = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()
THUMBNAIL = encode(Image.effect_noise((32, 24), 90).convert("RGB"), "JPEG")
CHROMA = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
SAMPLINGS = {"4:4:0": [(1, 2), (1, 1), (1, 1)], "4:1:1": [(4, 1), (1, 1), (1, 1)]}

CORE_JPEG = {
    **{f"L quality {quality}": saved(mode="L", quality=quality) for quality in (1, 40, 75, 100)},
    **{
        f"{name} quality {quality}": saved(subsampling=subsampling, quality=quality)
        for name, subsampling in CHROMA.items()
        for quality in (5, 30, 50, 75, 90, 95, 100)
    },
    **{f"{name} progressive": saved(subsampling=c, progressive=True) for name, c in CHROMA.items()},
    "L progressive": saved(mode="L", progressive=True, quality=95),
    "optimize": saved(optimize=True, quality=80),
    "restarts in blocks": saved(restart_marker_blocks=3),
    "restarts in lines": saved(restart_marker_rows=1, progressive=True),
    "RGB": saved(keep_rgb=True, quality=90),
    "RGB progressive": saved(keep_rgb=True, progressive=True),
    "Adobe's YCbCr": replaced(saved(keep_rgb=True), (b"\0\0\0\0\0\xff", b"\0\0\0\0\1\xff")),
    "no JFIF": replaced(saved(), (b"\xff\xe0", b"\xff\xef")),
    "two grey samples": replaced(saved(mode="L"), (b"\1\1\x11\0", b"\1\1\x22\0")),
    "two-byte quantization": saved(qtables=[[300] * 64, [999] * 64]),
    "one quantization table": saved(qtables=[list(range(1, 65))]),
    "comment": saved(comment=b"\xff\xd9 said the rabbit"),
    "ICC profile": saved(icc_profile=NOISE),
    "ICC profile in pieces": saved(icc_profile=NOISE * 30),
    "EXIF thumbnail": saved(exif=exif(1, THUMBNAIL)),
    "EXIF noise": with_marker(saved(), 0xE1, b"Exif\0\0" + NOISE),
    "EXIF twice": with_marker(saved(exif=exif(6)), 0xE1, exif(3)),
    "XMP": saved(xmp=b'<x tiff:Orientation="8"/>'),
    "strange segments": with_marker(with_marker(saved(), 0xED, NOISE), 0xE2, NOISE),
    "fill bytes": replaced(saved(), (b"\xff\xdb", b"\xff\xff\xff\xff\xdb")),
    "trailing noise": lambda image: encode(image, "JPEG") + NOISE,
    "trailing JPEG": lambda image: encode(image, "JPEG") + THUMBNAIL,
    "trailing zeros": lambda image: encode(image, "JPEG") + bytes(70000),
    "MPO": lambda image: encode(image, "MPO", save_all=True, append_images=[image.rotate(180)] * 2),
    "4:4:0": reinterpreted(1, (0x12, 0x11, 0x11), lambda width, height: (height, width)),
    "4:1:1": reinterpreted(2, (0x41, 0x11, 0x11), lambda width, height: (2 * width, height // 2)),
    "4:4:1": reinterpreted(2, (0x14, 0x11, 0x11), lambda width, height: (width // 2, 2 * height)),
    **{f"{name} planar": planar(*factors) for name, factors in SAMPLINGS.items()},
    "4:4:4 planar": planar((1, 1), (1, 1), (1, 1)),
    "4:2:0 planar": planar((2, 2), (1, 1), (1, 1)),
}
PILLOW_JPEG = {
    "CMYK": saved(mode="CMYK"),
    "CMYK progressive": saved(mode="CMYK", progressive=True, quality=95),
    "YCCK": replaced(saved(mode="CMYK"), (b"\0\0\0\0\0\xff", b"\0\0\0\0\2\xff")),
}
# What the core leaves to Pillow is its own choice here.
ODD_JPEG = {
    **{f"{n} scans": first_scans(n) for n in range(1, 10)},
    **{f"{n} scans 4:4:4": first_scans(n, subsampling=0, quality=95) for n in (1, 3, 6)},
    "samples in pairs": reinterpreted(
        2, (0x21, 0x21, 0x21), lambda width, height: (width, height), tables=(0, 0, 0x11)
    ),
    "samples in fractions": reinterpreted(
        2, (0x31, 0x21, 0x11), lambda width, height: (width, height), tables=(0, 0x11, 0)
    ),
    "no third scan": planar((2, 2), (1, 1), (1, 1), missing=1),
    "4:1:0 planar": planar((4, 2), (1, 1), (1, 1)),
    "3:1 planar": planar((3, 1), (1, 1), (1, 1)),
    "1:3 planar": planar((1, 3), (1, 1), (1, 1)),
    "unequal chroma planar": planar((2, 2), (2, 1), (1, 2)),
    "sharp chroma planar": planar((1, 1), (2, 2), (2, 2)),
}

# ------------------------------------------------------------------------------------------- PNG

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7 += [(0, 1, 1, 2)]


def scanlines(width, height, depth=8, colour=2, interlaced=False):
    """Noise under random filters: every byte of a line is one that a filter could have made."""
    rng, lines = np.random.default_rng([width, height, depth, colour]), []
    for left, top, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        across, down = len(range(left, width, dx)), len(range(top, height, dy))
        if across and down:
            length = -(-across * CHANNELS[colour] * depth // 8)
            part = rng.integers(0, 256, (down, 1 + length), np.uint8)
            part[:, 0] = rng.integers(0, 5, down)
            lines.append(part.tobytes())
    return b"".join(lines)


def packed(data, level=6, bits=15, strategy=zlib.Z_DEFAULT_STRATEGY):
    compressor = zlib.compressobj(level, zlib.DEFLATED, bits, 8, strategy)
    return compressor.compress(data) + compressor.flush()


def png(width, height, depth=8, colour=2, interlaced=False, *, stream=None, piece=150, **places):
    """A PNG file of noise, with more chunks in the ``places`` before, between and after."""
    if stream is None:
        stream = packed(scanlines(width, height, depth, colour, interlaced))
    if colour == 3:
        places["before"] = chunk(b"PLTE", NOISE[:768]) + places.get("before", b"")
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    first, *others = [chunk(b"IDAT", part) for part in pieces]
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), places.get("before", b""), first]
    parts += [places.get("between", b""), *others, places.get("after", b""), chunk(b"IEND", b"")]
    return b"".join(parts)


def drawn(*arguments, **options):
    """``png`` as a maker, of the picture's size or near it."""
    return lambda image: png(*image.size, *arguments, **options)


STRATEGIES = {
    "huffman": zlib.Z_HUFFMAN_ONLY,
    "runs": zlib.Z_RLE,
    "fixed": zlib.Z_FIXED,
    "filtered": zlib.Z_FILTERED,
}
# Bodies that are as they should be.
CHUNKS = {
    b"gAMA": struct.pack(">I", 45455),
    b"sRGB": b"\0",
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"iCCP": b"noise\0\0" + zlib.compress(NOISE),
    b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
    b"bKGD": struct.pack(">HHH", 1, 2, 3),
    b"sBIT": b"\5\6\5",
    b"tIME": struct.pack(">HBBBBB", 2024, 2, 29, 12, 0, 0),
    b"tEXt": b"Comment\0no more",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"much more"),
    b"iTXt": b"Comment\0\1\0\0\0" + zlib.compress(b"more"),
    b"eXIf": exif(6)[6:],
    b"cICP": bytes([1, 13, 0, 1]),
    b"PLTE": NOISE[:30],
    b"hIST": bytes(20),
    b"sPLT": b"palette\0\x08" + bytes(6),
    b"tRNS": bytes(6),
    b"acTL": struct.pack(">II", 1, 0),
    b"fcTL": struct.pack(">IIIIIHHBB", 0, 20, 16, 0, 0, 1, 10, 0, 0),
    b"fdAT": bytes(4) + zlib.compress(b"0"),
    b"IHDR": struct.pack(">IIBBBBB", 20, 16, 8, 2, 0, 0, 0),
    b"IEND": b"",
    b"IDAT": b"",
    b"abCd": b"ancillary",
    b"ABCD": b"critical",
}


def some(*kinds):
    return b"".join(chunk(kind, CHUNKS[kind]) for kind in kinds)


CORE_PNG = {
    "PNG RGB": saved("PNG"),
    "PNG L": saved("PNG", "L"),
    "PNG optimize": saved("PNG", optimize=True),
    "PNG noise": drawn(),
    "PNG noise L": drawn(8, 0),
    "PNG interlaced": drawn(interlaced=True),
    "PNG interlaced L": drawn(8, 0, True),
    **{f"PNG level {n}": saved("PNG", compress_level=n) for n in range(10)},
    **{f"PNG {name}": saved("PNG", compress_type=kind) for name, kind in STRATEGIES.items()},
    **{
        f"PNG window {bits}": lambda image, bits=bits: png(
            *image.size, stream=packed(scanlines(*image.size), bits=bits)
        )
        for bits in range(9, 16)
    },
    **{f"PNG in pieces of {n}": drawn(piece=n) for n in (1, 7, 8192, 70000)},
    "PNG with empty pieces": drawn(between=chunk(b"IDAT", b"") * 3),
    "PNG colours": drawn(before=some(b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs")),
    "PNG profile": saved("PNG", icc_profile=NOISE),
    "PNG palette": drawn(before=some(b"PLTE", b"hIST", b"sPLT")),
    "PNG texts": drawn(before=some(b"tEXt", b"zTXt", b"iTXt")),
    "PNG private": drawn(before=some(b"abCd")),
    "PNG trailing noise": lambda image: encode(image, "PNG") + NOISE,
    "PNG trailing PNG": lambda image: encode(image, "PNG") + encode(image.rotate(180), "PNG"),
}
PILLOW_PNG = {
    "PNG late texts": drawn(after=some(b"tIME", b"iTXt", b"tEXt")),
    "PNG late private": drawn(after=some(b"abCd")),
    **{f"PNG {mode}": saved("PNG", mode) for mode in ("LA", "RGBA", "P", "1", "I;16")},
    "PNG P transparent": saved("PNG", "P", transparency=7),
    "PNG P transparencies": saved("PNG", "P", transparency=bytes(range(255, 0, -5))),
    "PNG L tRNS": lambda image: encode(
        image.convert("L"), "PNG", transparency=image.getpixel((0, 0))[0]
    ),
    "PNG RGB tRNS": lambda image: encode(image, "PNG", transparency=image.getpixel((0, 0))),
    "PNG APNG": lambda image: encode(
        image, "PNG", save_all=True, append_images=[image.rotate(180)] * 2, duration=9
    ),
    "PNG APNG with a picture before": lambda image: encode(
        image, "PNG", save_all=True, default_image=True, append_images=[image.rotate(180)] * 2
    ),
    **{
        f"PNG colour {colour} depth {depth}{' interlaced' * interlaced}": drawn(
            depth, colour, interlaced
        )
        for colour, depths in {
            0: (1, 2, 4, 16),
            2: (16,),
            3: (1, 2, 4, 8),
            4: (8, 16),
            6: (8, 16),
        }.items()
        for depth in depths
        for interlaced in (False, True)
    },
}

CORE = {**CORE_JPEG, **CORE_PNG}
BY_PILLOW = {**PILLOW_JPEG, **PILLOW_PNG}
FILES = {**CORE, **BY_PILLOW, **ODD_JPEG}
UNREADABLE = ["samples in fractions"]


@pytest.fixture(scope="module")
def image(picture):
    """A picture, and noise in its lower part."""
    rng = np.random.default_rng(3)
    rgb = picture(rng, HEIGHT, WIDTH)
    rgb[HEIGHT // 2 :] = rng.integers(0, 256, rgb[HEIGHT // 2 :].shape)
    return Image.fromarray(rgb)


@pytest.fixture(scope="module")
def files(image):
    assert len(FILES) == sum(map(len, (CORE_JPEG, CORE_PNG, PILLOW_JPEG, PILLOW_PNG, ODD_JPEG)))
    return {name: make(image) for name, make in FILES.items()}


# ------------------------------------------------------------------------------------ whole files


@pytest.mark.parametrize("name", FILES)
def test_every_form_of_a_file_has_the_pixels_of_pillow(name, files, tmp_path):
    data, path = files[name], tmp_path / "image"
    assert isinstance(outcome(pillow, data), np.ndarray) or name in UNREADABLE
    path.write_bytes(data)
    half_read, read = io.BytesIO(data), io.BytesIO(data)
    half_read.seek(len(data) // 2)
    read.seek(0, io.SEEK_END)
    with path.open("rb") as file, path.open("rb", buffering=0) as unbuffered:
        file.seek(9)
        unbuffered.seek(99)
        sources = [str(path), path, data, bytearray(data), io.BytesIO(data), half_read, read]
        for source in (*sources, file, unbuffered):
            assert difference(data, source) is None, source


@contextmanager
def in_archive(path):
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "image")
        with archive.open("image") as file:
            yield file


@contextmanager
def mapped(path):
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        yield memory


@contextmanager
def spooled(path):
    with tempfile.SpooledTemporaryFile(max_size=1000) as file:
        file.write(path.read_bytes())
        yield file


@contextmanager
def bare(path):
    """No more than Pillow asks of a file object."""
    with path.open("rb") as file:
        yield SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell)


@pytest.mark.parametrize("opened", [in_archive, mapped, spooled, bare])
@pytest.mark.parametrize("name", ["4:2:0 quality 75", "CMYK", "PNG RGB", "PNG RGBA"])
def test_file_object_of_another_kind(name, opened, files, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(files[name])
    with opened(path) as file:
        for _ in range(2):
            assert difference(files[name], file) is None


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
def test_rows_are_those_of_the_array(reference, files):
    process = ImageProcessor("qwen2.5-vl", reference=reference)
    for name, data in files.items():
        if name not in UNREADABLE:
            got, want = (process(it, return_tensors="np") for it in (data, pillow(data)))
            assert np.array_equal(got["pixel_values"], want["pixel_values"]), name
            assert np.array_equal(got["image_grid_thw"], want["image_grid_thw"]), name


class LeftToPillowError(Exception):
    pass


@pytest.fixture
def no_pillow(monkeypatch):
    def read_pixels(source, contents):
        raise LeftToPillowError

    monkeypatch.setattr(qvl_fast.processors.writing, "read_pixels", read_pixels)


@pytest.mark.parametrize(
    "name",
    [*CORE_PNG, *(pytest.param(name, marks=needs_jpeg) for name in CORE_JPEG)],
)
def test_core_decodes(name, files, no_pillow):
    pixels(files[name])


@pytest.mark.parametrize("name", BY_PILLOW)
def test_pillow_decodes(name, files, no_pillow):
    with pytest.raises(LeftToPillowError):
        pixels(files[name])


@pytest.mark.parametrize("sides", ["small", "in blocks", "around blocks"])
@pytest.mark.parametrize("name", [*CHROMA, "L", "4:4:4 progressive", "4:2:0 progressive"])
def test_every_side(name, sides):
    chroma, _, progressive = name.partition(" ")
    options = {
        "subsampling": CHROMA.get(chroma, -1),
        "progressive": bool(progressive),
        "quality": 97,
    }
    sizes = {
        "small": itertools.product((1, 2, 3, 7, 8, 9, 15, 16, 17), repeat=2),
        "in blocks": ((side, 176 - side) for side in range(56, 121)),
        "around blocks": ((side, 33) for side in range(1, 50)),
    }[sides]
    rng = np.random.default_rng(5)
    noise = {size: rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes}
    mode = "L" if name == "L" else "RGB"
    assert_no_differences(
        (size, encode(Image.fromarray(array).convert(mode), "JPEG", **options))
        for size, array in noise.items()
    )


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("colour", [0, 2])
def test_every_side_of_png(colour, interlaced):
    sizes = [*itertools.product(range(1, 11), repeat=2), *((n, 176 - n) for n in range(56, 121))]
    assert_no_differences((size, png(*size, 8, colour, interlaced)) for size in sizes)


@pytest.mark.parametrize("side", [1, 2, 3, 40, 65])
@pytest.mark.parametrize("sampling", ["4:4:0", "4:1:1", "4:4:1"])
def test_sides_of_other_samplings(sampling, side):
    rng = np.random.default_rng(side)
    noise = (rng.integers(0, 256, (2 * side, 2 * n, 3), np.uint8) for n in range(20, 38))
    assert_no_differences((a.shape, CORE_JPEG[sampling](Image.fromarray(a))) for a in noise)


@pytest.mark.parametrize("name", ["4:2:0 quality 95", "4:2:0 progressive", "restarts in blocks"])
def test_large_jpeg(name, picture):
    """Pillow reads a file in pieces of 64 KiB."""
    array = picture(np.random.default_rng(5), 701, 903)
    array[:, :500] = np.random.default_rng(6).integers(0, 256, (701, 500, 3))
    data = CORE_JPEG[name](Image.fromarray(array))
    assert len(data) > 200_000
    cuts = {place: data[:place] for place in (1 << 16, 1 << 17, len(data) - 1)}
    assert_no_differences({"whole": data, **cuts}.items())


ORIENTED = {
    **{f"JPEG {name}": {"subsampling": chroma} for name, chroma in CHROMA.items()},
    "JPEG": {"mode": "L"},
    "JPEG progressive": {"progressive": True},
    "PNG": {},
    "PNG L": {"mode": "L"},
}


@pytest.mark.parametrize("name", ORIENTED)
def test_every_orientation(name, picture):
    format = name.split()[0]
    noise = np.random.default_rng(2).integers(0, 256, (75, 58, 3), np.uint8)
    for orientation, array in itertools.product(
        range(10), (noise, picture(np.random.default_rng(4), 59, 90))
    ):
        options = ORIENTED[name] | {"exif": exif(orientation, THUMBNAIL)}
        data = saved(format, **options)(Image.fromarray(array))
        assert difference(data) is None, orientation
        got, want = (
            to_rows(it, return_tensors="np")["pixel_values"] for it in (data, pillow(data))
        )
        assert np.array_equal(got, want), orientation


@pytest.mark.parametrize("name", ORIENTED)
@pytest.mark.parametrize("reference", ["torchvision", "pillow-12", "pillow-13"])
@pytest.mark.parametrize("size", [(300, 170), (90, 410)])
def test_every_orientation_made_small(name, reference, size):
    # Such files are resized as they are stored, and turned then.
    to_rows = ImageProcessor("qwen2.5-vl", reference=reference, max_pixels=20 * 28 * 28)
    noise = np.random.default_rng(5).integers(0, 256, (*size, 3), np.uint8)
    for orientation in range(1, 9):
        options = ORIENTED[name] | {"exif": exif(orientation)}
        data = saved(name.split()[0], **options)(Image.fromarray(noise))
        got, want = (
            to_rows(it, return_tensors="np")["pixel_values"] for it in (data, pillow(data))
        )
        assert np.array_equal(got, want), orientation


TURNED = {
    "rows": {"config": "qwen2.5-vl", "max_pixels": 160 * 28 * 28},
    "rows that hold a frame once": {"config": "qwen3-vl", "temporal": "compact"},
    "rows in raster order": {"config": "qwen2.5-vl", "merge_size": 1, "min_pixels": 600 * 28 * 28},
    "rows with the channel last": {"config": "siglip2-naflex"},
    "planes": {"config": "clip-224"},
    "planes of a padded image": {"config": "llava-1.5-pad"},
    "tiles and an overview": {"config": "llava-next"},
}


@pytest.mark.parametrize("form", TURNED)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_every_orientation_in_every_form(form, dtype):
    # Two of them are enough for two threads.
    noise = np.random.default_rng(6).integers(0, 256, (310, 430, 3), np.uint8)
    files = [
        saved("JPEG", exif=exif(orientation))(Image.fromarray(noise)) for orientation in range(1, 9)
    ]
    processors = [ImageProcessor(**TURNED[form], dtype=dtype, num_threads=n) for n in (1, 2)]
    for file in files:
        want = processors[0](pillow(file))["pixel_values"]
        assert torch.equal(processors[0](file)["pixel_values"], want)
        for to_rows in processors:
            assert torch.equal(to_rows([file, file])["pixel_values"], torch.cat([want, want]))


def test_a_large_jpeg_that_several_decoders_read():
    noise = np.random.default_rng(7).integers(0, 256, (2904, 2900), np.uint8)
    file = saved("JPEG", quality=60)(Image.fromarray(noise).convert("RGB"))
    alone, *others = (
        ImageProcessor("qwen2.5-vl", max_pixels=1280 * 28 * 28, num_threads=threads)
        for threads in (1, 2, 3)
    )
    want = alone(pillow(file))["pixel_values"]
    # Whether it is divided is a matter of what else wants to run.
    for to_rows in 3 * [alone, *others]:
        assert torch.equal(to_rows(file)["pixel_values"], want)


@pytest.mark.parametrize("orientation", [0, 1, 6, 9, 255, 65535])
@pytest.mark.parametrize("kind", range(14))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_orientation_of_another_type(format, kind, orientation, image):
    counts = (0, 1, 2, 70000)
    blocks = {count: exif(orientation, kind=kind, count=count) for count in counts}
    assert_no_differences((n, encode(image, format, exif=block)) for n, block in blocks.items())


# ----------------------------------------------------------------------------------- damaged files

FRAGILE = ["L quality 40", "4:4:4 quality 50", "4:2:0 quality 75", "4:2:0 progressive", "RGB"]
FRAGILE += ["restarts in blocks", "restarts in lines", "EXIF thumbnail", "MPO", "CMYK", "4 scans"]
FRAGILE += ["4:2:0 planar", "PNG L", "PNG RGB", "PNG interlaced", "PNG texts", "PNG colours"]
FRAGILE += ["PNG in pieces of 7", "PNG RGB tRNS", "PNG RGBA", "PNG APNG", "PNG colour 2 depth 16"]


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("name", FRAGILE)
def test_truncated_file(name, lenient, files, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = files[name]
    places = {*range(0, len(data), len(data) // 60), *range(len(data) - 24, len(data))}
    assert_no_differences((place, data[:place]) for place in sorted(places))


def damaged(data, rng):
    """Some bytes changed, lost, repeated or put in."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 9))
        match rng.integers(6):
            case 0:
                data[at] ^= 1 << rng.integers(8)
            case 1:
                data[at] = rng.integers(256)
            case 2:
                data[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at] = 0xFF
    return bytes(data)


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("part", ["anywhere", "head", "tail"])
@pytest.mark.parametrize("name", FRAGILE)
@pytest.mark.usefixtures("small_images_only")
def test_damaged_file(name, part, lenient, files, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = files[name]
    start, end = {
        "anywhere": (0, len(data)),
        "head": (0, 200),
        "tail": (len(data) - 60, len(data)),
    }[part]
    rng = np.random.default_rng([*map(ord, name + part)])
    assert_no_differences(
        (case, data[:start] + damaged(data[start:end], rng) + data[end:]) for case in range(25)
    )


def flipped(data, at, bit=1):
    data = bytearray(data)
    data[at] ^= bit
    return bytes(data)


def with_chunk(kind, place):
    """Files of noise with one chunk more: right, short, long or noise, not summed up or cut off."""
    body = CHUNKS[kind]
    parts = dict.fromkeys((body, b"", body[:-1], body + b"?", NOISE[:37]))
    for colour, part in itertools.product((0, 2), parts):
        whole = chunk(kind, part)
        variants = {"": whole, "badly summed": flipped(whole, -1), "cut": whole[:-6]}
        for name, inserted in variants.items():
            data = png(20, 16, 8, colour, **{place: inserted})
            end = data.index(inserted) + len(inserted)
            yield f"colour {colour} of {part} {name}", data[:end] if name == "cut" else data


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("place", ["before", "between", "after"])
@pytest.mark.parametrize("kind", CHUNKS)
@pytest.mark.usefixtures("small_images_only")
def test_one_more_chunk(kind, place, lenient, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    assert_no_differences(with_chunk(kind, place))


def damaged_streams(colour, interlaced):
    """Proper chunks around pixels that are not quite there."""
    lines = scanlines(WIDTH, HEIGHT, 8, colour, interlaced)
    stream, rng = packed(lines), np.random.default_rng(8)
    yield from ((f"Adler {at}", flipped(stream, at)) for at in range(-4, 0))
    yield from (
        (f"header {at} {bit}", flipped(stream, at, 1 << bit)) for at in (0, 1) for bit in range(8)
    )
    yield from ((f"without {n} bytes", stream[:-n]) for n in (1, 3, 4, 5, 6, 10, 100, 1000))
    yield from ((f"without {n} bytes of lines", packed(lines[:-n])) for n in (1, 2, 3, 253, 2000))
    yield from (
        (f"{n} bytes of lines more", packed(lines + bytes(n))) for n in (1, 253, 300, 70000)
    )
    yield from ((f"{n} bytes more", stream + bytes(n)) for n in (1, 4, 2000, 70000))
    yield "twice", stream + stream
    yield "unfinished", stream[:-5]
    yield "not compressed", lines
    yield "nothing", b"\0"
    for at in rng.integers(0, len(stream), 40):
        yield f"bit at {at}", flipped(stream, at, 1 << int(rng.integers(8)))
    for filter in (5, 6, 128, 255):
        yield f"filter {filter}", packed(bytes([filter]) + lines[1:])


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("piece", [50, 100000])
@pytest.mark.parametrize("colour", [0, 2])
@pytest.mark.parametrize("interlaced", [False, True])
def test_damaged_pixels_of_png(colour, interlaced, piece, lenient, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    assert_no_differences(
        (name, png(WIDTH, HEIGHT, 8, colour, interlaced, stream=stream, piece=piece))
        for name, stream in damaged_streams(colour, interlaced)
    )


# ---------------------------------------------------------------------------------------- batches


def assert_same(got, want):
    for name in ("image_grid_thw", "pixel_values"):
        assert np.array_equal(got[name], want[name]), name


@pytest.fixture(scope="module")
def good(files):
    """All files that Pillow reads."""
    return [data for name, data in files.items() if name not in UNREADABLE]


@pytest.mark.parametrize("options", [{}, UNRESIZED], ids=["rows", "pixels"])
def test_number_of_threads_changes_nothing(options, good):
    arrays = [pillow(data) for data in good]
    want = ImageProcessor("qwen2.5-vl", num_threads=1, **options)(arrays, return_tensors="np")
    mixed = [good[n] if n % 3 else array for n, array in enumerate(arrays)]
    opened = [Image.fromarray(array) for array in arrays]
    for threads in (1, 2, 3, 8):
        process = ImageProcessor("qwen2.5-vl", num_threads=threads, **options)
        for batch in (good, [io.BytesIO(data) for data in good], mixed, opened):
            assert_same(process(batch, return_tensors="np"), want)


SHARED = ["4:2:0 quality 75", "4:2:0 progressive", "CMYK", "PNG RGB", "PNG RGBA", "PNG P", "MPO"]


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("form", ["BytesIO", "file", "PIL", "lazy PIL"])
def test_one_object_many_times_in_a_batch(form, name, files, tmp_path):
    data, path = files[name], tmp_path / "image"
    path.write_bytes(data)
    process = ImageProcessor("qwen2.5-vl", num_threads=8, **UNRESIZED)
    for _ in range(3):
        with path.open("rb") as file:
            source = {
                "BytesIO": lambda: io.BytesIO(data),
                "file": lambda file=file: file,
                "PIL": lambda: Image.fromarray(pillow(data)),
                "lazy PIL": lambda: Image.open(io.BytesIO(data)),
            }[form]()
            got = process([source] * 24, return_tensors="np")["pixel_values"]
        assert (got.reshape(24, *pillow(data).shape) == pillow(data)).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("images_only", [False, True])
def test_images_that_share_a_file_object_in_a_batch(images_only, format):
    noise = np.random.default_rng(9).integers(0, 256, (300, 400, 3), np.uint8)
    file = io.BytesIO(encode(Image.fromarray(noise), format))
    want, process = (
        pillow(file.getvalue()),
        ImageProcessor("qwen2.5-vl", num_threads=8, **UNRESIZED),
    )
    for _ in range(5):
        sources = [Image.open(file) if images_only or n % 2 else file for n in range(12)]
        got = process(sources, return_tensors="np")["pixel_values"]
        assert (got.reshape(12, *want.shape) == want).all()


def test_processor_shared_by_threads(good):
    process = ImageProcessor("qwen2.5-vl", num_threads=2)
    want = process(good, return_tensors="np")
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: process(good, return_tensors="np"), range(6)):
            assert_same(got, want)


@pytest.mark.parametrize("name", FRAGILE)
def test_one_damaged_file_in_a_batch_is_named(name, good, files):
    process = ImageProcessor("qwen2.5-vl", num_threads=8)
    batch = [*good[:20], files[name][: len(files[name]) // 4], *good[20:30]]
    with pytest.raises(ValueError, match=rf"images\[20\]|{len(batch[20])} bytes") as caught:
        process(batch)
    assert caught.value.index == 20
    assert caught.value.source is batch[20]
    good_ones = [*batch[:20], *batch[21:]]
    arrays = [pillow(data) for data in good_ones]
    assert_same(process(good_ones, return_tensors="np"), process(arrays, return_tensors="np"))


# What a decoder finds out late: an image of which Pillow makes something, and one that it refuses.
LATE = {
    "bytes lost": lambda data: data[: len(data) * 3 // 4] + data[len(data) * 3 // 4 + 5000 :],
    "cut short": lambda data: data[: len(data) * 3 // 4],
}


@pytest.mark.parametrize("num_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("damage", LATE)
def test_a_file_that_turns_out_damaged_after_rows_were_written(damage, num_threads, monkeypatch):
    rng = np.random.default_rng(3)
    arrays = [rng.integers(0, 256, (1200, 1300, 3), np.uint8) for _ in range(4)]
    files = [encode(Image.fromarray(array), "JPEG") for array in arrays]
    files[2] = LATE[damage](files[2])
    process = ImageProcessor("qwen2.5-vl", num_threads=num_threads, dtype="uint8")
    rows = process.num_patches(1200, 1300)
    out = np.zeros((len(files) * rows, process.columns), np.uint8)
    written = []

    def read_pixels(source, contents):
        written.append(out[2 * rows : 3 * rows].any())
        return original(source, contents)

    original = qvl_fast.processors.writing.read_pixels
    monkeypatch.setattr(qvl_fast.processors.writing, "read_pixels", read_pixels)
    if damage == "cut short":
        with pytest.raises(ValueError, match="truncated") as caught:
            process(files, out=out)
        assert caught.value.index == 2
        assert "truncated" in str(outcome(pillow, files[2]))
    else:
        process(files, out=out)
    assert written == [True], "Pillow is asked once, after the core has written some of the rows"
    want = process([pillow(data) for data in files if data is not files[2]], return_tensors="np")
    others = np.delete(out.reshape(len(files), -1), 2, axis=0)
    assert np.array_equal(others.ravel(), want["pixel_values"].ravel())
    if damage == "bytes lost":
        want = process(pillow(files[2]), return_tensors="np")["pixel_values"]
        assert np.array_equal(out[2 * rows : 3 * rows], want)


# ----------------------------------------------------------------------------------------- scaled


def reduced(data, scale):
    """What libjpeg makes of a file at one of its scales, turned upright."""
    image = Image.open(io.BytesIO(data))
    sides = [-(-side // scale) for side in image.size]
    image.draft("RGB", [side // scale for side in image.size])
    assert [*image.size] == sides, "not the scale asked for"
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


SCALED = {
    **{name: {"subsampling": chroma} for name, chroma in CHROMA.items()},
    "L": {"mode": "L"},
    "progressive": {"progressive": True, "quality": 95},
    "RGB": {"keep_rgb": True},
}
SMALL = {"min_pixels": 1, "max_pixels": 300, **AS_PIXELS}


@needs_jpeg
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("name", SCALED)
def test_scaled_is_the_scale_of_libjpeg_that_is_next_above(name, orientation, picture):
    rng, scales = np.random.default_rng(6), set()
    sizes = (160, 224), (131, 243), (203, 150), (97, 98)
    for (height, width), reference in itertools.product(sizes, ("torchvision", "pillow")):
        array = picture(rng, height, width)
        make = saved(**SCALED[name], exif=exif(orientation))
        data = make(Image.fromarray(array))
        for part in (2, 0.9, 0.52, 0.5, 0.48, 0.26, 0.25, 0.2, 0.13, 0.125, 0.1):
            area = int(height * width * part * part)
            options = {"min_pixels": area if part > 1 else 1, "max_pixels": area}
            options |= {"reference": reference} | AS_PIXELS
            exact = pixels(data, ImageProcessor("qwen2.5-vl", **options))
            got = pixels(data, ImageProcessor("qwen2.5-vl", decode="scaled", **options))
            steps = {scale: reduced(data, scale) for scale in (1, 2, 4, 8)}
            target = got.shape[:2]
            fitting = [
                n for n, step in steps.items() if min(np.subtract(step.shape[:2], target)) >= 0
            ]
            scales.add(scale := max(fitting, default=1))
            want = resize(steps[scale], *target, reference=reference)
            assert np.array_equal(got, want), (height, width, part, scale)
            assert got.shape == exact.shape
            if scale == 1:
                assert np.array_equal(got, exact)
    assert scales == {1, 2, 4, 8}


@needs_jpeg
@pytest.mark.parametrize("size", [(480, 640), (397, 611)])
def test_scaled_is_close_to_exact(size, picture):
    data = saved()(Image.fromarray(picture(np.random.default_rng(6), *size)))
    for part in (0.5, 0.4, 0.25, 0.2, 0.125, 0.1):
        options = {"max_pixels": int(size[0] * size[1] * part * part), "min_pixels": 1, **AS_PIXELS}
        exact, scaled = (
            pixels(data, ImageProcessor("qwen2.5-vl", decode=d, **options)).astype(int)
            for d in ("exact", "scaled")
        )
        assert 0 < np.abs(scaled - exact).mean() < 5, part


@needs_jpeg
def test_scaled_takes_the_core(files, no_pillow):
    ImageProcessor("qwen2.5-vl", decode="scaled", **SMALL)(files["4:2:0 quality 75"])


@pytest.mark.parametrize("name", [*CORE_PNG, *BY_PILLOW])
def test_scaled_changes_no_other_file(name, files):
    exact, scaled = (ImageProcessor("qwen2.5-vl", decode=d, **SMALL) for d in ("exact", "scaled"))
    assert np.array_equal(pixels(files[name], scaled), pixels(files[name], exact))


@pytest.mark.parametrize("name", ["4:2:0 quality 75", "4:2:0 progressive", "L progressive"])
def test_scaled_changes_no_other_source(name, files, monkeypatch):
    exact, scaled = (ImageProcessor("qwen2.5-vl", decode=d, **SMALL) for d in ("exact", "scaled"))
    image = Image.open(io.BytesIO(files[name]))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for source in (image, np.array(image.convert("RGB")), files[name][:-300]):
        assert np.array_equal(pixels(source, scaled), pixels(source, exact)), type(source)


@needs_jpeg
def test_scaled_rows_have_the_form_of_exact_ones(good):
    options = {"min_pixels": 28 * 28, "max_pixels": 28 * 28}
    exact, alone, together = (
        ImageProcessor("qwen2.5-vl", decode=decode, num_threads=threads, **options)(good)
        for decode, threads in (("exact", 1), ("scaled", 1), ("scaled", 8))
    )
    assert_same(together, alone)
    assert alone["image_grid_thw"].equal(exact["image_grid_thw"])
    assert alone["pixel_values"].shape == exact["pixel_values"].shape
    assert alone["pixel_values"].dtype == exact["pixel_values"].dtype
    assert not alone["pixel_values"].equal(exact["pixel_values"])


@pytest.mark.parametrize("decode", ["Scaled", "", "half", None, True, 2])
def test_wrong_decode_is_named(decode):
    with pytest.raises(ValueError, match=rf"decode .*'scaled'.*{decode!r}"):
        ImageProcessor("qwen2.5-vl", decode=decode)
