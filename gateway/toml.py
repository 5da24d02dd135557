"""TOML with the place of everything in it, so that an error can say where."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from gateway.places import Path, Place, line_and_column, places
from gateway.problem import ConfigError, Problem

LARGEST = 1 << 20
"""Bytes of a file that are read at the most: a pole's whole configuration takes about 10,000."""

_AT = re.compile(r" \(at line (\d+), column (\d+)\)")
LINE = 1000
"""Characters that a line may have; with the file's size it bounds the time that a hostile file can take."""


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file as read: its data, its text, and where everything in it stands."""

    file: str
    data: dict[str, Any]
    text: str
    places: Mapping[Path, Place]

    def problem(
        self, path: Iterable[str | int], message: str, character: int | None = None, *, key: bool = True
    ) -> Problem:
        """Return *message* as a problem of the key at *path*, or of the nearest table above it.

        Without *key*, of the value; with *character*, of that character of a text.
        """
        place = self._nearest(tuple(path))
        offset = place.key if key else place.value
        if character is not None and place.characters:
            offset = (*place.characters, place.characters[-1] + 1)[min(character, len(place.characters))]
        line, column = line_and_column(self.text, offset)
        return Problem(self.file, line, message, column)

    def _nearest(self, keys: Path) -> Place:
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, Place(0, 0))


def read(path: FilePath, most: int = LARGEST) -> Document:
    """Read the TOML file at *path*, of at most *most* bytes. Raises ConfigError, with a line."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        said = f"cannot be read: {error.strerror or error}; check the path and its permissions"
        raise ConfigError([Problem(str(path), 1, said)]) from error
    if len(raw) > most:
        raise ConfigError([Problem(str(path), 1, f"is longer than {most:,} bytes; is it the right file?")])
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(str(path), line, "is not UTF-8 text; save it as UTF-8")]) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """Parse TOML *text*; *file* is its name for the messages. Raises ConfigError."""
    text = text.replace("\r\n", "\n")
    long = next((i for i, line in enumerate(text.split("\n"), 1) if len(line) > LINE), None)
    if long is not None:
        said = f"a line has at most {LINE} characters; break it up"
        raise ConfigError([Problem(file, long, said, LINE + 1)])
    try:
        return Document(file, tomllib.loads(text), text, places(text))
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nesting, too
        at = _AT.search(str(error))
        line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, 0)
        said = _AT.sub("", str(error)).replace(" (at end of document)", ": the file ends too early")
        raise ConfigError([Problem(file, line, f"is not TOML: {said}", column)]) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the closest of *known*, or nothing."""
    close = get_close_matches(word, list(known), 1, 0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
