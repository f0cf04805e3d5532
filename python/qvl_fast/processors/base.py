"""What the processors share: their options, and what writes their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import PIL

from qvl_fast import _native, environment
from qvl_fast._output.rows import DType, Temporal
from qvl_fast.config.checks import check_choice
from qvl_fast.config.layout import (
    Area,
    Patches,
    Pinpoints,
    Ratio,
    Shortest,
    Shrink,
    Stretch,
)

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig
    from qvl_fast.config.layout import Fit, Layout

Form = Literal["rows", "planes"]
Reference = Literal["torchvision", "pillow", "pillow-12", "pillow-13"]
Decode = Literal["exact", "scaled"]


def resolve_reference(reference: Reference) -> Literal["torchvision", "pillow-12", "pillow-13"]:
    """The reference with ``"pillow"`` replaced by the pass order of the installed Pillow.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("reference", reference, Reference)
    if reference != "pillow":
        return reference
    return "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"


def row_writer(
    config: ImageConfig, dtype: DType, temporal: Temporal, reference: str, form: Form = "rows"
) -> _native.RowWriter:
    """What writes the rows of a configuration, or its tiles as planes.

    Raises:
        ValueError: an unknown name, or a setting that cannot be computed with.
    """
    check_choice("temporal", temporal, Temporal)
    tile = config.layout.tile
    if form == "rows" and tile is not None and min(tile) < config.factor:
        raise ValueError(
            f"tile must be of at least {config.factor} pixels a side for rows, got {tile}"
        )
    return _native.RowWriter(
        config.patch_size,
        config.temporal_patch_size,
        1 if config.layout.raster else config.merge_size,
        tile=tile if form == "planes" else None,
        resample=config.layout.filter,
        # As the reference rounds the colour that it pads squares with.
        margin=[int(255 * mean) for mean in config.image_mean] if _pads(config.layout) else [0] * 3,
        temporal=temporal,
        dtype=dtype,
        reference=reference,
        rescale_factor=config.rescale_factor if config.do_rescale else None,
        mean_std=(config.image_mean, config.image_std) if config.do_normalize else None,
        isa=environment.isa(),
    )


def _pads(layout: Layout) -> bool:
    return layout.square or (layout.together is not None and layout.together.square)


def native_layout(config: ImageConfig, layout: Layout, reference: str) -> _native.Layout:
    """The core's form of a layout.

    Raises:
        ValueError: settings that do not go together; names one and its value.
    """
    return _native.Layout(
        _fit(config, layout.fit) if config.do_resize else _native.Fit.keep(),
        tile=layout.tile,
        square=layout.square,
        overview=layout.overview,
        reference=reference,
    )


def _fit(config: ImageConfig, fit: Fit) -> _native.Fit:
    match fit:
        case Area(frames, small):
            pixels = config.min_pixels, config.max_pixels
            count = config.temporal_patch_size if frames else 1
            return _native.Fit.area(config.factor, pixels, count, small)
        case Shrink(patches, side):
            return _native.Fit.shrink(config.patch_size, config.factor, patches, side)
        case Patches(patches):
            return _native.Fit.patches(config.patch_size, patches)
        case Stretch(height, width):
            return _native.Fit.stretch(height, width)
        case Shortest(edge):
            return _native.Fit.shortest(edge)
        case Pinpoints(canvases):
            return _native.Fit.pinpoints(canvases)
        case Ratio(least, most):
            return _native.Fit.ratio(least, most)
