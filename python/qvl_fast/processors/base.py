"""What the processors share: their options, and what writes their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import PIL

from qvl_fast import _native, environment
from qvl_fast._output.rows import DType, Temporal
from qvl_fast.config.checks import check_choice

if TYPE_CHECKING:
    from qvl_fast.config import ImageConfig

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
    config: ImageConfig, dtype: DType, temporal: Temporal, reference: str
) -> _native.RowWriter:
    """What writes the rows of a configuration.

    Raises:
        ValueError: an unknown name, or a setting that cannot be computed with.
    """
    check_choice("temporal", temporal, Temporal)
    return _native.RowWriter(
        config.patch_size,
        config.temporal_patch_size,
        config.merge_size,
        temporal=temporal,
        dtype=dtype,
        reference=reference,
        rescale_factor=config.rescale_factor if config.do_rescale else None,
        mean_std=(config.image_mean, config.image_std) if config.do_normalize else None,
        isa=environment.isa(),
    )
