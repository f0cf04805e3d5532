"""One image in every layout of memory has the rows that it has as packed RGB."""

import numpy as np
import pytest
import torch
from PIL import Image

from qvl_fast import ImageProcessor

# At Pillow's four bytes a pixel it is more than the 16 MB of one piece of memory; and it is work
# enough for eight threads.
HEIGHT, WIDTH = 2100, 2111
COLOURS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = COLOURS[..., :1]


def as_pixels_of(image, channels):
    """``image`` in the first channels of pixels that have more, the others at 255."""
    wide = np.full((HEIGHT, WIDTH, channels), 255, np.uint8)
    wide[..., : image.shape[2]] = image
    return wide


def stored(image, order):
    """A view of ``image``, stored with its axes in another order."""
    return np.ascontiguousarray(image.transpose(order)).transpose(np.argsort(order))


def stored_backwards(image, *axes):
    """A view of ``image``, stored with some of its axes backwards."""
    return np.flip(np.ascontiguousarray(np.flip(image, axes)), axes)


def in_small_pieces(image):
    """A PIL image in many pieces of memory."""
    before = Image.core.get_block_size()
    Image.core.set_block_size(1 << 16)
    try:
        return Image.fromarray(image)
    finally:
        Image.core.set_block_size(before)


LAYOUTS = {
    "BGR": lambda: stored_backwards(COLOURS, 2),
    "RGBA": lambda: as_pixels_of(COLOURS, 4),
    "RGBX": lambda: as_pixels_of(COLOURS, 4)[..., :3],
    "BGRX": lambda: as_pixels_of(COLOURS[..., ::-1], 4)[..., 2::-1],
    "XBGR": lambda: stored_backwards(as_pixels_of(COLOURS, 4), 2)[..., :3],
    "five channels": lambda: as_pixels_of(COLOURS, 5)[..., :3],
    "CHW": lambda: np.ascontiguousarray(COLOURS.transpose(2, 0, 1)),
    "CHW tensor": lambda: torch.from_numpy(COLOURS).permute(2, 0, 1).contiguous(),
    "CHW tensor, channels last": lambda: torch.from_numpy(COLOURS).permute(2, 0, 1),
    "sideways": lambda: stored(COLOURS, (1, 0, 2)),
    "sideways RGBA": lambda: stored(as_pixels_of(COLOURS, 4), (1, 0, 2)),
    "sideways planes": lambda: stored(COLOURS, (2, 1, 0)),
    "planes by line": lambda: stored(COLOURS, (0, 2, 1)),
    "bottom up": lambda: stored_backwards(COLOURS, 0),
    "mirrored": lambda: stored_backwards(COLOURS, 1),
    "all backwards": lambda: stored_backwards(COLOURS, 0, 1, 2),
    "every second pixel": lambda: np.repeat(COLOURS, 2, axis=1)[:, ::2],
    "PIL": lambda: Image.fromarray(COLOURS),
    "PIL RGBA": lambda: Image.fromarray(as_pixels_of(COLOURS, 4)),
    "PIL in many pieces": lambda: in_small_pieces(COLOURS),
}
GREY_LAYOUTS = {
    "grey": lambda: np.ascontiguousarray(GREY),
    "grey, CHW": lambda: np.ascontiguousarray(GREY.transpose(2, 0, 1)),
    "grey, sideways": lambda: stored(GREY, (1, 0, 2)),
    "grey, a channel of three": lambda: GREY,
    "grey, the same memory for each channel": lambda: np.broadcast_to(GREY, COLOURS.shape),
    "grey, PIL": lambda: Image.fromarray(GREY[..., 0]),
}
# Pixels and layouts that have them.
IMAGES = {
    **{name: (COLOURS, make) for name, make in LAYOUTS.items()},
    **{name: (np.repeat(GREY, 3, axis=2), make) for name, make in GREY_LAYOUTS.items()},
    "one line": (
        np.repeat(COLOURS[:1], HEIGHT, axis=0),
        lambda: np.broadcast_to(COLOURS[:1], COLOURS.shape),
    ),
    "one pixel": (
        np.tile(COLOURS[:1, :1], (HEIGHT, WIDTH, 1)),
        lambda: np.broadcast_to(COLOURS[:1, :1], COLOURS.shape),
    ),
    "PIL in one piece": (
        np.ascontiguousarray(COLOURS[:2000, :2000]),
        lambda: Image.fromarray(COLOURS[:2000, :2000]),
    ),
}


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
@pytest.mark.parametrize("name", IMAGES)
def test_rows_are_those_of_packed_rgb(name, reference):
    packed, make = IMAGES[name]
    options = {"reference": reference, "dtype": "uint8", "max_pixels": 28 * 28 * 400}
    want = ImageProcessor("qwen2.5-vl", num_threads=1, **options)(packed)["pixel_values"]
    image = make()
    for threads in (1, 2, 3, 8):
        process = ImageProcessor("qwen2.5-vl", num_threads=threads, **options)
        assert process(image)["pixel_values"].equal(want), threads
