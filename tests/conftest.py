"""What the tests share: stock processors, pictures, and the random campaigns with their record."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

# Option, cases by default, and the name in the record of each random campaign. A test that takes a
# fixture of this name plus "_chunk" gets a range of case numbers.
CAMPAIGNS = {
    "resize": ("--resize-cases", 150, "resize"),
    "path": ("--path-cases", 80, "whole path"),
    "video": ("--video-cases", 75, "video"),
    "image_drop_in": ("--image-drop-in-cases", 150, "image drop-in"),
    "file_drop_in": ("--file-drop-in-cases", 100, "image drop-in on files"),
    "video_drop_in": ("--video-drop-in-cases", 50, "video drop-ins"),
    "family": ("--family-cases", 3, "families"),
    "conversation": ("--conversation-cases", 100, "prepare and count_tokens in three ways"),
}
CHUNK = 25
# Folders of photographs, from the repository's root, and how many each has at least. The second is
# there for those who develop with its shared folder; nothing else in the suite needs that.
SAMPLES = "samples"
PHOTOGRAPHS = {SAMPLES: 4, "../shared/data/cookbook": 20}
# Like that of the released models: messages and placeholders between markers.
CHAT_TEMPLATE = """
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}{{ message.content }}{%- else -%}
{%- for item in message.content -%}
{%- if item.type == "image" or "image" in item or "image_url" in item -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif item.type == "video" or "video" in item -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- else -%}{{ item.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""
LIBRARIES = ("torch", "torchvision", "transformers", "Pillow", "numpy")

_TALLY = pytest.StashKey[dict[str, list[int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    for option, default, name in CAMPAIGNS.values():
        text = f"random cases of the {name} campaign"
        parser.addoption(option, type=int, default=default, metavar="N", help=text)
    text = "random batches for each index function"
    parser.addoption("--index-cases", type=int, default=60, metavar="N", help=text)
    text = "random videos that each sampling rule is asked about"
    parser.addoption("--sampling-cases", type=int, default=4000, metavar="N", help=text)
    text = "random calls of each function of qwen_vl_utils"
    parser.addoption("--utils-cases", type=int, default=60, metavar="N", help=text)
    parser.addoption("--campaign-seed", type=int, default=0, help="seed of the random campaigns")
    parser.addoption("--record", type=Path, metavar="FILE", help="write what the campaigns ran")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for campaign, (option, _, _) in CAMPAIGNS.items():
        if (fixture := f"{campaign}_chunk") in metafunc.fixturenames:
            cases = metafunc.config.getoption(option)
            chunks = [range(at, min(at + CHUNK, cases)) for at in range(0, cases, CHUNK)]
            names = [f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks]
            metafunc.parametrize(fixture, chunks, ids=names)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not (tally := config.stash[_TALLY]):
        return
    parts = [f"{name}: {ran} cases, {bad} differing" for name, (ran, bad) in tally.items()]
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    seed = config.getoption("--campaign-seed")
    line = "; ".join([*parts, f"seed {seed}", f"versions {versions}"])
    terminalreporter.write_line(line)
    if file := config.getoption("--record"):
        file.write_text(f"{datetime.now(UTC):%Y-%m-%d}: {line}\n", encoding="utf-8")


@pytest.fixture(scope="session")
def torchcodec():
    """``torchcodec(path)``: its decoder, which takes FFmpeg's libraries of the system.

    Those who compare with a library that reads files by it ask for this, too.
    """
    import torchcodec

    if torchcodec.ffmpeg_major_version is None:
        pytest.skip("torchcodec finds no FFmpeg, which .ci/run installs")
    decoder = torchcodec.decoders.VideoDecoder
    return lambda path: decoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)


@pytest.fixture
def run_campaign(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Runs numbered cases, counts them for the record and fails with those that differ.

    ``check(rng)`` describes a random case and says how it differs, if it does.
    """

    def run(campaign: str, chunk: range, check: Callable[[Any], tuple[object, object]]) -> None:
        seed = pytestconfig.getoption("--campaign-seed")
        tally = pytestconfig.stash[_TALLY].setdefault(CAMPAIGNS[campaign][2], [0, 0])
        differing = []
        for number in chunk:
            tally[0] += 1
            tally[1] += 1  # taken back below: a case that raises differs too
            try:
                case, difference = check(np.random.default_rng([seed, number]))
            except Exception as error:
                error.add_note(f"case {number} of --campaign-seed {seed}")
                raise
            if difference:
                differing.append(f"case {number}: {case}: {difference}")
            else:
                tally[1] -= 1
        assert not differing, "\n".join(differing)

    return run


@pytest.fixture
def batches(pytestconfig: pytest.Config) -> list[tuple[int, np.random.Generator]]:
    """A number and a generator for each random batch of index tensors."""
    seed = pytestconfig.getoption("--campaign-seed")
    numbers = range(pytestconfig.getoption("--index-cases"))
    return [(number, np.random.default_rng([seed, number])) for number in numbers]


@pytest.fixture
def utils_cases(pytestconfig: pytest.Config) -> list[tuple[int, np.random.Generator]]:
    """A number and a generator for each random call of a function of qwen_vl_utils."""
    seed = pytestconfig.getoption("--campaign-seed")
    numbers = range(pytestconfig.getoption("--utils-cases"))
    return [(number, np.random.default_rng([seed, number])) for number in numbers]


@pytest.fixture(scope="session", params=PHOTOGRAPHS)
def photographs(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> list[Path]:
    """The files of a folder of photographs."""
    folder = pytestconfig.rootpath / request.param
    if request.param != SAMPLES and not folder.is_dir():
        pytest.skip(f"{request.param} is not there")
    files = [file for file in folder.iterdir() if file.suffix in {".jpg", ".jpeg", ".png"}]
    assert len(files) >= PHOTOGRAPHS[request.param], f"{request.param} has lost images"
    return sorted(files)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, here and in the programs that the test starts.

    A shell starts what it runs in the background with SIGINT ignored, and a program that ignores a
    signal hands that on to those that it starts. One that handles it hands on the default.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def stock() -> Callable[..., Any]:
    """``stock(reference, **settings)`` makes the processor of transformers that we must equal."""
    from transformers import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessorPil

    kinds = {"torchvision": Qwen2VLImageProcessor, "pillow": Qwen2VLImageProcessorPil}
    return lambda reference, **settings: kinds[reference](**settings)


@pytest.fixture(scope="session")
def tiny_processor() -> Callable[..., Any]:
    """``tiny_processor(name, image, video)``: the processor of a preset, with its settings.

    Its tokenizer is Qwen's own, trained here on a few lines; placeholders are its special tokens.
    """
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2Tokenizer,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )
    from transformers.models.qwen2_vl import Qwen2VLImageProcessorPil

    text = "Describe the picture in detail, 12 cats and 345 dogs too. 请描述这张图片。 Ünïcode 😀"
    special = ["image_pad", "video_pad", "vision_start", "vision_end", "im_start", "im_end"]
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(
        [text], 350, new_special_tokens=[f"<|{name}|>" for name in special]
    )
    qwen3 = {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    kinds = {
        "qwen2-vl": (Qwen2VLProcessor, {}, Qwen2VLVideoProcessor),
        "qwen2.5-vl": (Qwen2_5_VLProcessor, {}, Qwen2VLVideoProcessor),
        "qwen3-vl": (Qwen3VLProcessor, qwen3, Qwen3VLVideoProcessor),
    }

    def make(name: str, image: dict[str, Any], video: dict[str, Any], pil: bool = False) -> Any:
        processor, shared, video_processor = kinds[name]
        image_processor = Qwen2VLImageProcessorPil if pil else Qwen2VLImageProcessor
        return processor(
            image_processor(**shared, **image),
            copy.deepcopy(tokenizer),
            # Stock warns of a new default unless the cap is given.
            video_processor(**shared, cap_pixels_per_frame=False, **video),
            chat_template=CHAT_TEMPLATE,
        )

    return make


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """``picture(rng, height, width)``: smooth colours, blobs, lines and text; uint8 (H, W, 3)."""

    def draw(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[:, None]
        a, b, c = rng.uniform(-2, 2, (3, 3))
        waves = np.sin(3 * (a * y + b * x + c)) * 120 + 128
        image = Image.fromarray((waves + rng.uniform(-8, 8, waves.shape)).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for _ in range(8):
            corner, colour = rng.uniform((0, 0), (width, height)), rng.integers(0, 256, (2, 3))
            end = corner + rng.uniform(1, 0.3 * max(width, height) + 1, 2)
            pen.ellipse([*corner, *end], fill=tuple(colour[0]))
            pen.line([*rng.uniform((0, 0), (width, height)), *end], fill=tuple(colour[1]))
            pen.text(tuple(corner), "Qwen-VL 28x28", fill=tuple(colour[1]))
        return np.array(image)

    return draw
