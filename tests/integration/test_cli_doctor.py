"""``qvl-fast doctor``."""

import re

import pytest

from qvl_fast import _native
from qvl_fast.cli import main


def test_it_shows_what_this_build_has(capsys):
    assert main(["doctor"]) == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    shown = {line[0]: line[1] for line in lines if len(line) == 2}
    assert shown["instruction sets"] == ", ".join(_native.available_isas())
    assert shown["in use"].split(":")[0] in _native.available_isas()
    assert shown["processors"] == str(_native.processors())
    decoded = (
        "decoded by libjpeg-turbo" if "JPEG" in _native.decoded_formats() else "decoded by Pillow"
    )
    assert shown["JPEG"].startswith(decoded)


def test_a_build_without_the_jpeg_decoder_tells_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setattr(_native, "decoded_formats", lambda: ["PNG"])
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "decoded by Pillow, more slowly: this build has no libjpeg-turbo" in shown
    assert "install cmake, make and nasm and repeat the pip install with" in shown


@pytest.mark.parametrize("isa", _native.available_isas())
def test_what_an_instruction_set_is_used_for(capsys, monkeypatch, isa):
    monkeypatch.setenv("QVL_FAST_ISA", isa)
    assert main(["doctor"]) == 0
    assert re.search(rf"in use +{isa}: [a-z]+", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["QVL_FAST_ISA", "QVL_FAST_NUM_THREADS", "QVL_FAST_MEMORY_LIMIT"])
def test_a_wrong_variable_is_named(capsys, monkeypatch, name):
    monkeypatch.setenv(name, "many")
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "processors" in captured.out
    assert re.search(f"{name} must be .*'many'", captured.err)
