"""Pillow's Arrow capsules are believed only if they are those of an RGB image of the given size."""

import ctypes
import gc
from ctypes import POINTER, Structure, c_char_p, c_int64, c_void_p, pythonapi

import numpy as np
import PIL
import pytest
from PIL import Image

from qvl_fast import _native

pytestmark = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="older versions are not asked for capsules"
)

HEIGHT, WIDTH = 30, 40


class Schema(Structure):
    """``struct ArrowSchema``."""


Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_char_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(Schema))),
    ("dictionary", c_void_p),
    ("release", c_void_p),
    ("private_data", c_void_p),
]


class Array(Structure):
    """``struct ArrowArray``."""


Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(Array))),
    ("dictionary", c_void_p),
    ("release", c_void_p),
    ("private_data", c_void_p),
]

pythonapi.PyCapsule_GetPointer.restype = c_void_p
pythonapi.PyCapsule_GetPointer.argtypes = [ctypes.py_object, c_char_p]


def structure(capsule, kind):
    name = b"arrow_schema" if kind is Schema else b"arrow_array"
    return kind.from_address(pythonapi.PyCapsule_GetPointer(capsule, name))


def image(mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_the_pixels_are_those_of_the_image():
    view = _native.arrow_pixels(*image().__arrow_c_array__(), "RGB", HEIGHT, WIDTH)
    assert np.array_equal(view[..., :3], np.asarray(image()))
    assert view.shape == (HEIGHT, WIDTH, 4)


def test_the_pixels_have_their_alpha():
    view = _native.arrow_pixels(*image("RGBA").__arrow_c_array__(), "RGBA", HEIGHT, WIDTH)
    assert np.array_equal(view, np.asarray(image("RGBA")))


def test_an_array_keeps_the_memory_of_its_image():
    kept = image()
    expected = np.asarray(kept).copy()
    schema, array = kept.__arrow_c_array__()
    view = _native.arrow_pixels(schema, array, "RGB", HEIGHT, WIDTH)
    del kept, schema, array
    gc.collect()
    others = [Image.new("RGB", (WIDTH, HEIGHT), "white") for _ in range(50)]
    assert np.array_equal(view[..., :3], expected)
    assert len(others) == 50


@pytest.mark.parametrize(
    "size", [(HEIGHT - 1, WIDTH), (HEIGHT, WIDTH + 1), (0, 0), (2**63, 2), (2**62, 4), (1, 300)]
)
def test_another_size_is_refused(size):
    with pytest.raises(ValueError, match=f"array is not .* of {size[0]}x{size[1]} pixels"):
        _native.arrow_pixels(*image().__arrow_c_array__(), "RGB", *size)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I", "F", "LA", "PA", "RGBA", "RGBX", "CMYK"])
def test_another_mode_is_refused(mode):
    other = Image.new(mode, (WIDTH, HEIGHT))
    schema, array = other.__arrow_c_array__()
    with pytest.raises(ValueError, match="schema is not that of an RGB image"):
        _native.arrow_pixels(schema, array, "RGB", HEIGHT, WIDTH)
    # The schema of an image, and the array of another.
    if mode in ("1", "L", "P", "I", "F"):
        with pytest.raises(ValueError, match="array is not that of an RGB image"):
            _native.arrow_pixels(image().__arrow_c_array__()[0], array, "RGB", HEIGHT, WIDTH)


def test_what_is_no_such_capsule_is_refused():
    schema, array = image().__arrow_c_array__()
    with pytest.raises(ValueError, match=r'schema must be a capsule called "arrow_schema"'):
        _native.arrow_pixels(array, array, "RGB", HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=r'array must be a capsule called "arrow_array"'):
        _native.arrow_pixels(schema, schema, "RGB", HEIGHT, WIDTH)
    for other in (None, image(), b"arrow_array"):
        with pytest.raises(TypeError):
            _native.arrow_pixels(other, array, "RGB", HEIGHT, WIDTH)
        with pytest.raises(TypeError):
            _native.arrow_pixels(schema, other, "RGB", HEIGHT, WIDTH)


SOMEWHERE = 64

# What is wrong with a structure or with its only child, by field. None is a null pointer.
WRONG = {
    Schema: {
        "outer": {
            "format": [b"+w:3", b"+w:44", b"+l", b"C", b"", None],
            "flags": [2, 1],
            "n_children": [0, 2, -1],
            "children": [None],
            "dictionary": [SOMEWHERE],
            "release": [None],
        },
        "inner": {
            "format": [b"c", b"S", b"C4", b"", None],
            "name": [b"RGBA", b"BGR", b"", None],
            "flags": [2],
            "n_children": [1],
            "dictionary": [SOMEWHERE],
            "release": [None],
        },
    },
    Array: {
        "outer": {
            "length": [0, -1, HEIGHT * WIDTH + 1, HEIGHT * WIDTH * 4],
            "null_count": [1, -1],
            "offset": [1],
            "n_buffers": [0, 2],
            "n_children": [0, 2, -1],
            "children": [None],
            "dictionary": [SOMEWHERE],
            "release": [None],
        },
        "inner": {
            "length": [0, -4, HEIGHT * WIDTH, HEIGHT * WIDTH * 4 - 1],
            "null_count": [1, -1],
            "offset": [4],
            "n_buffers": [1, 3],
            "n_children": [1],
            "buffers": [None],
            "dictionary": [SOMEWHERE],
            "release": [None],
        },
    },
}


@pytest.mark.parametrize(
    ("kind", "place", "field", "value"),
    [
        pytest.param(kind, place, field, value, id=f"{kind.__name__}-{place}-{field}-{number}")
        for kind, places in WRONG.items()
        for place, fields in places.items()
        for field, values in fields.items()
        for number, value in enumerate(values)
    ],
)
def test_a_wrong_field_is_refused(kind, place, field, value):
    capsules = image().__arrow_c_array__()
    found = structure(capsules[kind is Array], kind)
    if place == "inner":
        found = found.children[0].contents
    right = ctypes.string_at(ctypes.addressof(found), ctypes.sizeof(kind))
    setattr(found, field, value)
    with pytest.raises(ValueError, match=f"{kind.__name__.lower()} is not that of an RGB image"):
        _native.arrow_pixels(*capsules, "RGB", HEIGHT, WIDTH)
    # As it was, so that Pillow can release it.
    ctypes.memmove(ctypes.addressof(found), right, len(right))
    assert _native.arrow_pixels(*capsules, "RGB", HEIGHT, WIDTH).shape == (HEIGHT, WIDTH, 4)


def test_pixels_that_are_nowhere_are_refused():
    capsules = image().__arrow_c_array__()
    samples = structure(capsules[1], Array).children[0].contents
    pixels = samples.buffers[1]
    samples.buffers[1] = None
    with pytest.raises(ValueError, match="array is not that of an RGB image"):
        _native.arrow_pixels(*capsules, "RGB", HEIGHT, WIDTH)
    samples.buffers[1] = pixels
