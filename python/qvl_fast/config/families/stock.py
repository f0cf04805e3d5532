"""The JSON of image processors of transformers as configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from qvl_fast.config.checks import listed, positive_integer, sizes_listed
from qvl_fast.config.families.presets import HALF, IMAGES, VIT, cropped
from qvl_fast.config.families.reader import Reader, Settings, whole
from qvl_fast.config.image import ImageConfig, class_name
from qvl_fast.config.layout import (
    Area,
    Halved,
    Layout,
    PatchBudget,
    Pinpoints,
    Ratio,
    Shortest,
    Shrink,
    Stretch,
    TokenBudget,
)


@dataclass(frozen=True)
class _Stock:
    """An image processor of transformers.

    Attributes:
        defaults: what its class has where the JSON says nothing.
        layout: makes a layout of the JSON; by default that of the class.
        size: that of the class, where sizes are sides in pixels; None where they are areas.
        size_to_square: whether a size of one number is both sides, rather than the shorter.
        ignored: settings of other classes that this one takes no notice of, whatever its files say.
    """

    defaults: ImageConfig
    layout: Callable[[Reader, Layout], Layout] | None = None
    size: Shortest | Stretch | None = None
    size_to_square: bool = True
    ignored: tuple[str, ...] = ()

    def reader(self, settings: Settings) -> Reader:
        """What reads its JSON."""
        return Reader(settings, self.size, self.defaults.layout.tile, self.size_to_square)


def _one_tile(reader: Reader, _: Layout) -> Layout:
    """CLIP, SigLIP, BLIP: resized, then cropped if asked for."""
    if reader.flag("do_pad", False) and (pad := reader.settings.get("pad_size")) is not None:
        raise ValueError(f"pad_size must be null, got {pad!r}: padded pictures are not known here")
    return reader.one_tile()


def _clip(reader: Reader, default: Layout) -> Layout:
    """With a setting of Kosmos-2, which counts before the size."""
    if reader.flag("use_square_size", False):
        side = cast("Shortest", default.fit).edge
        reader = replace(reader, settings={**reader.settings, "size": (side, side)})
    return _one_tile(reader, default)


def _llava(reader: Reader, _: Layout) -> Layout:
    """Padded to a square first, if asked for."""
    return replace(reader.one_tile(), square=reader.flag("do_pad", False))


def _idefics(reader: Reader, default: Layout) -> Layout:
    """Its own name for the side counts before the usual one."""
    if (side := reader.settings.get("image_size")) is not None:
        settings = {**reader.settings, "size": positive_integer("image_size", side)}
        reader = replace(reader, settings=settings)
    return _one_tile(reader, default)


def _anyres(reader: Reader, default: Layout) -> Layout:
    """LLaVA-NeXT and LLaVA-OneVision: an overview, and the tiles of the best canvas."""
    fit = reader.fit()
    tile = (fit.edge, fit.edge) if isinstance(fit, Shortest) else (fit.height, fit.width)
    given = reader.settings.get("crop_size")
    crop = None if given is None else reader.sides("crop_size", square=True)
    if crop is not None and (crop.get("height"), crop.get("width")) != tile:
        raise ValueError(f"crop_size must be the size {tile}, got {crop}")
    if tile[0] != tile[1]:
        raise ValueError(f"size must be a square where images are cut into tiles, got {tile}")
    if not reader.flag("do_pad", True):
        raise ValueError("do_pad must be true: images of several numbers of tiles are padded")
    pinpoints: Any = reader.settings.get("image_grid_pinpoints")
    fits = default.fit
    if pinpoints is not None:
        fits = Pinpoints(sizes_listed("image_grid_pinpoints", pinpoints))
    layout = replace(default, fit=fits, tile=tile)
    if default.together is not None:
        layout = replace(layout, together=replace(default.together, fit=Stretch(*tile), tile=tile))
    return layout


def _ratio(reader: Reader, _: Layout) -> Layout:
    """GotOcr2, which InternVL and others use with tiles; it does not crop."""
    tiled = reader.settings.get("processor_class") in _TILING
    if not tiled and not reader.flag("crop_to_patches", False):
        settings = {**reader.settings, "do_center_crop": False}
        return replace(replace(reader, settings=settings).one_tile(), stack="flat")
    tile = whole(reader.fit())
    least, most = reader.number("min_patches", 1), reader.number("max_patches", 12)
    return Layout(fit=Ratio(least, most), tile=tile, overview="last", stack="flat")


def _shrunk(reader: Reader, _: Layout) -> Layout:
    """Kimi-K2.5."""
    size = reader.sides("size", square=True) or {"max_height": 512, "max_width": 512}
    if set(size) != {"max_height", "max_width"} or len(set(size.values())) != 1:
        raise ValueError(
            f"size must have the keys 'max_height' and 'max_width' of one value, got {size!r}"
        )
    patches = reader.number("max_patches", 16384)
    return Layout(fit=Shrink(patches, size["max_height"]), raster=True)


def _expanded(reader: Reader, default: Layout) -> Layout:
    """GLM: sides may be multiples of more than a token."""
    expand = reader.number("patch_expand_factor", 1)
    return replace(default, fit=replace(cast("Area | TokenBudget", default.fit), expand=expand))


def _token_budget(reader: Reader, default: Layout) -> Layout:
    """GLM-5."""
    least, most = reader.number("min_image_tokens", 16), reader.number("max_image_tokens", 8000)
    return _expanded(reader, replace(default, fit=TokenBudget(least, most)))


def _patch_budget(reader: Reader, default: Layout) -> Layout:
    """SigLIP 2."""
    return replace(default, fit=PatchBudget(reader.number("max_num_patches", 256)))


_CLIP = VIT.override(layout=cropped(224))
_SIGLIP = VIT.override(image_mean=HALF, image_std=HALF)
_GLM = IMAGES["glm-4.1v"]
# Of these classes the bounds are in the size alone.
_BOUNDS = ("min_pixels", "max_pixels")
_TIME = ("temporal_patch_size",)
_ERNIE = _Stock(IMAGES["ernie-4.5-vl"], ignored=_BOUNDS)

# By the names of their classes, without "Fast" and "Pil".
_STOCK: Mapping[str, _Stock] = {
    "Qwen2VLImageProcessor": _Stock(ImageConfig()),
    "CohereCompassImageProcessor": _Stock(ImageConfig()),
    "MiniMaxM3VLImageProcessor": _Stock(IMAGES["minimax-m3-vl"]),
    # One class under two names.
    "Ernie4_5_VLMoeImageProcessor": _ERNIE,
    "Ernie4_5_VL_MoeImageProcessor": _ERNIE,
    "VideoLlama3ImageProcessor": _Stock(IMAGES["video-llama-3"]),
    "Glm4vImageProcessor": _Stock(_GLM, ignored=_BOUNDS),
    "Glm46VImageProcessor": _Stock(_GLM, ignored=_BOUNDS),
    "GlmgaImageProcessor": _Stock(_GLM, _expanded, ignored=_BOUNDS),
    "Glm5NextImageProcessor": _Stock(IMAGES["glm-5"], _token_budget),
    "GlmImageImageProcessor": _Stock(IMAGES["glm-image"]),
    "Cosmos3EdgeImageProcessor": _Stock(IMAGES["cosmos3-edge"], ignored=_BOUNDS),
    "Siglip2ImageProcessor": _Stock(IMAGES["siglip2-naflex"], _patch_budget, ignored=_TIME),
    "HunYuanVLImageProcessor": _Stock(IMAGES["hunyuan-ocr"], ignored=("resample",)),
    "PaddleOCRVLImageProcessor": _Stock(IMAGES["paddleocr-vl"]),
    "Kimi_K25ImageProcessor": _Stock(IMAGES["kimi-k2.5"], _shrunk, ignored=_TIME),
    "CLIPImageProcessor": _Stock(_CLIP, _clip, Shortest(224), size_to_square=False),
    "LlavaImageProcessor": _Stock(_CLIP, _llava, Shortest(224), size_to_square=False),
    "SiglipImageProcessor": _Stock(_SIGLIP, _one_tile, Stretch(224, 224), size_to_square=False),
    "BlipImageProcessor": _Stock(VIT, _one_tile, Stretch(384, 384)),
    "IdeficsImageProcessor": _Stock(VIT, _idefics, Stretch(224, 224)),
    "LlavaNextImageProcessor": _Stock(
        VIT.override(layout=replace(IMAGES["llava-next"].layout, tokens=None)),
        _anyres,
        Shortest(224),
        size_to_square=False,
    ),
    "LlavaOnevisionImageProcessor": _Stock(
        VIT.override(layout=replace(IMAGES["llava-onevision"].layout, tokens=None)),
        _anyres,
        Stretch(384, 384),
        size_to_square=False,
    ),
    "GotOcr2ImageProcessor": _Stock(VIT, _ratio, Stretch(384, 384)),
}

# Image processors of transformers whose JSON is read here, by the names that they have today.
IMAGE_CLASSES = frozenset(_STOCK)

# Processors that ask for tiles in every call, whatever the JSON of the images says.
_TILING = ("InternVLProcessor", "QianfanOCRProcessor", "AyaVisionProcessor")

# Settings that are areas in pixels for Qwen and its relatives, and sides for the others.
_SIZES = ("size", "min_pixels", "max_pixels")


def from_json(settings: Settings) -> ImageConfig:
    """The configuration that the JSON of an image processor describes.

    What is missing has the default of its class. As in the reference, a flag that is null is off.
    Older names of the classes are known: with "Fast" or "Pil" at their end, and as
    ``feature_extractor_type``.

    Raises:
        ValueError: the class is not known, or the settings ask for something that is not
            reproduced exactly.
        TypeError: a value has the wrong type.
    """
    kind = class_name(settings)
    stock = _STOCK.get(kind or "")
    if stock is None:
        raise ValueError(f"image_processor_type must be one of {listed(_STOCK)}, got {kind!r}")
    own = {name: value for name, value in settings.items() if name not in stock.ignored}
    if stock.size is None and isinstance(stock.defaults.layout.fit, (Area, Halved)):
        config = stock.defaults.updated(own)
    else:
        own = {name: value for name, value in own.items() if name not in _SIZES}
        config = stock.defaults.updated(own)
    if stock.layout is None:
        return config
    layout = stock.layout(stock.reader(settings), stock.defaults.layout)
    tiler = isinstance(layout.fit, (Pinpoints, Ratio))
    return config.override(
        layout=replace(layout, filter=config.layout.filter),
        # Tilers resize whatever their flag says.
        **({"do_resize": True} if tiler else {}),
    )
