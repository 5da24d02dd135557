"""Where each key and each character of each text stands in a TOML file, which tomllib does not tell."""

import re
import tomllib
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the top: `("rule", 0, "test", 1, "expect")`."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}#\n]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ESCAPE = re.compile(r"\\(?:u.{4}|U.{8}|x.{2}|.)", re.DOTALL)
_FOLD = re.compile(r"\\[ \t]*\n[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Offsets into the text: of the key (or header), of the value, and of each character of a string."""

    key: int
    value: int
    characters: tuple[int, ...] = ()


def places(text: str) -> dict[Path, Place]:
    """Return the place of everything in *text*, which tomllib must have accepted before.

    Line ends must be a single "\\n".
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of *offset*, both counted from 1, in characters."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: dict[Path, Place] = {}
        self.lengths: dict[Path, int] = {}

    def document(self) -> None:
        """Read headers and pairs to the end."""
        base: Path = ()
        while self.blank() < len(self.text):
            if self.text[self.at] == "[":
                base = self.header()
            else:
                self.pair(base)

    def blank(self) -> int:
        """Pass white space, line ends and comments; return where the next thing stands."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`; return the path of the table that follows."""
        start = self.at
        width = 2 if self.text.startswith("[[", start) else 1
        self.at += width
        parts = self.keys()
        self.at += width
        path: Path = ()
        for part in parts[:-1]:
            path = self.last((*path, part))
        path = (*path, parts[-1])
        if width == 2:
            self.lengths[path] = self.lengths.get(path, 0) + 1
            self.found.setdefault(path, Place(start, start))
        path = self.last(path)
        self.found[path] = Place(start, start)
        return path

    def last(self, path: Path) -> Path:
        """Return *path*, or its newest element where it is an array of tables."""
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def keys(self) -> list[str]:
        """Read a key or a dotted key, and what is blank after it."""
        parts = []
        while True:
            self.blank()
            parts.append(self.key())
            if not self.text.startswith(".", self.blank()):
                return parts
            self.at += 1

    def key(self) -> str:
        """Read one part of a key."""
        start = self.at
        if self.text[start] in "\"'":
            self.string()
            return str(tomllib.loads(f"key = {self.text[start : self.at]}")["key"])
        match = _BARE.match(self.text, start)
        if match is None:
            raise ValueError(f"no key at offset {start}: tomllib must accept the text first")
        self.at = match.end()
        return match[0]

    def pair(self, base: Path) -> None:
        """Read `key = value`."""
        start = self.at
        parts = self.keys()
        self.at += 1
        for end in range(1, len(parts)):
            self.found.setdefault((*base, *parts[:end]), Place(start, start))
        self.value((*base, *parts), start)

    def value(self, path: Path, key: int) -> None:
        """Read a value and what is blank after it; *key* is where its key stands."""
        start = self.blank()
        characters: tuple[int, ...] = ()
        match self.text[start]:
            case '"' | "'":
                characters = self.string()
            case "[":
                self.items(path, "]")
            case "{":
                self.items(path, "}")
            case _:
                plain = _PLAIN.match(self.text, start)
                self.at = plain.end() if plain else start
        self.found[path] = Place(key, start, characters)
        self.blank()

    def items(self, path: Path, closing: str) -> None:
        """Read the inside of an array or of an inline table."""
        self.at += 1
        count = 0
        while self.text[self.blank()] != closing:
            if self.text[self.at] == ",":
                self.at += 1
            elif closing == "}":
                self.pair(path)
            else:
                self.value((*path, count), self.at)
                count += 1
        self.at += 1

    def string(self) -> tuple[int, ...]:
        """Read a string of any of the four kinds; return where each of its characters is written."""
        quote = self.text[self.at]
        width = 3 if self.text.startswith(quote * 3, self.at) else 1
        self.at += width
        if width == 3 and self.text.startswith("\n", self.at):
            self.at += 1
        characters: list[int] = []
        while not self.text.startswith(quote * width, self.at):
            self.character(quote == '"', characters)
        self.at += width
        while width == 3 and self.text.startswith(quote, self.at):  # '""""' ends with a quote of its own
            characters.append(self.at - width)
            self.at += 1
        return tuple(characters)

    def character(self, escapes: bool, characters: list[int]) -> None:
        """Read one character, or an escape for one, or a folded line end for none."""
        start = self.at
        fold = _FOLD.match(self.text, start) if escapes else None
        escape = _ESCAPE.match(self.text, start) if escapes else None
        if fold is None:
            characters.append(start)
        self.at = fold.end() if fold else escape.end() if escape else start + 1
