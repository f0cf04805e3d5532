"""``qvl-fast inspect`` with videos: what is shown equals what the processors give."""

import json
import re

import numpy as np
import pytest
from clips import Clip
from PIL import Image

from qvl_fast import VideoProcessor
from qvl_fast.cli import main


def table(text, title):
    """The lines below the header that begins so, by the titles of their columns."""
    blocks = re.split(r"\n\s*\n", text)
    (block,) = [block for block in blocks if title in block]
    header, _, *lines = (line.strip() for line in block.strip().splitlines())
    titles = re.split(r"\s{2,}", header)
    return [dict(zip(titles, re.split(r"\s{2,}", line), strict=True)) for line in lines]


def sides(text):
    return [int(side) for side in text.split(" x ")]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], {}),
        (["--fps", "4"], {"fps": 4}),
        (["--num-frames", "8", "--max-video-pixels", "150000"],
         {"num_frames": 8, "max_pixels": 150_000}),
    ],
)  # fmt: skip
def test_what_is_shown_is_what_the_processors_give(clip, capsys, options, settings):
    path = clip("h264 b-frames")
    assert main(["inspect", str(path), *options]) == 0
    lines = table(capsys.readouterr().out, "bound by")
    assert [line["config"] for line in lines] == ["qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3.5"]
    for line in lines:
        batch = VideoProcessor(line["config"], return_tensors="np", **settings)(path)
        grid = batch.video_grid_thw[0].tolist()
        (metadata,) = batch.video_metadata
        assert line["file"] == str(path)
        assert sides(line["height x width"]) == [64, 96]
        assert sides(line["grid"]) == grid
        assert int(line["rows"]) == len(batch.pixel_values_videos)
        assert int(line["tokens"]) == len(batch.pixel_values_videos) // 4
        assert int(line["frames"]) == len(metadata.frames_indices)
        assert (int(line["of"]), line["seconds"]) == (60, "2.00")
        times = [time.strip("<>").split()[0] for time in batch.timestamps[0]]
        shown = line["timestamps"].split()
        assert shown == times or shown == [*times[:2], "...", times[-1]]
        seconds = batch.get("second_per_grid_ts")
        assert line["seconds per grid"] == ("-" if seconds is None else f"{seconds[0]:.3f}")


def test_the_bound_is_named(tmp_path, capsys):
    path = tmp_path / "large.mp4"
    Clip(size=(480, 640), count=8, options={"preset": "ultrafast", "threads": "1"}).write(path)

    def bounds(*options):
        assert main(["inspect", str(path), *options]) == 0
        return {
            line["config"]: (line["bound by"], line["resized"])
            for line in table(capsys.readouterr().out, "bound by")
        }

    assert set(bounds().values()) == {("-", "476 x 644"), ("-", "480 x 640")}
    limited = bounds("--max-video-pixels", "200000")
    assert {bound for bound, _ in limited.values()} == {"max_pixels"}
    # Of each frame, or of all that are taken.
    assert np.prod(sides(limited["qwen2.5-vl"][1])) * 8 > 200_000
    assert np.prod(sides(limited["qwen3-vl"][1])) * 4 <= 200_000


def test_images_and_videos_have_tables_of_their_own(clip, tmp_path, capsys):
    image, bad = tmp_path / "a.png", tmp_path / "bad.mp4"
    Image.new("RGB", (90, 60)).save(image)
    bad.write_bytes(b"no video")
    assert main(["inspect", str(clip("vp9 odd")), str(bad), str(image)]) == 1
    shown = capsys.readouterr()
    assert len(table(shown.out, "bound by")) == 4
    first, _, _ = shown.out.partition("bound by")
    assert first.count(str(image)) == 4
    assert shown.err.startswith(f"failed: 1\n  {bad}: Invalid data")


def test_pixels_are_not_decoded(clip, capsys, monkeypatch):
    from qvl_fast._input.video.decoding import DecodingPass

    path = clip("h264")
    monkeypatch.setattr(DecodingPass, "frame", lambda *_: pytest.fail("decoded"))
    assert main(["inspect", str(path)]) == 0
    assert len(table(capsys.readouterr().out, "bound by")) == 4


def test_tokens_that_only_the_model_knows(clip, tmp_path, capsys):
    for kind, name in (("image", "preprocessor"), ("video", "video_preprocessor")):
        settings = {f"{kind}_processor_type": f"LlavaOnevision{kind.title()}Processor"}
        (tmp_path / f"{name}_config.json").write_text(json.dumps(settings))
    assert main(["inspect", str(clip("h264")), "--config", str(tmp_path)]) == 0
    (line,) = table(capsys.readouterr().out, "bound by")
    assert line["tokens"] == "-"
    assert int(line["rows"]) > 0


def test_a_configuration_without_videos(clip, tmp_path, capsys):
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "CLIPImageProcessor"}'
    )
    path = clip("h264")
    assert main(["inspect", str(path), "--config", str(tmp_path)]) == 1
    assert "is a video, and there are no settings for videos" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["inspect", "preprocess"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps", "0"], "argument --fps: must be a positive number, got '0'"),
        (["--fps", "-1"], "argument --fps: must be a positive number, got '-1'"),
        (["--num-frames", "1.5"], "argument --num-frames: must be a positive integer, got '1.5'"),
        (["--fps", "1", "--num-frames", "4"], "not allowed with argument"),
        (["--timeout", "0"], "argument --timeout: must be a positive number, got '0'"),
    ],
)
def test_bad_options_are_named(command, options, message, tmp_path, capsys):
    out = ["-o", str(tmp_path / "out")] if command == "preprocess" else []
    with pytest.raises(SystemExit) as exited:
        main([command, "a.mp4", *out, *options])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_a_maximum_below_the_minimum_is_named(capsys):
    assert main(["inspect", "a.mp4", "--max-video-pixels", "3"]) == 2
    error = capsys.readouterr().err
    assert "settings of videos for qwen2-vl: " in error
    assert "3" in error
