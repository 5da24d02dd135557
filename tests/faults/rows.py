"""Rows of the table of faults: what was done, how often, and what came of it.

A test in this folder marked `@pytest.mark.faults("kill -9 of the writing process", 25)` belongs to the row of
that title; several tests may share one. It does 25 of it, or once where no number is given, and tells what it
did as it goes on, by the fixture `tally`:

    tally(times=1, records=120, duplicates=2)

All that is told of a row is added up. `size(100, 1000)` is the first number, or the second where FULL=1.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FULL = os.environ.get("FULL", "0") not in ("", "0")
FILE = "LAMPPOST_FAULTS_TALLY"
"""The variable that says where the lines go that the runner adds up."""


def size(ci: int, full: int) -> int:
    """Return how often: *ci* in CI, *full* where FULL=1 is in the environment."""
    return full if FULL else ci


@dataclass(frozen=True, slots=True)
class Tally:
    """Tells what was done for the row *title*."""

    title: str

    def __call__(
        self,
        times: int = 0,
        records: int = 0,
        lost: int = 0,
        disorder: int = 0,
        duplicates: int | None = None,
        note: str = "",
    ) -> None:
        """Add to the row: faults, records, what became of them; *note*: for its last column."""
        figures = {"times": times, "records": records, "lost": lost, "disorder": disorder}
        figures = {name: number for name, number in figures.items() if number}
        more = {} if duplicates is None else {"duplicates": duplicates}
        if figures or more or note:
            tell(self.title, **figures, **more, **({"note": note} if note else {}))


def tell(title: str, **figures: Any) -> None:
    """Append a line for the runner, in one write, so that processes do not mix theirs; else print it."""
    line = json.dumps({"row": title, **figures}) + "\n"
    if path := os.environ.get(FILE):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    else:
        print(line, end="")


@dataclass(slots=True)
class Row:
    """What is known of one row so far."""

    title: str
    figures: dict[str, int] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    outcome: str = ""

    def __getitem__(self, name: str) -> int:
        return self.figures.get(name, 0)

    def add(self, line: dict[str, Any]) -> None:
        """Add what one line tells."""
        if line.get("outcome"):
            self.outcome = line["outcome"] if self.outcome != "FAILED" else self.outcome
        if line.get("note"):
            self.notes[line["note"]] = None
        for name, number in line.items():
            if name not in ("row", "outcome", "note"):
                self.figures[name] = self[name] + number

    @property
    def over(self) -> bool:
        """Whether all its tests have ended."""
        return self["tests"] >= self["planned"]

    @property
    def times(self) -> str:
        """How often it was done, and of how many times where it is not at its end."""
        most = max(self["of"], self["times"])
        return f"{self['times']:,}" if self.over or not most else f"{self['times']:,} of {most:,}"

    @property
    def said(self) -> str:
        """What came of it, in a word."""
        return self.outcome or ("ok" if self.over else "stopped")


def added_up(path: Path) -> list[Row]:
    """Return the rows in *path*, in the order in which they were first spoken of.

    The last line may be cut off: whoever wrote it may have been killed.
    """
    rows = dict[str, Row]()
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError):
            told = json.loads(line)
            rows.setdefault(told["row"], Row(told["row"])).add(told)
    return list(rows.values())


def progress(rows: Iterable[Row]) -> str:
    """Return what is not at its end, in a few words, and how many rows are."""
    known = list(rows)
    left = [f"{row.title}: {row.times}" for row in known if not row.over]
    failed = [f"{row.title}: FAILED" for row in known if row.outcome == "FAILED"]
    return "; ".join([f"{sum(row.over for row in known)} of {len(known)} rows done", *failed, *left])


HEADS = ("what was done", "how often", "records", "lost", "out of order", "duplicates", "")


def table(rows: Iterable[Row]) -> str:
    """Return *rows* as a table in Markdown."""
    lines = [HEADS, ("---",) * len(HEADS), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    counts = [f"{row[name]:,}" for name in ("records", "lost", "disorder")]
    known = "duplicates" in row.figures and row["records"]
    share = f"{100 * row['duplicates'] / row['records']:.2f} %" if known else "-"
    return row.title, row.times, *counts, share, "; ".join([row.said, *row.notes])
