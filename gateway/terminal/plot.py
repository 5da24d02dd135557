"""Lines over time, drawn with characters."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

DAY = 86_400.0


class Line(NamedTuple):
    """One line of a plot: its name, and its points (time [s, Unix], value); None breaks the line."""

    name: str
    points: Sequence[tuple[float, float | None]]


def plot(title: str, lines: Sequence[Line], width: int = 0, height: int = 15, zone: tzinfo = UTC) -> str:
    """Return a picture of *lines* over time, as wide as the terminal unless given, without colours.

    "" where there is nothing to draw.
    """
    import plotext  # 40 ms, for those who look at something

    times = [time for line in lines for time, value in line.points if value is not None]
    if not times:
        return ""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width or _columns(), height)
    for line in lines:
        for run in _runs(line.points):
            plotext.plot([t for t, _ in run], [v for _, v in run], marker="braille")
    ticks = _ticks(min(times), max(times))
    plotext.xticks(ticks, [_said(tick, ticks, zone) for tick in ticks])
    plotext.title(title)
    return str(plotext.uncolorize(plotext.build()))


def _columns() -> int:
    try:
        return max(40, os.get_terminal_size().columns)
    except OSError:
        return 100


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the unbroken pieces: what is missing is a gap in the line, not a bridge."""
    runs: list[list[tuple[float, float]]] = [[]]
    for time, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((time, value))
    return [run for run in runs if run]


def _ticks(first: float, last: float) -> list[float]:
    return [first + (last - first) * part / 4 for part in range(5)] if last > first else [first]


def _said(tick: float, ticks: Sequence[float], zone: tzinfo) -> str:
    form = "%m-%d %H:%M" if ticks[-1] - ticks[0] > DAY / 2 else "%H:%M:%S"
    return datetime.fromtimestamp(tick, zone).strftime(form)
