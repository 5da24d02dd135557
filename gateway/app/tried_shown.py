"""What `lamppost backtest` prints: for people, or as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from gateway import terminal
from gateway.app.timeline import timeline
from gateway.app.trial import Episode, against
from gateway.app.tried import Run, Tried, span

COUNTED = ("acted", "late", "cut short", "blocked", "too short", "announced")
"""What becomes of a command, in the order in which it is shown."""


def shape(tried: Tried) -> dict[str, Any]:
    """Return all of it for JSON."""
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


def show(tried: Tried, store: Path, rows: int) -> None:
    """Print it for people, with the last *rows* of what happened or differed."""
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
            head = [each.path.name, rule, str(said["mode"]), str(said["fired"]), span(said["firing"])]
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
    lasted = "still" if each.ended is None else span(each.ended - each.began)
    deeds = "; ".join(
        f"{deed.command}: {deed.outcome}" + (f" ({deed.why[0]})" if deed.why else "") for deed in each.deeds
    )
    return [_when(each.began, zone), lasted, each.rule, deeds]


def _when(moment: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S")
