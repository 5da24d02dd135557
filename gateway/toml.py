"""TOML with the line of every key, so that an error can say where."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gateway.problem import ConfigError, Problem

LARGEST = 1 << 20
"""Bytes of a file that are read at the most: a pole's whole configuration takes about 10,000."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_AT = re.compile(r" \(at line (\d+), column (\d+)\)")
Key = str | int


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file as read: its data, its text, and where each of its keys stands."""

    file: str
    data: dict[str, Any]
    text: str = ""
    lines: dict[tuple[Key, ...], int] = field(default_factory=dict)

    def line(self, path: Iterable[Key]) -> int:
        """Return the line of *path*, or of the nearest key or table above it; 1 where there is none."""
        keys = tuple(path)
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def problem(self, path: Iterable[Key], message: str, column: int = 0) -> Problem:
        """Return *message* as a problem at the line of *path*."""
        return Problem(self.file, self.line(path), message, column)


def read(path: Path) -> Document:
    """Read the TOML file at *path*. Raises ConfigError, with the line where there is one."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), 1, f"cannot be read: {error.strerror or error}")]) from error
    if len(raw) > LARGEST:
        raise ConfigError([Problem(str(path), 1, f"is longer than {LARGEST:,} bytes; is it the right file?")])
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(str(path), line, "is not UTF-8 text; save it as UTF-8")]) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """Parse TOML *text*; *file* is its name for the messages. Raises ConfigError."""
    try:
        return Document(file, tomllib.loads(text), text, _locate(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = _AT.search(str(error))
        line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, 0)
        said = _AT.sub("", str(error)).replace(" (at end of document)", ": the file ends too early")
        raise ConfigError([Problem(file, line, f"is not TOML: {said}", column)]) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the closest of *known*, or nothing."""
    close = get_close_matches(word, list(known), 1, 0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _locate(text: str) -> dict[tuple[Key, ...], int]:
    """Map the path of each table and key that starts a line to that line, from 1."""
    found: dict[tuple[Key, ...], int] = {}
    counts: dict[tuple[Key, ...], int] = {}
    table: tuple[Key, ...] = ()
    quotes = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quotes:
            quotes = "" if line.count(quotes) % 2 else quotes
            continue
        if header := _HEADER.match(line):
            table = _enter(_split(header[2]), header[1] == "[[", counts)
            found[table] = number
            found.setdefault(table[:-1], number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_split(key[1])), number)
        quotes = next((q for q in ('"""', "'''") if line.count(q) % 2), "")
    return found


def _enter(names: tuple[str, ...], array: bool, counts: dict[tuple[Key, ...], int]) -> tuple[Key, ...]:
    """Return the full path of a table header, with the index of every array of tables that it lies in."""
    path: tuple[Key, ...] = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    path = (*path, names[-1])
    if array:
        counts[path] = counts.get(path, -1) + 1
    return (*path, counts[path]) if path in counts else path


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
