"""The command line, ``qvl-fast``: its arguments, and what a failure looks like to the caller.

Commands are imported when they run: the package itself needs neither rich nor safetensors.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from qvl_fast._output.rows import DType, Temporal
from qvl_fast.cli.errors import CommandError
from qvl_fast.cli.options import (
    byte_size,
    image_batch,
    model_config,
    model_configs,
    positive_integer,
    positive_rate,
)
from qvl_fast.cli.text import printable
from qvl_fast.config import PRESETS, TOWERS, ModelConfig
from qvl_fast.processors.base import Reference, check_areas
from qvl_fast.processors.image import ImageProcessor
from qvl_fast.processors.video import VideoProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

# What `qvl-fast diff` compares with, and the reference that equals it.
_STOCK: dict[str, Reference] = {"transformers": "torchvision", "transformers-pil": "pillow"}
# The extra of this package that brings what a command needs.
_EXTRAS = {
    "av": "video",
    "rich": "cli",
    "safetensors": "cli",
    "torch": "torch",
    "transformers": "bench",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0 if all went well, 1 if some file failed, 2 if the command could not do
        its work, 130 if it was interrupted.

    Raises:
        SystemExit: arguments that argparse refuses (status 2), or ``--help``.
    """
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra = f"qvl-fast[{_EXTRAS[package]}]"
        message = f"this needs {package}, which is not installed: pip install '{extra}'"
    except (CommandError, OSError) as error:
        message = str(error)
    print(f"{args.parser.prog}: error: {printable(message, sys.stderr)}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qvl-fast", description="The vision front end of the Qwen-VL models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_inspect(
        commands.add_parser("inspect", help="sizes, grids and tokens of images and videos")
    )
    _add_view(commands.add_parser("view", help="pictures of what the model sees"))
    _add_diff(commands.add_parser("diff", help="whether another processor sees the same"))
    _add_preprocess(
        commands.add_parser("preprocess", help="images and videos to rows in safetensors")
    )
    _add_doctor(commands.add_parser("doctor", help="what this build has and finds"))
    bench = commands.add_parser("bench", help="how fast things are on this machine")
    what = bench.add_subparsers(required=True, metavar="WHAT")
    _add_bench_images(what.add_parser("images", help="images to rows"))
    _add_bench_tower(what.add_parser("tower", help="forward passes of a vision tower"))
    return parser


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show what a model makes of images and videos: resized size, grid, rows and tokens; for "
        "videos also the frames that are taken, their times, and the bound that decides their "
        "size. '--config all' adds a table of how each family sees images of their sizes. Pixels "
        "are not decoded. Exits with 1 if a file could not be read."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--config",
        action="append",
        type=model_configs,
        metavar="NAME_OR_DIRECTORY",
        help="preset, checkpoint directory, or 'all' for every family; repeatable; default: "
        + ", ".join(PRESETS),
    )
    _add_video_settings(parser)
    parser.set_defaults(run=_inspect, parser=parser)


def _inspect(args: argparse.Namespace) -> int:
    from qvl_fast.cli.inspect import inspect

    configs: list[ModelConfig] = list(chain(*args.config or [PRESETS.values()]))
    families = any(len(found) > 1 for found in args.config or ())  # of "all" alone
    settings = [_with_video_settings(config, args) for config in configs]
    return inspect(args.files, settings, families=families, timeout=args.timeout)


def _add_view(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show images as a model sees them: tokens, windows, position ids, boxes and what smaller "
        "budgets lose; for videos the first frames. Several files make one page. Exits with 1 if a "
        "file could not be read."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    _add_one_config(parser)
    parser.add_argument(
        "--max-pixels", type=positive_integer, metavar="N", help="largest area of a resized image"
    )
    parser.add_argument(
        "--boxes", type=Path, metavar="FILE", help="the model's answer about the image, as text"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("view.html"),
        metavar="FILE",
        help="page (.html), or picture of one image, to write; default: %(default)s",
    )
    parser.set_defaults(run=_view, parser=parser)


def _view(args: argparse.Namespace) -> int:
    from qvl_fast.cli.view import view

    return view(args.files, args.config, max_pixels=args.max_pixels, boxes=args.boxes, out=args.out)


def _add_diff(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare the rows of an image with those that transformers makes of it, decoding included. "
        "Exits with 1 if they differ."
    )
    parser.add_argument("file", type=Path, metavar="IMAGE")
    _add_one_config(parser)
    parser.add_argument(
        "--with",
        dest="other",
        choices=_STOCK,
        default="transformers",
        help="its default backend, or the one that uses Pillow; default: %(default)s",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="picture to write, of what differs"
    )
    parser.set_defaults(run=_diff, parser=parser)


def _diff(args: argparse.Namespace) -> int:
    from qvl_fast.cli.diff import diff

    return diff(args.file, args.config, _STOCK[args.other], out=args.out)


def _add_one_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=model_config,
        default="qwen2.5-vl",
        metavar="NAME_OR_DIRECTORY",
        help="preset or checkpoint directory; default: %(default)s",
    )


def _add_preprocess(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the rows and grids of images and videos to OUT/rows-00000.safetensors and so on, "
        "and where each file's rows lie to OUT/index.json. Exits with 1 if a file failed; the "
        "others are written all the same."
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="an image or a video, or a folder of them",
    )
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder to write to")
    _add_one_config(parser)
    parser.add_argument(
        "--reference",
        choices=get_args(Reference),
        default="torchvision",
        help="whose arithmetic resizes; default: %(default)s",
    )
    parser.add_argument(
        "--dtype",
        choices=get_args(DType),
        default="float32",
        help="type of the rows; default: %(default)s",
    )
    parser.add_argument(
        "--temporal",
        choices=get_args(Temporal),
        default="full",
        help="whether rows of images are full in time; those of videos are; default: %(default)s",
    )
    for bound in ("--min-pixels", "--max-pixels"):
        parser.add_argument(
            bound,
            type=positive_integer,
            metavar="N",
            help="bound of the area of a resized image; default: the configuration's",
        )
    _add_video_settings(parser)
    parser.add_argument(
        "--shard-size",
        type=byte_size,
        default="512MB",
        metavar="SIZE",
        help="largest file, in bytes, kB, MB or GB, unless one image or video is larger; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what OUT already holds of these paths, unchanged and with the same settings; "
        "drop the rest",
    )
    parser.set_defaults(run=_preprocess, parser=parser)


def _preprocess(args: argparse.Namespace) -> int:
    from qvl_fast.cli.preprocess import preprocess
    from qvl_fast.store.errors import StoreError

    try:
        return preprocess(
            args.paths,
            args.out,
            _processor(args),
            _video_processor(args),
            shard_size=args.shard_size,
            resume=args.resume,
        )
    except StoreError as error:
        raise CommandError(str(error)) from error


def _processor(args: argparse.Namespace) -> ImageProcessor:
    bounds = {"min_pixels": args.min_pixels, "max_pixels": args.max_pixels}
    given = {name: value for name, value in bounds.items() if value is not None}
    try:
        check_areas(args.config.image.layout, given)
        config = args.config.image.override(**given)
    except ValueError as error:
        options = " and ".join("--" + name.replace("_", "-") for name in given)
        raise CommandError(f"argument {options}: {error}") from None
    try:
        return ImageProcessor(
            config,
            form="rows",
            reference=args.reference,
            dtype=args.dtype,
            temporal=args.temporal,
            return_tensors="np",
        )
    except ValueError as error:
        raise CommandError(f"argument --config: {error}") from None


def _video_processor(args: argparse.Namespace) -> VideoProcessor | None:
    """What makes the rows of videos, if the configuration says how."""
    config = _with_video_settings(args.config, args).video
    if config is None:
        return None
    try:
        return VideoProcessor(
            config,
            form="rows",
            reference=args.reference,
            dtype=args.dtype,
            timeout=args.timeout,
            return_tensors="np",
        )
    except ValueError as error:
        raise CommandError(f"argument --config: {error}") from None


def _add_video_settings(parser: argparse.ArgumentParser) -> None:
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument(
        "--fps",
        type=positive_rate,
        metavar="N",
        help="frames to take for each second of video; default: the configuration's",
    )
    frames.add_argument(
        "--num-frames", type=positive_integer, metavar="N", help="frames to take of a video"
    )
    parser.add_argument(
        "--max-video-pixels",
        type=positive_integer,
        metavar="N",
        help="max_pixels of videos, for a frame or for all together, as the model defines it; "
        "default: the configuration's",
    )
    parser.add_argument(
        "--timeout",
        type=positive_rate,
        metavar="SECONDS",
        help="longest time for opening a video, and then for each frame, before the file counts as "
        "failed; default: no limit",
    )


def _with_video_settings(config: ModelConfig, args: argparse.Namespace) -> ModelConfig:
    """The configuration with what :func:`_add_video_settings` has added for it."""
    if config.video is None:
        return config
    options = {"fps": args.fps, "num_frames": args.num_frames, "max_pixels": args.max_video_pixels}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        check_areas(config.video.layout, given)
        return replace(config, video=config.video.override(**given))
    except ValueError as error:
        raise CommandError(f"settings of videos for {config.name}: {error}") from None


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show what this build has and what it finds on this machine: instruction sets, decoders, "
        "threads, versions. Exits with 1 if an environment variable has a wrong value."
    )
    parser.set_defaults(run=_doctor, parser=parser)


def _doctor(_: argparse.Namespace) -> int:
    from qvl_fast.cli.doctor import doctor

    return doctor()


def _add_bench_images(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Time image files to rows, against transformers where that is installed, after checking "
        "that the rows are equal. Needs torch."
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="an image, or a folder of images"
    )
    _add_one_config(parser)
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=2,
        metavar="N",
        help="threads of both sides in the case of a batch; default: %(default)s",
    )
    _add_rounds(parser, 5)
    parser.add_argument("--record", type=Path, metavar="FILE", help="JSON to write")
    parser.set_defaults(run=_bench_images, parser=parser)


def _bench_images(args: argparse.Namespace) -> int:
    from qvl_fast.cli.bench_images import bench_images

    return bench_images(
        args.paths, args.config, threads=args.threads, rounds=args.rounds, record=args.record
    )


def _add_rounds(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--rounds",
        type=positive_integer,
        default=default,
        metavar="N",
        help="runs of each side, of which the median counts; default: %(default)s",
    )


def _add_bench_tower(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Time forward passes of a vision tower with random weights against transformers, where "
        "that is installed, and show the share of time in matrix products, attention and the rest."
    )
    parser.add_argument(
        "--config",
        choices=TOWERS,
        default="qwen2.5-vl-7b",
        metavar="NAME",
        help="one of %(choices)s; default: %(default)s",
    )
    parser.add_argument(
        "--depth", type=positive_integer, metavar="N", help="number of blocks; default: all"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        type=image_batch,
        default=[(1, 1080, 1920), (8, 448, 448)],
        metavar="NxHxW",
        help="batches of N images of H x W pixels; default: 1x1080x1920 8x448x448",
    )
    parser.add_argument("--device", default="cpu", help="such as cuda; default: %(default)s")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="type of weights and rows; default: %(default)s",
    )
    parser.add_argument(
        "--attention",
        choices=("auto", "flash-attn-3", "flash-attn", "varlen-flash", "varlen-cudnn", "sdpa"),
        default="auto",
        help="kernel of attention; default: %(default)s",
    )
    _add_rounds(parser, 3)
    parser.set_defaults(run=_bench_tower, parser=parser)


def _bench_tower(args: argparse.Namespace) -> int:
    from qvl_fast.cli.bench_tower import bench_tower

    config = TOWERS[args.config]
    if args.depth is not None:
        config = replace(config, depth=args.depth)
    return bench_tower(
        config,
        args.images,
        device=args.device,
        dtype=args.dtype,
        attention=args.attention,
        rounds=args.rounds,
    )
