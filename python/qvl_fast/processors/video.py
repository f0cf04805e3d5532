"""Videos: from files or frames to the rows, grids and times that the models read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from qvl_fast import _native
from qvl_fast._input.errors import about_video
from qvl_fast._input.video.clips import (
    AnyMetadata,
    Given,
    Metadata,
    VideoBatch,
    VideoSource,
    flatten_videos,
    is_file,
)
from qvl_fast._input.video.metadata import VideoMetadata, to_metadata
from qvl_fast._output.batch import VideoPlanes, VideoRows
from qvl_fast._output.forms import ReturnTensors
from qvl_fast._output.rows import (
    DType,
    Rows,
    Temporal,
    check_form,
    hand_out,
    hand_out_seconds,
)
from qvl_fast.config import AnyVideoConfig, VideoConfig, positive_integer, video_config
from qvl_fast.config.checks import positive_number
from qvl_fast.config.layout import Area, Shortest, Stretch, TileTokens
from qvl_fast.processors.base import Form, Processor, Reference, check_areas, native_layout
from qvl_fast.processors.frames import size_of, take_frames
from qvl_fast.processors.outline import Outline, seconds_per_group, timestamps
from qvl_fast.processors.sampling import choose, sample
from qvl_fast.processors.writing import Batch

if TYPE_CHECKING:
    import torch


class VideoSettings(TypedDict, total=False):
    """What a call may change of the :class:`VideoConfig`; see :meth:`VideoConfig.override`."""

    fps: float
    num_frames: int
    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int
    size: Mapping[str, int]
    total_pixels: int
    cap_pixels_per_frame: bool
    max_video_tokens: int


class VideoProcessor(Processor[VideoConfig]):
    """Videos to what a model takes, equal bit for bit to the processors in transformers.

    Equal to ``Qwen2VLVideoProcessor``, ``Qwen3VLVideoProcessor``, ``LlavaOnevisionVideoProcessor``
    or ``InternVLVideoProcessor``, as the configuration says, on the CPU, given the same frames. Its
    settings cannot be changed, so threads may share it. It pickles, as do subclasses, and is cheap
    to make again.

    Args:
        config: a preset's name, a :class:`ModelConfig`, a :class:`VideoConfig`, or a processor of
            transformers.
        reference: whose resizing; see :class:`ImageProcessor`. The processors of videos in
            transformers use ``"torchvision"``.
        form: ``"rows"``, patches as the towers of :mod:`qvl_fast.models` take them; or
            ``"planes"``, whole frames as the stock models of most families take them, and the
            default where frames become tiles of one size.
        dtype: of the rows; see :class:`ImageProcessor`.
        temporal: ``"full"``; ``"compact"`` is for videos of one frame.
        num_threads: how many threads a call may use, decoding included; see
            :class:`ImageProcessor`.
        pin_memory: write the rows to page-locked memory; see :class:`ImageProcessor`.
        return_tensors: what calls return if they do not say: ``"pt"`` for torch tensors or ``"np"``
            for arrays.
        timeout: seconds that opening a file, and then each frame, may take before TimeoutError;
            the file is then read in a process of its own. None for no limit.
        **overrides: settings of :class:`VideoConfig` to change; see :meth:`VideoConfig.override`.

    Raises:
        ValueError: an unknown name, or a value that cannot be computed with.
        TypeError: an unknown setting or a value of the wrong type.
        ImportError: ``pin_memory`` without torch.
        RuntimeError: ``pin_memory`` without an accelerator.

    Example:
        >>> processor = VideoProcessor("qwen3-vl", return_tensors="np")
        >>> metadata = {"total_num_frames": 90, "fps": 30, "height": 240, "width": 320}
        >>> processor.num_tokens(metadata)
        240
        >>> clip = np.zeros((90, 240, 320, 3), np.uint8)
        >>> batch = processor(clip, video_metadata=metadata)
        >>> batch.video_grid_thw.tolist(), batch.timestamps
        ([[3, 16, 20]], [['<0.3 seconds>', '<1.5 seconds>', '<2.7 seconds>']])
    """

    __slots__ = ("_layout", "timeout")

    OPTIONS: ClassVar[tuple[str, ...]] = (*Processor.OPTIONS, "timeout")

    # What becomes of a frame; None where the budget of the configuration says so.
    _layout: _native.Layout | None
    timeout: float | None

    def __init__(
        self,
        config: AnyVideoConfig,
        *,
        reference: Reference = "torchvision",
        form: Form | None = None,
        dtype: DType | torch.dtype = "float32",
        temporal: Temporal = "full",
        num_threads: int | None = None,
        pin_memory: bool = False,
        return_tensors: ReturnTensors = "pt",
        timeout: float | None = None,
        **overrides: Any,
    ) -> None:
        if timeout is not None:
            timeout = positive_number("timeout", timeout)
        settings = video_config(config)
        check_areas(overrides.get("layout", settings.layout), overrides)
        self._make(
            settings.override(**overrides),
            reference=reference,
            dtype=dtype,
            temporal=temporal,
            num_threads=num_threads,
            pin_memory=pin_memory,
            return_tensors=return_tensors,
            form=form,
            timeout=timeout,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        config, layout = self.config, self.config.layout
        if not isinstance(layout.fit, (Area, Stretch, Shortest)) or layout.overview != "none":
            raise ValueError(f"layout must have one tile for each frame of a video, got {layout!r}")
        tiled = layout.tile is not None
        native = native_layout(config, layout, self.reference) if tiled else None
        object.__setattr__(self, "_layout", native)

    def __call__(
        self,
        videos: VideoBatch,
        *,
        video_metadata: AnyMetadata | None = None,
        do_sample_frames: bool | None = None,
        out: Rows | None = None,
        return_tensors: ReturnTensors | None = None,
        **settings: Unpack[VideoSettings],
    ) -> VideoRows[Any] | VideoPlanes[Any]:
        """Turn videos into rows or planes.

        Args:
            videos: a video, or several as a list, which may be nested. A video is a path, bytes or
                a stream of a file, which takes PyAV; a uint8 array or CPU tensor ``(T, H, W, C)``
                or ``(T, C, H, W)``; or a list of frames: PIL images, 3-D arrays, or paths that end
                in ``.jpg``, ``.png``, ``.bmp`` or ``.tif``. Any of them with its metadata is a
                tuple ``(video, metadata)``.
            video_metadata: of videos that are given as frames, one for each: a
                :class:`VideoMetadata`, that of transformers, or a mapping. Frames that were taken
                from a longer video must come with ``frames_indices``.
            do_sample_frames: whether frames are to be chosen; by default what the configuration
                says, or yes if ``fps`` or ``num_frames`` is given. Frames that were sampled
                already, as their metadata says, are never sampled again.
            out: where to write the rows, an array or CPU tensor of at least N rows. No array among
                the videos may share memory with it.
            return_tensors: ``"pt"`` for torch tensors, ``"np"`` for arrays; either over the memory
                of ``out`` where that is given. The processor's by default.
            **settings: of the configuration, for this call.

        Returns:
            ``pixel_values_videos``: ``(N, columns)`` of the processor's dtype. ``video_grid_thw``:
            int64 ``(videos, 3)``. ``second_per_grid_ts`` for Qwen2.5-VL: ``(videos,)``. The
            attributes ``video_metadata`` and ``timestamps``; see :class:`VideoRows`. Or planes,
            ``(videos, frames, 3, height, width)``; see :class:`VideoPlanes`.

        Warns:
            UserWarning: the rate of a video is made up, as in the reference.

        Raises:
            VideoError: a video cannot be used. It is a ValueError and a TypeError, and has the
                video's place in the batch in ``.index`` and the video in ``.source``.
            OSError: a path cannot be read; TimeoutError, one of them, if reading takes too long.
                With ``.index`` and ``.source`` too.
            ValueError, TypeError: another argument is not valid, or videos of several lengths are
                to be planes.
            ImportError: torch tensors are asked for and torch is not installed, or a file is to be
                read and PyAV is not.
        """
        form = self.return_tensors if return_tensors is None else return_tensors
        check_form(form, self.dtype)
        config = self._config(do_sample_frames, settings)
        every = flatten_videos(videos, video_metadata)
        batch = Batch(self._writer, into_out=out is not None)
        metadata: list[VideoMetadata] = []
        # Each file has a decoder, which may use its share of the threads.
        decoders = sum(is_file(given.video) for given in every)
        threads = max(1, self._threads() // max(1, decoders))
        with ExitStack() as files:
            for place, given in enumerate(every):
                try:
                    taken = take_frames(given, config, files, threads, self.timeout)
                    size = taken.add(batch, range(taken.count))
                    batch.end_video(given.video, self._becomes(config, taken.count, size))
                except Exception as error:
                    raise about_video(error, place, given.video) from error.__cause__
                metadata.append(taken.metadata)
            counts = {len(known.frames_indices or ()) for known in metadata}
            if self.form == "planes" and len(counts) > 1:
                raise ValueError(
                    "videos must have the same number of frames to be planes, got "
                    f"{sorted(counts)}; pass num_frames, or form='rows' to the processor"
                )
            rows, out = self._storage(batch.rows, out, batch.arrays)
            batch.write(rows, num_threads=self._threads())
        return self._results(rows, out, batch.grids, metadata, form)

    def iter_rows(
        self,
        video: VideoSource,
        *,
        frames_per_chunk: int,
        video_metadata: Metadata | None = None,
        do_sample_frames: bool | None = None,
        out: Rows | None = None,
        return_tensors: ReturnTensors | None = None,
        **settings: Unpack[VideoSettings],
    ) -> Iterator[VideoRows[Any] | VideoPlanes[Any]]:
        """Turn one video into rows, some of its frames at a time: memory does not grow with it.

        The rows and timestamps of all chunks one after another are those of a call; the grid is
        that of the chunk, and ``video_metadata`` is of the whole video.

        Args:
            video: see :meth:`__call__`.
            frames_per_chunk: frames whose rows are handed out together, a multiple of
                ``temporal_patch_size``. The last chunk may have fewer.
            video_metadata: see :meth:`__call__`.
            do_sample_frames: see :meth:`__call__`.
            out: where to write the rows of each chunk, over those of the one before.
            return_tensors: see :meth:`__call__`.
            **settings: of the configuration, for this call.

        Returns:
            An iterator that reads the video as it goes on; a file is open until it ends or is
            closed.

        Raises:
            VideoError, OSError, ValueError, TypeError, ImportError: see :meth:`__call__`; what is
                wrong with the video, when the first chunk is asked for or later.
        """
        form = self.return_tensors if return_tensors is None else return_tensors
        check_form(form, self.dtype)
        config = self._config(do_sample_frames, settings)
        frames_per_chunk = positive_integer("frames_per_chunk", frames_per_chunk)
        if frames_per_chunk % config.temporal_patch_size:
            raise ValueError(
                "frames_per_chunk must be a multiple of temporal_patch_size="
                f"{config.temporal_patch_size}, got {frames_per_chunk}"
            )
        given, *others = flatten_videos(video, video_metadata)
        if others:
            raise ValueError(f"video must be one video, got {1 + len(others)}")
        return self._chunks(given, config, frames_per_chunk, out, form)

    def sample(self, total_frames: int, fps: float | None = None) -> NDArray[np.int64]:
        """The numbers of the frames that are taken of a video.

        Semantics: ``sample_frames`` of the class in transformers, whether or not
        ``do_sample_frames`` is set.

        Args:
            total_frames: how many there are.
            fps: how many a second there are; needed where a rate is wanted.

        Returns:
            int64 ``(n,)``, not decreasing.

        Raises:
            ValueError: so many cannot be taken, or neither a rate nor a number is wanted.
        """
        total_frames = positive_integer("total_frames", total_frames)
        return sample(
            self.config, total_frames, None if fps is None else positive_number("fps", fps)
        )

    def resized_size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """``(height, width)`` in pixels that frames of this size are resized to.

        Args:
            frames: how many are taken.
            height: of each, in pixels.
            width: of each, in pixels.

        Raises:
            ValueError: the size is not valid.
        """
        return self._fit(self.config, frames, (height, width))[0]

    def size_bound(self, frames: int, height: int, width: int) -> str | None:
        """The setting that decided :meth:`resized_size`.

        Args:
            frames: how many are taken.
            height: of each, in pixels.
            width: of each, in pixels.

        Returns:
            ``"min_pixels"``, ``"max_pixels"`` or ``"max_video_tokens"``; None if frames only have
            their sides rounded.

        Raises:
            ValueError: the size is not valid.
        """
        return self._fit(self.config, frames, (height, width))[1]

    def outline(self, metadata: Metadata) -> Outline:
        """The frames, size, grid and times of a video, without a pixel of it.

        Args:
            metadata: with its number of frames, height and width, and its rate where frames are
                sampled by that; with ``frames_indices`` where they were already.

        Raises:
            ValueError: the size is not valid or not given, or the frames cannot be sampled.
        """
        known = to_metadata(metadata)
        size = size_of(known)
        if known.frames_indices is None:
            known = choose(self.config, known)
        count = len(known.frames_indices or ())
        resized, bound = self._fit(self.config, count, size)
        told = self.config.times == "seconds"
        return Outline(
            metadata=known,
            resized=resized,
            bound=bound,
            grid=self._grid(count, size, resized),
            timestamps=timestamps(self.config, known),
            second_per_grid_ts=seconds_per_group(self.config, known) if told else None,
        )

    def num_patches(self, metadata: Metadata) -> int:
        """Rows that a video fills; frames, for planes.

        Args:
            metadata: see :meth:`outline`.

        Raises:
            ValueError: see :meth:`outline`.
        """
        return prod(self.outline(metadata).grid)

    def num_tokens(self, metadata: Metadata) -> int:
        """Tokens that a video becomes in the language model, without those of timestamps.

        Args:
            metadata: see :meth:`num_patches`.

        Raises:
            ValueError: see :meth:`num_patches`.
        """
        frames, *patches = self.outline(metadata).grid
        match self.config.layout.tokens:
            case TileTokens(count, after):
                return frames * count + after
            case None if self._layout is not None:
                raise ValueError("tokens must be given in the layout to count them, got None")
            case _:
                return frames * prod(patches) // self.config.merge_size**2

    def _config(self, do_sample_frames: bool | None, settings: VideoSettings) -> VideoConfig:
        """The configuration of a call."""
        given = {name: value for name, value in settings.items() if value is not None}
        if unknown := set(given) - set(VideoSettings.__annotations__):
            raise TypeError(f"a call has no setting {', '.join(sorted(unknown))}")
        check_areas(self.config.layout, given)
        config = self.config.override(**given) if given else self.config
        if do_sample_frames is not None:
            config = replace(config, do_sample_frames=do_sample_frames)
        return config

    def _fit(
        self, config: VideoConfig, frames: int, size: tuple[int, int]
    ) -> tuple[tuple[int, int], str | None]:
        """The size that frames become, and the setting that decided it."""
        if self._layout is not None:
            return self._layout.canvas(*size), None
        return self._writer.video_target(
            frames,
            *size,
            budget=config.budget,
            pixels=(config.min_pixels, config.max_pixels) if config.do_resize else None,
            tokens=config.max_video_tokens if config.cap_pixels_per_frame else None,
        )

    def _becomes(
        self, config: VideoConfig, frames: int, size: tuple[int, int]
    ) -> tuple[int, int] | _native.Layout:
        """What becomes of frames; see :meth:`Batch.end_video`."""
        return self._layout or self._fit(config, frames, size)[0]

    def _grid(
        self, frames: int, size: tuple[int, int], resized: tuple[int, int]
    ) -> tuple[int, int, int]:
        if self._layout is None:
            return self._writer.grid(frames, *resized)
        _, h, w = self._layout.grid(self._writer, *size)
        return -(-frames // self.config.temporal_patch_size), h, w

    def _chunks(
        self,
        given: Given,
        config: VideoConfig,
        frames_per_chunk: int,
        out: Rows | None,
        form: ReturnTensors,
    ) -> Iterator[VideoRows[Any] | VideoPlanes[Any]]:
        threads, group = self._threads(), config.temporal_patch_size
        with ExitStack() as files:
            try:
                taken = take_frames(given, config, files, threads, self.timeout)
            except Exception as error:
                raise about_video(error, 0, given.video) from error.__cause__
            for first in range(0, taken.count, frames_per_chunk):
                numbers = range(first, min(taken.count, first + frames_per_chunk))
                batch = Batch(self._writer, into_out=out is not None)
                try:
                    size = taken.add(batch, numbers)
                    batch.end_video(given.video, self._becomes(config, taken.count, size))
                except Exception as error:
                    raise about_video(error, 0, given.video) from error.__cause__
                rows, into = self._storage(batch.rows, out, batch.arrays)
                batch.write(rows, num_threads=threads)
                result = self._results(rows, into, batch.grids, [taken.metadata], form)
                groups = slice(first // group, -(-numbers.stop // group))
                result.timestamps = [result.timestamps[0][groups]]
                yield result

    def _results(
        self,
        rows: NDArray[Any],
        out: Rows | None,
        grids: list[tuple[int, int, int]],
        metadata: list[VideoMetadata],
        form: ReturnTensors,
    ) -> VideoRows[Any] | VideoPlanes[Any]:
        pixels: Any = hand_out(rows, self.dtype, form, out)
        result: VideoRows[Any] | VideoPlanes[Any]
        if self.form == "planes":
            height, width = cast("tuple[int, int]", self.config.layout.tile)
            result = VideoPlanes(
                pixel_values_videos=pixels.reshape(len(grids), -1, 3, height, width)
            )
        else:
            result = VideoRows(
                pixel_values_videos=pixels,
                video_grid_thw=hand_out(np.array(grids, np.int64), "int64", form),
            )
        if self.config.times == "seconds":
            seconds = [seconds_per_group(self.config, known) for known in metadata]
            result["second_per_grid_ts"] = hand_out_seconds(seconds, form)
        result.video_metadata = metadata
        result.timestamps = [timestamps(self.config, known) for known in metadata]
        return result
