"""`lamppost backtest`: what a rule file would have done over the readings of a store."""

import gc
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from gateway import terminal
from gateway.app.history import FOREVER, Past, Span, past_of
from gateway.app.timeline import timeline
from gateway.app.trial import LIMITLESS, Episode, Trial, against
from gateway.clock import Instant
from gateway.config import Guard
from gateway.control import Limits, Permissive
from gateway.problem import ConfigError
from gateway.rules import Expression, RuleFile, load
from gateway.toml import read

COUNTED = ("acted", "late", "cut short", "blocked", "too short", "announced")
"""What becomes of a command, in the order in which it is shown."""

GUARD = Guard.model_fields
"""What a guard in the configuration says: each goes to the limit of its name."""

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


def backtest(
    store: Path, new: Path, old: Path | None, config: Path | None, span: Span, rows: int | None
) -> int:
    """Print what the rules of *new*, and of *old*, would have done in a *span* of what *store* holds.

    With the last *rows* of what happened or differed; as JSON, all of it, where that is None. Raises
    ConfigError, StoreError.
    """
    tried = run(store, [new, *([old] if old else [])], config, span)
    if rows is None:
        print(json.dumps(_shape(tried), ensure_ascii=False, separators=(",", ":")))
    else:
        _show(tried, store, rows)
    return 0


def run(store: Path, files: list[Path], config: Path | None, span: Span) -> Tried:
    """Run the rule files over what *store* holds, all in one pass. Raises ConfigError, StoreError."""
    began = time.perf_counter()
    past = past_of(store, config)
    try:
        runs = [_run(path, past) for path in files]
    except ConfigError:
        if config is not None:
            raise
        past = past_of(store, None, whole=True)  # a device may have come later than the first records
        runs = [_run(path, past) for path in files]
    tried = Tried(past, runs)
    with _seldom_collecting():
        _play(tried, span, f"{files[0].name} over {store.name}")
    if len(runs) > 1:
        tried.differences = sorted(differences(runs[0].episodes, runs[1].episodes), key=lambda d: d.began)
    tried.seconds = time.perf_counter() - began
    return tried


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let the collector of cycles rest: millions of readings come and go, and none of them is in a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run(path: Path, past: Past) -> Run:
    switches = _switches(path) if past.guards is None else past.guards
    return Run(path, load(path, past.types(), switches, keep_expired=True))


def _switches(path: Path) -> set[str]:
    """Return the switches that a rule file names: all may be, where nobody says which there are."""
    rules = read(path).data.get("rule", [])
    tables = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    commands = [command for rule in tables if isinstance(rule.get("do"), list) for command in rule["do"]]
    return {
        str(command["switch"]) for command in commands if isinstance(command, dict) and "switch" in command
    }


def _play(tried: Tried, span: Span, label: str) -> None:
    past = tried.past
    for batch in terminal.progress(label, past.play(_devices(past, tried.runs), span)):
        tried.readings += batch.records
        if batch.heard and tried.first is None:
            at = batch.heard[0][0].at
            tried.first = at.time
            for each in tried.runs:
                each.trial = _trial(each, past, at)
        for trial in (each.trial for each in tried.runs if each.trial):
            for readings in batch.heard:
                trial.take(readings)
        if batch.heard:
            tried.last = max(tried.last, batch.heard[-1][0].at.time)


def _trial(each: Run, past: Past, at: Instant) -> Trial:
    return Trial(each.file.rules, past.stale, lambda name, trial: _limits(past, name, trial), at)


def _limits(past: Past, name: str, trial: Trial) -> Limits:
    """Return the limits of a switch as its guard in the configuration has them."""
    if past.guards is None:
        return LIMITLESS
    guard = past.guards[name]
    named = {each.name: getattr(guard, each.name) for each in fields(Limits) if each.name in GUARD}
    permissives = tuple(_permissive(each, trial) for each in past.permissives.get(name, ()))
    return Limits(**{"safe": False, **named, "permissives": permissives})


def _permissive(expression: Expression, trial: Trial) -> Permissive:
    return Permissive(expression.text, lambda: trial.engine.expression_truth(expression))


def _devices(past: Past, runs: list[Run]) -> set[str]:
    """Return every device that a rule, or the guard of a switch, looks at."""
    rules = [rule for each in runs for rule in each.file.rules]
    names = {name for rule in rules for name in rule.names}
    names |= {name for each in past.permissives.values() for expression in each for name in expression.names}
    return {name.partition(".")[0] for name in names}


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
    much = "" if abs(later) > MOST else f" {_span(abs(later))}"  # one of the two still lasts
    return f"{word}{much} {'later' if later > 0 else 'sooner'}"


def _end(episode: Episode) -> float:
    return FOREVER if episode.ended is None else episode.ended


# As JSON.


def _shape(tried: Tried) -> dict[str, Any]:
    return {
        "since": tried.first,
        "until": tried.last if tried.first is not None else None,
        "records": tried.readings,
        "seconds": round(tried.seconds, 3),
        "guards_known": tried.past.guards is not None,
        "files": [_file(each, tried.last) for each in tried.runs],
        "differences": [
            {"what": d.what, "new": d.new and _episode(d.new), "old": d.old and _episode(d.old)}
            for d in tried.differences
        ],
    }


def _file(run: Run, last: float) -> dict[str, Any]:
    blind = run.trial.blind if run.trial else {}
    return {
        "file": str(run.path),
        "digest": run.file.digest,
        "rules": {
            rule.id: {
                "mode": rule.mode,
                "fired": len(own := [each for each in run.episodes if each.rule == rule.id]),
                "firing": round(_firing(own, last), 3),
                "blind": blind.get(rule.id, 0),
                "commands": dict(Counter(deed.outcome for each in own for deed in each.deeds)),
            }
            for rule in run.file.rules
        },
        "guards": [
            {"actuator": actuator, "guard": guard, "what": what, "count": count}
            for (actuator, guard, what), count in sorted(Counter(against(run.episodes)).items())
        ],
        "episodes": [_episode(each) for each in run.episodes],
    }


def _episode(each: Episode) -> dict[str, Any]:
    return {
        "rule": each.rule,
        "began": round(each.began, 3),
        "ended": None if each.ended is None else round(each.ended, 3),
        "commands": [
            {
                "command": deed.command,
                "outcome": deed.outcome,
                "on": deed.on and round(deed.on, 3),
                "off": deed.off and round(deed.off, 3),
                "refused": sorted(deed.refused),
                "cut": sorted(deed.cut),
                "why": deed.why,
            }
            for deed in each.deeds
        ],
    }


def _firing(episodes: list[Episode], last: float) -> float:
    return sum((last if each.ended is None else each.ended) - each.began for each in episodes)


# For people.


def _show(tried: Tried, store: Path, rows: int) -> None:
    zone = tried.past.zone
    if tried.first is None:
        terminal.show(
            f"{store} has no reading that these rules look at in this time: nothing would have happened."
        )
        return
    days = (tried.last - tried.first) / 86400.0
    terminal.show(
        f"{tried.runs[0].path.name} over {tried.readings:,} records of {days:.1f} days, "
        f"{_when(tried.first, zone)} to {_when(tried.last, zone)}, in {tried.seconds:.1f} s."
    )
    if tried.past.guards is None:
        terminal.show(
            "No guard is known: with --config, the pole's configuration, you see what would be blocked."
        )
    terminal.show(_counts(tried))
    if len(guarded := list(_guards(tried))) > 0:
        terminal.show(terminal.table(["file", "switch", "guard", "refused []", "cut short []"], guarded))
    terminal.show(timeline(_rows(tried), tried.first, tried.last, zone))
    terminal.show("High: it fires. ×: a guard kept it back, or cut it short.")
    if len(tried.runs) > 1:
        _show_differences(tried, rows)
    else:
        _show_episodes(tried.runs[0].episodes, zone, rows)


def _counts(tried: Tried) -> object:
    shown = [what for what in COUNTED if any(what in e.outcomes for r in tried.runs for e in r.episodes)]
    table = []
    for each in tried.runs:
        for rule, said in _file(each, tried.last)["rules"].items():
            numbers = [str(said["commands"].get(what, 0)) for what in shown]
            head = [each.path.name, rule, str(said["mode"]), str(said["fired"]), _span(said["firing"])]
            table.append([*head, *numbers, str(said["blind"])])
    columns = ["file", "rule", "mode", "fired []", "for []", *(f"{what} []" for what in shown), "blind []"]
    return terminal.table([*columns], table)


def _guards(tried: Tried) -> Iterator[list[str]]:
    for each in tried.runs:
        counts = Counter(against(each.episodes))
        for actuator, guard in dict.fromkeys((actuator, guard) for actuator, guard, _ in sorted(counts)):
            numbers = (counts[actuator, guard, what] for what in ("refused", "cut short"))
            yield [each.path.name, actuator, guard, *map(str, numbers)]


def _rows(tried: Tried) -> Mapping[str, list[tuple[float, float, bool]]]:
    """Return a line for each rule; with two files, the old one's below the new one's."""
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for rule in dict.fromkeys(rule.id for each in tried.runs for rule in each.file.rules):
        for number, each in enumerate(tried.runs):
            label = rule if len(tried.runs) == 1 else f"{rule} {('new', 'old')[number]}"
            found[label] = [
                (e.began, tried.last if e.ended is None else e.ended, _hindered(e))
                for e in each.episodes
                if e.rule == rule
            ]
    return found


def _hindered(episode: Episode) -> bool:
    return any(deed.refused or deed.cut for deed in episode.deeds)


def _show_episodes(episodes: list[Episode], zone: tzinfo, rows: int) -> None:
    table = [_line(each, zone) for each in episodes[-rows:]] if rows else []
    if table:
        title = f"the last {len(table)} of {len(episodes)} firings" if len(table) < len(episodes) else ""
        terminal.show(terminal.table(["began", "for []", "rule", "what became of it"], table, title))


def _show_differences(tried: Tried, rows: int) -> None:
    found, zone = tried.differences, tried.past.zone
    if not found:
        terminal.show("Both files would have done the same.")
        return
    table = [
        [_when(d.began, zone), (d.new or d.old or Episode("", 0)).rule, d.what] for d in found[-rows:] if rows
    ]
    title = f"{len(found)} firings differ" + (f", the last {rows} of them" if 0 < rows < len(found) else "")
    terminal.show(terminal.table(["began", "rule", "how"], table, title))


def _line(each: Episode, zone: tzinfo) -> list[str]:
    lasted = "still" if each.ended is None else _span(each.ended - each.began)
    deeds = "; ".join(
        f"{deed.command}: {deed.outcome}" + (f" ({deed.why[0]})" if deed.why else "") for deed in each.deeds
    )
    return [_when(each.began, zone), lasted, each.rule, deeds]


def _when(moment: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S")


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
