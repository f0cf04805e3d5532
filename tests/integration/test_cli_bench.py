"""``qvl-fast bench tower``."""

import re

import pytest

from qvl_fast.cli import main

TINY = ["bench", "tower", "--config", "qwen2.5-vl-tiny", "--rounds", "1", "--images"]


def test_a_line_for_each_batch_and_tower(capsys):
    assert main([*TINY, "1x112x168", "2x56x56"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines if " x " in line]
    assert [line[:3] for line in cells] == [
        ["1 x 112 x 168", "qvl_fast", "sdpa"],
        ["1 x 112 x 168", "transformers", "sdpa"],
        ["2 x 56 x 56", "qvl_fast", "sdpa"],
        ["2 x 56 x 56", "transformers", "sdpa"],
    ]
    for line in cells:
        assert float(line[3]) > 0
        assert 98 <= sum(int(share.removesuffix("%")) for share in line[4:]) <= 102


def test_what_cannot_run_is_refused(capsys):
    assert main([*TINY, "1x56x56", "--attention", "varlen-flash"]) == 2
    assert "attention='varlen-flash' cannot run: " in capsys.readouterr().err
    assert main([*TINY, "1x56x56", "--device", "nowhere"]) == 2
    with pytest.raises(SystemExit):
        main([*TINY, "1x56"])
    assert "must be NxHxW such as 8x448x448, got '1x56'" in capsys.readouterr().err
