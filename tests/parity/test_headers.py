"""What the core reads in a file's header is what Pillow finds, or the core does not say."""

import io
import itertools
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import ExifTags, Image
from test_decoding import CHUNKS, CORE, FILES, damaged, exif, frame, png, segments
from test_files import chunk, encode

from qvl_fast import _native

# A seed makes a hundred files.
SEEDS = range(20)
MODES = {1: "L", 3: "RGB"}


def by_pillow(data):
    """Format, size, mode and orientation, or the exception that Pillow raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.format == "PNG":
                    with suppress(Exception):
                        image.load()  # metadata may follow the pixels
                orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
                assert image.info.get("transparency") is None
                return (
                    "JPEG" if image.format == "MPO" else image.format,
                    (image.height, image.width),
                    image.mode,
                    int(orientation) if orientation in range(1, 9) else 1,
                )
        except Exception as error:
            return error


def difference(data):
    """How the header differs from what Pillow finds, if it does."""
    header = _native.image_header(data)
    if header is None:
        return None
    size, orientation = (header.height, header.width), header.orientation
    want = by_pillow(data)
    if isinstance(want, Exception):
        # Asked for an orientation, Pillow may refuse the file.
        return None if orientation is None else f"Pillow: {want!r}; here: {size, orientation}"
    got = (
        header.format,
        size,
        MODES[header.channels],
        want[3] if orientation is None else orientation,
    )
    return None if got == want else f"Pillow: {want}; here: {got}"


def assert_no_differences(files):
    """``files`` are their bytes."""
    differing = [(data, found) for data in files if (found := difference(data))]
    examples = "\n".join(f"{found} for {data[:400]!r}" for data, found in differing[:5])
    assert not differing, f"{len(differing)} differ, such as\n{examples}"


@pytest.fixture(scope="module")
def files(picture):
    image = Image.fromarray(picture(np.random.default_rng(3), 61, 84))
    return {name: make(image) for name, make in FILES.items()}


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """A damaged header may claim any size, and only the header is read here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)


@pytest.mark.parametrize("name", FILES)
def test_header_of_every_file(name, files):
    assert_no_differences([files[name]])


@pytest.mark.parametrize("name", CORE)
def test_header_of_a_file_that_the_core_decodes(name, files):
    header = _native.image_header(files[name])
    size = header.height, header.width
    assert (header.format, size, MODES[header.channels]) == by_pillow(files[name])[:3]
    assert (header.orientation is None) == (name in ("EXIF noise", "EXIF twice", "XMP"))


@pytest.mark.parametrize("name", FILES)
def test_header_of_a_file_that_ends_early(name, files):
    data = files[name]
    assert_no_differences(data[:length] for length in range(0, len(data), 7))


@pytest.mark.parametrize("name", FILES)
def test_header_of_a_damaged_file(name, files):
    rng = np.random.default_rng([*map(ord, name)])
    heads = rng.integers(20, 900, 100)
    assert_no_differences(
        damaged(files[name][:head], rng) + files[name][head:] for head in heads.tolist()
    )


# ------------------------------------------------------------------------------------------- EXIF


def ended(rng, data):
    """Mostly as it is, now and then cut off or longer."""
    match rng.integers(12):
        case 0:
            return data[: rng.integers(len(data) + 1)]
        case 1:
            return data + bytes(rng.integers(9))
        case _:
            return data


# Type and number of the values of orientation, resolution, its unit, maker, a directory.
KINDS = {0x0112: (3, 1), 0x011A: (5, 1), 0x0128: (3, 1), 0x010F: (2, 6), 0x8769: (4, 1)}


def tiff(rng):
    """A directory of entries that Pillow looks at and others, some of them odd."""
    order = "<>"[rng.integers(2)]
    entries = []
    for _ in range(rng.integers(0, 6)):
        tag = rng.choice([*KINDS, 0x0112, int(rng.integers(1 << 16))])
        kind, count = KINDS.get(int(tag), (7, int(rng.integers(9))))
        if rng.random() < 0.15:
            kind = rng.choice([*range(1, 18), 129, int(rng.integers(1 << 16))])
        if rng.random() < 0.1:
            count = rng.choice([0, 1, 2, 3, 4, 5, 30, (1 << 32) - 1])
        short = struct.pack(order + "HH", rng.integers(10), rng.integers(2))
        value = [short, struct.pack(order + "I", rng.integers(90)), rng.bytes(4)]
        which = 0 if kind == 3 else rng.choice(3, p=[0.1, 0.85, 0.05])
        entries.append(struct.pack(order + "HHI", int(tag), int(kind), int(count)) + value[which])
    start = 8 if rng.random() < 0.9 else int(rng.integers(40))
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    if rng.random() < 0.05:
        magic = rng.choice([b"II\0*", b"MM*\0", b"II+\0", b"MM\0+", b"IIII", b"", b"Exif\0\0II*\0"])
    count = len(entries) + (rng.integers(-1, 3) if rng.random() < 0.1 else 0)
    head = bytes(magic) + struct.pack(order + "I", start)
    body = struct.pack(order + "H", max(0, count)) + b"".join(entries)
    return ended(rng, head + body + bytes(4) + rng.bytes(rng.integers(40)))


XMP = [b'<x tiff:Orientation="%d"/>', b"<tiff:Orientation>%d<", b"tiff:Orientation='%d'", b"<%d>"]


def xmp(rng):
    return XMP[rng.integers(len(XMP))] % rng.integers(10)


# ------------------------------------------------------------------------------------------- JPEG


def resources(rng):
    """Photoshop's."""
    parts = []
    for _ in range(rng.integers(3)):
        name, data = rng.bytes(rng.integers(4)), rng.bytes(rng.integers(20))
        code = rng.choice([0x03ED, 0x0404])
        part = b"8BIM" + struct.pack(">HB", code, len(name)) + name
        part += bytes(len(part) % 2) + struct.pack(">I", len(data)) + data
        parts.append(part + bytes(len(data) % 2))
    return b"Photoshop 3.0\0" + b"".join(parts)


SEGMENTS = [
    (0xE0, lambda rng: b"JFIF\0\1\2" + bytes([rng.integers(3)]) + rng.bytes(6)),
    (0xE1, lambda rng: b"Exif\0\0" + tiff(rng)),
    (0xE1, lambda rng: b"http://ns.adobe.com/xap/1.0/\0" + xmp(rng)),
    (0xE2, lambda rng: b"ICC_PROFILE\0" + rng.bytes(9)),
    (0xE2, lambda rng: b"MPF\0" + tiff(rng)),
    (0xE2, lambda rng: b"FPXR\0" + rng.bytes(5)),
    (0xED, resources),
    (0xEE, lambda rng: b"Adobe" + rng.bytes(7)),
    (0xFE, lambda rng: rng.bytes(9)),
    (0xDB, lambda rng: bytes([rng.choice([0, 1, 16, 17])]) + rng.bytes(rng.choice([64, 128]))),
    (0xDD, lambda rng: rng.bytes(2)),
    (0xC4, lambda rng: rng.bytes(40)),
    (0xEB, lambda rng: rng.bytes(9)),
    (0xC0, lambda rng: frame(0xC0, *rng.integers(0, 70, 2).tolist(), [(1, 0x11, 0)])[4:]),
    (0xDC, lambda rng: rng.bytes(2)),
]


def any_jpeg(rng):
    """A file with segments of every kind before those of an encoder."""
    weights = np.array([3, 9, 3, *[1] * (len(SEGMENTS) - 3)])
    parts = []
    for which in rng.choice(len(SEGMENTS), rng.integers(5), p=weights / weights.sum()):
        marker, make = SEGMENTS[which]
        body = ended(rng, make(rng))
        fill = b"\xff" * (rng.integers(4) if rng.random() < 0.1 else 1)
        parts.append(fill + struct.pack(">BH", marker, len(body) + 2) + body)
    return b"".join(parts)


@pytest.fixture(scope="module")
def jpegs():
    """Segments of grey and colour files, sequential and progressive, with and without JFIF."""
    image = Image.effect_noise((17, 9), 50)
    modes, options = ("L", "RGB", "CMYK"), ({}, {"progressive": True}, {"dpi": (72, 72)})
    return [
        segments(encode(image.convert(mode), "JPEG", **option))[first:]
        for mode, option, first in itertools.product(modes, options, (0, 1))
    ]


def assert_speaks(files, least):
    """The core has an orientation for so many of the files, and has seen each."""
    found = [header.orientation for header in map(_native.image_header, files) if header]
    assert len(found) - found.count(None) >= least, "hardly anything is compared"
    assert found.count(None) >= least // 20
    assert {*range(1, 9)} <= {*found}


def jpegs_of(seed, jpegs):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        parts = [*jpegs[rng.integers(len(jpegs))]]
        parts.insert(rng.integers(len(parts)), any_jpeg(rng))
        yield b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


@pytest.mark.parametrize("seed", SEEDS)
def test_header_of_any_jpeg(seed, jpegs):
    assert_no_differences(jpegs_of(seed, jpegs))


def test_headers_of_jpeg_say_something(jpegs):
    assert_speaks([data for seed in SEEDS for data in jpegs_of(seed, jpegs)], 400)


# -------------------------------------------------------------------------------------------- PNG

NAMES = [b"Comment", b"exif", b"xmp", b"XML:com.adobe.xmp", b"Raw profile type exif"]
NAMES += [b"transparency", b"interlace", b"bbox", b"icc_profile", b"", b"Author", b"dpi", b"gamma"]


def text(rng, kind):
    name = NAMES[rng.choice(len(NAMES), p=[0.4, *[0.05] * 12])]
    body = [xmp(rng), rng.bytes(9), tiff(rng).hex().encode()][rng.integers(3)]
    if kind == b"tEXt":
        return name + b"\0" + body
    packed = zlib.compress(body if rng.random() < 0.9 else bytes(rng.choice([1 << 20, 1 << 19])))
    method = 0 if rng.random() < 0.9 else rng.integers(256)
    if kind in (b"zTXt", b"iCCP"):
        return name + b"\0" + bytes([method]) + packed
    flag = rng.integers(2)
    return name + b"\0" + bytes([flag, method]) + b"en\0name\0" + (packed if flag else body)


def chunks_of_any_kind(rng):
    kinds = [b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP", *CHUNKS]
    parts = []
    for which in rng.choice(len(kinds), rng.integers(4)):
        kind = kinds[which]
        if kind == b"eXIf":
            body = tiff(rng)
        elif kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            body = text(rng, kind)
        else:
            body = CHUNKS[kind]
        parts.append(chunk(kind, ended(rng, body)))
    return b"".join(parts)


def pngs_of(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        exif_first = chunk(b"eXIf", tiff(rng)) if rng.random() < 0.6 else b""
        places = {"before": exif_first + chunks_of_any_kind(rng)}
        if rng.random() < 0.1:
            places[["between", "after"][rng.integers(2)]] = chunks_of_any_kind(rng)
        colour = rng.choice([0, 2, 3, 4, 6], p=[0.4, 0.45, 0.05, 0.05, 0.05])
        yield png(20, 16, 8, int(colour), bool(rng.integers(2)), **places)


@pytest.mark.parametrize("seed", SEEDS)
def test_header_of_any_png(seed):
    assert_no_differences(pngs_of(seed))


def test_headers_of_png_say_something():
    assert_speaks([data for seed in SEEDS for data in pngs_of(seed)], 400)


# ---------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_orientation(format, orientation):
    data = encode(Image.new("RGB", (5, 4)), format, exif=exif(orientation))
    assert _native.image_header(data).orientation == (
        orientation if orientation in range(1, 9) else 1
    )


def with_exif(format, *entries, order="<"):
    """A file with one directory of such (tag, type, number of values, their four bytes)."""
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    block = magic + struct.pack(order + "IH", 8, len(entries))
    for tag, kind, count, value in entries:
        block += struct.pack(order + "HHI4s", tag, kind, count, value)
    return encode(Image.new("RGB", (5, 4)), format, exif=b"Exif\0\0" + block + bytes(4))


SIX = {"<": (0x0112, 3, 1, b"\6\0\0\0"), ">": (0x0112, 3, 1, b"\0\6\0\0")}


@pytest.mark.parametrize("offset", [0, 8, 35, 1 << 20, (1 << 32) - 1])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 9])
@pytest.mark.parametrize("order", SIX)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_orientation_after_another_entry(format, order, count, offset):
    offset = struct.pack(order + "I", offset)
    assert_no_differences(
        with_exif(format, (tag, kind, count, offset), SIX[order], order=order)
        for tag in (0x010F, 0x011A, 0x0112)
        for kind in range(19)
    )


def test_entries_of_more_bytes_than_there_are():
    """Pillow passes over those that would make their sum larger than the file."""
    overlapping = [(0x9000 + n, 2, 20, b"\0\0\0\0") for n in range(9)]
    files = [with_exif("JPEG", *overlapping[:n], SIX["<"], *overlapping[n:]) for n in range(10)]
    # The same tag again, out of line: the first is only taken if it was not passed over.
    long = (0x0112, 3, 3, b"\0\0\0\0")
    files += [with_exif("JPEG", *overlapping[:n], long, SIX["<"]) for n in range(10)]
    assert_no_differences(files)


@pytest.mark.parametrize("kind", range(19))
def test_resolution_of_another_type(kind):
    """Some make Pillow take the file for something else than a JPEG."""
    unit = (0x0128, 3, 1, b"\2\0\0\0")
    entries = [(0x011A, kind, count, b"\x09\0\0\0") for count in range(5)]
    assert_no_differences(
        b"\xff\xd8" + data[data.index(b"\xff\xe1") :]
        for entry in entries
        for data in [with_exif("JPEG", unit, entry, SIX["<"])]
    )


def with_segment(marker, body):
    data = encode(Image.new("RGB", (5, 4)), "JPEG")
    return data[:2] + struct.pack(">BBH", 255, marker, len(body) + 2) + body + data[2:]


def test_segments_that_are_cut_short():
    resource = b"8BIM" + struct.pack(">HB3sI", 0x0404, 3, b"abc", 5) + b"12345\0"
    bodies = {
        0xE0: b"JFIF\0\1\2\1\0\1\0\1",
        0xE2: b"ICC_PROFILE\0\1\1profile",
        0xED: b"Photoshop 3.0\0" + 2 * resource + b"more",
        0xEE: b"Adobe\0\1\2\3\4\5\6",
        0xDB: 2 * (b"\0" + bytes(64)),
    }
    for marker, body in bodies.items():
        files = [with_segment(marker, body[:length]) for length in range(len(body) + 1)]
        assert_no_differences(files)
        assert _native.image_header(files[-1]) is not None


def test_frames_that_are_not_as_they_should_be():
    data = encode(Image.new("RGB", (5, 4)), "JPEG")
    body = segments(data)[[part[1] for part in segments(data)].index(0xC0)][4:]
    odd = [body, body[:-1], body + b"\1", body[:5] + b"\1" + body[6:], b"\x0c" + body[1:]]
    files = [data.replace(b"\0\x11" + body, struct.pack(">H", 2 + len(b)) + b) for b in odd[1:]]
    files += [with_segment(0xC0, body)]
    assert_no_differences(files)
    assert [*map(_native.image_header, files)] == [None] * 5


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"GIF89a"]
)
def test_no_header(data):
    assert _native.image_header(data) is None
