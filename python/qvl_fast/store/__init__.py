r"""Rows on disk, so that images and videos are decoded and resized once and not in every epoch.

They are written and read like this::

    images, videos = qvl_fast.ImageProcessor("qwen3-vl"), qvl_fast.VideoProcessor("qwen3-vl")
    failures = qvl_fast.store.write_shards(["photos"], "rows", images, video_processor=videos)
    dataset = qvl_fast.store.Dataset("rows")
    batch = dataset[0]  # pixel_values and image_grid_thw of the first image

``qvl-fast preprocess`` writes the same. Writing needs safetensors, reading does not.

The format. A folder holds ``index.json`` and shards, ``rows-00000.safetensors`` and so on. A shard
is a safetensors file of images or of videos::

    pixel_values         (rows, columns), the rows of its images one after another
    image_grid_thw       int64 (images, 3), the grid (1, h, w) of each, or (tiles, h, w)
    image_sizes          int64 (images, 2), height and width of each before any resizing; only of
                         layouts that put tiles together again (LLaVA-NeXT, LLaVA-OneVision)

    pixel_values_videos  (rows, columns), the rows of its videos one after another
    video_grid_thw       int64 (videos, 3), the grid (t, h, w) of each
    second_per_grid_ts   float64 (videos,), only for models that are told so

Its metadata has JSON texts: ``sources``, the list of the files' paths, ``configuration``, and of
videos ``timestamps``, a list for each. ``index.json`` is one object, in ASCII::

    configuration   the settings of ImageConfig with reference, dtype and temporal: all that decides
                    what the rows of an image are; if there are videos, under ``video`` the same of
                    VideoConfig
    items           for each image, and then for each video:
        path        the file, absolute; bytes of its name that are not UTF-8 as \xe9
        path_hex    the bytes of the path in hexadecimal, only if they are not UTF-8
        size        of the file in bytes when it was processed
        mtime_ns    its time of modification, likewise
        grid        [t, h, w]
        shard       name of the shard
        first_row   place of its first row in the shard
        rows        number of its rows
        image_size  of an image whose tiles are put together again: [height, width]
        video       of a video: ``metadata``, the entries of VideoMetadata, with the frames that
                    were taken; ``timestamps``; ``second_per_grid_ts`` or null

Every image is a sample of its own. Images of LLaVA-OneVision that are together in a sample become
other rows, a single tile each, and are not stored.

The index names complete shards only: a shard is written first and then, in one step, the index. A
shard that the index does not name is left over from a run that was killed, and may be deleted.
"""

from qvl_fast.store.dataset import Dataset
from qvl_fast.store.errors import StoreError
from qvl_fast.store.sources import Failure
from qvl_fast.store.writing import write_shards

__all__ = ["Dataset", "Failure", "StoreError", "write_shards"]
