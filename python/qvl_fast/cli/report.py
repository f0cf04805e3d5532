"""What a command shows: tables on standard output, progress and failures on standard error."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from qvl_fast.cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from qvl_fast.store.sources import Failure

# Wide enough that no line is broken where no screen limits it.
_UNLIMITED = 1000


def show_table(
    header: Sequence[str], lines: Iterable[Sequence[str | Path]], *, names: int = 1
) -> None:
    """Print a table.

    Args:
        header: titles of the columns.
        lines: one text or path for each column.
        names: how many columns, from the left, hold names; the others are numbers.
    """
    table = Table(box=SIMPLE_HEAD)
    for place, title in enumerate(header):
        table.add_column(title, justify="left" if place < names else "right", overflow="fold")
    for line in lines:
        table.add_row(*(printable(cell, sys.stdout) for cell in line))
    # File names are no markup.
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(table)


def show_failures(failures: Sequence[Failure]) -> None:
    """Print each file that could not be used, and why."""
    if failures:
        print(f"failed: {len(failures)}", file=sys.stderr)
    for failure in failures:
        line = f"{printable(failure.path, sys.stderr)}: {printable(failure.reason, sys.stderr)}"
        print(f"  {line}", file=sys.stderr)


@contextmanager
def progress(total: int) -> Generator[Callable[[float], None]]:
    """Yield what is to be told how many items are done, which need not be whole.

    A bar shows it if a terminal is there for it.
    """
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def report(done: float) -> None:
            bar.update(task, completed=done)

        yield report
