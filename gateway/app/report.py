"""The return ledger for people: a page that stands alone, without scripts, and a table for spreadsheets."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path

from gateway import terminal
from gateway.app.chart import bars
from gateway.app.returns import FIGURES, Figure, Returns, baseline_of, counted, month, read_baseline

SPACED = "\N{NO-BREAK SPACE}{}"
SMALL = 0.02
"""The share by which a figure may differ from the baseline and still be the same."""

CHARTED = ("asked", "emptied", "overflows", "strokes", "energy", "faults", "interventions")

VERDICTS = ("better", "worse")
COLUMNS = ("Figure", "Now", "Before", "Change")

NOTES = (
    "Everything comes from the gateway's own records: its readings, its events, its ledger of decisions. "
    "Collections planned are what the fixed plan had, and are told to it.",
    "A request for a collection counts once, however often it is repeated. Energy is the power that was "
    "measured, over time; gaps of more than a quarter of an hour count as nothing.",
    "Faults are devices that were lost and actuators that failed. Whether an alarm was true, only a person "
    "can say: one that nobody judged stays unjudged.",
    "Fewer than before may have other causes: weather, season, holidays. One month proves little.",
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d0d7de;
  --bar: #1f6feb; --before: #9a6700; --good: #116329; --bad: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9da7b3;
  --line: #30363d; --bar: #58a6ff; --before: #e3b341; --good: #56d364; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
p, li { max-width: 40rem; }
.soft, figcaption, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.3rem; }
th, td { text-align: left; padding: 0.35rem 0.6rem 0.35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
figure { margin: 1.5rem 0; max-width: 36rem; }
figcaption { margin-bottom: 0.2rem; }
figcaption strong { color: var(--ink); }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
summary { cursor: pointer; padding: 0.4rem 0; }
@media (max-width: 30rem) { table { font-size: 0.85rem; } th, td { padding-right: 0.4rem; } }
@media print { details { display: none; } }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure beside its baseline, which is scaled to as many days; *verdict* in a word."""

    figure: Figure
    value: float | None
    before: float | None
    change: float | None  # share of *before*
    verdict: str  # better, worse, same, "" where there is nothing to compare or to prefer


def returns(
    store: Path,
    period: str,
    baseline: Path | None,
    files: Mapping[str, Path | None],
    press: str,
    planned: int | None,
    verdicts: Path | None,
) -> int:
    """Print the figures of the month *period*, and write the *files* that are wanted: out, csv, baseline.

    Raises ConfigError, StoreError, OSError.
    """
    before = read_baseline(baseline) if baseline else None
    now = counted(store, month(period), press, planned, verdicts)
    texts = {
        "out": page(f"What the pole was worth in {period}", now, before),
        "csv": spreadsheet(period, now, before),
        "baseline": baseline_of(now),
    }
    _print(now, before)
    for name, path in files.items():
        if path is not None:
            path.write_text(texts[name], encoding="utf-8")
            terminal.show(f"{path} is written.")
    return 0


def _print(now: Returns, before: Returns | None) -> None:
    rows = [
        [each.figure.words, _plain(each.value, each.figure), _plain(each.before, each.figure), _told(each)]
        for each in lines(now, before)
    ]
    terminal.show(terminal.table(["", "now []", "before []", ""], rows))


def _plain(value: float | None, figure: Figure) -> str:
    return "not known" if value is None else f"{_number(value)}{_unit(figure, SPACED)}"


def lines(now: Returns, before: Returns | None) -> list[Line]:
    """Return every figure with its verdict: a loss is said as readily as a gain."""
    return [_line(each, now, before) for each in FIGURES]


def _line(figure: Figure, now: Returns, before: Returns | None) -> Line:
    value, month = now.totals.get(figure.key), before.per_month(figure.key) if before else None
    expected = None if month is None else month * len(now.days) / 30.0
    if value is None or expected is None:
        return Line(figure, value, expected, None, "")
    change = 0.0 if value == expected else math.inf if expected == 0 else value / expected - 1.0
    if figure.fewer is None:
        verdict = ""
    elif abs(change) <= SMALL:
        verdict = "same"
    else:
        verdict = "better" if (change < 0) == figure.fewer else "worse"
    return Line(figure, value, expected, change, verdict)


def spreadsheet(period: str, now: Returns, before: Returns | None) -> str:
    """Return the figures as CSV: first of the whole *period*, then of each day."""
    out = StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["period", "figure", "unit", "value", "baseline", "verdict"])
    for each in lines(now, before):
        numbers = ["" if n is None else f"{n:.6g}" for n in (each.value, each.before)]
        table.writerow([period, each.figure.key, each.figure.unit, *numbers, each.verdict])
    for day, text in enumerate(each.isoformat() for each in now.days):
        for figure in FIGURES:
            if figure.key in now.daily:
                table.writerow([text, figure.key, figure.unit, f"{now.daily[figure.key][day]:.6g}", "", ""])
    return out.getvalue()


def page(title: str, now: Returns, before: Returns | None) -> str:
    """Return the report as one HTML page that needs nothing else."""
    found = lines(now, before)
    charted = [each for each in found if each.figure.key in CHARTED and each.figure.key in now.daily]
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(_summary(found, now, before))}</p>",
            _table(found, now, before),
            "<h2>Day by day</h2>",
            *(_figure(each, now) for each in charted),
            _days(now),
            _notes(before),
        ]
    )
    return PAGE.format(title=escape(title), style=STYLE, body=body)


def _summary(found: Sequence[Line], now: Returns, before: Returns | None) -> str:
    span = f"{now.days[0].isoformat()} to {now.days[-1].isoformat()}, {len(now.days)} days."
    if before is None:
        return f"{span} There is no baseline to compare with: it must be recorded before switch-on."
    said = []
    for verdict in ("worse", "better", "same"):
        names = [each.figure.words.lower() for each in found if each.verdict == verdict]
        if names:
            said.append(f"{verdict}: {', '.join(names)}")
    words = "; ".join(said) or "no figure can be compared"
    return f"{span} Compared with the time before switch-on, {words}."


def _table(found: Sequence[Line], now: Returns, before: Returns | None) -> str:
    caption = f"{len(now.days)} days"
    if before:
        span = f"{len(before.days)} days ({before.days[0]} to {before.days[-1]})"
        caption += f"; the baseline of {span} is scaled to as many"
    head = "".join(_cell("th", words, scope="col", number=words in ("Now", "Before")) for words in COLUMNS)
    rows = [
        _cell("th", escape(each.figure.words), scope="row")
        + _cell("td", _shown(each.value, each.figure), number=True)
        + _cell("td", _shown(each.before, each.figure), number=True)
        + _cell("td", _change(each))
        for each in found
    ]
    return _wide(f"<caption>{escape(caption)}</caption>", head, rows)


def _wide(caption: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>'


def _cell(tag: str, inner: str, scope: str = "", number: bool = False) -> str:
    marks = (f' scope="{scope}"' if scope else "") + (' class="number"' if number else "")
    return f"<{tag}{marks}>{inner}</{tag}>"


def _shown(value: float | None, figure: Figure) -> str:
    said = _plain(value, figure)
    return f'<span class="soft">{said}</span>' if value is None else escape(said)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _change(each: Line) -> str:
    words, _, verdict = _told(each).rpartition(", ")
    return f'{words}, <span class="{verdict}">{verdict}</span>' if verdict in VERDICTS else _told(each)


def _told(each: Line) -> str:
    """Return the change in words: `12 % fewer, better`."""
    if each.change is None:
        return ""
    if abs(each.change) <= SMALL:
        return "about the same"
    more = "more" if each.change > 0 else "less" if each.figure.unit else "fewer"
    much = "none before" if math.isinf(each.change) else f"{abs(100 * each.change):.0f} % {more}"
    return f"{much}, {each.verdict}" if each.verdict else much


def _figure(each: Line, now: Returns) -> str:
    figure, values = each.figure, now.daily[each.figure.key]
    before = None if each.before is None else each.before / len(now.days)
    caption = f"<strong>{escape(figure.words)}</strong>{_unit(figure, ' [{}]')} on each day"
    if before is not None:
        caption += f"; dashed: {before:.3g} a day before switch-on"
    drawn = bars(figure.words, values, now.days, before)
    return f"<figure><figcaption>{caption}</figcaption>\n{drawn}</figure>"


def _unit(figure: Figure, form: str) -> str:
    return form.format(figure.unit) if figure.unit else ""


def _days(now: Returns) -> str:
    shown = [each for each in FIGURES if each.key in now.daily]
    head = _cell("th", "Day", scope="col")
    head += "".join(_cell("th", escape(each.words), scope="col", number=True) for each in shown)
    rows = [
        _cell("th", day.isoformat(), scope="row")
        + "".join(_cell("td", f"{now.daily[each.key][n]:.4g}", number=True) for each in shown)
        for n, day in enumerate(now.days)
    ]
    return f"<details><summary>The same as a table</summary>{_wide('', head, rows)}</details>"


def _notes(before: Returns | None) -> str:
    said = [*NOTES, *([f"Of the baseline: {before.note}"] if before and before.note else [])]
    items = "\n".join(f"<li>{escape(each)}</li>" for each in said)
    return f"<h2>How this was counted</h2>\n<ul>\n{items}\n</ul>"
