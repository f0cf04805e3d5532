"""The program that times towers, with small ones: what waits for a GPU has been executed."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import qvl_fast
from qvl_fast.config import TOWERS

PROGRAM = Path(__file__).parents[2] / "benches" / "tower.py"
ODD = replace(TOWERS["qwen2.5-vl-tiny"], mlp_width=189)


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("tower_bench", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def uncompiled():
    """Compiled blocks run as they are: compilers are others' to test."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_everyone_takes_part(program, uncompiled, capsys, dtype):
    device = torch.device("cpu")
    result = program.measure("tiny", ODD, [(56, 84)] * 2, device, dtype, 1, 1e9)
    assert list(result["towers"]) == [
        "ours (sdpa)",
        "ours padded (sdpa)",
        "ours, compiled blocks (sdpa)",
        "transformers (sdpa)",
    ]
    for tower in result["towers"].values():
        assert tower["share_of_matrix_rate"] > 0
        assert tower["profiled"].keys() == {"matrix", "attention", "rest"}
    shown = capsys.readouterr().out
    for kernel in ("flash-attn-3", "flash-attn", "varlen-flash", "varlen-cudnn"):
        assert f"attention={kernel!r} cannot run: it needs a CUDA device" in shown


def test_the_record(program, uncompiled, monkeypatch, tmp_path):
    monkeypatch.setattr(program, "cases", lambda *_: [("tiny", ODD, [(56, 56)])])
    record = tmp_path / "record.json"
    arguments = ["--dtype", "bfloat16", "--rounds", "1", "--record", str(record)]
    monkeypatch.setattr(sys, "argv", ["tower.py", *arguments])
    program.main()
    content = json.loads(record.read_text())
    assert content["dtype"] == "torch.bfloat16"
    assert content["results"][0]["patches"] == 16


def test_the_cases_of_both_devices(program):
    """Names and shapes, also of what only a GPU has the time for."""
    assert [name for name, *_ in program.cases(torch.device("cpu"), None)] == [
        "8 blocks, 1 image of 1080x1920",
        "8 blocks, 8 images of 448x448",
        "windowed, 1 image of 1080x1920",
        "windowed, 8 images of 448x448",
    ]
    gpu = program.cases(torch.device("cuda"), None)
    assert [(config.depth, len(sizes)) for _, config, sizes in gpu] == [(32, 1), (32, 8), (32, 32)]


def test_the_products_of_a_pass(program):
    """Counted by hand for one image of 4 x 6 patches: a window of 4 x 6 and a frame of the same."""
    config = replace(TOWERS["qwen2.5-vl-tiny"], depth=2)
    weights = 24 * (2 * (4 * 96**2 + 3 * 96 * 192) + 6 * 14**2 * 96) + 6 * 384 * (384 + 64)
    attention = 2 * 24**2 * 96
    assert program.products(config, [[1, 4, 6]]) == 2 * weights + 4 * attention
    assert qvl_fast.plan([[1, 4, 6]], config).windows == (qvl_fast.EqualSegments(24, 1),)
