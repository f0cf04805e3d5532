"""The tables of docs/families.md, made from the presets and the classes that are known.

python docs/families_table.py        # writes them into the page
"""

from pathlib import Path

from qvl_fast.cli.families import table
from qvl_fast.config.families import MODEL_TYPES

PAGE = Path(__file__).with_name("families.md")
SIZES = ((480, 640), (1080, 1920), (2000, 300))
END = "<!-- end -->\n"


def presets() -> str:
    """One line for each family, as `qvl-fast inspect` prints it for an image of one's own."""
    titles, lines = table(SIZES)
    return _table(titles, [[f"`{name}`", *cells] for name, *cells in lines])


def classes() -> str:
    """One line for each image processor that is known: the model types that have it."""
    lines = [
        [f"`{kind}`", ", ".join(f"`{model_type}`" for model_type in MODEL_TYPES[kind])]
        for kind in sorted(MODEL_TYPES)
    ]
    return _table(["class", "model types"], lines)


def _table(titles: list[str], lines: list[list[str]]) -> str:
    rows = [titles, ["-"] * len(titles), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def updated(page: str) -> str:
    """The page with the tables of today."""
    for name, made in (("presets", presets), ("classes", classes)):
        start = f"<!-- {name}, made by families_table.py -->\n"
        before, rest = page.split(start)
        _, after = rest.split(END, maxsplit=1)
        page = f"{before}{start}{made()}{END}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
