"""The programs in the pages of docs/."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(page: str, label: str = "") -> list[str]:
    """The blocks of Python of a page, in order.

    Those with a label, as in "```python ray", take what a page cannot have, such as a cluster; a
    test that has it, or a stand-in, runs them by their label.
    """
    return [code for found, code in labelled_blocks(page) if found == label]


def labelled_blocks(page: str) -> list[tuple[str, str]]:
    """``(label, code)`` of all blocks of a page; a plain block has the label ""."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python ?(.*)\n((?:.*\n)*?)```", text, re.MULTILINE)
