"""The presets of other families: known answers, sizes, and what is refused."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from qvl_fast import ImageProcessor, Layout, ModelConfig, PaddedRows, patchify, unpatchify
from qvl_fast.cli import families
from qvl_fast.config import TOWERS, VITS
from qvl_fast.config.families import IMAGES, from_json
from qvl_fast.config.layout import (
    AnyresTokens,
    PatchBudget,
    Pinpoints,
    Ratio,
    Shortest,
    Stretch,
    TileTokens,
    TokenBudget,
)

# The first digits of sha1 over the float32 bytes of all tiles of an image, by its size: of the
# torchvision backend, then of Pillow's.
KNOWN = {
    "clip-224": """
        224x224 37e9db8625e4 07ecc6a767e3   480x640 50e9386d0c15 43eeb4df6b1e
        640x480 18b7f078f3a4 40920fca625d   225x224 37e9db8625e4 07ecc6a767e3
        224x227 3f1424bda589 5c81a7294d93   1x40 856049192b6d 3cdecdf240c6
        40x1 303c6fa7dd13 222c0cd54173      1x1 87e83342530b 2ce04853bf4f
        337x1000 ba716489b028 ba00b7e2bbd1
    """,
    "llava-1.5": """
        336x336 b07ff292d77e 4e4b5c214937   480x640 ab5b37e72ae4 2b7a6e9fdaeb
        640x480 bb7f90fc356e 7f871cb48b1e   337x1000 3d7004abe7f0 1ffc8de206c3
        1x40 8f7d0cbb0bcb 828162435c70
    """,
    "llava-1.5-pad": """
        336x336 b07ff292d77e 4e4b5c214937   480x640 63487ad1ace0 758dbd94e8fd
        640x480 9236173de94d 692f59a096cb   337x1000 269a5a31d99d ce21c63576aa
        335x336 1159496ff4cd 4840f890167f   1x40 0d679c0e46c1 037bce92840f
    """,
    "llava-next": """
        336x336 bd55f00118c5 105ad5f0cb25   672x672 f7006cc84eb0 cb6b30e40a82
        480x640 908d6b4c253d 6afddccb1ce4   640x480 b029cdae60c6 51a0a0f878ef
        1000x300 6c140f8965d6 81ce463887b4  300x1000 83b639918d40 9803335c07f7
        335x337 e56f3aa7ae27 b09c26772e11   1x40 a2d59cb09e2f 34f3f0ff3586
        1x2000 10042826af70 e4000ce83a3f    2000x1 8fb3e2a6dc73 4f8cb5e2f639
    """,
    "llava-onevision": """
        384x384 0e4e673ac0a8 1395d0490bf1   480x640 f35f616be97c 606b76ec3549
        1080x1920 8c6f16a15c60 74a906b3dcac 300x3000 e04a66c4a747 84ffdacf5a53
        1x40 a98afc796097 b06eaadb3a23      383x385 31582c056be4 6ce48dab6435
        1x5000 5102baddf248 f7704d248ea0    2304x2304 3e41ec258390 f43b1b25bff5
    """,
    "internvl": """
        448x448 5b2f80af63aa 56a5ec06f4c9   480x640 ab7eabcdf664 c8f43b9ffddc
        640x480 3d5fb80372d7 5cafbb935dad   800x1300 e8d3ed0a41b7 b7d8756153ea
        100x150 2f6d105db1e7 b337668426c9   1x40 6c761b6effae 0350f0d4151c
        40x400 e5de1d7ff8dc 9eb3c1ca450a    1080x1920 dee1ebb52a72 fd1b8f337756
        896x896 ea5e94beb4a8 089f7e92cdfb   512x512 787204f04cf9 dafdb162944d
        1344x896 6bd026b42e81 d92e66b202aa  3000x100 6ed72c987949 694b24b6d2c8
    """,
    "blip-2": """
        224x224 37e9db8625e4 07ecc6a767e3   1x40 63c9010b3c4c 1fe9e424bc33
        1x1 87e83342530b 2ce04853bf4f       225x223 86f1ca0af8e9 d134983ae7ce
        480x640 8dde4dd7a29b 98e09cd5d148   40x1 c73833fefd01 99079d430a68
        640x480 8dfde3b3fa00 94436fd1f13a   1000x30 f3d10bceb8a3 7f9cba7a251b
    """,
    "siglip-384": """
        384x384 9eba5afbb7b0 9aae2cf3bfca   1x40 dba26514b304 35e975ac77b2
        1x1 4993ed7519c9 4993ed7519c9       385x383 b5def0ccde2b 516023f6d268
        480x640 01e17bebb04d 26d50d66759f   40x1 05259c6f79c4 4ddb76daae2e
        640x480 b4fecc371ed0 3ef493322f89   1000x30 b9d39480cb18 a1a586c2278d
    """,
}
KNOWN["idefics"] = KNOWN["blip-2"]
# Qwen-VL's own code resizes and normalises as the Pillow backend does.
QWEN_VL = {
    "448x448": "ce09582b20b8", "480x640": "134ce435c4e9", "640x480": "8952e22a708c",
    "40x400": "488cc658ec50", "1x1": "0a91c0007518", "1x40": "0da357d511c5",
    "1000x30": "7755beae4637", "449x447": "a55eab44f381",
}  # fmt: skip


def image(height, width, channels=3):
    y, x, c = np.ogrid[:height, :width, :channels]
    return np.array((7 * x + 13 * y + 29 * c) % 256, np.uint8)


def size(text):
    height, width = map(int, text.split("x"))
    return height, width


def digits(processor, pixels):
    return hashlib.sha1(processor(pixels)["pixel_values"].tobytes()).hexdigest()[:12]


def of(name, reference="torchvision", **options):
    return ImageProcessor(name, reference=reference, return_tensors="np", **options)


@pytest.mark.parametrize("reference", ["torchvision", "pillow-13"])
@pytest.mark.parametrize("name", KNOWN)
def test_known_pixels(name, reference):
    processor, words = of(name, reference), KNOWN[name].split()
    for at, *known in zip(words[::3], words[1::3], words[2::3], strict=True):
        got = digits(processor, Image.fromarray(image(*size(at))))
        assert got == known[reference != "torchvision"], at


def test_known_pixels_of_qwen_vl():
    processor = of("qwen-vl", "pillow-13")
    assert {at: digits(processor, Image.fromarray(image(*size(at)))) for at in QWEN_VL} == QWEN_VL


def test_known_pixels_of_two_images_in_a_sample():
    for reference, known in [
        ("torchvision", ["272c8c7cb370", "efa726577363"]),
        ("pillow-13", ["126492a4b155", "6bfe533df6a7"]),
    ]:
        pictures = [Image.fromarray(image(*sides)) for sides in ((480, 640), (1, 40), (9, 9))]
        batch = of("llava-onevision", reference)([pictures[:2], pictures[2:]])
        assert batch.batch_num_images.tolist() == [2, 1]
        assert batch.image_sizes.tolist() == [[480, 640], [1, 40], [9, 9]]
        assert batch.pixel_values.shape == (3, 2, 3, 384, 384)
        tiles = batch.pixel_values[:2, 0]
        assert [hashlib.sha1(tile.tobytes()).hexdigest()[:12] for tile in tiles] == known
        assert not batch.pixel_values[:2, 1:].any()


@pytest.mark.parametrize(
    ("picture", "known"),
    [
        (Image.fromarray(image(60, 80)[:, :, 0]), "6260118a55b8 64f0395a92a4"),
        (Image.fromarray(image(60, 80, 4)), "ea05c47bbd42 4da7c2a4c281"),
        (Image.fromarray(image(60, 80, 4)[:, :, [0, 3]]), "7de14cda05ad 07d51096ba76"),
        (Image.fromarray(image(60, 80)[:, :, 0]).convert("1"), "0a2aa6b52a86 014b57720ef2"),
        (
            Image.frombytes("CMYK", (80, 60), image(60, 80, 4).tobytes()),
            "3df668a7ebcb e96ee6d63573",
        ),
        (image(60, 80, 4), "c2089c277058 4da7c2a4c281"),
        (image(60, 80)[:, :, :1], "6260118a55b8 64f0395a92a4"),
    ],
    ids=["L", "RGBA", "LA", "1", "CMYK", "array of four channels", "array of one"],
)
def test_known_colours(picture, known):
    got = [digits(of("clip-224", reference), picture) for reference in ("torchvision", "pillow-13")]
    assert got == known.split()


@pytest.mark.parametrize(
    ("at", "least", "most", "grid"),
    [
        ((633, 633), 1, 12, (1, 1)),
        ((634, 634), 1, 12, (2, 2)),
        ((600, 900), 1, 5, (2, 2)),
        ((100, 150), 1, 5, (1, 1)),
        ((448, 448), 6, 12, (3, 3)),
        ((448, 448), 7, 7, (7, 1)),
        ((480, 640), 5, 5, (5, 1)),
        ((1300, 800), 1, 12, (3, 2)),
        ((40, 400), 1, 12, (1, 10)),
    ],
)
def test_known_grids_where_ratios_are_equally_near(at, least, most, grid):
    layout = ModelConfig.preset("internvl").image.layout
    config = ModelConfig.preset("internvl").image.override(
        layout=replace(layout, fit=Ratio(least, most))
    )
    rows, columns = grid
    assert of(config).resized_size(*at) == (448 * rows, 448 * columns)


# By family: the size of an image, its tiles, its tokens.
TOKENS = {
    "clip-224": "480x640 1 257",
    "llava-1.5": "480x640 1 576",
    "llava-next": """
        336x336 3 1176   672x672 5 2928   480x640 5 2340   640x480 5 2352   1000x300 4 2232
        300x1000 4 2182  335x337 3 1176   1x40 3 674       1x2000 3 576     2000x1 3 600
        333x1000 4 2328  7x11 3 1512
    """,
    "llava-onevision": """
        384x384 2 1485   480x640 5 2929   1080x1920 16 7269   2304x2304 37 7371
        300x3000 7 3500  1x40 2 757       383x385 3 1512      1x5000 2 757
    """,
    "internvl": """
        448x448 1 256   480x640 13 3328   640x480 13 3328   800x1300 7 1792   100x150 7 1792
        1x40 13 3328    40x400 11 2816    1080x1920 9 2304  896x896 5 1280    512x512 1 256
        633x633 1 256   634x634 5 1280
    """,
    "blip-2": "480x640 1 32",
    "instructblip": "480x640 1 32",
    "siglip-224": "480x640 1 196",
    "siglip-384": "480x640 1 729",
    "paligemma-896": "480x640 1 4096",
    "qwen-vl": "480x640 1 256",
    # A token ends each line of them, and two stand around all.
    "hunyuan-ocr": "480x640 1200 317   1080x1920 8160 2076   2000x300 2232 622",
}


@pytest.mark.parametrize("name", TOKENS)
def test_known_tokens(name):
    processor, words = of(name), TOKENS[name].split()
    for at, *known in zip(words[::3], words[1::3], words[2::3], strict=True):
        got = processor.num_patches(*size(at)), processor.num_tokens(*size(at))
        assert got == tuple(map(int, known)), at


@pytest.mark.parametrize(
    ("at", "least", "most", "canvas"),
    [
        ("600x900", 1, 5, (896, 896)),
        ("100x150", 1, 5, (448, 448)),
        ("448x448", 6, 12, (1344, 1344)),
        ("480x640", 5, 5, (2240, 448)),
        ("448x448", 7, 7, (3136, 448)),
    ],
)
def test_ties_among_grids(at, least, most, canvas):
    base = IMAGES["internvl"]
    layout = Layout(fit=Ratio(least, most), tile=(448, 448), overview="last", stack="flat")
    processor = ImageProcessor(base.override(layout=layout), return_tensors="np")
    assert processor.resized_size(*size(at)) == canvas


@pytest.mark.parametrize("name", ["clip-224", "llava-next", "internvl", "llava-onevision"])
def test_rows_are_the_patches_of_planes(name):
    """Those of one tile after those of another, line by line; what is left of a tile is cut off."""
    pixels, patch = image(500, 700), 14
    planes = of(name)(pixels).pixel_values
    tiles = planes.reshape(-1, *planes.shape[-3:])
    batch = of(name, form="rows")(pixels)
    side = tiles.shape[-1] // patch
    tiles = tiles[:, :, : side * patch, : side * patch]
    patches = tiles.reshape(-1, 3, side, patch, side, patch).transpose(0, 2, 4, 1, 3, 5)
    assert batch.image_grid_thw.tolist() == [[len(tiles), side, side]]
    assert np.array_equal(batch.pixel_values, patches.reshape(len(batch.pixel_values), -1))


@pytest.mark.parametrize("form", ["rows", "planes"])
@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_element_types(form, dtype):
    pixels = image(300, 900)
    exact = of("llava-next", form=form)(pixels).pixel_values
    got = of("llava-next", form=form, dtype=dtype)(pixels).pixel_values
    if dtype == "uint8":
        mean, std = np.float32(IMAGES["llava-next"].image_mean), IMAGES["llava-next"].image_std
        axis = (-1, 1, 1) if form == "planes" else (1, -1, 1)
        shape = exact.shape if form == "planes" else (len(exact), 3, -1)
        back = exact.reshape(shape) * np.float32(std).reshape(axis) + mean.reshape(axis)
        assert np.array_equal(np.rint(back * 255), got.reshape(shape))
    else:
        assert np.array_equal(got, exact.astype(np.float16))


def test_images_of_a_batch_are_padded_with_zeros_and_come_apart_again():
    processor = of("llava-next")
    pictures = [image(480, 640), image(335, 337), image(300, 1000)]
    batch = processor(pictures)
    assert batch.pixel_values.shape == (3, 5, 3, 336, 336)
    for picture, part, tiles in zip(pictures, batch.split(), (5, 3, 4), strict=True):
        alone = processor(picture)
        assert np.array_equal(part.pixel_values[:, :tiles], alone.pixel_values)
        assert not part.pixel_values[:, tiles:].any()
        assert np.array_equal(part.image_sizes, alone.image_sizes)
    flat = of("internvl")(pictures)
    assert [len(part.pixel_values) for part in flat.split()] == flat.num_patches.tolist()


def test_patches_are_padded_to_as_many_as_there_may_be():
    pictures = [image(480, 640), image(30, 900)]
    padded, rows = of("siglip2-naflex")(pictures), of("siglip2-naflex", form="rows")(pictures)
    assert isinstance(padded, PaddedRows)
    assert padded.pixel_values.shape == (2, 256, 768)
    assert padded.spatial_shapes.tolist() == rows.image_grid_thw[:, 1:].tolist()
    assert padded.pixel_attention_mask.dtype == np.int32
    own = padded.pixel_attention_mask == 1
    assert own.sum(axis=1).tolist() == rows.image_grid_thw.prod(axis=1).tolist()
    assert np.array_equal(padded.pixel_values[own], rows.pixel_values)
    assert not padded.pixel_values[~own].any()
    for part, picture in zip(padded.split(), pictures, strict=True):
        alone = of("siglip2-naflex")(picture)
        assert all(np.array_equal(part[name], alone[name]) for name in alone)


@pytest.mark.parametrize("name", ["siglip2-naflex", "cosmos3-edge", "hunyuan-ocr", "glm-5"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_rows_of_every_order_come_apart_again(name, dtype):
    frames = image(64, 112)[np.newaxis]
    config = ModelConfig.preset(name).image
    side = config.factor
    frames = frames[:, : 64 // side * side, : 112 // side * side]
    grid = [[1, frames.shape[1] // config.patch_size, frames.shape[2] // config.patch_size]]
    rows = patchify(frames, name, dtype=dtype, temporal="compact")
    [back] = unpatchify(rows, grid, name)
    assert np.array_equal(back, frames)


def test_threads_change_nothing():
    pictures = [image(1200, 1700), image(90, 2000)]
    for name in ("clip-224", "llava-1.5-pad", "llava-next", "internvl"):
        one, two = (of(name, num_threads=count)(pictures) for count in (1, 2))
        assert np.array_equal(one.pixel_values, two.pixel_values)


def test_files_equal_arrays(tmp_path):
    Image.fromarray(image(700, 900)).save(tmp_path / "a.png")
    Image.fromarray(image(700, 900)).save(tmp_path / "a.jpg", quality=90)
    for file in tmp_path.iterdir():
        pixels = np.asarray(Image.open(file))
        for name in ("clip-224", "llava-1.5-pad", "llava-next", "internvl", "siglip-384"):
            processor = of(name)
            got, want = processor(file).pixel_values, processor(pixels).pixel_values
            assert np.array_equal(got, want), (file, name)


def test_out_takes_tiles():
    processor = of("internvl")
    memory = np.zeros((14, processor.columns), np.float32)
    batch = processor(image(480, 640), out=memory)
    assert batch.pixel_values.base is memory or np.shares_memory(batch.pixel_values, memory)
    assert not memory[13].any()


# JSON as checkpoints have it, by the class that it names, and what it means.
SQUARE = {"height": 448, "width": 448}
JSON = [
    ("CLIPImageProcessorFast", {}, Shortest(224), (224, 224)),
    ("CLIPFeatureExtractor", {"size": 336, "crop_size": 336}, Shortest(336), (336, 336)),
    ("CLIPImageProcessor", {"do_center_crop": False, "size": [9, 12]}, Stretch(9, 12), (9, 12)),
    ("SiglipImageProcessor", {"size": SQUARE, "do_convert_rgb": None}, Stretch(448, 448), None),
    ("BlipImageProcessor", {"size": 224}, Stretch(224, 224), (224, 224)),
    ("IdeficsImageProcessor", {"image_size": 300}, Stretch(300, 300), (300, 300)),
    ("GotOcr2ImageProcessor", {}, Stretch(384, 384), (384, 384)),
    ("GotOcr2ImageProcessor", {"size": SQUARE, "crop_to_patches": True}, Ratio(1, 12), None),
    (
        "GotOcr2ImageProcessorFast",
        {"size": SQUARE, "processor_class": "InternVLProcessor"},
        Ratio(1, 12),
        None,
    ),
    (
        "LlavaNextImageProcessor",
        {"size": {"shortest_edge": 336}, "crop_size": 336, "image_grid_pinpoints": [[336, 672]]},
        Pinpoints(((336, 672),)),
        (336, 336),
    ),
]
# The same for those that have no tiles: what their rows are made of.
JSON_OF_ROWS = [
    ("Siglip2ImageProcessorFast", {"max_num_patches": 729}, PatchBudget(729), 16),
    ("Siglip2ImageProcessor", {"patch_size": 14, "size": None}, PatchBudget(256), 14),
    ("Glm5NextImageProcessor", {"size": {"longest_edge": 1}}, TokenBudget(16, 8000), 14),
    ("Glm5NextImageProcessor", {"max_image_tokens": 99}, TokenBudget(16, 99), 14),
]


@pytest.mark.parametrize("key", ["image_processor_type", "feature_extractor_type"])
@pytest.mark.parametrize(("kind", "settings", "fit", "tile"), JSON)
def test_json(kind, settings, fit, tile, key, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({key: kind, **settings}))
    layout = ImageProcessor.from_pretrained(tmp_path, return_tensors="np").config.layout
    assert (layout.fit, layout.tile) == (fit, tile or (448, 448))


@pytest.mark.parametrize(("kind", "settings", "fit", "patch"), JSON_OF_ROWS)
def test_json_of_rows(kind, settings, fit, patch, tmp_path):
    content = {"image_processor_type": kind, **settings}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    config = ImageProcessor.from_pretrained(tmp_path, return_tensors="np").config
    assert (config.layout.fit, config.patch_size) == (fit, patch)


REFUSED = {
    "tile that does not divide": (
        "LlavaNextImageProcessor",
        {},
        r"pinpoints must hold multiples of the tile \(224, 224\).*got \(336, 672\)",
    ),
    "sizes that differ": (
        "LlavaNextImageProcessor",
        {"size": 336, "crop_size": 224},
        r"crop_size must be the size \(336, 336\), got .*224",
    ),
    "tiles that cannot be stacked": (
        "LlavaOnevisionImageProcessor",
        {"do_pad": False},
        "do_pad must be true",
    ),
    "shapes that cannot be stacked": (
        "CLIPImageProcessor",
        {"do_center_crop": False},
        "size must have the keys 'height' and 'width'.*shortest_edge 224",
    ),
    "null size": (
        "SiglipImageProcessor",
        {"size": None},
        "size must be a number or sides in pixels, got None",
    ),
    "null mean": (
        "SiglipImageProcessor",
        {"image_mean": None},
        "image_mean must not be null",
    ),
    "null crop": (
        "CLIPImageProcessor",
        {"crop_size": None},
        "crop_size must be a number or sides in pixels, got None",
    ),
    "null filter": (
        "SiglipImageProcessor",
        {"resample": None},
        "resample must be one of .*got None",
    ),
    "nearest": (
        "SiglipImageProcessor",
        {"resample": 0},
        "resample must be one of .*got 0",
    ),
    "box in torch": (
        "SiglipImageProcessor",
        {"resample": 4},
        "resample must be another than Box",
    ),
    "no colours": (
        "BlipImageProcessor",
        {"do_convert_rgb": False, "do_normalize": False},
        "do_convert_rgb must be true where do_normalize is off, got False",
    ),
    "other keys": (
        "CLIPImageProcessor",
        {"size": {"longest_edge": 3}},
        "size must have the keys .*longest_edge",
    ),
    "patches that are not expanded": (
        "Glm5NextImageProcessor",
        {"patch_expand_factor": 0},
        "patch_expand_factor must be between 1",
    ),
    "not resized": (
        "SiglipImageProcessor",
        {"do_resize": False},
        "do_resize must be true where images are not cropped, got False",
    ),
    "padded to a size": (
        "CLIPImageProcessor",
        {"do_pad": True, "pad_size": {"height": 400, "width": 400}},
        "pad_size must be null, got {'height': 400",
    ),
    "tiles that are no squares": (
        "LlavaOnevisionImageProcessor",
        {"size": {"height": 384, "width": 192}},
        r"size must be a square where images are cut into tiles, got \(384, 192\)",
    ),
    "no token": (
        "Glm5NextImageProcessor",
        {"min_image_tokens": 20, "max_image_tokens": 19},
        "min_image_tokens must be at most max_image_tokens=19, got 20",
    ),
    "tokens without bounds": (
        "Glm5NextImageProcessor",
        {"max_image_tokens": 2**40},
        "most must be at most 2\\*\\*20",
    ),
    "no patch": (
        "Siglip2ImageProcessor",
        {"max_num_patches": 0},
        "max_num_patches must be between 1",
    ),
    "no grid": (
        "GotOcr2ImageProcessor",
        {"crop_to_patches": True, "min_patches": 13},
        "min_patches must be at most max_patches=12, got 13",
    ),
    "a size that is a flag": (
        "BlipImageProcessor",
        {"size": True},
        r"size\['height'\] must be an integer, got True",
    ),
    "a crop that is a flag": (
        "CLIPImageProcessor",
        {"crop_size": {"height": 9, "width": True}},
        r"crop_size\['width'\] must be an integer, got True",
    ),
    "a crop of tiles that is none": (
        "LlavaNextImageProcessor",
        {"size": 336, "crop_size": {}},
        "crop_size must be a number or sides in pixels, got {}",
    ),
    "patches that are a flag": (
        "Qwen2VLImageProcessor",
        {"patch_size": True},
        "patch_size must be an integer, got True",
    ),
    "a factor that is a flag": (
        "Qwen2VLImageProcessor",
        {"rescale_factor": True},
        "rescale_factor must be a number, got True",
    ),
    "one pinpoint": (
        "LlavaNextImageProcessor",
        {"image_grid_pinpoints": 336},
        r"image_grid_pinpoints must be a list of \(height, width\), got 336",
    ),
    "pinpoints of one side": (
        "LlavaNextImageProcessor",
        {"image_grid_pinpoints": [336, 672]},
        r"image_grid_pinpoints must be a list of \(height, width\), got \[336, 672\]",
    ),
    "pinpoints of three sides": (
        "LlavaOnevisionImageProcessor",
        {"image_grid_pinpoints": [[384, 384, 3]]},
        r"image_grid_pinpoints must be a list of \(height, width\), got \[\[384, 384, 3\]\]",
    ),
    "pinpoints in letters": (
        "LlavaOnevisionImageProcessor",
        {"image_grid_pinpoints": [["384", 384]]},
        "image_grid_pinpoints must be an integer, got '384'",
    ),
    "no pinpoints": (
        "LlavaOnevisionImageProcessor",
        {"image_grid_pinpoints": []},
        r"image_grid_pinpoints must not be empty, got \[\]",
    ),
    "several filters": (
        "SiglipImageProcessor",
        {"resample": [3]},
        r"resample must be one of .*got \[3\]",
    ),
    "a flag of Kosmos-2": (
        "CLIPImageProcessor",
        {"use_square_size": "no"},
        "use_square_size must be true, false or null, got 'no'",
    ),
    "a mean that is no colour": (
        "LlavaImageProcessor",
        {"do_pad": True, "image_mean": [0.5, 0.5, 3]},
        r"image_mean must be from 0 to 1 .*got \(0.5, 0.5, 3.0\)",
    ),
    "another class": (
        "MllamaImageProcessor",
        {},
        "image_processor_type must be one of .*got 'MllamaImageProcessor'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    kind, settings, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        ImageProcessor(from_json({"image_processor_type": kind, **settings}), return_tensors="np")


def test_refused_in_a_call():
    with pytest.raises(ValueError, match="max_pixels must be None for fit"):
        of("clip-224")(image(9, 9), max_pixels=5000)
    for setting in ({"max_pixels": 5000}, {"size": {"shortest_edge": 9, "longest_edge": 99}}):
        with pytest.raises(ValueError, match=f"{min(setting)} must be None for fit"):
            ImageProcessor("internvl", **setting)
    assert ImageProcessor("internvl", size=None).config == of("internvl").config
    assert ImageProcessor("internvl", layout=Layout(), max_pixels=5000).config.max_pixels == 5000
    with pytest.raises(ValueError, match="form must be 'rows' for this layout, got 'planes'"):
        of("qwen2-vl", form="planes")
    with pytest.raises(ValueError, match=r"form must be 'planes' or 'rows'.*got 'padded'"):
        of("clip-224", form="padded")
    for size, message in [((27, 40), "at least 28 pixels a side"), ((28, 113), "at most 4")]:
        with pytest.raises(ValueError, match=f"{message}, got {size[0]}x{size[1]}"):
            of("glm-image")(image(*size))
    with pytest.raises(ValueError, match="image must be at most 32768 pixels a side"):
        of("llava-1.5-pad")(Image.new("RGB", (40000, 1)))
    with pytest.raises(ValueError, match="resized width must be at most 16777216 pixels"):
        of("clip-224")(Image.new("RGB", (100_000, 1)))
    with pytest.raises(ValueError, match="tokens must be given"):
        of("idefics").num_tokens(9, 9)


@pytest.mark.parametrize("name", IMAGES)
def test_absurd_sizes_are_refused_before_anything_is_made(name):
    processor = of(name)
    for size in [(1, 2**40), (2**62, 2**62), (0, 9), (-1, 9), (9, 2**64)]:
        for asked in (processor.num_tokens, processor.num_patches, processor.resized_size):
            if name == "idefics" and asked == processor.num_tokens:
                continue
            with pytest.raises(ValueError, match=r"height|width|image|sides"):
                asked(*size)


def test_every_preset_has_a_processor():
    for name in IMAGES:
        processor = of(name)
        assert processor.config == ModelConfig.preset(name).image
        assert processor(image(60, 90)).pixel_values.size


def test_the_table_of_families_names_towers_that_there_are():
    _, lines = families.table([])
    named = {name.removeprefix("as ") for *_, cell in lines for name in cell.split(", ")}
    assert named - {families.NONE} <= {*TOWERS, *VITS}
    assert set(VITS) - named == set()


def test_layouts_are_checked():
    for settings, error, message in [
        ({"fit": 3}, TypeError, "fit must be one of"),
        ({"fit": Stretch(0, 3)}, ValueError, "height must be between 1"),
        ({"fit": Ratio(1, 12)}, ValueError, "tile must be given"),
        ({"overview": "both"}, ValueError, "overview must be one of"),
        ({"square": 1}, TypeError, "square must be True or False"),
        ({"tile": (0, 3)}, ValueError, "tile must be between 1"),
        ({"tile": 3}, TypeError, r"tile must be \(height, width\), got 3"),
        ({"fit": Pinpoints(336)}, TypeError, r"pinpoints must be a list of .*got 336"),
        ({"fit": PatchBudget(9)}, ValueError, "stack must be 'masked' for a PatchBudget"),
        ({"stack": "masked"}, ValueError, "stack must be 'masked' for a PatchBudget"),
    ]:
        with pytest.raises(error, match=message):
            Layout(**settings)
    assert Layout(tokens=TileTokens(3)) != Layout(tokens=AnyresTokens(3))


_PEAK = """
import sys
from qvl_fast import ImageProcessor, release_memory
from qvl_fast.bench.peak import peak_bytes

config, file, small = sys.argv[1:]
processor = ImageProcessor(config, num_threads=1, return_tensors="np")
processor(small)
release_memory()
results = []
peak = peak_bytes(lambda: results.append(processor(file)))
with open(file, "rb") as opened:
    print(peak - results[0]["pixel_values"].nbytes - len(opened.read()))
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """A file of 36 MB of pixels, and a small one."""
    folder = tmp_path_factory.mktemp("large")
    noise = np.random.default_rng(0).integers(0, 8, (300, 400, 3), np.uint8)
    Image.fromarray(np.tile(noise, (10, 10, 1))).save(folder / "large.png", compress_level=1)
    Image.fromarray(noise).save(folder / "small.png")
    return folder


def peak_of(config, folder, name):
    """Bytes that a file takes on its way to planes beside itself and these."""
    files = [str(folder / name), str(folder / "small.png")]
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, config, *files], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("config", ["llava-next", "internvl"])
def test_tiles_and_overview_are_made_while_a_file_is_decoded(large_file, config):
    assert peak_of(config, large_file, "large.png") < 8 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("config", ["clip-224", "llava-1.5", "llava-1.5-pad"])
@pytest.mark.parametrize("size", [(1, 10000), (10000, 1)])
def test_a_line_takes_less_memory_than_the_pixels_of_a_photograph(large_file, config, size):
    """Whole, it would be 224 by 2,240,000 pixels, 1.5 GB; padded to a square first, 300 MB."""
    Image.new("RGB", size[::-1], "teal").save(large_file / "line.png")
    photograph = 1080 * 1920 * 3
    assert peak_of(config, large_file, "line.png") < photograph
