"""A stage of Ray Data that makes rows of images, on as many machines as there are.

For example::

    import ray
    from qvl_fast.integrations.ray import RowStage

    images = ray.data.read_binary_files("s3://photos", include_paths=True)
    rows = images.map_batches(RowStage, fn_constructor_args=(processor,), concurrency=8, num_cpus=1)
    rows.filter(lambda row: not row["error"]).write_parquet("s3://rows")

The module imports without Ray; the stage can be called without it, too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qvl_fast._output.batch import ImageRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import check_form, dtype_name, hand_out, row_memory
from qvl_fast.config.checks import check_choice, listed
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.inverse import unpatchify

if TYPE_CHECKING:
    from qvl_fast._input.source import ImageSource

__all__ = ["RowStage", "read_rows"]

Form = Literal["arrays", "bytes", "multimodal_data"]

# What may be wrong with an image; anything else is wrong with the program.
_ITS_FAULT = (ValueError, OSError, MemoryError)


class RowStage:
    """Batches of images to batches of rows, for ``map_batches``; an image that fails is noted.

    A worker uses as many threads as the CPUs that Ray has assigned to it (``num_cpus=``), unless
    the processor says ``num_threads``.

    Every other column stays, and none may have the name of one that is added. These are
    ``error``, which says why an image cannot be used and is empty otherwise, and by ``form``:

    - ``"arrays"``: ``pixel_values``, ``(N, columns)`` for each image, ``image_grid_thw``, int64
      ``(3,)``, and ``image_sizes``, int64 ``(2,)``, where tiles are put together again
      (LLaVA-NeXT, LLaVA-OneVision; each image is a sample of its own). For what follows in Ray,
      and for ``write_webdataset``.
    - ``"bytes"``: ``pixel_values`` as bytes, the others as lists, and ``dtype``. Plain columns that
      any reader of Parquet understands; see :func:`read_rows`. The only one for bfloat16.
    - ``"multimodal_data"``: a column of this name with ``{"image": picture}``, an RGB image of PIL
      that has its final size, which Ray's stage for vLLM hands on. vLLM takes no rows; its own
      processor leaves the size as it is and only normalises.

    An image that fails has no rows, the grid (0, 0, 0) and the size (0, 0), or None.

    Args:
        processor: makes the rows.
        column: the column with the images: bytes, paths, or whatever the processor takes.
        form: see above.
        keep_images: whether the column of the images stays, too, as one of paths may.

    Raises:
        ValueError: an unknown form, arrays of bfloat16, or a processor that makes no rows.

    Example:
        >>> import numpy as np, qvl_fast
        >>> stage = RowStage(qvl_fast.ImageProcessor("qwen2.5-vl"), column="path")
        >>> batch = stage({"path": np.array(["samples/coffee.png", "nowhere.png"])})
        >>> [rows.shape for rows in batch["pixel_values"]], batch["image_grid_thw"].tolist()
        ([(1176, 1176), (0, 1176)], [[1, 28, 42], [0, 0, 0]])
        >>> batch["error"][1]
        "FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.png'"
    """

    def __init__(
        self,
        processor: ImageProcessor,
        *,
        column: str = "bytes",
        form: Form = "arrays",
        keep_images: bool = False,
    ) -> None:
        check_choice("form", form, Form)
        if processor.form != "rows":
            raise ValueError(f"processor must be made with form='rows', got {processor.form!r}")
        changes: dict[str, Any] = {}
        if form == "multimodal_data":
            changes = {"dtype": "uint8", "temporal": "compact"}  # the pixels themselves
        if processor.num_threads is None:
            changes["num_threads"] = _assigned_cpus()
        options = {name: getattr(processor, name) for name in processor.OPTIONS}
        self._processor = type(processor)(processor.config, **(options | changes))
        as_bits = form == "bytes" and processor.dtype == "bfloat16"
        self._tensors: ReturnTensors = "pt" if as_bits else "np"
        check_form(self._tensors, self._processor.dtype)
        self._sized = processor.config.layout.sized
        self._column = column
        self._keep_images = keep_images
        self._form: Form = form

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch of columns with rows instead of images.

        Args:
            batch: the columns by name, of equal length.

        Returns:
            The columns described above.

        Raises:
            KeyError: there is no such column.
            ValueError: there is a column already that is to be made.
        """
        images = list(batch[self._column])
        kept = dict(batch)
        if not self._keep_images:
            del kept[self._column]
        found = self._made(images)
        made = [None if isinstance(item, Exception) else item for item in found]
        match self._form:
            case "arrays":
                new = self._arrays(made)
            case "bytes":
                new = self._bytes(made)
            case "multimodal_data":
                new = {"multimodal_data": _column([self._multimodal_data(item) for item in made])}
        # Never None: a part whose errors are all None would have a column of another type.
        errors = [_described(item) if isinstance(item, Exception) else "" for item in found]
        new["error"] = _column(errors)
        if taken := kept.keys() & new.keys():
            raise ValueError(
                f"batch must not have the columns {listed(taken)} before this stage, which makes "
                "them; rename or drop them"
            )
        return kept | new

    def _made(self, images: Sequence[ImageSource]) -> list[ImageRows[Any] | Exception]:
        """The rows of each image, or what its use raised."""
        if not images:
            return []
        try:
            rows: Any = self._processor(images, return_tensors=self._tensors)
            return rows.split()
        except _ITS_FAULT as error:
            if len(images) == 1:
                return [error]
        return [self._made([image])[0] for image in images]

    def _arrays(self, made: Sequence[ImageRows[Any] | None]) -> dict[str, Any]:
        none = np.empty((0, self._processor.columns), self._processor.dtype)
        grids = [[0, 0, 0] if item is None else item.image_grid_thw[0] for item in made]
        columns = {
            "pixel_values": _column([none if item is None else item.pixel_values for item in made]),
            "image_grid_thw": np.array(grids, np.int64).reshape(-1, 3),
        }
        if self._sized:
            columns["image_sizes"] = np.array(_sizes(made), np.int64).reshape(-1, 2)
        return columns

    def _bytes(self, made: Sequence[ImageRows[Any] | None]) -> dict[str, Any]:
        rows = [b"" if item is None else row_memory(item.pixel_values).tobytes() for item in made]
        grids = [[0] * 3 if item is None else item.image_grid_thw[0].tolist() for item in made]
        columns = {
            "pixel_values": _column(rows),
            "image_grid_thw": _column(grids),
            "dtype": np.array([self._processor.dtype] * len(made)),
        }
        if self._sized:
            columns["image_sizes"] = _column(_sizes(made))
        return columns

    def _multimodal_data(self, item: ImageRows[Any] | None) -> dict[str, Any] | None:
        if item is None:
            return None
        [frames] = unpatchify(item.pixel_values, item.image_grid_thw, self._processor.config)
        return {"image": Image.fromarray(frames[0])}


def read_rows(record: Mapping[str, Any], *, return_tensors: ReturnTensors = "np") -> ImageRows[Any]:
    """The rows of a record that :class:`RowStage` has written with ``form="bytes"``.

    Args:
        record: with ``pixel_values``, ``image_grid_thw`` and ``dtype``, and ``image_sizes`` where
            the stage has made these.
        return_tensors: ``"np"`` for arrays, which are read-only, or ``"pt"`` for tensors.

    Returns:
        ``pixel_values`` ``(N, columns)`` and ``image_grid_thw`` int64 ``(1, 3)``; ``image_sizes``
        int64 ``(1, 2)`` if the record has it.

    Raises:
        ValueError: the record is of an image that failed, its bytes do not fit its grid, or
            bfloat16 is asked for as an array.
    """
    dtype = dtype_name(record["dtype"])
    check_form(return_tensors, dtype)
    grid = np.array(record["image_grid_thw"], np.int64).reshape(1, 3)
    count = int(grid.prod())
    values = np.frombuffer(
        record["pixel_values"], np.uint16 if dtype == "bfloat16" else np.dtype(dtype)
    )
    if count < 1 or len(values) % count:
        raise ValueError(
            f"pixel_values must be rows of the grid {grid[0].tolist()}, got {len(values)} values"
        )
    rows = values.reshape(count, -1)
    if return_tensors == "pt":
        rows = rows.copy()  # A tensor over memory that must not be written to is an accident.
    batch: ImageRows[Any] = ImageRows(
        pixel_values=hand_out(rows, dtype, return_tensors),
        image_grid_thw=hand_out(grid, "int64", return_tensors),
    )
    # None where a table has rows of other families as well.
    if (sizes := record.get("image_sizes")) is not None:
        size = np.array(sizes, np.int64).reshape(1, 2)
        batch["image_sizes"] = hand_out(size, "int64", return_tensors)
    return batch


def _sizes(made: Sequence[ImageRows[Any] | None]) -> list[list[int]]:
    """Height and width of each image."""
    return [[0, 0] if item is None else item.image_sizes[0].tolist() for item in made]


def _assigned_cpus() -> int | None:
    """How many CPUs Ray has assigned to this worker; None outside Ray."""
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _column(values: Sequence[Any]) -> NDArray[np.object_]:
    """One element for each value, whatever it is."""
    column = np.empty(len(values), object)
    for place, value in enumerate(values):
        column[place] = value
    return column
