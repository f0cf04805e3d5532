"""Clips, encoded once for all tests, and the reference that reads them."""

import os
from pathlib import Path

import pytest
from clips import CLIPS, COPIES, copy_packets

# The encoder of AV1 prints what it does, unless it is told not to.
os.environ.setdefault("SVT_LOG", "1")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """``clip(name)``: the path of a clip of :data:`clips.CLIPS` or :data:`clips.COPIES`."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def path(name):
        if name not in made:
            original, suffix = COPIES.get(name, (name, None))
            target = folder / f"{name}.{suffix or CLIPS[name].suffix}"
            if suffix:
                copy_packets(path(original), target)
            else:
                CLIPS[name].write(target)
            made[name] = target
        return made[name]

    return path
