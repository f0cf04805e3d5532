"""Videos to rows against transformers, one thread: frames in memory, and files.

    python benches/video.py [--only TEXT] [--frames 768] [--rounds 5] [--record FILE]

Files are made on the first run, in build/videos; the clip of the cookbook is taken if it is there.
Files need FFmpeg's libraries, for torchcodec. Of each case: the median seconds of warm calls in
turns, and of a first call in a process of its own the seconds and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from qvl_fast import ModelConfig, VideoConfig
from qvl_fast.bench.video import VideoCase, measure

FOLDER = Path("build/videos")
COOKBOOK = Path("../shared/data/cookbook/v_rBMQFpHspmo.mp4")
RATE = 25


def made(name: str, height: int, width: int, seconds: int) -> Path:
    """An H.264 file of moving waves and noise, so that decoding it costs what a real one does."""
    file = FOLDER / f"{name}.mp4"
    if file.is_file():
        return file
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (height + 64, width + 64, 3))
    y, x = np.mgrid[:height, :width]
    unfinished = file.with_suffix(".part.mp4")
    with av.open(unfinished, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, width=width, height=height)
        stream.pix_fmt = "yuv420p"
        for number in range(seconds * RATE):
            waves = 128 + 90 * np.sin((x + 3 * number) / 61) * np.cos((y - number) / 47)
            left, top = rng.integers(0, 64, 2)
            pixels = waves[..., None] + grain[top : top + height, left : left + width]
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return unfinished.rename(file)


def cases(frames: int) -> list[VideoCase]:
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
    return found


def files() -> list[VideoCase]:
    qwen3 = ModelConfig.preset("qwen3-vl").video
    return [
        VideoCase("480p file, 384 s", qwen3, made("480p-384s", 480, 640, 384)),
        VideoCase("1080p file, 60 s", qwen3, made("1080p-60s", 1080, 1920, 60)),
        VideoCase("480p file, 600 s", qwen3, made("480p-600s", 480, 640, 600)),
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
    wanted = [case for case in cases(options.frames) if options.only in case.name]
    if not options.only or "file" in options.only:
        wanted += [case for case in files() if options.only in case.name]
    results = []
    for case in wanted:
        results.append(measure(case, options.rounds))
        print(line(results[-1]), flush=True)
    if options.record:
        options.record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
