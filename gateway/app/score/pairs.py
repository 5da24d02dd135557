"""Proposals of a rule beside the acts of people: agreed, missed, extra, or open still."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from gateway.app.score.acts import Act


@dataclass(frozen=True, slots=True)
class Pair:
    """A proposal of the rule and what people did, or one of the two alone."""

    verdict: str  # agreed, missed (people acted, the rule did not), extra (the other way round), open
    rule: Act | None
    people: Act | None

    @property
    def time(self) -> float:
        """When the first of the two was [s, Unix]."""
        return min(each.time for each in (self.rule, self.people) if each is not None)


@dataclass
class Score:
    """The proposals of a rule and the acts of people, compared within *window* [s] of each other."""

    rule: str
    window: float
    since: float | None
    until: float
    vetoed: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """Return how many have this verdict."""
        return sum(pair.verdict == verdict for pair in self.pairs)

    @property
    def lead(self) -> float | None:
        """The median time [s] by which the rule was sooner than people where they agreed."""
        both = [p.people.time - p.rule.time for p in self.pairs if p.rule and p.people]
        return median(both) if both else None

    @property
    def agreement(self) -> float | None:
        """The share of the rule's proposals that people carried out too."""
        return _share(self.count("agreed"), self.count("agreed") + self.count("extra"))

    @property
    def found(self) -> float | None:
        """The share of people's acts that the rule had proposed too."""
        return _share(self.count("agreed"), self.count("agreed") + self.count("missed"))

    def shape(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "rule": self.rule,
            "window": self.window,
            "since": self.since,
            "until": self.until,
            **{verdict: self.count(verdict) for verdict in ("agreed", "missed", "extra", "open")},
            "vetoed": self.vetoed,
            "agreement": self.agreement,
            "found": self.found,
            "lead": self.lead,
            "pairs": [
                {"verdict": p.verdict, "rule": _act(p.rule), "people": _act(p.people)} for p in self.pairs
            ],
        }


def paired(proposed: list[Act], people: list[Act], window: float, end: float) -> Iterator[Pair]:
    """Yield a verdict on every act; *people* in the order of time.

    Each proposal agrees with one act of people at the most, the nearest.
    A proposal whose window was not over at the *end* [s, Unix] and that nobody followed is open.
    """
    near = sorted(
        (abs(people[k].time - ours.time), i, k)
        for i, ours in enumerate(proposed)
        for k in _near(people, ours, window)
    )
    mine: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, k in near:
        if i not in mine and k not in taken:
            mine[i] = k
            taken.add(k)
    for i, act in enumerate(proposed):
        if i in mine:
            yield Pair("agreed", act, people[mine[i]])
        else:
            yield Pair("extra" if act.time + window <= end else "open", act, None)
    yield from (Pair("missed", None, act) for k, act in enumerate(people) if k not in taken)


def _near(people: list[Act], ours: Act, window: float) -> Iterator[int]:
    """Yield the places of the acts on the same thing within *window* [s]."""
    first = bisect_left(people, ours.time - window, key=lambda act: act.time)
    for k in range(first, len(people)):
        if people[k].time > ours.time + window:
            return
        if people[k].target == ours.target:
            yield k


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _act(act: Act | None) -> dict[str, Any] | None:
    if act is None:
        return None
    return {"time": round(act.time, 3), "target": act.target, "words": act.words, "who": act.who}
