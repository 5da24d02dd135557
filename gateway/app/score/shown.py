"""A score in the terminal."""

from datetime import UTC, datetime, tzinfo

from gateway import terminal
from gateway.app.score.acts import Act
from gateway.app.score.pairs import Score


def show(found: Score, zone: tzinfo, rows: int) -> None:
    until = datetime.fromtimestamp(found.until, zone)
    since = f"from {_when(found.since, zone)} " if found.since else ""
    terminal.show(
        f"{found.rule}: what it would have done, against what people did within {found.window / 3600:g} h, "
        f"{since}until {until:%Y-%m-%d %H:%M}."
    )
    explained = {
        "agreed": "the rule and people, about the same thing",
        "missed": "people acted, the rule would not have",
        "extra": "the rule would have acted, people did not",
        "open": "proposed too late to know what people make of it",
    }
    counts = [[name, str(found.count(name)), words] for name, words in explained.items()]
    terminal.show(
        terminal.table(["", "count []", ""], [*counts, ["vetoed", str(found.vetoed), "a person said no"]])
    )
    for share, words in (
        (found.agreement, "of what it proposed, people did too"),
        (found.found, "of what people did, it had proposed"),
    ):
        if share is not None:
            terminal.show(f"{100 * share:.0f} % {words}.")
    if found.lead is not None:
        sooner = "sooner" if found.lead >= 0 else "later"
        terminal.show(f"It was {abs(found.lead) / 60:.0f} min {sooner} than people (median).")
    shown = found.pairs[-rows:] if rows else []
    lines = [[p.verdict, _told(p.rule, zone), _told(p.people, zone)] for p in shown]
    if lines:
        title = f"the last {len(lines)} of {len(found.pairs)}" if len(lines) < len(found.pairs) else ""
        terminal.show(terminal.table(["", "the rule", "people"], lines, title))


def _told(act: Act | None, zone: tzinfo) -> str:
    if act is None:
        return "-"
    by = f" ({act.who})" if act.who else ""
    target = "" if act.target in act.words else f" {act.target}"
    return f"{_when(act.time, zone)} {act.words}{target}{by}"


def _when(moment: float, zone: tzinfo = UTC) -> str:
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M")
