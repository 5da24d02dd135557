"""When something was, drawn with characters: one line for each thing, time from left to right."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo

LEVELS = " ▁▂▃▄▅▆▇█"
AGAINST = "×"

Stretch = tuple[float, float, bool]
"""From, to [s, Unix], and whether something was against it."""


def timeline(
    rows: Mapping[str, Iterable[Stretch]], since: float, until: float, zone: tzinfo, width: int = 0
) -> str:
    """Return a picture of *rows* between *since* and *until*, "" where there is no time between.

    The height of a cell is the share of its time; a cell in which something was against it shows a cross.
    """
    if not until > since or not rows:
        return ""
    label = max(map(len, rows))
    cells = (width or _columns()) - label - 3
    lines = [f"{name:<{label}} │{_row(list(each), since, until, cells)}│" for name, each in rows.items()]
    return "\n".join([*lines, f"{'':<{label}}  {_axis(since, until, zone, cells)}"])


def _row(stretches: Sequence[Stretch], since: float, until: float, cells: int) -> str:
    size = (until - since) / cells
    filled, crossed = [0.0] * cells, [False] * cells
    for begin, end, against in stretches:
        low, high = max(begin, since), min(end, until)
        first = min(max(int((low - since) / size), 0), cells - 1)
        last = min(max(math.ceil((high - since) / size) - 1, first), cells - 1)
        for cell in range(first, last + 1):
            edge = since + cell * size
            filled[cell] += max(0.0, min(high, edge + size) - max(low, edge)) + 1e-9
            crossed[cell] = crossed[cell] or against
    return "".join(AGAINST if c else _level(f / size) for f, c in zip(filled, crossed, strict=True))


def _level(share: float) -> str:
    top = len(LEVELS) - 1
    return LEVELS[0] if share <= 0 else LEVELS[min(top, max(1, round(share * top)))]


def _axis(since: float, until: float, zone: tzinfo, cells: int) -> str:
    form = "%m-%d %H:%M" if until - since < 5 * 86400 else "%Y-%m-%d"
    form = "%H:%M:%S" if until - since < 1800 else form
    texts = [
        datetime.fromtimestamp(each, zone).strftime(form) for each in (since, (since + until) / 2, until)
    ]
    gap = max(1, (cells - sum(map(len, texts))) // 2)
    return (" " * gap).join(texts)


def _columns() -> int:
    try:
        return max(60, os.get_terminal_size().columns)
    except OSError:
        return 110
