"""What the rules know: the last value of every name, how old it is, and why it is not known."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers.device import LOGICAL, Quantity
from gateway.reading import Input, Reading
from gateway.rules.check import AGE
from gateway.rules.evaluate import Expression, Lookup, Value

NANOSECONDS = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    """Return *seconds* as whole nanoseconds, in which all comparing is exact."""
    return round(seconds * NANOSECONDS)


def seconds(moment: int) -> float:
    """Return the first float that is not before *moment* [ns], so that a timer set to it is never early."""
    value = moment / NANOSECONDS
    while nanoseconds(value) < moment:
        value = math.nextafter(value, math.inf)
    return value


@dataclass(frozen=True, slots=True)
class _Report:
    """What a device last said of one quantity: a value, or why there is none; *at* in ns."""

    value: float | bool | None
    at: int
    reason: str = ""


class Inputs:
    """The last report of every name. A value older than its device's limit [s] is not known."""

    def __init__(self, stale: Mapping[str, float]) -> None:
        self._reports: dict[str, _Report] = {}
        self._seen: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self.limit(stale)

    def limit(self, stale: Mapping[str, float]) -> None:
        """Take new limits; a device without one is never known."""
        self._limits = {device: nanoseconds(limit) for device, limit in stale.items()}

    def note(self, reading: Reading) -> set[str]:
        """Take a reading in; return the names that it speaks of."""
        at = nanoseconds(reading.at.mono)
        reports = {quantity: _Report(None, at, str(reason)) for quantity, reason in reading.missing.items()}
        reports |= {quantity: _report(quantity, value, at) for quantity, value in reading.values.items()}
        named = {f"{reading.device}.{quantity}": report for quantity, report in reports.items()}
        self._reports |= named
        if reading.values:
            self._seen[reading.device] = at
        return {*named, f"{reading.device}.{AGE}"}

    def at(self, now: int) -> Lookup:
        """Return what gives each name's value at *now* [ns], None where it is not known."""
        return lambda name: self._value(name, now)

    def describe(self, name: str, now: int) -> Input:
        """Return the name's value and age [s], or in words why it is not known."""
        device, _, quantity = name.partition(".")
        if quantity == AGE:
            age = self._age(device, now)
            return Input(name, age, age, "" if age is not None else "never seen")
        report = self._reports.get(name)
        if report is None:
            return Input(name, None, None, "never seen")
        age = _elapsed(report.at, now)
        return Input(name, self._value(name, now), age, self._reason(device, report, now))

    def next_change(self, expression: Expression, now: int) -> int | None:
        """Return the moment [ns] at which time alone may next change the expression's value."""
        moments = [crossing.after(now, self._since) for crossing in expression.crossings]
        moments += [self._fades(name, now) for name in expression.names]
        return earliest(moments)

    def _since(self, name: str) -> int | None:
        return self._seen.get(name.partition(".")[0])

    def _age(self, device: str, now: int) -> float | None:
        seen = self._seen.get(device)
        return None if seen is None else _elapsed(seen, now)

    def _value(self, name: str, now: int) -> Value | None:
        device, _, quantity = name.partition(".")
        if quantity == AGE:
            seen = self._seen.get(device)
            return None if seen is None else max(0, now - seen)
        report = self._reports.get(name)
        if report is None or self._is_stale(device, report, now):
            return None
        return report.value

    def _is_stale(self, device: str, report: _Report, now: int) -> bool:
        limit = self._limits.get(device)
        return limit is None or now - report.at > limit

    def _reason(self, device: str, report: _Report, now: int) -> str:
        limit = self._limits.get(device)
        if report.value is None:
            return report.reason
        if limit is None:
            return "no limit of age is configured"
        if now - report.at <= limit:
            return ""
        return f"last seen {_said(now - report.at)} ago, limit {_said(limit)}"

    def _fades(self, name: str, now: int) -> int | None:
        """Return when the name's value becomes stale, if it is known."""
        if name.endswith(f".{AGE}") or self._value(name, now) is None:
            return None
        return self._reports[name].at + self._limits[name.partition(".")[0]] + 1


def earliest(moments: Iterable[int | None]) -> int | None:
    """Return the least of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)


def _report(quantity: Quantity, value: float, at: int) -> _Report:
    if not math.isfinite(value):
        return _Report(None, at, "not a finite number")
    if quantity not in LOGICAL:
        return _Report(value, at)
    if value not in (0, 1):
        return _Report(None, at, f"neither 0 nor 1, but {value:g}")
    return _Report(bool(value), at)


def _elapsed(since: int, now: int) -> float:
    """Seconds from *since* to *now*, to the millisecond, as records show them."""
    return round(max(0, now - since) / NANOSECONDS, 3)


def _said(span: int) -> str:
    """Say a span [ns] as people do: "0.5 s", "14 s", "3 min", "2 h"."""
    value = span / NANOSECONDS
    for unit, size, least in (("h", 3600, 7200), ("min", 60, 120)):
        if value >= least:
            return f"{value / size:.3g} {unit}"
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
