"""pip builds the JPEG decoder where the machine has its tools, and leaves it out where not.

That the hooks work in pip itself is for `make wheel` to show.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

RUST = Path(__file__).parents[2] / "rust"


@pytest.fixture
def backend(monkeypatch):
    """The build backend upon a maturin that returns the arguments it would build with."""
    maturin = ModuleType("maturin")
    for hook in ("wheel", "editable", "sdist"):
        setattr(maturin, f"get_requires_for_build_{hook}", lambda settings: ["of maturin"])
        setattr(maturin, f"build_{hook}", lambda _, settings, __: settings["maturin.build-args"])
        setattr(maturin, f"prepare_metadata_for_build_{hook}", None)
    maturin.get_maturin_pep517_args = lambda settings: (settings or {}).get("build-args", [])
    monkeypatch.setitem(sys.modules, "maturin", maturin)
    monkeypatch.syspath_prepend(RUST)
    yield import_module("build_backend")
    for name in ("build_backend", "features"):
        del sys.modules[name]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """``machine(architecture, tools)``: build on one that has just these tools."""

    def pretend(architecture, tools):
        for tool in tools:
            (tmp_path / tool).touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("platform.machine", lambda: architecture)

    return pretend


@pytest.mark.parametrize(
    ("architecture", "tools", "lacking"),
    [
        ("x86_64", ["cmake", "make", "nasm"], ""),
        ("AMD64", ["cmake", "make"], "nasm"),
        ("x86_64", ["cmake", "nasm"], "make"),
        ("x86_64", [], "cmake, make, nasm"),
        ("aarch64", ["cmake", "make"], ""),
        ("arm64", ["make"], "cmake"),
    ],
)
@pytest.mark.parametrize("hook", ["wheel", "editable"])
def test_without_its_tools_the_decoder_is_left_out(
    backend, machine, capsys, hook, architecture, tools, lacking
):
    machine(architecture, tools)
    arguments = getattr(backend, f"build_{hook}")("folder")
    said = capsys.readouterr().err
    assert arguments == (["--no-default-features"] if lacking else [])
    assert said.count("\n") == bool(lacking)
    assert f"for lack of {lacking}:" in said or not lacking


def test_what_the_user_asks_for_is_built(backend, machine, capsys):
    machine("x86_64", [])
    assert backend.build_wheel("folder", {"build-args": ["--features=jpeg"]}) == ["--features=jpeg"]
    assert capsys.readouterr().err == ""
    arguments = backend.build_wheel("folder", {"build-args": ["--quiet"]})
    assert arguments == ["--quiet", "--no-default-features"]


@pytest.mark.parametrize(
    ("architecture", "tools", "needed"),
    [
        ("x86_64", ["make", "nasm"], ["cmake"]),
        ("aarch64", ["make"], ["cmake"]),
        ("x86_64", ["cmake", "make", "nasm"], []),
        ("x86_64", ["make"], []),  # cmake alone would not do
    ],
)
def test_cmake_is_installed_where_it_is_all_that_lacks(
    backend, machine, architecture, tools, needed
):
    machine(architecture, tools)
    for hook in ("wheel", "editable"):
        requires = getattr(backend, f"get_requires_for_build_{hook}")()
        assert requires == ["of maturin", *needed]
