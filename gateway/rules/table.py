"""Read a table of a rule file key by key, and gather everything that is wrong with its place."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from gateway.canonical import EXACT
from gateway.config import duration
from gateway.places import Path
from gateway.problem import ConfigError, Problem
from gateway.toml import Document, did_you_mean

LONGEST = 366 * 86400
"""Seconds that a duration may have, as in the configuration."""


MOST = 100
"""Problems of one file that are told; looking for more would only cost time."""


class Report:
    """The problems of one file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str, character: int | None = None, *, key: bool = False) -> None:
        """Say *message* of the value at *path*, of its *character*, or of its key.

        Raises ConfigError at once where there are already MOST problems.
        """
        if len(self.problems) >= MOST:
            message = f"there are more than {MOST} problems; these come first"
            raise ConfigError([*self.sorted(), Problem(self.document.file, 1, message)])
        self.problems.append(self.document.problem(path, message, character, key=key))

    def sorted(self) -> list[Problem]:
        """Return the problems in the order of the file."""
        return sorted(self.problems, key=lambda problem: (problem.line, problem.column))


class Table:
    """One table. Each method reads one key; what does not fit is reported, and a stand-in returned."""

    def __init__(self, report: Report, path: Path, values: Mapping[str, Any]) -> None:
        self.report, self.path, self.values = report, path, values
        self._known: list[str] = []

    def problem(self, key: str, message: str, character: int | None = None) -> None:
        """Say *message* of the value of *key*."""
        self.report.add((*self.path, key), message, character)

    def has(self, key: str) -> bool:
        """Whether *key* is there; it counts as known from now on."""
        self._known.append(key)
        return key in self.values

    def text(self, key: str, limit: int, why: str) -> str:
        """Return a required text of one line, 1 to *limit* characters; *why* says what it is for."""
        if not self.has(key):
            self.report.add(self.path, f'"{key}" is missing: {why}')
            return ""
        value = self.values[key]
        if not isinstance(value, str) or not value.strip():
            self.problem(key, f'"{key}" is a text: {why}')
            return ""
        if len(value) > limit:
            self.problem(key, f'"{key}" has at most {limit} characters, this one has {len(value)}', limit)
        odd = next((i for i, c in enumerate(value) if not c.isprintable()), None)
        if odd is not None:
            self.problem(key, f'"{key}" is one line without control characters', odd)
        return value

    def source(self, key: str) -> str | None:
        """Return the text of an expression, of any layout, or None."""
        if not self.has(key):
            return None
        value = self.values[key]
        if isinstance(value, str):
            return value
        self.problem(key, f'"{key}" is an expression in quotes, such as "bin.fill >= 80"')
        return None

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """Return one of a few words."""
        if not self.has(key):
            return default
        value, known = self.values[key], list(choices)
        if isinstance(value, str) and value in known:
            return value
        words = " or ".join(f'"{word}"' for word in known)
        self.problem(key, f'"{key}" is {words}')
        return default

    def whole(self, key: str, default: int) -> int:
        """Return a whole number from 1."""
        if not self.has(key):
            return default
        value = self.values[key]
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= EXACT:
            return value
        self.problem(key, f'"{key}" is a whole number from 1')
        return default

    def day(self, key: str, why: str) -> date:
        """Return a required date."""
        if not self.has(key):
            self.report.add(self.path, f'"{key}" is missing: {why}')
            return date.max
        value = self.values[key]
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        self.problem(key, f'"{key}" is a date without quotes, such as 2030-12-31: {why}')
        return date.max

    def seconds(self, key: str, least: float = 0.0) -> float | None:
        """Return a duration [s] such as "10s", or None. With *least* 0 it may be zero."""
        if not self.has(key):
            return None
        try:
            value = duration(self.values[key])
        except ValueError as error:
            self.problem(key, str(error))
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LONGEST:
            self.problem(key, f'"{key}" is a duration from {least:g} s to 366 d, such as "10s"')
            return None
        return float(value)

    def table(self, key: str) -> "Table":
        """Return the table under *key*, empty where there is none."""
        values = self.values.get(key, {}) if self.has(key) else {}
        if not isinstance(values, dict):
            self.problem(key, f'"{key}" is a table: {{ ... }}')
            values = {}
        return Table(self.report, (*self.path, key), values)

    def tables(self, key: str, form: str) -> "list[Table]":
        """Return the tables in the array under *key*; *form* shows how it is written."""
        values = self.values.get(key, []) if self.has(key) else []
        if not isinstance(values, list):
            self.problem(key, f'"{key}" is written {form}')
            return []
        for i, value in enumerate(values):
            if not isinstance(value, dict):
                self.report.add((*self.path, key, i), f'"{key}" is written {form}')
        path = (*self.path, key)
        return [Table(self.report, (*path, i), v) for i, v in enumerate(values) if isinstance(v, dict)]

    def finish(self) -> None:
        """Refuse every key that was not asked for."""
        for key in self.values:
            if key not in self._known:
                near = did_you_mean(key, self._known) or f"; known are {', '.join(self._known)}"
                self.report.add((*self.path, key), f"unknown key {key!a}{near}", key=True)
