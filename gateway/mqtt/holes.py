"""Numbers that are missing, and why: the same words for whoever follows, collects or reports."""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

UNEXPLAINED = "not explained"
"""Why a number is missing that no gap record names: a fault, to be looked for."""
REASON = 200
"""Most characters of a reason that are kept."""
WIDTH = 400
"""Most characters of a line that says what a stranger published."""

Range: TypeAlias = tuple[int, int]  # first and last, both included


class Named(NamedTuple):
    """What a gap record says: *first* to *last* were given up by the gateway, and why."""

    first: int
    last: int
    why: str


class Hole(NamedTuple):
    """Numbers that are not here. *why*: what the gateway's gap record says, or UNEXPLAINED."""

    first: int
    last: int
    why: str

    @property
    def explained(self) -> bool:
        """Whether the gateway said that these will never come."""
        return self.why != UNEXPLAINED

    @property
    def size(self) -> int:
        """How many numbers it is."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"missing {words((self.first, self.last))}: {self.why}"


def explain(missing: Iterable[Range], named: Iterable[Named]) -> Iterator[Hole]:
    """Yield the *missing* ranges in order, cut where their reason changes."""
    known = _disjoint(named)
    firsts = [each.first for each in known]
    for first, last in missing:
        at = first
        for name in known[max(0, bisect.bisect_right(firsts, first) - 1) :]:
            if name.first > last:
                break
            if name.last < at:
                continue
            if name.first > at:
                yield Hole(at, name.first - 1, UNEXPLAINED)
            end = min(last, name.last)
            yield Hole(max(at, name.first), end, name.why)
            at = end + 1
        if at <= last:
            yield Hole(at, last, UNEXPLAINED)


def overlapping(ranges: Sequence[Range], first: int, last: int) -> list[Range]:
    """Return those of *ranges* that share a number with *first* to *last*."""
    return [known for known in ranges if known[0] <= last and known[1] >= first]


def subtract(ranges: list[Range], hole: Range, taken: Range) -> None:
    """Replace *hole* in *ranges* by what *taken* leaves of it."""
    at = ranges.index(hole)
    left, right = (hole[0], taken[0] - 1), (taken[1] + 1, hole[1])
    ranges[at : at + 1] = [rest for rest in (left, right) if rest[0] <= rest[1]]


def words(span: Range) -> str:
    """Return a range as people write it."""
    first, last = span
    return f"{first}" if first == last else f"{first} to {last}"


def printable(line: str) -> str:
    """Return *line* so that it cannot steer a terminal, and no longer than WIDTH."""
    return "".join(c if c.isprintable() else "?" for c in line[:WIDTH])


def _disjoint(named: Iterable[Named]) -> list[Named]:
    """Return *named* in order, each number named once: by what begins first."""
    found: list[Named] = []
    for name in sorted(named):
        first = max(name.first, found[-1].last + 1) if found else name.first
        if first <= name.last:
            found.append(Named(first, name.last, name.why))
    return found
