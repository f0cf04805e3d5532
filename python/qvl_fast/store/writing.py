"""From files of images and videos to a folder of shards."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvl_fast.config.checks import positive_integer
from qvl_fast.store.index import Index
from qvl_fast.store.kinds import Images, Videos
from qvl_fast.store.shards import ShardWriter
from qvl_fast.store.sources import Failure, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qvl_fast.processors.image import ImageProcessor
    from qvl_fast.processors.video import VideoProcessor
    from qvl_fast.store.kinds import Kind
    from qvl_fast.store.sources import Source


def write_shards(
    paths: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    processor: ImageProcessor,
    *,
    video_processor: VideoProcessor | None = None,
    shard_size: int = 512_000_000,
    resume: bool = False,
) -> list[Failure]:
    """Write the rows of image and video files to a folder of shards, going on past failures.

    Files whose names end like those of videos are videos; GIF and WebP files are images.

    Args:
        paths: files, and folders to search for them.
        directory: where to write, a new folder or one to resume.
        processor: makes the rows of images.
        video_processor: makes those of videos; without one, no folder is searched for videos.
        shard_size: bytes of a shard, exceeded only by an image or a video that is larger alone.
        resume: whether to keep what the folder already holds of these paths, unchanged and with
            the same settings, and to drop the rest.

    Returns:
        The files that could not be used, with what went wrong.

    Raises:
        TypeError: ``paths`` is a single one, or ``shard_size`` no integer.
        ValueError: a processor does not give rows, or ``shard_size`` is not positive.
        StoreError: the folder is in use, or cannot be written to.
        ModuleNotFoundError: safetensors is not installed, or torch for bfloat16, or PyAV for a
            video.
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths must be several, such as a list of one, got {paths!r:.80}")
    shard_size = positive_integer("shard_size", shard_size)
    for name, given in (("processor", processor), ("video_processor", video_processor)):
        if given is not None and given.form != "rows":
            raise ValueError(f"{name} must be made with form='rows', got {given.form!r}")
    sources, failures = collect(map(Path, paths), videos=video_processor is not None)
    run = Run(sources, failures, Path(directory), processor, video_processor, resume=resume)
    run.write(shard_size, report=lambda _: None)
    return failures


class Run:
    """Files on their way to a folder of shards.

    Args:
        sources: the files.
        failures: takes in those that fail.
        folder: where to write.
        processor: makes the rows of images.
        video_processor: makes those of videos.
        resume: see :func:`write_shards`.

    Attributes:
        index: of the folder.
        pending: the files that it does not hold, images first: a shard has rows of one kind.

    Raises:
        StoreError: the folder is in use.
    """

    def __init__(
        self,
        sources: list[Source],
        failures: list[Failure],
        folder: Path,
        processor: ImageProcessor,
        video_processor: VideoProcessor | None,
        *,
        resume: bool,
    ) -> None:
        videos = [source for source in sources if source.is_video]
        if videos and video_processor is None:
            error = ValueError("is a video, and there are no settings for videos")
            failures += [Failure(source.path, error) for source in videos]
            sources = [source for source in sources if not source.is_video]
        self._failures = failures
        self._processor = processor
        # An index without videos says nothing of their settings.
        self._video_processor = video_processor if videos else None
        settings = configuration(processor, self._video_processor)
        self.index = Index(folder, settings, resume=resume)
        self.pending = sorted(self.index.retain(sources), key=lambda source: source.is_video)

    def write(self, shard_size: int, report: Callable[[float], object]) -> None:
        """Write the rows of the pending files, going on past those that fail.

        When it is interrupted, what was done by then is written.

        Args:
            shard_size: see :func:`write_shards`.
            report: is told how many files are done, with the share of the one that is at work.

        Raises:
            StoreError: a shard could not be written.
            ModuleNotFoundError: see :func:`write_shards`.
        """
        done = 0
        for kind, sources in self._kinds():
            writer = ShardWriter(kind, self.index, shard_size)
            self.index.claim()
            try:
                for source in sources:
                    try:
                        writer.add(source, lambda part, before=done: report(before + part))
                    except (OSError, ValueError, MemoryError) as error:
                        self._failures.append(Failure(source.path, error))
                    done += 1
                    report(done)
                writer.flush()
            except KeyboardInterrupt:
                writer.flush()
                raise
        self.index.claim()
        self.index.commit([])

    def _kinds(self) -> list[tuple[Kind, list[Source]]]:
        """The pending files of each kind, with what makes their rows."""
        images = [source for source in self.pending if not source.is_video]
        videos = self.pending[len(images) :]
        kinds: list[tuple[Kind, list[Source]]] = []
        if images:
            kinds.append((Images(self._processor), images))
        if videos and self._video_processor is not None:
            kinds.append((Videos(self._video_processor), videos))
        return kinds


def configuration(
    processor: ImageProcessor, video_processor: VideoProcessor | None
) -> dict[str, Any]:
    """All that decides what the rows of an image, and of a video, are, in JSON's types."""
    settings = _settings(processor)
    if video_processor is not None:
        settings["video"] = _settings(video_processor)
    return json.loads(json.dumps(settings))


def _settings(processor: ImageProcessor | VideoProcessor) -> dict[str, Any]:
    return {
        **asdict(processor.config),
        "reference": processor.reference,
        "dtype": processor.dtype,
        "temporal": processor.temporal,
    }
