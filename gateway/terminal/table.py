"""Tables and progress bars."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

T = TypeVar("T")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """Return a table; columns whose name ends in "]" (a unit) hold numbers and stand to the right."""
    made = Table(title=title or None, title_justify="left", box=None, padding=(0, 1), header_style="bold")
    for name in columns:
        made.add_column(
            name.replace("[", r"\["), justify="right" if name.endswith("]") else "left", no_wrap=True
        )
    for row in rows:
        made.add_row(*map(escape, row))
    return made


def show(*what: object) -> None:
    """Print to standard output, as wide as it needs to be where that is a file."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=True)
    for each in what:
        if isinstance(each, str):
            console.print(each, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(each)


def progress(label: str, items: Iterable[tuple[float, T]]) -> Iterator[T]:
    """Yield the items of (share done 0 to 1, item), with a bar on standard error while it takes time."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=1.0)
        for share, item in items:
            bar.update(task, completed=share)
            yield item
