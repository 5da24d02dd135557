"""What the rules know: the last value of every name, how old it is, and why it is not known."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from drivers.device import LOGICAL, Quantity
from gateway.reading import Flag, Input, Reading
from gateway.rules.check import AGE
from gateway.rules.evaluate import Crossing, Lookup, Value

NANOSECONDS = 1_000_000_000
MOST = 4096
"""Different readings, by what is in them, whose names are kept ready."""
_NEVER = -1


def nanoseconds(seconds: float) -> int:
    """Return *seconds* as whole nanoseconds, in which all comparing is exact."""
    return round(seconds * NANOSECONDS)


def seconds(moment: int) -> float:
    """Return the first float that is not before *moment* [ns], so that a timer set to it is never early."""
    value = moment / NANOSECONDS
    while nanoseconds(value) < moment:
        value = math.nextafter(value, math.inf)
    return value


@dataclass(slots=True)
class _Report:
    """What *device* last said of one quantity: a value, or why there is none; *at* in ns.

    The value counts until *until* [ns].
    """

    device: str
    value: float | bool | None
    at: int
    until: int
    reason: str = ""


class Inputs:
    """The last report of every name. A value older than its device's limit [s] is not known."""

    def __init__(self, stale: Mapping[str, float]) -> None:
        self._reports: dict[str, _Report] = {}
        self._seen: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.limit(stale)

    def limit(self, stale: Mapping[str, float]) -> None:
        """Take new limits; a device without one is never known."""
        self._limits = {device: nanoseconds(limit) for device, limit in stale.items()}
        for report in self._reports.values():
            report.until = self._until(report.device, report.at)

    def note(self, reading: Reading) -> tuple[str, ...]:
        """Take a reading in; return the names that it speaks of."""
        device, at = reading.device, nanoseconds(reading.at.mono)
        until, values, flags = self._until(device, at), reading.values, reading.flags
        key = (device, *values, *reading.missing)
        names = self._names.get(key) or self._named(key)
        place = 1  # behind the age's
        for quantity, value in values.items():
            known, why = _known(quantity, value, flags.get(quantity) if flags else None)
            self._report(names[place], device, known, at, until, why)
            place += 1
        for reason in reading.missing.values():
            self._report(names[place], device, None, at, until, str(reason))
            place += 1
        if values:
            self._seen[device] = at
        return names

    def _named(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names that a reading with the device and quantities of *key* speaks of."""
        if len(self._names) >= MOST:
            self._names.clear()
        device, *quantities = key
        return self._names.setdefault(key, tuple(f"{device}.{part}" for part in (AGE, *quantities)))

    def _report(
        self, name: str, device: str, value: float | bool | None, at: int, until: int, why: str
    ) -> None:
        report = self._reports.get(name)
        if report is None:
            self._reports[name] = _Report(device, value, at, until, why)
        else:
            report.value, report.at, report.until, report.reason = value, at, until, why

    def at(self, now: int) -> Lookup:
        """Return what gives each name's value at *now* [ns], None where it is not known."""
        reports, span = self._reports, self._span

        def lookup(name: str) -> Value | None:
            report = reports.get(name)
            if report is None:
                return span(name, now)
            return report.value if now <= report.until else None

        return lookup

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
        value = report.value if now <= report.until else None
        return Input(name, value, age, self._reason(report, now))

    def awaited(self, name: str, since: int, now: int) -> int | None:
        """Return until when [ns] *name* may still come in time, if nothing of it came *since* a restart.

        That is as long as a value of just before the restart would have counted.
        """
        device, _, quantity = name.partition(".")
        limit = self._limits.get(device)
        heard = device in self._seen if quantity == AGE else name in self._reports
        if heard or limit is None or now - since > limit:
            return None
        return since + limit + 1

    def next_change(self, names: Iterable[str], crossings: Collection[Crossing], now: int) -> int | None:
        """Return the moment [ns] at which time alone may next change what is made of these."""
        first = None
        for name in names:
            report = self._reports.get(name)
            if report is None or report.value is None or now > report.until:
                continue
            if first is None or report.until < first:
                first = report.until
        fades = None if first is None else first + 1
        return earliest((fades, *(c.after(now, self._since) for c in crossings))) if crossings else fades

    def _since(self, name: str) -> int | None:
        return self._seen.get(name.partition(".")[0])

    def _age(self, device: str, now: int) -> float | None:
        seen = self._seen.get(device)
        return None if seen is None else _elapsed(seen, now)

    def _span(self, name: str, now: int) -> int | None:
        """Return the age [ns] that *name* asks for; None where it asks for another thing, or nothing came."""
        device, _, quantity = name.partition(".")
        seen = self._seen.get(device) if quantity == AGE else None
        return None if seen is None else max(0, now - seen)

    def _until(self, device: str, at: int) -> int:
        """Return until when a value of *at* counts; without a limit it never does."""
        limit = self._limits.get(device)
        return _NEVER if limit is None else at + limit

    def _reason(self, report: _Report, now: int) -> str:
        limit = self._limits.get(report.device)
        if report.value is None:
            return report.reason
        if limit is None:
            return "no limit of age is configured"
        if now - report.at <= limit:
            return ""
        return f"last seen {_said(now - report.at)} ago, limit {_said(limit)}"


def earliest(moments: Iterable[int | None]) -> int | None:
    """Return the least of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)


def _known(quantity: Quantity, value: float, flag: Flag | None) -> tuple[float | bool | None, str]:
    """Return what a value says, or None and why: one that failed its tests is not known, a suspect one is."""
    if flag is Flag.FAIL:
        return None, "failed its quality tests"
    if not math.isfinite(value):
        return None, "not a finite number"
    if quantity not in LOGICAL:
        return value, ""
    if value not in (0, 1):
        return None, f"neither 0 nor 1, but {value:g}"
    return bool(value), ""


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
