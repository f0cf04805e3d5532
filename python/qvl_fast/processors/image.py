"""Still images: from whatever people have to the rows and grids that the models read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import PIL
from numpy.typing import NDArray

from qvl_fast import _native, environment
from qvl_fast._input.arrays import is_tensor, pixel_array
from qvl_fast._input.source import (
    Encoding,
    Header,
    ImageBatch,
    ImageSource,
    describe,
    flatten,
    read_file,
    read_header,
    read_pixels,
)
from qvl_fast._output.rows import (
    DType,
    ReturnTensors,
    Rows,
    Temporal,
    check_form,
    check_pinning,
    hand_out,
    pinned,
    storage,
)
from qvl_fast.config import (
    MAX_INTEGER,
    ImageConfig,
    ModelConfig,
    image_config,
    positive_integer,
)
from qvl_fast.config.checks import check_choice
from qvl_fast.threads import default_num_threads

if TYPE_CHECKING:
    import torch

Reference = Literal["torchvision", "pillow", "pillow-12", "pillow-13"]
Decode = Literal["exact", "scaled"]


class ImageRows(TypedDict):
    """What :class:`ImageProcessor` returns; works as ``model(**batch)``.

    Attributes:
        pixel_values: ``(N, columns)``, the rows of all images one after another.
        image_grid_thw: int64 ``(images, 3)``, the grid ``(1, h, w)`` of each, in patches.
    """

    pixel_values: Any
    image_grid_thw: Any


def image_size(source: ImageSource) -> tuple[int, int]:
    """The size that :class:`ImageProcessor` will see, read from the header alone.

    Args:
        source: a path, bytes, file object, PIL image, array or CPU tensor. Files are turned upright
            by their EXIF orientation; PIL images are taken as they are.

    Returns:
        ``(height, width)`` in pixels, before any resizing.

    Raises:
        TypeError: not an image, or an array that is not uint8.
        ValueError: not a readable image file.
        OSError: a path that cannot be read.
    """
    return read_header(source).size


def resize(
    image: NDArray[np.uint8] | torch.Tensor,
    height: int,
    width: int,
    *,
    reference: Reference = "torchvision",
) -> NDArray[np.uint8]:
    """Resize with the exact antialiased bicubic filter of the reference.

    Args:
        image: uint8 ``(H, W, 3)`` of any strides, an array or CPU tensor.
        height: lines of the result, in pixels.
        width: columns of the result, in pixels.
        reference: ``"torchvision"`` equals ``torchvision.transforms.v2.functional.resize`` of a
            uint8 CPU tensor with ``BICUBIC`` and ``antialias=True``; ``"pillow"`` equals
            ``PIL.Image.resize`` with ``BICUBIC`` of the installed Pillow, ``"pillow-12"`` and
            ``"pillow-13"`` that of Pillow before 13 and from 13 on.

    Returns:
        uint8 ``(height, width, 3)``, C-contiguous.

    Raises:
        TypeError: ``image`` is not a uint8 array or CPU tensor, or a side is not an integer.
        ValueError: ``image`` is not ``(H, W, 3)`` or empty, or a side is not positive.
    """
    pixels = pixel_array("image", image)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"image must have shape (H, W, 3), got {pixels.shape}")
    sides = positive_integer("height", height), positive_integer("width", width)
    if sides[0] * sides[1] > MAX_INTEGER:
        raise ValueError(f"height * width must be at most 2**53, got {height} * {width}")
    resolved = resolve_reference(reference)
    out = _native.empty((*sides, 3), "uint8")
    _native.resize_into(pixels[np.newaxis], out, resolved, environment.isa())
    return out


def patchify(
    frames: NDArray[np.uint8] | torch.Tensor,
    config: str | ModelConfig | ImageConfig,
    *,
    dtype: DType = "float32",
    temporal: Temporal = "full",
    out: Rows | None = None,
    reference: Reference = "torchvision",
) -> Rows:
    """Rescale, normalise and cut frames that already have their final size into patch rows.

    Frames are grouped ``temporal_patch_size`` at a time; the last is repeated to fill its group, so
    that a single frame is doubled. Semantics: ``patchify`` of the Qwen2-VL image and video
    processors in transformers.

    Args:
        frames: uint8 ``(T, H, W, 3)`` of any strides, sides multiples of ``config.factor``.
        config: a preset's name, a :class:`ModelConfig` or an :class:`ImageConfig`.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"`` (rounded to nearest even, as torch
            casts), or ``"uint8"``: the pixels as they are.
        temporal: ``"full"``, or ``"compact"`` to store a single frame once instead of
            ``temporal_patch_size`` times.
        out: where to write, an array or CPU tensor of at least N rows.
        reference: whose rounding of the normalisation to reproduce; see :func:`resize`.

    Returns:
        ``(N, columns)`` with N = groups * H/p * W/p and columns = 3 * temporal_patch_size * p * p
        (3 * p * p if compact): an array, or a tensor if ``out`` is one or ``dtype`` is bfloat16,
        which NumPy lacks. The filled part of ``out``, if given.

    Raises:
        TypeError: ``frames`` or ``out`` has the wrong type or dtype.
        ValueError: a shape, side, name or setting is not valid.
        ImportError: bfloat16 without torch.
    """
    settings = image_config(config)
    return_tensors: ReturnTensors = "pt" if dtype == "bfloat16" or is_tensor(out) else "np"
    writer = _row_writer(settings, dtype, temporal, resolve_reference(reference))
    check_form(return_tensors, dtype)
    pixels = pixel_array("frames", frames)
    if pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"frames must have shape (T, H, W, 3), got {pixels.shape}")
    count, height, width, _ = pixels.shape
    t, h, w = writer.grid(count, height, width)
    filled = storage((t * h * w, writer.columns), dtype, out, [pixels])
    writer.write(pixels, height, width, filled)
    return hand_out(filled, dtype, return_tensors)


class ImageProcessor:
    """Images to patch rows and grids, equal bit for bit to the processors in transformers.

    With ``reference="torchvision"`` equal to ``Qwen2VLImageProcessor``, with ``"pillow"`` to
    ``Qwen2VLImageProcessorPil``, on the CPU. Immutable and safe to share between threads; pickles.

    Args:
        config: a preset's name, a :class:`ModelConfig` or an :class:`ImageConfig`.
        reference: ``"torchvision"``, or ``"pillow"`` for the pass order of the installed Pillow,
            resolved here and shown in the repr; ``"pillow-12"`` and ``"pillow-13"`` force one.
        dtype: ``"float32"``, ``"float16"``, ``"bfloat16"`` (both rounded from float32 to nearest
            even) or ``"uint8"``, the resized pixels without rescaling and normalisation.
        temporal: ``"full"`` stores a patch for each of ``temporal_patch_size`` frames as the
            reference does, ``"compact"`` once.
        num_threads: how many threads a call may use. By default one in a DataLoader's worker or a
            daemonic process, elsewhere ``QVL_FAST_NUM_THREADS`` or as many as the process may use
            processors. Concurrent calls share these.
        pin_memory: write the rows to page-locked memory, from which a device copies without
            waiting; needs torch with an accelerator.
        decode: ``"exact"``, or ``"scaled"`` to let a JPEG that is to shrink to half or less be
            decoded at a fraction of its size. That is faster, and the rows are then not those of
            the reference. Without the JPEG decoder (see ``qvl-fast doctor``) it changes nothing.
        **overrides: settings of :class:`ImageConfig` to change, and ``size``; see
            :meth:`ImageConfig.override`.

    Raises:
        ValueError: an unknown name, or a value that cannot be computed with.
        TypeError: an unknown setting or a value of the wrong type.
        ImportError: ``pin_memory`` without torch.
        RuntimeError: ``pin_memory`` without an accelerator.
    """

    def __init__(
        self,
        config: str | ModelConfig | ImageConfig,
        *,
        reference: Reference = "torchvision",
        dtype: DType = "float32",
        temporal: Temporal = "full",
        num_threads: int | None = None,
        pin_memory: bool = False,
        decode: Decode = "exact",
        **overrides: Any,
    ) -> None:
        self.config: ImageConfig = image_config(config).override(**overrides)
        self.reference: Reference = resolve_reference(reference)
        self.dtype: DType = dtype
        self.temporal: Temporal = temporal
        self.num_threads = (
            None if num_threads is None else positive_integer("num_threads", num_threads)
        )
        self.pin_memory = pin_memory
        if pin_memory:
            check_pinning()
        check_choice("decode", decode, Decode)
        self.decode: Decode = decode
        self._writer = _row_writer(self.config, dtype, temporal, self.reference)

    def __call__(
        self,
        images: ImageBatch,
        *,
        out: Rows | None = None,
        return_tensors: ReturnTensors = "pt",
    ) -> ImageRows:
        """Turn images into rows.

        Args:
            images: an image, a list of images, a list of such lists, or a 4-D array. An image is a
                path, bytes, file object, PIL image, or uint8 array or CPU tensor with 1, 3 or 4
                channels first or last (first where both could be).
            out: where to write the rows, an array or CPU tensor of at least N rows.
            return_tensors: ``"pt"`` for torch tensors, ``"np"`` for arrays; either over the memory
                of ``out`` where that is given.

        Returns:
            ``pixel_values``: ``(N, columns)`` of the processor's dtype. ``image_grid_thw``: int64
            ``(images, 3)``.

        Raises:
            ValueError, TypeError, OSError: an image or argument is not valid. If an image is to
                blame, the exception has its place in ``.index`` and the image in ``.source``.
            ImportError: torch tensors are asked for and torch is not installed.
        """
        check_form(return_tensors, self.dtype)
        sources = flatten(images)
        batch = _native.Batch(self._writer)
        headers: list[Header] = []
        for index, source in enumerate(sources):
            try:
                header = read_header(source)
                headers.append(header)
                if header.pixels is not None:
                    batch.add_pixels(header.pixels)
                elif header.encoding is None or not batch.add_file(
                    read_file(source), header.encoding[2]
                ):
                    batch.add_opened(*header.size)
            except Exception as error:
                _blame(error, index, source)
                raise
        grids = np.array(batch.grids, np.int64)
        shape = batch.rows, self.columns
        if out is None and self.pin_memory:
            out = pinned(shape, self.dtype)
        arrays = [header.pixels for header in headers]
        rows = storage(shape, self.dtype, out, [array for array in arrays if array is not None])
        try:
            batch.write(
                rows,
                _Loader(sources, headers),
                num_threads=self.num_threads or default_num_threads(),
                reduced=self.decode == "scaled",
            )
        except Exception as error:
            at: int | None = vars(error).get("index")
            if at is not None:
                _blame(error, at, sources[at])
            raise
        return {
            "pixel_values": hand_out(rows, self.dtype, return_tensors, out),
            "image_grid_thw": hand_out(grids, "int64", return_tensors),
        }

    @property
    def columns(self) -> int:
        """Elements in a row: ``3 * frames * patch_size**2``, one frame if compact."""
        return self._writer.columns

    def resized_size(self, height: int, width: int) -> tuple[int, int]:
        """``(height, width)`` in pixels that an image of this size is resized to.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        if not self.config.do_resize:
            return positive_integer("height", height), positive_integer("width", width)
        config = self.config
        return _native.smart_resize(
            height, width, config.factor, config.min_pixels, config.max_pixels
        )

    def num_patches(self, height: int, width: int) -> int:
        """Rows that an image of ``height`` by ``width`` pixels fills.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        t, h, w = self._writer.grid(1, *self.resized_size(height, width))
        return t * h * w

    def num_tokens(self, height: int, width: int) -> int:
        """Tokens that an image of ``height`` by ``width`` pixels becomes in the language model.

        Raises:
            ValueError: the size is not valid; see :func:`smart_resize`.
        """
        return self.num_patches(height, width) // self.config.merge_size**2

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"ImageProcessor({self.config!r}, {options})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(ImageProcessor, **self._options()), (self.config,)

    def _options(self) -> dict[str, Any]:
        """The arguments beside ``config`` that make a processor like this one."""
        return {
            "reference": self.reference,
            "dtype": self.dtype,
            "temporal": self.temporal,
            "num_threads": self.num_threads,
            "pin_memory": self.pin_memory,
            "decode": self.decode,
        }


def resolve_reference(reference: Reference) -> Literal["torchvision", "pillow-12", "pillow-13"]:
    """The reference with ``"pillow"`` replaced by the pass order of the installed Pillow.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("reference", reference, Reference)
    if reference != "pillow":
        return reference
    return "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"


def _row_writer(
    config: ImageConfig, dtype: DType, temporal: Temporal, reference: str
) -> _native.RowWriter:
    check_choice("dtype", dtype, DType)
    check_choice("temporal", temporal, Temporal)
    return _native.RowWriter(
        config.patch_size,
        config.temporal_patch_size,
        config.merge_size,
        pixels=(config.min_pixels, config.max_pixels) if config.do_resize else None,
        temporal=temporal,
        dtype=dtype,
        reference=reference,
        rescale_factor=config.rescale_factor if config.do_rescale else None,
        mean_std=(config.image_mean, config.image_std) if config.do_normalize else None,
        isa=environment.isa(),
    )


class _Loader:
    """What the core asks for an image that is not in memory as an array; see ``write_images``."""

    def __init__(self, sources: Sequence[ImageSource], headers: Sequence[Header]) -> None:
        self._sources = sources
        self._headers = headers
        # What several images of a batch are read from is still used by one thread at a time.
        self._origins = [_origin(source) for source in sources]
        self._locks = {origin: Lock() for origin in self._origins}

    def __call__(self, index: int) -> NDArray[np.uint8]:
        source: Any = self._sources[index]
        header = self._headers[index]
        with self._locks[self._origins[index]]:
            pixels = read_pixels(source)
        if pixels.shape[:2] != header.size:
            raise ValueError(
                f"image {describe(source)} has {pixels.shape[:2]} pixels, but its header says "
                f"{header.size}"
            )
        return pixels


def _origin(source: Any) -> int:
    """Tells apart what images are read from: a PIL image may still have to read its file."""
    return id(getattr(source, "fp", None) or source)


def _blame(error: Exception, index: int, source: ImageSource) -> None:
    """Notes on an exception which image of a batch it is about."""
    error.__dict__.update(index=index, source=source)
    error.add_note(f"images[{index}] is {describe(source)}")
