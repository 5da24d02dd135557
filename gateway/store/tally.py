"""The bookkeeping of one lane: accepted = delivered + held + dropped, always."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from gateway.reading import Lane


class Drop(NamedTuple):
    """Records *first* to *last* of *lane* that will never be delivered, and why."""

    lane: Lane
    first: int
    last: int
    reason: str

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records of a lane were accepted, and where they are now. *dropped* is by reason."""

    accepted: int
    delivered: int
    held: int
    dropped: Mapping[str, int]


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of consecutive *numbers*, which ascend."""
    if not numbers:
        return
    first = numbers[0]
    for one, other in pairwise(numbers):
        if other != one + 1:
            yield first, one
            first = other
    yield first, numbers[-1]


def heading(reason: str) -> str:
    """Return the word of *reason* before its colon: a broker's own text must not multiply the counts."""
    return reason.partition(":")[0].strip()


@dataclass(slots=True)
class Tally:
    """*high* is the last durable sequence number; all up to *cursor* are delivered or dropped."""

    high: int = 0
    cursor: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    _beyond: list[tuple[int, int]] = field(default_factory=list)  # dropped beyond the cursor, ascending

    def accept(self, high: int) -> None:
        """Take note that everything up to *high* is durable."""
        self.high = max(self.high, high)

    def deliver(self, upto: int) -> bool:
        """Move the cursor to *upto*, and over what was dropped just behind it. Tell whether it moved."""
        before = self.cursor
        self.cursor = max(self.cursor, min(upto, self.high))
        self._fold()
        return self.cursor > before

    def drop(self, drops: Iterable[Drop]) -> None:
        """Count *drops*, none of which was counted before."""
        for drop in drops:
            self.count(heading(drop.reason), len(drop))
            self._beyond.append((drop.first, drop.last))
        self._beyond.sort()
        self._fold()

    def count(self, reason: str, number: int) -> None:
        """Count *number* records that were dropped for *reason*."""
        self.dropped[reason] = self.dropped.get(reason, 0) + number

    def counts(self) -> Counts:
        """Return the lane's figures."""
        held = self.high - self.cursor - sum(last - first + 1 for first, last in self._beyond)
        delivered = self.high - held - sum(self.dropped.values())
        return Counts(self.high, delivered, held, dict(self.dropped))

    def _fold(self) -> None:
        while self._beyond and self._beyond[0][0] <= self.cursor + 1:
            self.cursor = max(self.cursor, self._beyond.pop(0)[1])
