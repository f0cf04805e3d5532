"""PIL images are read where Pillow keeps their pixels, whatever the pieces they lie in."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl_fast import ImageProcessor
from qvl_fast._input.pixels import Pieces, read_pixels

# Rows that are the pixels themselves.
AS_PIXELS = {"patch_size": 1, "merge_size": 1, "temporal": "compact", "dtype": "uint8"}
to_pixels = ImageProcessor("qwen2.5-vl", do_resize=False, **AS_PIXELS)
to_rows = ImageProcessor("qwen2.5-vl")


def pixels(image):
    rows = to_pixels(image, return_tensors="np")["pixel_values"]
    return rows.reshape(image.height, image.width, 3)


def rgb(image):
    """The rule, without a look at the memory."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, 3)


def noise(height, width, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def opened(format, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(noise(70, 83)).convert(mode).save(file, format, **options)
    return Image.open(file)


def deep(height, width):
    return Image.fromarray(noise(height, width, 1).astype(np.uint16) * 3)


def of_mode(mode, height=75, width=58):
    if mode == "I;16":
        return deep(height, width)
    channels = {"L": 1, "LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3)
    stored = mode if mode in ("L", "LA", "RGBA", "CMYK") else "RGB"
    image = Image.frombytes(stored, (width, height), noise(height, width, channels).tobytes())
    return image if stored == mode else image.convert(mode)


def transparent(mode, value):
    image = of_mode(mode)
    image.info["transparency"] = value
    return image


def of_arrow():
    image = of_mode("RGB")
    return Image.fromarrow(image, "RGB", image.size)


def closed_after_loading():
    with opened("PNG") as image:
        image.load()
    return image


IMAGES = {
    **{mode: lambda mode=mode: of_mode(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    **{mode: lambda mode=mode: of_mode(mode) for mode in ("CMYK", "YCbCr", "HSV", "LAB", "RGBX")},
    **{mode: lambda mode=mode: of_mode(mode) for mode in ("I;16", "I", "F", "PA")},
    "L transparent": lambda: transparent("L", 0),
    "P transparent": lambda: transparent("P", 3),
    "RGB transparent": lambda: transparent("RGB", of_mode("RGB").getpixel((5, 5))),
    "one pixel": lambda: of_mode("RGB", 1, 1),
    "one line": lambda: of_mode("RGB", 1, 3001),
    "one column": lambda: of_mode("RGB", 3001, 1),
    **{f"lazy {name}": lambda name=name: opened(name) for name in ("JPEG", "PNG", "BMP", "TIFF")},
    "lazy GIF": lambda: opened("GIF", "P"),
    "lazy CMYK": lambda: opened("JPEG", "CMYK"),
    "lazy RGBA": lambda: opened("PNG", "RGBA"),
    "lazy draft": lambda: (image := opened("JPEG"), image.draft("RGB", (40, 30)))[0],
    "closed after loading": closed_after_loading,
    "cropped": lambda: of_mode("RGB").crop((3, 7, 40, 41)),
    "cropped beyond": lambda: of_mode("RGB").crop((-9, -5, 70, 90)),
    "cropped while lazy": lambda: opened("JPEG").crop((3, 7, 40, 41)),
    "resized": lambda: of_mode("RGB").resize((101, 33), Image.Resampling.LANCZOS),
    "thumbnail": lambda: (image := opened("JPEG"), image.thumbnail((31, 31)))[0],
    "rotated": lambda: of_mode("RGB").rotate(30, expand=True, fillcolor="red"),
    "transposed": lambda: of_mode("RGB").transpose(Image.Transpose.TRANSPOSE),
    "merged": lambda: Image.merge("RGB", of_mode("RGB").split()[::-1]),
    "pasted": lambda: (image := of_mode("RGB"), image.paste((1, 2, 3), (4, 5, 20, 30)))[0],
    "new": lambda: Image.new("RGB", (57, 44), "orange"),
    "from bytes": lambda: Image.frombytes("RGB", (20, 30), noise(30, 20).tobytes()),
    "over a buffer": lambda: Image.frombuffer("L", (20, 30), noise(30, 20, 1), "raw", "L", 0, 1),
    "over four bytes": lambda: Image.frombuffer(
        "RGBX", (20, 30), noise(30, 20, 4), "raw", "RGBX", 0, 1
    ),
    "over arrow": of_arrow,
}


@pytest.mark.parametrize("name", IMAGES)
def test_pixels_are_those_of_the_image(name):
    image, want = IMAGES[name](), rgb(IMAGES[name]())
    got = [pixels(image), pixels(image)]
    assert np.array_equal(got[0], want)
    assert np.array_equal(got[1], want)
    assert np.array_equal(rgb(image), want), "the image has changed"


def test_every_colour_and_alpha_is_blended_as_pillow_does():
    colour, alpha = np.mgrid[:256, :256].astype(np.uint8)
    every = np.stack([colour, 255 - colour, colour ^ 0x55, alpha], axis=-1)
    for array in (
        every,
        np.random.default_rng(1).permutation(every.reshape(-1, 4)).reshape(-1, 8, 4),
    ):
        image = Image.fromarray(array)
        assert np.array_equal(pixels(image), rgb(image))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
@pytest.mark.parametrize("config", ["qwen2.5-vl", "llava-next", "llava-1.5-pad"])
def test_alpha_on_every_way_to_rows(config, reference, mode):
    image = of_mode(mode, 700, 530)
    want = ImageProcessor(config, reference=reference)(rgb(image))["pixel_values"]
    for threads in (1, 2):
        to_model = ImageProcessor(config, reference=reference, num_threads=threads)
        assert to_model(image)["pixel_values"].equal(want)


# 16 MiB of a piece hold 2048 lines of 2048 pixels.
SIZES = [(2048, 2047), (2048, 2048), (2049, 2048), (2100, 2100), (2111, 2113)]
SIZES += [(30000, 150), (150, 30000), (40, 105000), (4200001, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_large_image_in_pieces(size):
    array = noise(*size)
    assert np.array_equal(pixels(Image.fromarray(array)), array)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_large_image_of_another_mode(mode):
    image = of_mode(mode, 2100, 2100)
    assert np.array_equal(pixels(image), rgb(image))


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
def test_rows_of_a_large_image(reference):
    process, array = ImageProcessor("qwen2.5-vl", reference=reference), noise(2100, 2111)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "TIFF")
    want = process(array)["pixel_values"]
    for image in (Image.fromarray(array), Image.open(file)):
        assert process(image)["pixel_values"].equal(want)


# ------------------------------------------------------------------- how Pillow may be told to lay


@pytest.fixture
def layout():
    """``layout(name, value)`` sets what the environment's ``PILLOW_...`` sets."""
    before = {name: getattr(Image.core, f"get_{name}")() for name in ("alignment", "block_size")}

    def set_(name, value):
        getattr(Image.core, f"set_{name}")(value)

    yield set_
    for name, value in before.items():
        set_(name, value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("alignment", n) for n in (1, 16, 64, 128)]
    + [("block_size", n) for n in (1 << 12, 1 << 16, 1 << 19, 1 << 20, 1 << 26)],
)
def test_layout_of_memory_changes_nothing(setting, value, layout):
    layout(setting, value)
    for name in ("RGB", "L", "RGBA", "P", "CMYK", "one column", "lazy JPEG", "lazy PNG", "cropped"):
        image = IMAGES[name]()
        assert np.array_equal(pixels(image), rgb(image)), name
    array = noise(700, 901)
    assert np.array_equal(pixels(Image.fromarray(array)), array)


# ---------------------------------------------------------------------------- lifetimes and changes


@pytest.mark.parametrize("size", [(75, 58), (2100, 2100)])
def test_rows_stay_when_the_image_changes(size):
    image, array = Image.fromarray(noise(*size)), noise(*size)
    rows = to_pixels(image, return_tensors="np")["pixel_values"]
    image.paste("black", (0, 0, *image.size))
    image.putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(rows.reshape(array.shape), array)
    array[:] = 0
    array[0, 0] = 1, 2, 3
    assert np.array_equal(pixels(image), array), "the change is not seen"


@pytest.mark.parametrize("mode", ["L", "RGBX", "RGBA", "CMYK"])
@pytest.mark.parametrize("step", [1, -1], ids=["top down", "bottom up"])
def test_an_image_over_the_memory_of_out_is_read_before_that_is_written_to(step, mode):
    side, bands = 280, len(Image.new(mode, (1, 1)).getbands())
    process = ImageProcessor("qwen2.5-vl", num_threads=1)
    out = np.zeros((2 * process.num_patches(side, side), process.columns), np.float32)
    memory = out.view(np.uint8).ravel()[: side * side * bands]
    memory[:] = noise(1, memory.size, 1).ravel()
    image = Image.frombuffer(mode, (side, side), memory, "raw", mode, 0, step)
    first = noise(side, side)
    want = process([first, rgb(image)], return_tensors="np")["pixel_values"]
    assert np.array_equal(process([first, image], out=out)["pixel_values"], want)


@pytest.mark.parametrize("name", ["RGB", "RGBA", "lazy JPEG", "lazy RGBA", "over a buffer"])
def test_one_image_many_times_and_by_many_threads(name):
    image, want = IMAGES[name](), rgb(IMAGES[name]())
    process = ImageProcessor("qwen2.5-vl", num_threads=8, do_resize=False, **AS_PIXELS)
    got = process([image] * 32, return_tensors="np")["pixel_values"]
    assert (got.reshape(32, *want.shape) == want).all()


def test_batch_of_images_by_many_threads():
    names = [name for name in IMAGES if not name.startswith("one ")]  # too thin
    want = ImageProcessor("qwen2.5-vl", num_threads=1)([rgb(IMAGES[name]()) for name in names])
    for threads in (1, 2, 3, 8):
        process = ImageProcessor("qwen2.5-vl", num_threads=threads)
        got = process([IMAGES[name]() for name in names])
        assert got["pixel_values"].equal(want["pixel_values"]), threads


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_memory_is_given_back(mode):
    image = of_mode(mode, 2000, 2000)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    for n in range(14):
        to_rows(image)
        if n == 3:
            before = resident()
    assert resident() - before < 64 << 20, "ten images of 16 MB have been kept"


def test_an_image_in_several_pieces_is_read_some_lines_at_a_time():
    image = Image.fromarray(noise(2100, 2200))
    with pytest.raises(ValueError, match="not contiguous"):
        image.__arrow_c_array__()
    pieces = read_pixels(image)
    assert isinstance(pieces, Pieces)
    expected = np.asarray(image)
    for first, last in [(1000, 2099), (2099, 2100), (0, 1), (5, 1000), (1, 5)]:
        assert np.array_equal(pieces.lines(first, last)[..., :3], expected[first:last])
