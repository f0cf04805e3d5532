"""``qvl-fast inspect``, and what all commands share: options, missing packages, exit statuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl_fast import ImageProcessor
from qvl_fast.cli import main
from qvl_fast.config import FAMILIES

SCRIPT = Path(sys.executable).with_name("qvl-fast")


def save_image(path, height, width, **options):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def table(text):
    """The lines below the rule of a printed table, as lists of cells."""
    below = text.partition("─\n")[2] or text.rpartition("─ ")[2]
    return [re.split(r"\s{2,}", line.strip()) for line in below.splitlines() if line.strip()]


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_known_sizes_under_every_preset(tmp_path, capsys):
    path = save_image(tmp_path / "a.png", 480, 640)
    assert main(["inspect", path]) == 0
    assert table(capsys.readouterr().out) == [
        [path, "480 x 640", "qwen2-vl", "476 x 644", "1 x 34 x 46", "1564", "391"],
        [path, "480 x 640", "qwen2.5-vl", "476 x 644", "1 x 34 x 46", "1564", "391"],
        [path, "480 x 640", "qwen3-vl", "480 x 640", "1 x 30 x 40", "1200", "300"],
        [path, "480 x 640", "qwen3.5", "480 x 640", "1 x 30 x 40", "1200", "300"],
    ]


def test_chosen_configs_replace_the_presets(tmp_path, capsys):
    path = save_image(tmp_path / "a.png", 480, 640)
    checkpoint = tmp_path / "my-checkpoint"
    checkpoint.mkdir()
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "min_pixels": 784,
        "max_pixels": 28 * 28 * 16,
    }
    (checkpoint / "preprocessor_config.json").write_text(json.dumps(settings))
    assert main(["inspect", path, "--config", "qwen3-vl", "--config", str(checkpoint)]) == 0
    assert table(capsys.readouterr().out) == [
        [path, "480 x 640", "qwen3-vl", "480 x 640", "1 x 30 x 40", "1200", "300"],
        [path, "480 x 640", "my-checkpoint", "84 x 112", "1 x 6 x 8", "48", "12"],
    ]


def test_the_current_folder_is_a_config_with_a_name(tmp_path, capsys, monkeypatch):
    path = save_image(tmp_path / "a.png", 56, 56)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14}'
    )
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", path, "--config", "."]) == 0
    assert table(capsys.readouterr().out)[0][2] == tmp_path.name


def test_exif_rotation_is_applied(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save_image(tmp_path / "a.jpg", 100, 300, exif=exif)
    assert main(["inspect", path, "--config", "qwen2-vl"]) == 0
    assert table(capsys.readouterr().out) == [
        [path, "300 x 100", "qwen2-vl", "308 x 112", "1 x 22 x 8", "176", "44"]
    ]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pixels_are_not_decoded(tmp_path, capsys, suffix):
    path = tmp_path / f"cut{suffix}"
    save_image(path, 200, 200)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="truncated"):
        ImageProcessor("qwen2-vl")(path, return_tensors="np")
    assert main(["inspect", str(path)]) == 0
    assert [line[1] for line in table(capsys.readouterr().out)] == ["200 x 200"] * 4


def test_bad_files_are_listed_and_the_others_shown(tmp_path, capsys):
    good = save_image(tmp_path / "good.png", 56, 56)
    narrow = save_image(tmp_path / "narrow.png", 1, 300)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    missing = tmp_path / "missing.png"
    assert main(["inspect", str(text), good, str(missing), str(tmp_path), narrow]) == 1
    captured = capsys.readouterr()
    assert [line[0] for line in table(captured.out)] == [good] * 4
    count, *failures = captured.err.splitlines()
    assert count == "failed: 4"
    assert failures[0].startswith(f"  {text}: cannot identify image file")
    assert failures[1] == f"  {missing}: No such file or directory"
    assert failures[2] == f"  {tmp_path}: Is a directory"
    assert failures[3].startswith(f"  {narrow}: ")
    assert "200" in failures[3]  # the largest ratio of the sides


def test_only_bad_files_show_no_table(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "missing.png")]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["[bold]a.png", ":smile:.png", f"{'long' * 50}.png"])
def test_file_names_are_shown_as_they_are(tmp_path, capsys, name):
    path = save_image(tmp_path / name, 56, 56)
    assert main(["inspect", path]) == 0
    assert table(capsys.readouterr().out)[0][0] == path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_need_not_be_utf8(tmp_path):
    path = save_image(tmp_path / "caf\udce9.png", 56, 56)
    done = subprocess.run([SCRIPT, "inspect", path, path + "x"], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert rb"caf\xe9.png " in done.stdout
    assert rb"caf\xe9.pngx: No such file" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_cannot_control_the_terminal(tmp_path):
    path = save_image(tmp_path / "\x1b[31mred\nfailed: 0.png", 56, 56)
    done = subprocess.run([SCRIPT, "inspect", path, path + "x"], capture_output=True, timeout=60)
    assert b"\x1b" not in done.stdout + done.stderr
    assert rb"\x1b[31mred\nfailed: 0.png " in done.stdout
    assert rb"\x1b[31mred\nfailed: 0.pngx: No such file" in done.stderr
    assert done.stderr.count(b"\n") == 2


@pytest.mark.parametrize(
    "locale",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
)
def test_names_that_the_encoding_lacks(tmp_path, locale):
    path = save_image(tmp_path / "图像.png", 56, 56)
    bad = tmp_path / "坏.png"
    bad.write_bytes(b"no image")
    done = subprocess.run(
        [SCRIPT, "inspect", path, bad],
        capture_output=True,
        timeout=60,
        env={**os.environ, **locale},
    )
    assert done.returncode == 1
    assert rb"\u56fe\u50cf.png " in done.stdout
    assert rb"\u574f.png: cannot identify image file" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_installed_script(tmp_path):
    path = save_image(tmp_path / "a.png", 480, 640)
    command = [SCRIPT, "inspect", path, "--config", "qwen2.5-vl"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert table(done.stdout)[0][3:] == ["476 x 644", "1 x 34 x 46", "1564", "391"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "a", "--config", "qwen9"], r"--config: must be one of qwen2-vl, .*'qwen9'"),
        (["preprocess", "a", "-o", "b", "--dtype", "int4"], r"--dtype: .*'int4'"),
        (["preprocess", "a", "-o", "b", "--reference", "cv2"], r"--reference: .*'cv2'"),
        (["preprocess", "a", "-o", "b", "--temporal", "half"], r"--temporal: .*'half'"),
        (["preprocess", "a", "-o", "b", "--min-pixels", "0"], r"--min-pixels: .*'0'"),
        (["preprocess", "a", "-o", "b", "--max-pixels", "1e6"], r"--max-pixels: .*'1e6'"),
        (["preprocess", "a", "-o", "b", "--shard-size", "3TB"], r"--shard-size: .*'3TB'"),
        (["preprocess", "a"], r"required: -o"),
        ([], r"required: COMMAND"),
    ],
)
def test_bad_options_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (["--max-pixels", "3"], "argument --max-pixels: .*=3, got 3136"),
        (["--min-pixels", "12845057"], "argument --min-pixels: .*=12845056, got 12845057"),
        (
            ["--min-pixels", "9000", "--max-pixels", "8000"],
            "argument --min-pixels and --max-pixels: .*=8000, got 9000",
        ),
    ],
)
def test_bounds_that_exclude_each_other_are_named(bounds, message, tmp_path, capsys):
    assert main(["preprocess", str(tmp_path), "-o", str(tmp_path / "out"), *bounds]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("content", [None, "{", '{"image_processor_type": "DonutImageProcessor"}'])
def test_a_directory_that_is_no_checkpoint_is_named(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(SystemExit) as exited:
        main(["inspect", "a", "--config", str(tmp_path)])
    assert exited.value.code == 2
    assert f"argument --config: '{tmp_path}' cannot be used: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("rich", "cli", "inspect"),
        ("rich", "cli", "preprocess"),
        ("safetensors", "cli", "preprocess"),
        ("torch", "torch", "preprocess"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package, extra, command, tmp_path):
    path = save_image(tmp_path / "a.png", 56, 56)
    out = tmp_path / "out"
    options = ["-o", str(out), "--dtype", "bfloat16"] if command == "preprocess" else []
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from qvl_fast.cli import main; sys.exit(main())"
    )
    done = run_python(code, command, path, *options)
    assert done.returncode == 2
    assert done.stderr == (
        f"qvl-fast {command}: error: this needs {package}, which is not installed: "
        f"pip install 'qvl-fast[{extra}]'\n"
    )
    assert not out.exists()


def test_packages_are_imported_only_when_needed(tmp_path):
    path = save_image(tmp_path / "a.png", 56, 56)
    code = (
        "import sys; from qvl_fast.cli import main\n"
        "def imported(): return {'rich', 'safetensors', 'torch'} & sys.modules.keys()\n"
        "before = imported(); main(['inspect', sys.argv[1]]); after_inspect = imported()\n"
        "main(['preprocess', sys.argv[1], '-o', sys.argv[2]])\n"
        "print(sorted(before), sorted(after_inspect), sorted(imported()))"
    )
    done = run_python(code, path, str(tmp_path / "out"))
    assert done.stdout.splitlines()[-1] == "[] ['rich'] ['rich', 'safetensors']"


def test_every_family(capsys):
    assert main(["inspect", "samples/coffee.png", "--config", "all"]) == 0
    out = capsys.readouterr().out
    cells = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if "coffee" in line]
    lines = {line[2]: line[3:] for line in cells}
    assert set(lines) == set(FAMILIES)
    assert lines["qwen2.5-vl"] == ["392 x 588", "1 x 28 x 42", "1176", "294"]
    assert lines["internvl"] == ["896 x 1344", "tiles 448 x 448", "7", "1792"]
    assert lines["idefics"] == ["224 x 224", "tiles 224 x 224", "1", "-"]
    # The table of the guide, for this image.
    titles, lines = families(out)
    assert titles == ["preset", "size", "tiles", "reference", "tower", "tokens of 400 x 600"]
    assert list(lines) == list(FAMILIES)
    assert lines["internvl"] == [
        "the nearest grid of 1 to 12 tiles",
        "448 x 448, overview last",
        "torchvision, Pillow",
        "internvit-300m, internvit-6b",
        "1792 of 7 tiles",
    ]
    assert lines["llava-1"] == [
        "shorter side 224",
        "224 x 224",
        "torchvision, Pillow",
        "as llava-1.5",
        "256",
    ]
    assert lines["qwen-vl"][2:] == ["Pillow", "qwen-vl", "256"]
    assert lines["kimi-k2.5"][2:] == ["torchvision", "-", "330"]


def families(text):
    """The titles and lines of the last table that is printed."""
    printed = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    rule = max(place for place, line in enumerate(printed) if line[0].startswith("─"))
    return printed[rule - 1], {line[0]: line[1:] for line in printed[rule + 1 :] if any(line)}


def test_a_family_that_refuses_an_image_leaves_the_others(tmp_path, capsys):
    path = save_image(tmp_path / "tall.png", 2000, 300)
    assert main(["inspect", path, "--config", "all"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[1].startswith(f"  {path}: glm-image: ")
    titles, lines = families(captured.out)
    assert titles[-1] == "tokens of 2000 x 300"
    assert lines["glm-image"][-1] == "-"
    seen = [line.split()[4] for line in captured.out.splitlines() if path in line]
    assert seen == [name for name in FAMILIES if name != "glm-image"]


def test_each_size_has_a_column(tmp_path, capsys):
    paths = [save_image(tmp_path / f"{n}.png", 300, side) for n, side in enumerate((90, 80, 90))]
    assert main(["inspect", *paths, "--config", "all"]) == 0
    titles, lines = families(capsys.readouterr().out)
    assert titles[5:] == ["tokens of 300 x 90", "tokens of 300 x 80"]
    assert lines["clip-224"][-2:] == ["257", "257"]
    assert main(["inspect", *paths, "--config", "clip-224"]) == 0
    assert "tower" not in capsys.readouterr().out
