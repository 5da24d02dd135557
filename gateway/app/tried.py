"""What came of trying rule files over the past, and where two of them differ."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.app.history import FOREVER, Past
from gateway.app.trial import Episode, Trial
from gateway.rules import RuleFile

MOST = 1e10
"""Seconds that are more than any store holds."""

SAME = 60.0
"""Seconds by which two files may differ in when a rule begins and ends, and still do the same."""


@dataclass
class Run:
    """One rule file over the past."""

    path: Path
    file: RuleFile
    trial: Trial | None = None

    @property
    def episodes(self) -> list[Episode]:
        """Every firing, in order."""
        return self.trial.episodes if self.trial else []


@dataclass
class Tried:
    """What came of it: *runs* of the new file and, if there is one, of the old."""

    past: Past
    runs: list[Run]
    readings: int = 0
    first: float | None = None
    last: float = 0.0
    seconds: float = 0.0
    differences: list["Difference"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """A firing of the one file that the other does not have, or has otherwise."""

    what: str
    new: Episode | None
    old: Episode | None

    @property
    def began(self) -> float:
        """When the first of the two began [s, Unix]."""
        return min(each.began for each in (self.new, self.old) if each is not None)


def differences(new: list[Episode], old: list[Episode]) -> Iterator[Difference]:
    """Yield each firing that is not the same with both files, rule by rule."""
    for rule in dict.fromkeys(each.rule for each in (*new, *old)):
        ours = [each for each in new if each.rule == rule]
        theirs = [each for each in old if each.rule == rule]
        yield from _of_rule(ours, theirs)


def _of_rule(new: list[Episode], old: list[Episode]) -> Iterator[Difference]:
    left = list(old)
    for each in new:
        while left and _end(left[0]) < each.began - SAME:
            yield Difference("only the old", None, left.pop(0))
        if left and left[0].began <= _end(each) + SAME:
            other = left.pop(0)
            if words := _unlike(each, other):
                yield Difference(words, each, other)
        else:
            yield Difference("only the new", each, None)
    yield from (Difference("only the old", None, each) for each in left)


def _unlike(new: Episode, old: Episode) -> str:
    if new.outcomes != old.outcomes:
        return f"{', '.join(old.outcomes)} -> {', '.join(new.outcomes)}"
    moved = {"begins": new.began - old.began, "ends": _end(new) - _end(old)}
    return ", ".join(_shifted(word, later) for word, later in moved.items() if abs(later) > SAME)


def _shifted(word: str, later: float) -> str:
    much = "" if abs(later) > MOST else f" {span(abs(later))}"  # one of the two still lasts
    return f"{word}{much} {'later' if later > 0 else 'sooner'}"


def _end(episode: Episode) -> float:
    return FOREVER if episode.ended is None else episode.ended


def span(seconds: float) -> str:
    """Return a time [s] as people say it."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
