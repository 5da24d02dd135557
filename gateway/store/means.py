"""What is left of readings when room is short: one for each device and minute, and each value says how."""

import math
from collections.abc import Callable, Mapping, Sequence

from drivers.device import LOGICAL, UNITS, Missing, Quantity
from gateway.reading import Flag, Reading, significant

MINUTE = 60.0  # [s]

_SUM = frozenset({Quantity.RAIN, Quantity.COUNT})  # of an interval: docs/quantities.md
_MOST = frozenset({Quantity.WIND_GUST, Quantity.SOUND_LEVEL_MAX, Quantity.VIBRATION_PEAK})
_LEAST = frozenset({Quantity.SOUND_LEVEL_MIN})
_WORST = (Flag.PASS, Flag.NOT_EVALUATED, Flag.SUSPECT, Flag.FAIL)


def thinned(readings: Sequence[Reading]) -> list[Reading]:
    """Return one reading for each device and minute of *readings*, in the order of their last ones.

    One that is alone stays as it is. The others have the instant of the last, and a label for each value that
    says what it is: mean, energy mean (dB), mean direction, sum, highest, lowest, or last (of what is 0 or 1,
    or has a label of its own). Values that failed a test are left out where there are others.
    """
    groups: dict[tuple[str, str, float], list[Reading]] = {}
    for reading in readings:
        key = reading.device, reading.at.boot, reading.at.time // MINUTE
        groups.setdefault(key, []).append(reading)
        groups[key] = groups.pop(key)  # to the end: its last one is the latest now
    return [_one(group) if len(group) > 1 else group[0] for group in groups.values()]


def _one(group: Sequence[Reading]) -> Reading:
    values, flags, labels = dict[Quantity, float](), dict[Quantity, Flag](), dict[Quantity, str]()
    names = list(dict.fromkeys(name for reading in group for name in reading.values))
    for name in names:
        having = [reading for reading in group if name in reading.values]
        used = [r for r in having if r.flags.get(name) is not Flag.FAIL] or having
        word, value = _summary(name, used)
        values[name], labels[name] = significant(value), word
        if marks := [reading.flags[name] for reading in used if name in reading.flags]:
            flags[name] = max(marks, key=lambda mark: _WORST.index(mark) if mark in _WORST else -1)
    missing: dict[Quantity, Missing] = {}
    for reading in group:
        missing.update({name: why for name, why in reading.missing.items() if name not in values})
    return Reading(group[-1].device, group[-1].at, values, missing, flags, labels)


def _summary(name: Quantity, readings: Sequence[Reading]) -> tuple[str, float]:
    last = readings[-1]
    if name in last.labels:
        return last.labels[name], last.values[name]
    word, of = _way(name)
    return f"{word} of 1 min", of([reading.values[name] for reading in readings])


def _way(name: Quantity) -> tuple[str, Callable[[Sequence[float]], float]]:
    for names, way in _WAYS.items():
        if name in names:
            return way
    if UNITS.get(name) == "dB":
        return "energy mean", _energy
    return "mean", _mean


def _mean(values: Sequence[float]) -> float:
    return math.fsum(value / len(values) for value in values)  # whose sum may be beyond a double


def _energy(levels: Sequence[float]) -> float:
    """Return the level of the mean power (IEC 61672-1, 3.9)."""
    top = max(levels)
    return top + 10 * math.log10(_mean([10 ** ((level - top) / 10) for level in levels]))


def _direction(angles: Sequence[float]) -> float:
    """Return the direction of the mean of unit vectors; the last where they cancel out."""
    east = _mean([math.sin(math.radians(angle % 360)) for angle in angles])
    north = _mean([math.cos(math.radians(angle % 360)) for angle in angles])
    if math.hypot(east, north) < 1e-9:
        return angles[-1]
    return math.degrees(math.atan2(east, north)) % 360


def _last(values: Sequence[float]) -> float:
    return values[-1]


_WAYS: Mapping[frozenset[Quantity], tuple[str, Callable[[Sequence[float]], float]]] = {
    LOGICAL: ("last", _last),
    _SUM: ("sum", math.fsum),
    _MOST: ("highest", max),
    _LEAST: ("lowest", min),
    frozenset({Quantity.WIND_DIRECTION}): ("mean direction", _direction),
}
