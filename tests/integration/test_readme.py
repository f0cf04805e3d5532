import contextlib
import io
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_example_prints_what_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    claim = re.search(r"It prints (.*?)\. With", text)
    assert code
    assert claim
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code[1], {})
    assert re.findall("`(.*?)`", claim[1]) == printed.getvalue().splitlines()


@pytest.mark.parametrize(
    ("page", "section"),
    [("README.md", "## How fast\n.*?\n## "), ("docs/index.md", "faster: .*?\\)")],
)
def test_the_figures_are_those_of_the_record_whose_chart_is_shown(page: str, section: str) -> None:
    chart = re.search(r"\((benches/record/.*)\.svg\)", (ROOT / "README.md").read_text())
    text = re.search(section, (ROOT / page).read_text(), re.DOTALL)
    assert chart
    assert text
    record = json.loads((ROOT / f"{chart[1]}.json").read_text())
    measured = {f"{result['times faster']['theirs']:.1f}" for result in record["results"]}
    found = set(re.findall(r"\b\d+\.\d\b", text[0]))
    assert found
    assert found <= measured


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_rust_that_is_asked_for_is_that_of_the_build(page: str) -> None:
    needed = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())
    assert needed
    assert set(re.findall(r"Rust ([\d.]+)", (ROOT / page).read_text())) == {needed[1]}
