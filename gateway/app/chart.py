"""A bar for each day, as SVG that stands inside a page and needs nothing else."""

import math
from collections.abc import Sequence
from datetime import date
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 440.0, 150.0, 40.0, 16.0, 8.0, 22.0
"""A chart's size, and the room for its scales, in its own units."""

HIGH = HEIGHT - FOOT - TOP
LABELS = 5


def bars(title: str, values: Sequence[float], days: Sequence[date], before: float | None) -> str:
    """Return a chart of a value for each of the *days*, with a dashed line at *before*."""
    top = _round(max(*values, before or 0.0, 1e-9))
    words = escape(_described(values, days, before))
    parts = [_scale(top), *_bars(values, top), *_labels(days)]
    if before is not None:
        parts.append(
            _across(_y(before, top), 'stroke="var(--before)" stroke-width="2" stroke-dasharray="6 4"')
        )
    head = f"<title>{escape(title)}</title><desc>{words}</desc>"
    return f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">{head}{"".join(parts)}</svg>'


def _described(values: Sequence[float], days: Sequence[date], before: float | None) -> str:
    """Say in words what the chart shows, for those who do not see it."""
    most = max(range(len(values)), key=values.__getitem__)
    said = f"{sum(values):.4g} in {len(values)} days"
    if values[most] > 0:
        said += f", the most on {days[most]}: {values[most]:.4g}"
    return said + ("" if before is None else f"; before switch-on {before:.3g} a day")


def _y(value: float, top: float) -> float:
    return TOP + HIGH * (1 - value / top)


def _across(y: float, stroke: str) -> str:
    return f'<line x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}" {stroke}/>'


def _scale(top: float) -> str:
    text = '<text x="{:g}" y="{:.1f}" text-anchor="end">{:g}</text>'
    return "".join(
        _across(_y(value, top), 'stroke="var(--line)"') + text.format(LEFT - 6, _y(value, top) + 4, value)
        for value in (0.0, top / 2, top)
    )


def _bars(values: Sequence[float], top: float) -> list[str]:
    step = (WIDTH - LEFT - RIGHT) / len(values)
    shape = '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="var(--bar)"/>'
    return [
        shape.format(LEFT + (n + 0.12) * step, _y(value, top), 0.76 * step, HIGH * value / top)
        for n, value in enumerate(values)
        if value > 0
    ]


def _labels(days: Sequence[date]) -> list[str]:
    step, every = (WIDTH - LEFT - RIGHT) / len(days), math.ceil(len(days) / LABELS)
    text = '<text x="{:.1f}" y="{:g}" text-anchor="middle">{:%m-%d}</text>'
    return [text.format(LEFT + (n + 0.5) * step, HEIGHT - 5, days[n]) for n in range(0, len(days), every)]


def _round(value: float) -> float:
    """Return the next number above that is 1, 2, 4, 5 or 10 times a power of ten: its half is short too."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(each * size for each in (1, 2, 4, 5, 10) if each * size >= value * (1 - 1e-9))
