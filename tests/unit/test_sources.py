"""What an image may be: streams, mappings, texts that are no paths, files that are no files."""

import base64
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from qvl_fast import ImageError, ImageProcessor, image_size

process = ImageProcessor("qwen2.5-vl", return_tensors="np")
PIXELS = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)


def encoded(image_format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, image_format, **options)
    return file.getvalue()


FILE = encoded()
EXPECTED = process(PIXELS)["pixel_values"]


def equal(batch):
    return np.array_equal(batch["pixel_values"], EXPECTED)


class Reading:
    """Nothing but ``read``, as of a response or a member of an archive."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, size=-1, /):
        return self._stream.read(size)


class Unseekable(Reading):
    def seekable(self):
        return False

    def seek(self, place, whence=0, /):
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize("kind", [Reading, Unseekable])
def test_a_stream_that_can_only_be_read(kind):
    assert equal(process(kind(FILE)))
    stream = kind(FILE)
    with pytest.raises(
        ImageError, match=f"image \\({kind.__name__}\\) is a stream that cannot seek"
    ):
        image_size(stream)
    assert stream.read() == FILE


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "TIFF"])
@pytest.mark.parametrize("place", [0, 7])
def test_image_size_leaves_a_stream_where_it_was(image_format, place):
    stream = io.BytesIO(encoded(image_format))
    stream.seek(place)
    assert image_size(stream) == (61, 83)
    assert stream.tell() == place
    broken = io.BytesIO(b"no image at all")
    broken.seek(3)
    with pytest.raises(ImageError):
        image_size(broken)
    assert broken.tell() == 3


@pytest.mark.parametrize("wrap", [memoryview, bytearray, lambda file: memoryview(file)[:]])
def test_bytes_in_any_form(wrap):
    assert equal(process(wrap(FILE)))
    assert image_size(wrap(FILE)) == (61, 83)


def test_mappings_of_data_sets(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(FILE)
    for image in (
        {"bytes": FILE, "path": None},
        {"bytes": FILE, "path": "not there"},
        {"bytes": None, "path": str(path)},
        {"path": path},
    ):
        assert equal(process(image))
        assert equal(process([image]))
        assert image_size(image) == (61, 83)
    with pytest.raises(
        ImageError, match=r"'bytes' or a 'path', got a dict with the keys \['url'\]"
    ):
        process([PIXELS, {"url": "x"}])
    for contents in (str(path), path, "", [FILE]):
        for call in (process, image_size):
            with pytest.raises(ImageError, match="image must have bytes as its 'bytes', got"):
                call({"bytes": contents, "path": str(path)})


def test_generators():
    batch = process(image for image in (PIXELS, FILE, {"bytes": FILE, "path": None}))
    assert batch["image_grid_thw"].tolist() == [[1, 4, 6]] * 3
    assert process(iter([[PIXELS, FILE]]))["image_grid_thw"].tolist() == [[1, 4, 6]] * 2
    with pytest.raises(ValueError, match="at least one image"):
        process(iter(()))


@pytest.mark.parametrize("call", [process, image_size])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be an empty string"),
        ("file:///x.png", r"'file:///x.png' is a URL \(file://...\)"),
        ("s3://bucket/key.jpg", r"is a URL \(s3://...\); fetch it and pass its bytes"),
        ("data:image/png;base64," + "A" * 4_000_000, r"is a URL \(data:...\)"),
        (base64.b64encode(FILE).decode(), r"is base64 text; pass base64.b64decode\(text\)"),
        (base64.b64encode(encoded("JPEG")).decode(), "is base64 text"),
        (base64.encodebytes(encoded("GIF")).decode(), "is base64 text"),
        ("x" * 5000, "is not a path: File name too long"),
        ("a\0b", "is not a path: embedded null byte"),
    ],
    ids=lambda value: value[:12],
)
def test_texts_that_are_no_paths(call, text, message):
    with pytest.raises(ImageError, match=message) as caught:
        call(text)
    assert len(str(caught.value)) < 1000


def test_a_file_may_be_called_as_base64_text_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ("iVBORw0KGgo" + "A" * 30)).write_bytes(FILE)
    assert equal(process("iVBORw0KGgo" + "A" * 30))
    with pytest.raises(FileNotFoundError):
        process("missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("call", [process, image_size])
def test_a_named_pipe_is_refused_at_once(call, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    outcome = []

    def run():
        try:
            call(pipe)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert [type(error) for error in outcome] == [ImageError]
    assert "is not a regular file; read it and pass its bytes" in str(outcome[0])
    command = [sys.executable, "-c", "import qvl_fast.cli; exit(qvl_fast.cli.main())"]
    done = subprocess.run(
        [*command, "inspect", str(pipe)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "is not a regular file" in done.stderr


def xmp(orientation):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tag", [None, 1, 3, 6])
def test_a_tiff_that_is_sideways_by_its_xmp_packet(orientation, tag):
    tags = {700: xmp(orientation)} | ({} if tag is None else {274: tag})
    file = encoded("TIFF", tiffinfo=tags)
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        expected = np.asarray(image)
    assert image_size(file) == expected.shape[:2]
    assert np.array_equal(
        process(file)["pixel_values"], process(np.ascontiguousarray(expected))["pixel_values"]
    )
