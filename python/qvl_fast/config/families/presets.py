"""The settings of models of other families, by the names of their presets.

They are those of released models, or else, where these were not at hand, the defaults of the
classes in transformers: the last of :data:`IMAGES`. Checkpoints have JSON of their own, which
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qvl_fast.config.image import ImageConfig
from qvl_fast.config.layout import (
    AnyresTokens,
    Area,
    Halved,
    Layout,
    LineTokens,
    PatchBudget,
    Pinpoints,
    Ratio,
    Shortest,
    Shrink,
    Stretch,
    TileTokens,
    TokenBudget,
)
from qvl_fast.config.video import VideoConfig

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Pictures without time, whose patches are raster rows of one tile: what ViTs are made for.
VIT = ImageConfig(temporal_patch_size=1, merge_size=1)
_HALF_VIT = VIT.override(image_mean=HALF, image_std=HALF)


# Videos each of whose frames is one tile.
TILE_VIDEO = VideoConfig(temporal_patch_size=1, merge_size=1)


def cropped(edge: int, tokens: int | None = None) -> Layout:
    """The shorter side becomes ``edge``, and the middle square is seen."""
    return Layout(fit=Shortest(edge), tile=(edge, edge), tokens=_tile_tokens(tokens))


def stretched(side: int, tokens: int | None = None) -> Layout:
    """All of an image becomes a square of ``side`` pixels."""
    return Layout(fit=Stretch(side, side), tile=(side, side), tokens=_tile_tokens(tokens))


def _tile_tokens(count: int | None) -> TileTokens | None:
    return None if count is None else TileTokens(count)


_LLAVA = cropped(336, 576)
_NEXT = Layout(
    fit=Pinpoints(((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))),
    tile=(336, 336),
    overview="first",
    stack="padded",
    tokens=AnyresTokens(24),
)
_ONEVISION = Layout(
    fit=Pinpoints(tuple((384 * a, 384 * b) for a in range(1, 7) for b in range(1, 7))),
    tile=(384, 384),
    overview="first",
    stack="padded",
    tokens=AnyresTokens(27, most_tiles=9),
    together=replace(stretched(384), square=True, stack="padded", tokens=TileTokens(729, after=1)),
)
_INTERNVL = Layout(
    fit=Ratio(1, 12),
    tile=(448, 448),
    overview="last",
    stack="flat",
    tokens=TileTokens(256),
)
_GLM = ImageConfig(min_pixels=112 * 112, max_pixels=28 * 28 * 15000).override(
    layout=Layout(fit=Area(frames=True, small="enlarge"))
)

IMAGES: Mapping[str, ImageConfig] = {
    "clip-224": VIT.override(layout=cropped(224, 257)),
    "llava-1": VIT.override(layout=cropped(224, 256)),
    "llava-1.5": VIT.override(layout=_LLAVA),
    "llava-1.5-pad": VIT.override(layout=replace(_LLAVA, square=True)),
    "llava-next": VIT.override(layout=_NEXT),
    "llava-onevision": _HALF_VIT.override(layout=_ONEVISION),
    "internvl": VIT.override(layout=_INTERNVL, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD),
    # convert_got_ocr2_weights_to_hf.py of transformers; pages are cut into tiles on request only.
    "got-ocr-2": VIT.override(layout=replace(stretched(1024, 256), stack="flat")),
    "blip-2": VIT.override(layout=stretched(224, 32)),
    "instructblip": VIT.override(layout=stretched(224, 32)),
    "idefics": VIT.override(layout=stretched(224)),
    "siglip-224": _HALF_VIT.override(patch_size=16, layout=stretched(224, 196)),
    "siglip-384": _HALF_VIT.override(layout=stretched(384, 729)),
    "siglip2-naflex": _HALF_VIT.override(
        patch_size=16,
        layout=Layout(
            fit=PatchBudget(256),
            filter="bilinear",
            stack="masked",
            raster=True,
            channels_last=True,
        ),
    ),
    "paligemma-224": _HALF_VIT.override(layout=stretched(224, 256)),
    "paligemma-448": _HALF_VIT.override(layout=stretched(448, 1024)),
    "paligemma-896": _HALF_VIT.override(layout=stretched(896, 4096)),
    "qwen-vl": VIT.override(layout=stretched(448, 256)),
    "dots.ocr": ImageConfig(temporal_patch_size=1, max_pixels=11_289_600),
    "mimo-vl": ImageConfig(max_pixels=4096 * 28 * 28),
    "kimi-k2.5": ImageConfig(
        temporal_patch_size=1,
        image_mean=HALF,
        image_std=HALF,
        layout=Layout(fit=Shrink(patches=16384, side=512), raster=True),
    ),
    # Class defaults from here on. Where a model's tower has patches of another side, or of one
    # frame, these are the tower's.
    "glm-4.1v": _GLM,
    "glm-4.6v": _GLM,
    "glm-5": ImageConfig(layout=Layout(fit=TokenBudget(least=16, most=8000))),
    "glm-image": ImageConfig(layout=Layout(fit=Halved())),
    "cosmos3-edge": ImageConfig(
        patch_size=16,
        temporal_patch_size=1,
        min_pixels=256 * 256,
        max_pixels=4096 * 4096,
        image_mean=HALF,
        image_std=HALF,
        layout=Layout(fit=Area(frames=True, small="enlarge"), channels_last=True),
    ),
    "ernie-4.5-vl": ImageConfig(temporal_patch_size=1, max_pixels=28 * 28 * 6177),
    "video-llama-3": ImageConfig(
        temporal_patch_size=1, merge_size=1, image_mean=HALF, image_std=HALF
    ),
    "minimax-m3-vl": ImageConfig(max_pixels=451584),
    "hunyuan-ocr": ImageConfig(
        patch_size=16,
        temporal_patch_size=1,
        min_pixels=512 * 512,
        max_pixels=2048 * 2048,
        layout=Layout(raster=True, tokens=LineTokens(around=2)),
    ),
    "paddleocr-vl": ImageConfig(
        temporal_patch_size=1,
        min_pixels=384 * 384,
        max_pixels=1536 * 1536,
        layout=Layout(fit=Area(small="enlarge_sides"), raster=True),
    ),
    "glmga": _GLM,
    "exaone4.5": ImageConfig(),
    "hyperclovax-vision-v2": ImageConfig(),
    "lfm3-vl": ImageConfig(patch_size=16),
    "cohere-compass": ImageConfig(patch_size=16),
    "dots3-note": ImageConfig(temporal_patch_size=1),
}

# How those of them that take videos see these.
VIDEOS: Mapping[str, VideoConfig] = {
    "llava-onevision": replace(
        TILE_VIDEO,
        image_mean=HALF,
        image_std=HALF,
        sampling="llava-onevision",
        # Blocks of 2 x 2 features are pooled, incomplete ones too.
        layout=replace(stretched(384), tokens=TileTokens(14 * 14, after=1)),
    ),
    "internvl": replace(
        TILE_VIDEO,
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
        sampling="internvl",
        layout=stretched(448, 256),
    ),
}
