"""Other families than Qwen's: pixels and companions equal those of transformers, bit for bit.

``--family-cases`` says how many random batches each setting is tried with, half of how many of the
hard sizes, three times of how many photographs, where there are some to develop with, and a
hundredth of how many sizes whose patches and tokens are counted.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from qvl_fast import ImageProcessor
from qvl_fast.bench.stock_families import STOCK, stock_family
from qvl_fast.cli import families
from qvl_fast.config.families import from_json

# Other settings than those of presets: the stock class and its JSON.
SETTINGS = {
    "clip-crop-larger-than-short-side": (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 97, "width": 120}},
    ),
    "clip-not-resized": ("CLIPImageProcessor", {"do_resize": False, "crop_size": 100}),
    "clip-stretched": (
        "CLIPImageProcessor",
        {"size": {"height": 90, "width": 130}, "crop_size": {"height": 60, "width": 131}},
    ),
    "clip-lanczos": ("CLIPImageProcessor", {"resample": 1}),
    "siglip-bilinear": ("SiglipImageProcessor", {"resample": 2}),
    "siglip-box": ("SiglipImageProcessor", {"resample": 4}),
    "siglip-hamming": ("SiglipImageProcessor", {"resample": 5}),
    "glm-4.6v-small": (
        "Glm46VImageProcessor",
        {"size": {"shortest_edge": 40000, "longest_edge": 90000}},
    ),
    "glm-5-small": ("Glm5NextImageProcessor", {"min_image_tokens": 50, "max_image_tokens": 90}),
    "glmga-expanded": (
        "GlmgaImageProcessor",
        {"patch_expand_factor": 2, "size": {"shortest_edge": 40000, "longest_edge": 90000}},
    ),
    "glm-5-expanded": (
        "Glm5NextImageProcessor",
        {"patch_expand_factor": 3, "min_image_tokens": 2, "max_image_tokens": 30},
    ),
    "glm-image-small": (
        "GlmImageImageProcessor",
        {"size": {"shortest_edge": 40000, "longest_edge": 90000}},
    ),
    "cosmos3-edge-in-time": (
        "Cosmos3EdgeImageProcessor",
        {"temporal_patch_size": 2, "size": {"shortest_edge": 40000, "longest_edge": 90000}},
    ),
    "siglip2-few-patches": (
        "Siglip2ImageProcessor",
        {"patch_size": 14, "max_num_patches": 37, "resample": 3},
    ),
    "hunyuan-ocr-small": (
        "HunYuanVLImageProcessor",
        {"size": {"shortest_edge": 9, "longest_edge": 200000}},
    ),
    "paddleocr-vl-small": (
        "PaddleOCRVLImageProcessor",
        {"size": {"shortest_edge": 9000, "longest_edge": 200000}},
    ),
    "cohere-compass-14": ("CohereCompassImageProcessor", {}),
    "kimi-k2.5-small": ("Kimi_K25ImageProcessor", {"max_patches": 300}),
    "kimi-k2.5-short-sides": (
        "Kimi_K25ImageProcessor",
        {"size": {"max_height": 9, "max_width": 9}, "max_patches": 300},
    ),
}
FAMILIES = {**STOCK, **SETTINGS}
# What torch cannot do with uint8, or not alike, and classes without one for Pillow.
PILLOW_ONLY = {"siglip-box", "siglip-hamming"}
TORCH_ONLY = ("kimi", "minimax")
CASES = [
    (name, reference)
    for name in FAMILIES
    for reference in ("torchvision", "pillow")
    if not (name in PILLOW_ONLY if reference == "torchvision" else name.startswith(TORCH_ONLY))
]
# What does not convert colours, and fails with others than RGB; ours converts them.
RGB_ONLY = "siglip2"
# What a tile becomes where images are counted in tiles.
TILE_TOKENS = {"internvl": 256, "got-ocr-2": 256}
# Sides that images are resized to or are multiples of, and sizes about them.
EDGES = (28, 32, 224, 336, 384, 448, 672, 768, 1008)
# Sides of LLaVA-OneVision's canvases, of which few pixels make up one with the shortest.
CANVASES = (768, 1152, 1536, 1920, 2304)
OFF = ((0, 0), (-1, 1), (1, -1), (0, 1), (-1, 0), (1, 1), (-1, -1))
# Thin ones, single pixels, sides below every crop, and photographs' shapes.
HARD = [
    (1, 1), (1, 2), (2, 1), (2, 3), (1, 40), (40, 1), (1, 500), (500, 1), (2, 1000), (1000, 2),
    (3, 900), (900, 3), (5, 7), (13, 15), (14, 14), (27, 29), (30, 1000), (1000, 30), (100, 150),
    (150, 100), (60, 61), (111, 450), (450, 111), (480, 640), (640, 480), (600, 900), (900, 600),
    (224, 1000), (1000, 224), (448, 896), (896, 448), (768, 1152),
    # About half the area of InternVL's four tiles.
    (633, 633), (633, 634), (634, 633), (634, 634),
    *((edge + y, edge + x) for edge in EDGES for y, x in OFF),
    *((edge + y, 384 + x) for edge in CANVASES for y, x in OFF[:3]),
    *((384 + y, edge + x) for edge in CANVASES for y, x in OFF[:3]),
    (1152, 1920), (2304, 1536), (2304, 2304), (2305, 2303),
]  # fmt: skip


@cache
def stock(name, reference):
    kind, settings = FAMILIES[name]
    return stock_family(kind, reference, settings)


@cache
def ours(name, reference):
    kind, settings = FAMILIES[name]
    config = name if name in STOCK else from_json({"image_processor_type": kind, **settings})
    return ImageProcessor(config, reference=reference)


def noise(rng, height, width):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def of_mode(rng, image, name):
    mode = rng.choice(["RGB", "RGB", "L", "RGBA", "LA"])
    if name.startswith(RGB_ONLY):
        return image
    if mode == "RGBA":
        image.putalpha(Image.fromarray(rng.integers(0, 256, image.size[::-1], np.uint8)))
    return image.convert(mode)


def call_stock(name, reference, images):
    """What the stock processor returns; None if it refuses the images."""
    try:
        result = stock(name, reference)(images, return_tensors="pt")
    except AssertionError:
        pytest.fail("torch cannot resize this")
    except ValueError:
        return None
    return {"pixel_values": result} if torch.is_tensor(result) else dict(result)


def difference(name, reference, images):
    """How ours differs from stock; None if it does not."""
    want = call_stock(name, reference, images)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "either the first or the last axis")
        try:
            got = dict(ours(name, reference)(images))
        except ValueError as error:
            return None if want is None else f"refused: {error}"
    if want is None:
        return "stock refuses it"
    if (merge_sizes := want.pop("image_merge_sizes", None)) is not None:
        # A constant that the guide tells how to make.
        config = ours(name, reference).config
        if merge_sizes.tolist() != [config.merge_size] * len(images):
            return f"image_merge_sizes are {merge_sizes.tolist()}"
    # Two models take their rows as small pictures, of the same floats in the same order.
    if name.startswith(("paddle", "kimi")):
        want["pixel_values"] = want["pixel_values"].flatten(1)
    if sorted(got) != sorted(want):
        return f"{sorted(got)}, not {sorted(want)}"
    for key, value in want.items():
        value = torch.as_tensor(value)
        if (got[key].dtype, got[key].shape) != (value.dtype, value.shape):
            return f"{key} is {got[key].dtype} {got[key].shape}, not {value.dtype} {value.shape}"
        if differing := (got[key] != value).sum().item():
            return f"{key}: {differing} differ"
    return None


def test_the_table_of_families_says_which_references_there_are():
    _, lines = families.table([])
    said = {name: reference for name, _, _, reference, _ in lines}
    assert said.pop("qwen-vl") == "Pillow"  # It has no class in transformers.
    for name, (kind, _) in STOCK.items():
        both = hasattr(transformers, f"{kind}Pil")
        assert said.pop(name) == ("torchvision, Pillow" if both else "torchvision"), name
    assert not said


@pytest.mark.parametrize(("name", "reference"), CASES)
def test_hard_sizes(name, reference, pytestconfig, run_campaign):
    count = min(len(HARD), 2 * pytestconfig.getoption("--family-cases"))
    order = np.random.default_rng(pytestconfig.getoption("--campaign-seed")).permutation(HARD)
    sizes = iter(order.tolist())

    def check(rng):
        size = next(sizes)
        return size, difference(name, reference, [noise(rng, *size)])

    run_campaign("family", range(count), check)


def count_or_none(count, *size):
    """What a function counts for a size; None if it refuses it."""
    try:
        return count(*size)
    except (ValueError, ZeroDivisionError):
        return None


# Those whose stock class counts, too; where sides are multiples of more than a token it counts
# others than it returns.
COUNTED = [
    case
    for case in CASES
    if hasattr(stock(*case), "get_number_of_image_patches") and not case[0].endswith("-expanded")
]


@pytest.mark.parametrize(("name", "reference"), COUNTED)
def test_counts(name, reference, pytestconfig):
    theirs, processor = stock(name, reference), ours(name, reference)
    rng = np.random.default_rng(pytestconfig.getoption("--campaign-seed"))
    cases = 100 * pytestconfig.getoption("--family-cases")
    sizes = [*np.exp(rng.uniform(0, np.log(4000), (cases, 2))).astype(int).tolist(), *HARD]
    differing = []
    for size in sizes:
        want = count_or_none(theirs.get_number_of_image_patches, *size)
        counts = processor.num_patches, processor.num_tokens
        got = tuple(count_or_none(count, *size) for count in counts)
        if want is None:
            expected = None, None
        elif isinstance(want, tuple):  # HunyuanOCR's, whose lines end with a token.
            rows, columns = want
            lines, blocks = rows // theirs.merge_size, columns // theirs.merge_size
            expected = rows * columns, lines * (blocks + 1) + 2
        elif name in TILE_TOKENS:
            expected = want, want * TILE_TOKENS[name]
        else:
            expected = want, want // theirs.merge_size**2
        if got != expected:
            differing.append((tuple(size), got, expected))
    assert not differing, f"{len(differing)} of {len(sizes)}: {differing[:9]}"


@pytest.mark.parametrize(("name", "reference"), CASES)
def test_random_batches(name, reference, picture, family_chunk, run_campaign):
    def check(rng):
        # Now and then as large as all canvases and crops.
        most = 2600 if rng.random() < 0.1 else 900
        sizes = [
            tuple(int(side) for side in np.exp(rng.uniform(np.log(20), np.log(most), 2)))
            for _ in range(rng.integers(1, 4))
        ]
        images = [
            of_mode(
                rng,
                noise(rng, *size) if rng.random() < 0.5 else Image.fromarray(picture(rng, *size)),
                name,
            )
            for size in sizes
        ]
        return sizes, difference(name, reference, images)

    run_campaign("family", family_chunk, check)


@pytest.mark.parametrize("reference", ["torchvision", "pillow"])
def test_images_of_idefics_are_flat_however_they_are_nested(reference):
    """The processor of whole prompts puts them together, and not that of images."""
    rng = np.random.default_rng(0)
    one, two, three = (noise(rng, 60 + n, 90) for n in range(3))
    for images in ([one, two, three], [[one, two], [three]], [[one], [two, three]]):
        want = call_stock("idefics", reference, images)["pixel_values"]
        got = ours("idefics", reference)(images).pixel_values
        assert got.shape == (3, 3, 224, 224)
        assert torch.equal(got, want)


@pytest.mark.parametrize("photographs", ["../shared/data/cookbook"], indirect=True)
@pytest.mark.parametrize(("name", "reference"), CASES)
def test_photographs(name, reference, photographs, pytestconfig, run_campaign):
    count = min(len(photographs), -(-pytestconfig.getoption("--family-cases") // 3))
    # Others for each setting, so that few of each are all of them together.
    seed = [pytestconfig.getoption("--campaign-seed"), CASES.index((name, reference))]
    files = iter(np.random.default_rng(seed).permutation(photographs).tolist())

    def check(_):
        file = next(files)
        with Image.open(file) as image:
            picture = image.convert("RGB") if name.startswith(RGB_ONLY) else image
            return file.name, difference(name, reference, [picture])

    run_campaign("family", range(count), check)
