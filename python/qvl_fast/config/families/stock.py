"""The JSON of image processors of transformers as configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from qvl_fast.config.checks import listed, positive_integer
from qvl_fast.config.families.presets import HALF, IMAGES, VIT, cropped
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

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class _Stock:
    """An image processor of transformers.

    Attributes:
        defaults: what its class has where the JSON says nothing.
        layout: makes a layout of the JSON; by default that of the class.
        size: that of the class, where sizes are sides in pixels; None where they are areas.
        size_to_square: whether a size of one number is both sides, rather than the shorter.
    """

    defaults: ImageConfig
    layout: Callable[[_Reader], Layout] | None = None
    size: Shortest | Stretch | None = None
    size_to_square: bool = True


@dataclass(frozen=True)
class _Reader:
    """Settings that decide the layout, as the class reads them."""

    settings: Settings
    stock: _Stock

    def flag(self, name: str, default: bool) -> bool:
        """A flag; null is off."""
        value = self.settings.get(name, default)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true, false or null, got {value!r}")
        return value

    def number(self, name: str, default: int) -> int:
        """A positive integer."""
        return positive_integer(name, self.settings.get(name, default))

    def size(self, name: str, *, square: bool) -> dict[str, int] | None:
        """A size with its keys; None if the JSON has none.

        Raises:
            ValueError: it is null.
        """
        if name not in self.settings:
            return None
        match self.settings[name]:
            case int(side) if square:
                size: dict[str, Any] = {"height": side, "width": side}
            case int(side):
                size = {"shortest_edge": side}
            case [height, width]:
                size = {"height": height, "width": width}
            case {**sides} if sides:
                size = {key: side for key, side in sides.items() if side is not None}
            case other:
                raise ValueError(f"{name} must be a number or sides in pixels, got {other!r}")
        return {key: positive_integer(f"{name}[{key!r}]", side) for key, side in size.items()}

    def fit(self) -> Shortest | Stretch:
        """How ``size`` says that images are resized.

        Raises:
            ValueError: its keys are others than a class of one tile has.
        """
        size = self.size("size", square=self.stock.size_to_square)
        match size:
            case None:
                return cast("Shortest | Stretch", self.stock.size)
            case {"shortest_edge": edge} if len(size) == 1:
                return Shortest(edge)
            case {"height": height, "width": width} if len(size) == 2:
                return Stretch(height, width)
            case _:
                raise ValueError(
                    "size must have the keys 'height' and 'width', or 'shortest_edge', got "
                    f"{self.settings['size']!r}"
                )

    def crop(self) -> tuple[int, int] | None:
        """``(height, width)`` that images are cropped to."""
        size = self.size("crop_size", square=True)
        match size:
            case None:
                return self.stock.defaults.layout.tile
            case {"height": height, "width": width}:
                return height, width
            case _:
                raise ValueError(f"crop_size must have the keys 'height' and 'width', got {size!r}")


def _one_tile(reader: _Reader) -> Layout:
    """CLIP and LLaVA: resized, then cropped."""
    fit = reader.fit()
    tile = reader.crop() if reader.flag("do_center_crop", True) else _whole(fit)
    return Layout(fit=fit, tile=tile, square=reader.flag("do_pad", False))


def _clip(reader: _Reader) -> Layout:
    return replace(_one_tile(reader), square=False)


def _stretched(reader: _Reader) -> Layout:
    """SigLIP, BLIP and Idefics: resized, nothing else."""
    fit = reader.fit()
    if "image_size" in reader.settings and reader.settings.get("size") is None:
        side = reader.number("image_size", 224)
        fit = Stretch(side, side)
    return Layout(fit=fit, tile=_whole(fit))


def _whole(fit: Shortest | Stretch) -> tuple[int, int]:
    if isinstance(fit, Shortest):
        raise ValueError(
            f"size must have the keys 'height' and 'width' where images are not cropped, got "
            f"shortest_edge {fit.edge}: pictures of several shapes cannot be put together"
        )
    return fit.height, fit.width


def _anyres(reader: _Reader) -> Layout:
    """LLaVA-NeXT and LLaVA-OneVision: an overview, and the tiles of the best canvas."""
    default = reader.stock.defaults.layout
    fit = reader.fit()
    size = (fit.edge, fit.edge) if isinstance(fit, Shortest) else (fit.height, fit.width)
    crop = reader.size("crop_size", square=True) if reader.settings.get("crop_size") else None
    tile = (crop["height"], crop["width"]) if crop else size
    if tile != size:
        raise ValueError(f"crop_size must be the size {size}, got {tile}")
    if not reader.flag("do_pad", True):
        raise ValueError("do_pad must be true: images of several numbers of tiles are padded")
    pinpoints: Any = reader.settings.get("image_grid_pinpoints")
    if pinpoints is None:
        pinpoints = cast("Pinpoints", default.fit).canvases
    layout = replace(
        default, fit=Pinpoints(tuple((height, width) for height, width in pinpoints)), tile=tile
    )
    if default.together is not None:
        layout = replace(layout, together=replace(default.together, fit=Stretch(*tile), tile=tile))
    return layout


def _ratio(reader: _Reader) -> Layout:
    """GotOcr2, which InternVL uses with tiles."""
    tile = _whole(reader.fit())
    # The processor of InternVL asks for tiles in every call, whatever the JSON says.
    tiled = reader.settings.get("processor_class") == "InternVLProcessor"
    if not tiled and not reader.flag("crop_to_patches", False):
        return Layout(fit=Stretch(*tile), tile=tile, stack="flat")
    least, most = reader.number("min_patches", 1), reader.number("max_patches", 12)
    return Layout(fit=Ratio(least, most), tile=tile, overview="last", stack="flat")


def _shrunk(reader: _Reader) -> Layout:
    """Kimi-K2.5."""
    size = reader.size("size", square=True) or {"max_height": 512, "max_width": 512}
    if set(size) != {"max_height", "max_width"} or len(set(size.values())) != 1:
        raise ValueError(
            f"size must have the keys 'max_height' and 'max_width' of one value, got {size!r}"
        )
    patches = reader.number("max_patches", 16384)
    return Layout(fit=Shrink(patches, size["max_height"]), raster=True)


def _unexpanded(reader: _Reader) -> Layout:
    """Glmga, and what else has the setting."""
    if (expand := reader.settings.get("patch_expand_factor", 1)) != 1:
        raise ValueError(f"patch_expand_factor must be 1, got {expand!r}")
    return reader.stock.defaults.layout


def _token_budget(reader: _Reader) -> Layout:
    """GLM-5."""
    least, most = reader.number("min_image_tokens", 16), reader.number("max_image_tokens", 8000)
    return replace(_unexpanded(reader), fit=TokenBudget(least, most))


def _patch_budget(reader: _Reader) -> Layout:
    """SigLIP 2."""
    fit = PatchBudget(reader.number("max_num_patches", 256))
    return replace(reader.stock.defaults.layout, fit=fit)


_CLIP = VIT.override(layout=cropped(224))
_SIGLIP = VIT.override(image_mean=HALF, image_std=HALF)
_GLM = IMAGES["glm-4.1v"]
_ERNIE = _Stock(IMAGES["ernie-4.5-vl"])

# By the names of their classes, without "Fast" and "Pil".
_STOCK: Mapping[str, _Stock] = {
    "Qwen2VLImageProcessor": _Stock(ImageConfig()),
    "CohereCompassImageProcessor": _Stock(ImageConfig()),
    "MiniMaxM3VLImageProcessor": _Stock(IMAGES["minimax-m3-vl"]),
    # One class under two names.
    "Ernie4_5_VLMoeImageProcessor": _ERNIE,
    "Ernie4_5_VL_MoeImageProcessor": _ERNIE,
    "VideoLlama3ImageProcessor": _Stock(IMAGES["video-llama-3"]),
    "Glm4vImageProcessor": _Stock(_GLM),
    "Glm46VImageProcessor": _Stock(_GLM),
    "GlmgaImageProcessor": _Stock(_GLM, _unexpanded),
    "Glm5NextImageProcessor": _Stock(IMAGES["glm-5"], _token_budget),
    "GlmImageImageProcessor": _Stock(IMAGES["glm-image"]),
    "Cosmos3EdgeImageProcessor": _Stock(IMAGES["cosmos3-edge"]),
    "Siglip2ImageProcessor": _Stock(IMAGES["siglip2-naflex"], _patch_budget),
    "HunYuanVLImageProcessor": _Stock(IMAGES["hunyuan-ocr"]),
    "PaddleOCRVLImageProcessor": _Stock(IMAGES["paddleocr-vl"]),
    "Kimi_K25ImageProcessor": _Stock(IMAGES["kimi-k2.5"], _shrunk),
    "CLIPImageProcessor": _Stock(_CLIP, _clip, Shortest(224), size_to_square=False),
    "LlavaImageProcessor": _Stock(_CLIP, _one_tile, Shortest(224), size_to_square=False),
    "SiglipImageProcessor": _Stock(_SIGLIP, _stretched, Stretch(224, 224), size_to_square=False),
    "BlipImageProcessor": _Stock(VIT, _stretched, Stretch(384, 384)),
    "IdeficsImageProcessor": _Stock(VIT, _stretched, Stretch(224, 224)),
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
    stock = _STOCK.get(kind)
    if stock is None:
        raise ValueError(f"image_processor_type must be one of {listed(_STOCK)}, got {kind!r}")
    if stock.size is None and isinstance(stock.defaults.layout.fit, (Area, Halved)):
        config = stock.defaults.updated(settings)
    else:
        own = {name: value for name, value in settings.items() if name not in _SIZES}
        if own.get("do_convert_rgb", True) is None:
            # Released files of SigLIP have it; only images that are not RGB then fail in the stock
            # class, which are converted here.
            del own["do_convert_rgb"]
        config = stock.defaults.updated(own)
    if stock.layout is None:
        return config
    layout = stock.layout(_Reader(settings, stock))
    tiler = isinstance(layout.fit, (Pinpoints, Ratio))
    return config.override(
        layout=replace(layout, filter=config.layout.filter),
        # Tilers resize whatever their flag says.
        **({"do_resize": True} if tiler else {}),
    )
