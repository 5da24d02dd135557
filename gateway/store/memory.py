"""What must outlive a restart beside the records: a text under a name, the latest of each."""

from collections.abc import Iterable
from typing import NamedTuple

MOST = 256
"""Names that there may be."""

LARGEST = 64 * 1024
"""Bytes of the largest text."""

_NAME = 256  # bytes of the longest name


class Text(NamedTuple):
    """What is remembered under *name* since *time* [s, Unix]; None: nothing any more."""

    name: str
    time: float
    body: str | None


def checked(text: Text) -> Text:
    """Return *text*. Raises ValueError when it can never be written: too large, or no text at all."""
    for what, part, most in (("a name", text.name, _NAME), ("a text", text.body or "", LARGEST)):
        if (size := len(part.encode())) > most:
            raise ValueError(f"{what} that is remembered has at most {most} bytes; {text.name!r:.80}: {size}")
    return text


class Memory:
    """The texts that wait for the next commit, each the latest of its name, and every name that there is."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._waiting: dict[str, Text] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def known(self, names: Iterable[str]) -> None:
        """Take note of what is on the disk."""
        self._names.update(names)

    def note(self, text: Text) -> None:
        """Take *text* for the next commit. Raises ValueError for one too large, and for one name too many."""
        names = self._names - {text.name} if checked(text).body is None else self._names | {text.name}
        if len(names) > max(MOST, len(self._names)):
            raise ValueError(f"{MOST} texts are remembered, and {text.name!r} would be one more: forget one")
        self._names = names
        self._waiting[text.name] = text

    def waiting(self) -> list[Text]:
        """Return what is not on the disk yet."""
        return list(self._waiting.values())

    def committed(self, texts: Iterable[Text]) -> None:
        """Let go of what is on the disk, but not of what came under its name meanwhile."""
        for text in texts:
            if self._waiting.get(text.name) is text:
                del self._waiting[text.name]
