"""The index of an output folder: which rows of which shard belong to which file."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from qvl_fast._input.video import VideoMetadata
from qvl_fast.config.checks import section
from qvl_fast.store.atomic import replacing
from qvl_fast.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from qvl_fast.store.sources import Source

_SHARD = re.compile(r"rows-([0-9]{5,})\.safetensors")


class VideoEntry(NamedTuple):
    """What is kept of a video beside its rows.

    Attributes:
        metadata: of the file, with the frames that were taken.
        timestamps: what the prompt of a Qwen3-VL says before each group of frames.
        second_per_grid_ts: seconds from one group to the next; None where the model is not told.
    """

    metadata: VideoMetadata
    timestamps: list[str]
    second_per_grid_ts: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict() | {"metadata": dict(self.metadata)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> VideoEntry:
        """What :meth:`to_json` made.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        values = dict(item)
        return cls(metadata=VideoMetadata(**values.pop("metadata")), **values)


class Entry(NamedTuple):
    """Where the rows of one file lie.

    Attributes:
        path: the file, absolute.
        size: its size in bytes when it was processed.
        mtime_ns: its modification time, likewise.
        grid: ``[1, h, w]``, or ``[t, h, w]`` of a video, in patches.
        shard: name of the safetensors file.
        first_row: place of its first row in the shard.
        rows: number of its rows.
        video: what else is kept of a video; None for an image.
        image_size: ``[height, width]`` of an image whose tiles are put together again, before any
            resizing; else None.
    """

    path: str
    size: int
    mtime_ns: int
    grid: list[int]
    shard: str
    first_row: int
    rows: int
    video: VideoEntry | None = None
    image_size: list[int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON has it; a path that is not UTF-8 is there in hexadecimal too."""
        item = self._asdict() | {"path": path_text(self.path)}
        if item["path"] != self.path:
            item["path_hex"] = os.fsencode(self.path).hex()
        del item["video"]
        if self.image_size is None:
            del item["image_size"]
        return item if self.video is None else item | {"video": self.video.to_json()}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Entry:
        """The entry that :meth:`to_json` made.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        values = dict(item)
        if (name := values.pop("path_hex", None)) is not None:
            values["path"] = os.fsdecode(bytes.fromhex(name))
        if (video := values.pop("video", None)) is not None:
            values["video"] = VideoEntry.from_json(video)
        entry = cls(**values)
        numbers = (entry.size, entry.mtime_ns, entry.first_row, entry.rows, *entry.grid)
        if [*map(type, (entry.path, *numbers))] != [str, *[int] * 7]:
            raise TypeError(f"an item must have a path and seven integers, got {item!r:.80}")
        if entry.image_size is not None and [*map(type, entry.image_size)] != [int, int]:
            raise TypeError(f"image_size must be two integers, got {entry.image_size!r:.80}")
        return entry


def path_text(path: str) -> str:
    r"""A path as text that is valid Unicode, its bytes that are no UTF-8 written as ``\xe9``."""
    return os.fsencode(path).decode(errors="backslashreplace")


class Index:
    """The entries of an output folder, in memory and in its ``index.json``.

    The file on disk only ever names shards that are complete. It changes in :meth:`commit`, in one
    step; shards get numbers that it has not used, so that they are of no effect before.

    Args:
        folder: the output folder, which need not exist.
        configuration: the settings of the rows, of JSON types.
        resume: whether to take over what the folder holds.

    Raises:
        StoreError: the folder is in use and ``resume`` is not given, or holds something else.
    """

    def __init__(self, folder: Path, configuration: dict[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self.configuration = configuration
        self.entries: dict[str, Entry] = {}
        self._path = folder / "index.json"
        self._number = 0
        if self._path.exists():
            if not resume:
                raise StoreError(
                    f"{self._path} exists; resume (resume=True, --resume) to go on from it, or "
                    "choose another folder"
                )
            self._load()
        elif _shards(folder):
            raise StoreError(f"{folder} holds shards but no index.json; choose another folder")

    @property
    def next_shard(self) -> str:
        """The name for the next new shard."""
        return f"rows-{self._number:05d}.safetensors"

    def retain(self, sources: Iterable[Source]) -> list[Source]:
        """Keep the entries of files that are unchanged, and of no others.

        Returns:
            The files that have no entry.
        """
        shards = _shards(self.folder)
        kept: dict[str, Entry] = {}
        pending: list[Source] = []
        for source in sources:
            path = str(source.path)
            entry = self.entries.get(path)
            if entry and entry[:3] == (path, *source[1:]) and entry.shard in shards:
                kept[path] = entry
            else:
                pending.append(source)
        self.entries = kept
        return pending

    def claim(self) -> None:
        """Make the folder and its index, unless they are there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self.commit([])

    def commit(self, entries: Iterable[Entry]) -> None:
        """Write the index with further entries, then delete the shards that no entry names.

        Raises:
            StoreError: the index could not be written; it is as it was.
        """
        merged = self.entries | {entry.path: entry for entry in entries}
        content = {
            "configuration": self.configuration,
            "items": [entry.to_json() for entry in merged.values()],
        }
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(content), encoding="ascii")
        self.entries = merged
        used = {entry.shard for entry in merged.values()}
        self._number = _next_number(used)
        for name in _shards(self.folder) - used:
            try:
                (self.folder / name).unlink()
            except OSError as error:
                raise StoreError(f"cannot delete a shard that is not used: {error}") from error

    def _load(self) -> None:
        configuration, entries = read_index(self.folder)
        self._number = _next_number(entry.shard for entry in entries)
        # Rows of images do not depend on the settings of videos, nor the other way round.
        same = {
            is_video: _part(configuration, is_video) == _part(self.configuration, is_video)
            for is_video in (False, True)
        }
        self.entries = {
            entry.path: entry
            for entry in entries
            if same[entry.video is not None] and not self._lacks_size(entry)
        }

    def _lacks_size(self, entry: Entry) -> bool:
        """Whether it is of a version that did not keep the sizes of images that have tiles."""
        sized = self.configuration["layout"]["stack"] == "padded"
        return sized and entry.video is None and entry.image_size is None


def read_index(folder: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The configuration and the entries of a folder.

    Raises:
        StoreError: its index is of something else.
        OSError: there is none, or it cannot be read.
    """
    path = folder / "index.json"
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        entries = [Entry.from_json(item) for item in content["items"]]
        _next_number(entry.shard for entry in entries)
        configuration: dict[str, Any] = dict(content["configuration"])
        section(configuration, "video")  # or it is no index
        return configuration, entries
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is no index of qvl-fast: {error!r}") from None


def _part(configuration: Mapping[str, Any], is_video: bool) -> Any:
    """The settings that decide what the rows of a kind are."""
    if is_video:
        return configuration.get("video")
    return {name: value for name, value in configuration.items() if name != "video"}


def _shards(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("rows-*") if _SHARD.fullmatch(path.name)}


def _next_number(shards: Iterable[str]) -> int:
    # Compared as numbers, which may have more than five digits.
    return 1 + max((int(_SHARD.sub(r"\1", name)) for name in shards), default=-1)
