"""Videos to rows against transformers, one thread: frames in memory, and files.

    python benches/video.py [--only TEXT] [--frames 768] [--rounds 5] [--record FILE]

Files are made on the first run, in build/videos; the clip of the cookbook is taken if it is there.
Files need FFmpeg's libraries, for torchcodec. Of each case: the median seconds of warm calls in
turns, and of a first call in a process of its own the seconds and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from qvl_fast import ModelConfig, VideoConfig
from qvl_fast.bench.video import VideoCase, measure

FOLDER = Path("build/videos")
COOKBOOK = Path("../shared/data/cookbook/v_rBMQFpHspmo.mp4")
PHOTOGRAPHS = [Path("samples", name) for name in ("coffee.png", "rocket.jpg", "chelsea.png")]
RATE = 25
# Name of the case; name, height, width and seconds of the file.
FILES = {
    "480p file, 384 s": ("480p-384s", 480, 640, 384),
    "1080p file, 60 s": ("1080p-60s", 1080, 1920, 60),
    "480p file, 600 s": ("480p-600s", 480, 640, 600),
}


def made(name: str, height: int, width: int, seconds: int) -> Path:
    """An H.264 file of pans over photographs with some grain, as a camera would take it.

    What moves decides how many frames no other frame refers to, which need not be decoded.
    """
    file = FOLDER / f"{name}.mp4"
    if file.is_file():
        return file
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part.mp4")
    with av.open(unfinished, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, width=width, height=height)
        stream.pix_fmt = "yuv420p"
        for pixels in islice(pans(height, width), seconds * RATE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return unfinished.rename(file)


def pans(height: int, width: int) -> Iterator[np.ndarray]:
    """Frames without end; each scene takes six seconds."""
    rng = np.random.default_rng(0)
    room = height // 3  # for the camera, on each axis
    size = (width + room, height + room)
    photographs = [
        np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), size)) for path in PHOTOGRAPHS
    ]
    grain = rng.normal(0, 2, (height + 64, width + 64, 3)).round().astype(np.int16)
    for photograph in cycle(photographs):
        start, end = rng.uniform(0, room, (2, 2))
        for part in np.linspace(0, 1, 6 * RATE):
            top, left = (start + part * (end - start)).round().astype(int)
            down, right = rng.integers(0, 64, 2)
            pixels = photograph[top : top + height, left : left + width]
            pixels = pixels + grain[down : down + height, right : right + width]
            yield np.clip(pixels, 0, 255).astype(np.uint8)


def cases(frames: int, only: str) -> list[VideoCase]:
    """Those whose name has ``only`` in it."""
    qwen3 = ModelConfig.preset("qwen3-vl").video
    qwen2 = replace(VideoConfig(), fps=2.0)
    shape = (frames, 480, 640)
    found = [
        VideoCase(f"{frames} x 480x640 in memory, Qwen3-VL", qwen3, frames=shape),
        VideoCase(f"{frames} x 480x640 in memory, Qwen2-VL", qwen2, frames=shape),
    ]
    if COOKBOOK.is_file():
        found += [
            VideoCase("cookbook clip in memory, Qwen3-VL", qwen3, COOKBOOK, decoded=True),
            VideoCase("cookbook clip, Qwen3-VL", qwen3, COOKBOOK),
        ]
    found = [case for case in found if only in case.name]
    return found + [
        VideoCase(name, qwen3, made(*file)) for name, file in FILES.items() if only in name
    ]


def line(result: dict) -> str:
    seconds, first = result["seconds"], result["first call"]
    beside = {
        name: (call["peak bytes"] - call["output bytes"]) / 2**20 for name, call in first.items()
    }
    decoding = ""
    if "our decoding" in seconds:
        decoding = f", {seconds['our decoding'] / seconds['ours']:.0%} of it decoding"
    return (
        f"{result['case']}: {seconds['theirs']:.2f} s, ours {seconds['ours']:.2f} s "
        f"({result['times faster']:.2f} times faster{decoding}); first call "
        f"{first['theirs']['seconds']:.2f} s, ours {first['ours']['seconds']:.2f} s; memory beside "
        f"the output {beside['theirs']:.0f} MiB, ours {beside['ours']:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--frames", type=int, default=768, help="of the videos in memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    results = []
    for case in cases(options.frames, options.only):
        results.append(measure(case, options.rounds))
        print(line(results[-1]), flush=True)
    if options.record:
        options.record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
