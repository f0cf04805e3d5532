"""Images of messages, fetched and resized."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from qvl_fast._input.arrays import is_array
from qvl_fast._input.errors import about_image
from qvl_fast._input.fetch import Fetcher, is_remote
from qvl_fast._input.files import opened, refusing
from qvl_fast._input.header import upright_size
from qvl_fast._input.names import describe
from qvl_fast._input.pixels import Pieces, pixels_of_rgb
from qvl_fast._input.source import File, prepare
from qvl_fast.integrations.qwen_vl_utils.sizes import image_target
from qvl_fast.processors.functional import resize
from qvl_fast.threads import default_num_threads

Fetch: TypeAlias = Callable[[str], bytes | str | PathLike[str]]
Element: TypeAlias = Mapping[str, Any]

T = TypeVar("T")

FETCH = Fetcher()
_DOWNLOADS = 8


def fetch_image(
    ele: Element, image_patch_size: int = 14, *, exif: bool = False, fetch: Fetch = FETCH
) -> Image.Image:
    """An image of a message, resized.

    Semantics: ``fetch_image`` of ``qwen_vl_utils`` 0.0.14, whose pixels it equals bit for bit,
    resized by the installed Pillow's arithmetic. RGBA is composited on white; every other mode is
    converted, which drops the alpha of LA, PA and of palettes.

    Args:
        ele: has the image in ``"image"`` or else in ``"image_url"``: a PIL image, a path,
            ``file://`` and a path, an http or https URL, or ``data:image/...;base64,`` and the
            file; also bytes and streams. ``"min_pixels"`` and ``"max_pixels"`` bound its area, or
            ``"resized_height"`` and ``"resized_width"`` ask for a size.
        image_patch_size: side of a patch in pixels: 14, or 16 for Qwen3-VL.
        exif: whether files are turned upright by their EXIF orientation.
        fetch: finds what a text names; by default a :class:`Fetcher`, which has limits.

    Returns:
        In mode RGB, its sides multiples of ``2 * image_patch_size``.

    Raises:
        ImageError: not an image, one that cannot be decoded, or an address that is not allowed.
        KeyError: ``ele`` has no image.
        AssertionError, ValueError: bounds that cannot be met; see :func:`smart_resize`.
        OSError: a path cannot be read, or an address not be reached.
    """
    return Image.fromarray(fetch_pixels(ele, image_patch_size, exif=exif, fetch=fetch))


def fetch_pixels(
    element: Element, image_patch_size: int, *, exif: bool, fetch: Fetch
) -> NDArray[np.uint8]:
    """The pixels of :func:`fetch_image`, ``(height, width, 3)``."""
    with _opened(image_source(element), fetch) as (image, is_file):
        if 0 in image.size:
            raise ValueError(f"it has no pixels: height {image.height}, width {image.width}")
        image = _to_rgb(ImageOps.exif_transpose(image) if exif and is_file else image)
        shared = pixels_of_rgb(image)
        pixels = np.asarray(image) if isinstance(shared, Pieces) else shared
    target = image_target(element, (image.height, image.width), image_patch_size)
    return resize(pixels, *target, reference="pillow")


def fetch_size(
    element: Element, image_patch_size: int, *, exif: bool, fetch: Fetch
) -> tuple[int, int]:
    """``(height, width)`` of what :func:`fetch_pixels` returns; a file's pixels are not decoded."""
    with _opened(image_source(element), fetch) as (image, is_file):
        size = upright_size(image) if exif and is_file else (image.height, image.width)
    return image_target(element, size, image_patch_size)


def image_source(element: Element) -> Any:
    """The image of an element of a message, as it was given.

    Raises:
        KeyError: there is none.
    """
    return element["image"] if "image" in element else element["image_url"]


def located(source: Any, fetch: Fetch) -> Any:
    """A source as it was given, or what a text in it names: no text goes past ``fetch``.

    Raises:
        TypeError: it is several.
    """
    if isinstance(source, list | tuple):
        raise TypeError(f"an element of a message must hold one image, got {source!r:.80}")
    text = source
    if isinstance(source, Mapping) and "path" in source and source.get("bytes") is None:
        text = cast("Mapping[str, Any]", source)["path"]
    return fetch(text) if isinstance(text, str) else cast("Any", source)


def in_parallel(function: Callable[[Element], T], elements: Sequence[Element]) -> list[T]:
    """What a function makes of each element that holds an image, in order.

    On as many threads as a call uses, or up to eight if an image comes over the network: those wait
    more than they compute.

    Raises:
        Exception: what the first image that fails is to blame for; see :func:`about_image`.
    """

    def one(index: int) -> T:
        try:
            return function(elements[index])
        except Exception as error:
            raise about_image(error, index, sources[index]) from error.__cause__

    sources = [image_source(element) for element in elements]
    remote = any(isinstance(source, str) and is_remote(source) for source in sources)
    threads = min(len(elements), _DOWNLOADS if remote else default_num_threads())
    if threads < 2:
        return list(map(one, range(len(elements))))
    with ThreadPoolExecutor(threads, "qvl-fast") as pool:
        return list(pool.map(one, range(len(elements))))


@contextmanager
def _opened(source: Any, fetch: Fetch) -> Generator[tuple[Image.Image, bool]]:
    """The image, and whether it comes from a file, whose pixels are then not decoded yet."""
    source = located(source, fetch)
    if isinstance(source, Image.Image):
        with refusing(source):
            yield source, False
    elif is_array(source):
        raise TypeError(f"image must not be an array, got {describe(source)}; pass a PIL image")
    else:
        with opened(cast("File", prepare(source))) as image:
            yield image, True


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
