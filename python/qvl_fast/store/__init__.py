r"""Rows on disk, so that images are decoded and resized once and not in every epoch.

    failures = qvl_fast.store.write_shards(["photos"], "rows", qvl_fast.ImageProcessor("qwen3-vl"))
    dataset = qvl_fast.store.Dataset("rows")
    batch = dataset[0]  # pixel_values and image_grid_thw of the first image

``qvl-fast preprocess`` writes the same. Writing needs safetensors, reading does not.

The format. A folder holds ``index.json`` and shards, ``rows-00000.safetensors`` and so on. A shard
is a safetensors file with two tensors:

    pixel_values    (rows, columns), the rows of its images one after another
    image_grid_thw  int64 (images, 3), the grid (1, h, w) of each

Its metadata has two JSON texts: ``sources``, the list of the images' paths, and ``configuration``.
``index.json`` is one object, in ASCII:

    configuration   the settings of ImageConfig with reference, dtype and temporal: all that decides
                    what the rows of an image are
    items           for each image:
        path        the file, absolute; bytes of its name that are not UTF-8 as \xe9
        path_hex    the bytes of the path in hexadecimal, only if they are not UTF-8
        size        of the file in bytes when it was processed
        mtime_ns    its time of modification, likewise
        grid        [1, h, w]
        shard       name of the shard
        first_row   place of its first row in the shard
        rows        number of its rows

The index names complete shards only: a shard is written first and then, in one step, the index. A
shard that the index does not name is left over from a run that was killed, and may be deleted.
"""

from qvl_fast.store.dataset import Dataset
from qvl_fast.store.errors import StoreError
from qvl_fast.store.sources import Failure
from qvl_fast.store.writing import write_shards

__all__ = ["Dataset", "Failure", "StoreError", "write_shards"]
