"""This tree beside another commit of it: resampling alone, and whole calls, on one thread.

    python benches/against.py COMMIT [--isa NAME] [--rounds N] [--only TEXT] [--record FILE]

COMMIT is checked out and built under ``build/against``; this tree must have been built. Their
processes take turns, each of which gives the median of a case in milliseconds of processor time;
what is shown is the least of those, as the neighbours on a shared host slow some processes by half
and speed none. Cases use what both commits have, cbff1d3 and later.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]

# (height, width), and what resampling alone makes of them.
SIZES = {
    "1080x1920": ((1080, 1920), (756, 1344)),
    "1024x1024": ((1024, 1024), (980, 980)),
    "480x640": ((480, 640), (476, 644)),
    "2160x3840": ((2160, 3840), (756, 1344)),
    "3072x4096": ((3072, 4096), (868, 1148)),
}

# What image towers read: scales above 4.
SHRUNK = {
    "1080x1920 to 224x224": ((1080, 1920), (224, 224)),
    "2160x3840 to 480x640": ((2160, 3840), (480, 640)),
    "3072x4096 to 336x336": ((3072, 4096), (336, 336)),
}

FORMS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32 compact": {"temporal": "compact"},
    "uint8 compact": {"dtype": "uint8", "temporal": "compact"},
    "bfloat16": {"dtype": "bfloat16"},
}

SECONDS = 0.3  # of a case in one process
FEWEST = 5  # runs of a case in one process


def cases() -> Iterator[tuple[str, Callable[[], object]]]:
    """What is timed, by name."""
    import qvl_fast
    from qvl_fast import _native

    isa = os.environ.get("QVL_FAST_ISA") or _native.available_isas()[-1]
    with Image.open(ROOT / "samples" / "hubble_deep_field.jpg") as file:
        photograph = file.convert("RGB")

    def picture(height: int, width: int) -> Image.Image:
        return photograph.resize((width, height))

    def call(images: Any, tokens: int = 1280, **options: Any) -> Callable[[], object]:
        process = qvl_fast.ImageProcessor(
            "qwen2.5-vl", num_threads=1, max_pixels=tokens * 28 * 28, **options
        )
        # Of ours, which lies on huge pages: where others do is chance, and a third of the time.
        out = process(images)["pixel_values"]
        return partial(process, images, out=out)

    for name, (source, target) in (SIZES | SHRUNK).items():
        image, out = np.array(picture(*source)), np.zeros((*target, 3), np.uint8)
        for reference in ("torchvision", "pillow-12"):
            resize = partial(_native.resize_into, image, out, reference, isa)
            try:
                resize()
            except TypeError:  # It took frames at first.
                resize = partial(_native.resize_into, image[None], out, reference, isa)
            yield f"resampling alone, {reference}, {name}", resize
        for form, options in FORMS.items() if name in SIZES else ():
            yield f"{form}, {name}", call(image, **options)

    large = picture(3072, 4096)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90)
    full_hd = picture(1080, 1920)
    pixels = np.array(full_hd)
    yield "PIL image of 1080x1920", call(full_hd)
    yield "PIL image of 3072x4096", call(large)
    yield "JPEG file of 3072x4096", call(file.getvalue())
    yield "float32, 16384 tokens, 3072x4096", call(np.array(large), tokens=16384)
    yield "grey, 1080x1920", call(np.ascontiguousarray(pixels[..., :1]))
    yield "BGR, 1080x1920", call(pixels[..., ::-1])
    yield "RGBA, 1080x1920", call(np.array(full_hd.convert("RGBA")))
    yield "planar, 1080x1920", call(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    yield "Pillow's reference, 1080x1920", call(pixels, reference="pillow")
    yield "16 arrays of 56x56", call([np.array(picture(56, 56))] * 16)


def measured(run: Callable[[], object]) -> float:
    """Median milliseconds of processor time."""
    for _ in range(2):
        run()
    times: list[int] = []
    end = time.perf_counter() + SECONDS
    while len(times) < FEWEST or time.perf_counter() < end:
        start = time.process_time_ns()
        run()
        times.append(time.process_time_ns() - start)
    return median(times) / 1e6


def measure(only: str) -> None:
    """Print the times of this process's package, as JSON."""
    gc.disable()
    print(json.dumps({name: measured(run) for name, run in cases() if only in name}))


def built(commit: str) -> Path:
    """The package of a commit, built if it has not been."""
    tree = ROOT / "build" / "against" / commit
    module = tree / "python" / "qvl_fast" / "_native.abi3.so"
    if not module.exists():
        if not tree.exists():
            git("worktree", "add", "--force", "--detach", str(tree), commit)
        build = ("cargo", "build", "--release", "--locked", "--package", "qvl-python")
        # What the JPEG decoder is built with may be there, as it is for make.
        tools = os.pathsep.join([str(ROOT / "build" / "tools" / "bin"), os.environ["PATH"]])
        environment = {"PYO3_PYTHON": sys.executable, "CARGO_TARGET_DIR": "target", "PATH": tools}
        subprocess.run(build, cwd=tree, env=os.environ | environment, check=True)
        shutil.copy(tree / "target" / "release" / "lib_native.so", module)
    return tree / "python"


def git(*arguments: str) -> str:
    command = ("git", "-C", str(ROOT), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--isa", help="instruction set, by default the best")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose names have this")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    commit = git("rev-parse", "--short=10", options.commit)
    packages = {"before": built(commit), "now": ROOT / "python"}
    environment = os.environ | ({"QVL_FAST_ISA": options.isa} if options.isa else {})
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for who, package in packages.items():
            program = f"import against; against.measure({options.only!r})"
            path = os.pathsep.join([str(package), str(Path(__file__).parent)])
            output = subprocess.run(
                (sys.executable, "-c", program),
                env=environment | {"PYTHONPATH": path},
                check=True,
                stdout=subprocess.PIPE,
            ).stdout
            for name, milliseconds in json.loads(output).items():
                times[name][who].append(milliseconds)
    result: dict[str, Any] = {}
    for name, both in times.items():
        before, now = min(both["before"]), min(both["now"])
        result[name] = {"before": round(before, 3), "now": round(now, 3)}
        result[name]["times faster"] = round(before / now, 2)
        print(f"{name:45} {before:9.3f} ms {now:9.3f} ms {before / now:6.2f}")
    if options.record:
        options.record.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
