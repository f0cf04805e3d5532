"""A file is opened once and read once, whatever it turns out to be."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import ExifTags, Image

from qvl_fast import ImageProcessor

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))


def encoded(form, image=NOISE, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def sideways():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded("JPEG", exif=exif)


def with_bytes_lost(data):
    middle = len(data) // 2
    return data[:middle] + data[middle + 50 :]


FILES = {
    "good.jpg": encoded("JPEG"),
    "sideways.jpg": sideways(),
    "four inks.jpg": encoded("JPEG", NOISE.convert("CMYK")),
    "damaged.jpg": with_bytes_lost(encoded("JPEG")),
    "cut short.jpg": encoded("JPEG")[:-9999],
    "good.png": encoded("PNG"),
    "transparent.png": encoded("PNG", NOISE.convert("RGBA")),
    "damaged.png": with_bytes_lost(encoded("PNG")),
    "good.tiff": encoded("TIFF"),
    "good.bmp": encoded("BMP"),
}
# Pillow makes an image of a JPEG file that has lost bytes.
REFUSED = {"cut short.jpg", "damaged.png"}

PROGRAM = """
import json, sys
from pathlib import Path
from qvl_fast import ImageProcessor

opened, refused = [], []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
process = ImageProcessor("qwen2.5-vl", num_threads=2)
for path in map(Path, sys.argv[1:]):
    try:
        process(path, return_tensors="np")
    except ValueError:
        refused.append(path.name)
print(json.dumps({"opened": opened, "refused": refused}))
"""


@pytest.fixture
def paths(tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in FILES]


def run(paths, *tracer):
    command = [*tracer, sys.executable, "-c", PROGRAM, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    said = json.loads(done.stdout)
    assert set(said["refused"]) == REFUSED
    return said["opened"]


def test_python_opens_a_file_once(paths):
    opened = Counter(run(paths))
    assert {path.name: opened[str(path)] for path in paths} == dict.fromkeys(FILES, 1)


def can_trace():
    strace = shutil.which("strace")
    return strace and subprocess.run([strace, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to use it")
def test_the_system_opens_and_reads_a_file_once(paths, tmp_path):
    log = tmp_path / "log"
    calls = "trace=open,openat,read,readv,pread64,preadv,mmap"
    run(paths, "strace", "-f", "-y", "-s", "0", "-e", calls, "-o", log)
    opened, read = Counter(), Counter()
    for line in log.read_text().splitlines():
        for path in paths:
            if str(path) not in line:
                continue
            call, result = re.search(r"(\w+)\(.* = (\d+)", line).groups()
            if call.startswith("open"):
                opened[path.name] += 1
            else:
                assert call != "mmap"
                read[path.name] += int(result)
    assert opened == dict.fromkeys(FILES, 1)
    assert read == {name: len(data) for name, data in FILES.items()}


class Counting(io.BytesIO):
    """A stream that counts what is read from it."""

    def __init__(self, data):
        super().__init__(data)
        self.sizes = []

    def read(self, size=-1):
        data = super().read(size)
        self.sizes.append(len(data))
        return data


@pytest.mark.parametrize("name", sorted(FILES.keys() - REFUSED))
def test_a_stream_is_read_once(name):
    stream = Counting(FILES[name])
    assert ImageProcessor("qwen2.5-vl", num_threads=2)([stream], return_tensors="np")
    assert stream.sizes == [len(FILES[name])]
