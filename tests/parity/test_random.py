"""Random campaigns against live torchvision, Pillow and transformers: no value may differ.

``--resize-cases``, ``--path-cases`` and ``--campaign-seed`` choose how many and which; a case is
known by the seed and its number.
"""

import warnings
from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from qvl_fast import ImageConfig, ImageProcessor, ModelConfig, resize

REFERENCES = ("torchvision", "pillow")


def side(rng, low=1, high=3000):
    """Log-uniform: small sides, where most can go wrong, are as likely as large ones."""
    return round(np.exp(rng.uniform(np.log(low), np.log(high))))


def sides(rng, low=1, high=3000):
    return side(rng, low, high), side(rng, low, high)


# ---------------------------------------------------------------------------------------- resize


def any_to_any(rng):
    return sides(rng), sides(rng)


def upscale(rng):
    h, w = sides(rng, 1, 1000)
    return (h, w), (side(rng, h), side(rng, w))


def downscale(rng):
    h, w = sides(rng)
    return (h, w), (side(rng, 1, h), side(rng, 1, w))


def height_kept(rng):
    h, w = sides(rng)
    return (h, w), (h, side(rng))


def width_kept(rng):
    h, w = sides(rng)
    return (h, w), (side(rng), w)


def reduced_256_fold(rng):
    h, w = sides(rng, 256)
    return (h, w), (h // 256, w // 256)


def thin(rng):
    short = side(rng, 1, 15)
    size = (short, 200 * short - int(rng.integers(0, 3)))[:: rng.choice([1, -1])]
    return size, smart_resize(*size, factor=28, min_pixels=3136, max_pixels=1003520)


def about_to_swap_passes(rng):
    """Pillow 13 resizes lines first if the height loses more than twice what the width does."""
    height, width = sides(rng, 10, 800)
    less_wide = int(rng.integers(-9, 400))
    less_high = max(2 * less_wide, 0) + int(rng.integers(-1, 2))
    return (height + less_high, width + less_wide), (height, width)


SIZES = (
    any_to_any,
    upscale,
    downscale,
    height_kept,
    width_kept,
    reduced_256_fold,
    thin,
    about_to_swap_passes,
)


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def extremes(rng, height, width):
    return rng.integers(0, 2, (height, width, 3), np.uint8) * np.uint8(255)


def checkerboard(rng, height, width):
    y, x, c = np.ogrid[:height, :width, :3]
    return ((y // rng.integers(1, 4) + x // rng.integers(1, 4) + c) % 2 * 255).astype(np.uint8)


# The same pixels, lying differently in memory.
LAYOUTS = {
    "packed": lambda pixels: pixels,
    "planar": lambda pixels: np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0),
    "flipped": lambda pixels: np.ascontiguousarray(pixels[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
    "inside": lambda pixels: np.pad(pixels, ((2, 1), (1, 3), (0, 1)))[2:-1, 1:-3, :-1],
}


def torchvision_resize(pixels, height, width):
    if (height, width) == (1, 1) and len(pixels) > 1:
        # torch 2.15 fails an assertion of its own here; the passes one by one, on two equal columns
        column = torchvision_resize(pixels, len(pixels), 1)
        return torchvision_resize(column.repeat(2, axis=1), 1, 2)[:, :1]
    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    mode = InterpolationMode.BICUBIC
    resized = tv.resize(planes, [height, width], interpolation=mode, antialias=True)
    return resized.permute(1, 2, 0).numpy()


def pillow_resize(pixels, height, width):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def check_resize(picture, rng):
    sizes = SIZES[rng.integers(len(SIZES))]
    source, target = sizes(rng)
    content = (noise, extremes, checkerboard, picture, picture)[rng.integers(5)]
    layout = str(rng.choice(list(LAYOUTS)))
    pixels = content(rng, *source)
    differences = []
    for reference, theirs in zip(REFERENCES, (torchvision_resize, pillow_resize), strict=True):
        want = theirs(pixels, *target)
        got = resize(LAYOUTS[layout](pixels), *target, reference=reference)
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        if wrong := np.count_nonzero(got != want):
            differences.append(f"{reference}: {wrong} of {want.size} values")
    return f"{sizes.__name__} {source} -> {target}, {content.__name__}, {layout}", differences


def test_resize(resize_chunk, run_campaign, picture):
    run_campaign("resize", resize_chunk, partial(check_resize, picture))


# ------------------------------------------------------------------------------------ whole path


def random_config(rng):
    least, most = sorted([side(rng, 1, 400_000), side(rng, 1, 400_000)])
    names = ("do_resize", "do_rescale", "do_normalize")
    flags = {name: bool(rng.random() < 0.8) for name in names}
    if rng.random() < 0.4:
        preset = ModelConfig.preset(str(rng.choice(["qwen2-vl", "qwen2.5-vl", "qwen3-vl"]))).image
        most = max(most, preset.min_pixels)
        return preset.override(**flags, max_pixels=int(rng.choice([most, preset.max_pixels])))
    return ImageConfig(
        **flags,
        min_pixels=least,
        max_pixels=most,
        patch_size=int(rng.choice([14, 16])),
        merge_size=int(rng.integers(1, 4)),
        temporal_patch_size=int(rng.integers(1, 3)),
        rescale_factor=float(rng.choice([1 / 255, 1 / 127.5, 1.0, rng.uniform(1e-3, 2)])),
        image_mean=tuple(rng.uniform(-1, 1, 3)),
        image_std=tuple(rng.uniform(0.05, 2, 3) * rng.choice([1, 1, 1, -1])),
    )


def with_transparency(image, value):
    image.info["transparency"] = value
    return image


def grey(pixels):
    return pixels[:, :, :1]


def rgba(rng, pixels):
    return np.dstack([pixels, rng.integers(0, 256, pixels.shape[:2], np.uint8)])


def pil(mode):
    return lambda rng, pixels: Image.fromarray(rgba(rng, pixels)).convert(mode)


def first(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


INPUTS = {
    **{f"PIL {mode}": pil(mode) for mode in ("RGB", "RGBA", "LA", "L", "1", "CMYK", "I", "F")},
    "PIL P": lambda rng, pixels: Image.fromarray(pixels).quantize(60),
    "PIL PA": lambda rng, pixels: Image.fromarray(rgba(rng, pixels)).convert("PA"),
    "PIL P, index": lambda rng, pixels: with_transparency(
        Image.fromarray(pixels).quantize(60), int(rng.integers(0, 9))
    ),
    "PIL P, bytes": lambda rng, pixels: with_transparency(
        Image.fromarray(pixels).quantize(60), rng.bytes(60)
    ),
    "PIL I;16": lambda rng, pixels: Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 3),
    "NumPy HWC": lambda rng, pixels: pixels,
    "NumPy CHW": lambda rng, pixels: first(pixels),
    "NumPy HW1": lambda rng, pixels: grey(pixels),
    "NumPy 1HW": lambda rng, pixels: first(grey(pixels)),
    "NumPy HW4": lambda rng, pixels: rgba(rng, pixels),
    "NumPy 4HW": lambda rng, pixels: first(rgba(rng, pixels)),
    "NumPy flipped": lambda rng, pixels: pixels[::-1, ::-1],
    "NumPy read-only": lambda rng, pixels: np.asarray(Image.fromarray(pixels)),
    "NumPy broadcast": lambda rng, pixels: np.broadcast_to(grey(pixels), pixels.shape),
    "torch CHW": lambda rng, pixels: torch.from_numpy(first(pixels)),
    "torch HWC": lambda rng, pixels: torch.from_numpy(pixels),
    "torch 1HW": lambda rng, pixels: torch.from_numpy(first(grey(pixels))),
    "torch 4HW": lambda rng, pixels: torch.from_numpy(first(rgba(rng, pixels))),
    "torch HW4": lambda rng, pixels: torch.from_numpy(rgba(rng, pixels)),
    "torch permuted": lambda rng, pixels: torch.from_numpy(pixels).permute(2, 0, 1),
    "torch sliced": lambda rng, pixels: torch.from_numpy(np.pad(pixels, 2))[2:-2, 2:-2, 2:-2],
}
STACKS = {
    "NumPy stack": lambda images: np.stack(images),
    "NumPy stack CHW": lambda images: np.stack([first(image) for image in images]),
    "torch stack": lambda images: torch.from_numpy(np.stack(images)),
    "list of stacks": lambda images: [np.stack(images), np.stack(images[:1])],
}
BATCHES = {
    "one": lambda images: images[0],
    "list": list,
    "tuple": tuple,
    "nested": lambda images: [images[:1], images[1:], []],
}


def as_transformers_takes_it(images):
    """torch.from_numpy refuses negative strides; read-only arrays would make it warn."""
    if isinstance(images, list | tuple):
        return [as_transformers_takes_it(image) for image in images]
    return images.copy() if isinstance(images, np.ndarray) else images


def random_size(rng, config):
    if not config.do_resize:
        return tuple(int(config.factor * n) for n in rng.integers(1, 6, 2))
    h = side(rng, 1, 600)
    return h, side(rng, max(1, -(-h // 200)), min(600, 200 * h))


def random_images(rng, batch, sizes, content):
    """Images of ``sizes`` in a form of ``BATCHES`` or ``STACKS``, and what kinds they are."""
    pixels = [content(rng, *size) for size in sizes]
    if batch in STACKS:
        return STACKS[batch](pixels), []
    kinds = [str(kind) for kind in rng.choice(list(INPUTS), len(sizes))]
    images = [INPUTS[kind](rng, rgb) for kind, rgb in zip(kinds, pixels, strict=True)]
    return BATCHES[batch](images), kinds


def check_path(stock, picture, rng):
    config, reference = random_config(rng), str(rng.choice(REFERENCES))
    batch = str(rng.choice([*BATCHES, *STACKS]))
    count = 1 if batch == "one" else int(rng.integers(2, 4))
    sizes = [random_size(rng, config) for _ in range(count)]
    sizes = sizes[:1] * count if batch in STACKS else sizes
    images, kinds = random_images(rng, batch, sizes, (picture, noise)[rng.integers(2)])
    case = f"{reference}, {batch} of {kinds} {sizes}, {config}"
    settings = {name: value for name, value in asdict(config).items() if name != "layout"}
    theirs = stock(reference, **settings)
    want = theirs(as_transformers_takes_it(images), return_tensors="pt")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "either the first or the last axis")
        got = ImageProcessor(config, reference=reference)(images)
    grid, rows = want["image_grid_thw"], want["pixel_values"]
    if rows.dtype == torch.uint8:
        # torchvision with nothing to compute; ours always have the dtype asked for.
        assert (reference, config.do_rescale, config.do_normalize) == ("torchvision", False, False)
        rows = rows.float()
    if got["image_grid_thw"].dtype != grid.dtype or not torch.equal(got["image_grid_thw"], grid):
        return case, f"grid {got['image_grid_thw']} instead of {grid}"
    if got["pixel_values"].dtype != torch.float32 or got["pixel_values"].shape != rows.shape:
        return case, f"rows of {got['pixel_values'].dtype}, {tuple(got['pixel_values'].shape)}"
    wrong = (got["pixel_values"].view(torch.int32) != rows.contiguous().view(torch.int32)).sum()
    return case, wrong.item() and f"{wrong} of {rows.numel()} values"


def test_whole_path(path_chunk, run_campaign, stock, picture):
    run_campaign("path", path_chunk, partial(check_path, stock, picture))
