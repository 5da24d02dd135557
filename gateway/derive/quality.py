"""How far a value can be trusted: quality flags, how they travel, and the tests that set them.

Flags and tests are those of QARTOD: U.S. Integrated Ocean Observing System, "Manual for Real-Time Quality
Control of Water Level Data", version 2.1, March 2021 ("the manual" below; the manuals for winds and for
temperature have the same tests), table 3-1 (flags, after UNESCO 2013, IOC Manuals and Guides 54) and
section 3.3 (tests, in the numbering of table 3-2). Thresholds are local: the manual leaves them to the
operator, and so does this module.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from drivers.device import Missing
from gateway.config import Quality
from gateway.reading import Flag

Value = float | Missing
Sample = tuple[float, Value]
"""Time [s] and value."""


_WORST_TEST = (Flag.MISSING, Flag.FAIL, Flag.SUSPECT, Flag.PASS, Flag.NOT_EVALUATED)
_WORST_INPUT = (Flag.MISSING, Flag.FAIL, Flag.SUSPECT, Flag.NOT_EVALUATED, Flag.PASS)
_RANK = {flag: rank for rank, flag in enumerate(reversed(_WORST_TEST))}
_OF_DERIVED = {Flag.FAIL: Flag.MISSING}


def overall(tests: Iterable[Flag]) -> Flag:
    """Return the flag of one value from those of the *tests* made of it: the worst that any test found.

    A test that could not be made yet (NOT_EVALUATED) says nothing against one that was passed. Without any
    test a value is NOT_EVALUATED. Source: U.S. IOOS, "Manual for Real-Time Oceanographic Data Quality Control
    Flags", version 1.2, June 2020 (one primary flag from the tests' own); order as ioos_qc's roll-up, except
    that MISSING comes first: where one test saw no value, there is none.
    """
    return _first(_WORST_TEST, set(tests), Flag.NOT_EVALUATED)


def inherited(inputs: Iterable[Flag]) -> Flag:
    """Return the flag of a value derived from *inputs*, each with its flag.

    | any input is | derived value |
    | --- | --- |
    | MISSING or FAIL | MISSING: no value is given |
    | else SUSPECT | SUSPECT |
    | else NOT_EVALUATED | NOT_EVALUATED |
    | else (all PASS) | PASS |

    Nothing derived from no input at all is known: MISSING. So no derivation makes a value better than its
    worst input. A window (a mean, a percentile) leaves failed and missing samples out first, counts them
    against its share of valid data, and inherits from the rest. To the tests of the result itself, join this
    flag with `overall`.
    """
    flag = _first(_WORST_INPUT, set(inputs), Flag.MISSING)
    return _OF_DERIVED.get(flag, flag)


def admitted(value: Value, flag: Flag) -> Value:
    """Return *value* if its *flag* lets it be used; INPUT_MISSING where it failed or is missing."""
    return Missing.INPUT_MISSING if flag in (Flag.FAIL, Flag.MISSING) else value


def _worse(one: Flag, other: Flag) -> Flag:
    return one if _RANK[one] >= _RANK[other] else other


def _first(order: Sequence[Flag], present: set[Flag], nothing: Flag) -> Flag:
    return next((flag for flag in order if flag in present), nothing)


@dataclass(frozen=True, slots=True)
class Span:
    """The values from *low* to *high*, both included. Raises ValueError unless `low <= high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"a span goes from low to high: not from {self.low!r} to {self.high!r}")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


_ANY = Span(-math.inf, math.inf)


def gross_range(value: Value, sensor: Span, user: Span | None = None) -> Flag:
    """Return FAIL outside the *sensor* span, else SUSPECT outside the *user* span, else PASS.

    The sensor span is what the part can measure, the user span what can be at the place; both in the
    value's unit. Test 4 of the manual. Raises ValueError unless the user span lies within the sensor's.
    """
    if user and not (user.low in sensor and user.high in sensor):
        raise ValueError("the user span must lie within the sensor's span")
    if not known(value):
        return Flag.MISSING
    if value not in sensor:
        return Flag.FAIL
    return Flag.PASS if user is None or value in user else Flag.SUSPECT


def rate_of_change(before: Sample | None, sample: Sample, limit: float) -> Flag:
    """Return SUSPECT when the value changed faster than *limit* [unit per s] since *before*, else PASS.

    Test 7 of the manual, which compares with N_DEV standard deviations of the last TIM_DEV; here the limit is
    fixed and per second, as ioos_qc has it, so that gaps and uneven sampling do not matter. It never fails a
    value: a storm is fast too. NOT_EVALUATED without a value before, or one that is not older. Raises
    ValueError unless *limit* is above 0.
    """
    if not limit > 0.0:
        raise ValueError(f"the limit of a rate of change is above 0, not {limit!r}")
    time, value = sample
    if not known(value):
        return Flag.MISSING
    if before is None or not known(before[1]) or not before[0] < time:
        return Flag.NOT_EVALUATED
    return Flag.SUSPECT if abs(value - before[1]) > limit * (time - before[0]) else Flag.PASS


def spike(before: Value, value: Value, after: Value, suspect: float, fail: float) -> Flag:
    """Return the flag of the middle one of three values in a row by its distance from its neighbours' mean.

    FAIL when it is above *fail*, else SUSPECT when above *suspect* (SPIKE_THRSHLD_HIGH and _LOW, in the
    value's unit), else PASS. NOT_EVALUATED while a neighbour is missing. Test 6 of the manual. Raises
    ValueError unless `0 < suspect <= fail`.
    """
    if not 0.0 < suspect <= fail:
        raise ValueError(f"a spike's limits must be 0 < suspect <= fail: not {suspect!r} and {fail!r}")
    if not known(value):
        return Flag.MISSING
    if not (known(before) and known(after)):
        return Flag.NOT_EVALUATED
    height = abs(value - (before + after) / 2.0)
    return Flag.FAIL if height > fail else Flag.SUSPECT if height > suspect else Flag.PASS


def flat_line(values: Sequence[Value], tolerance: float, suspect: int = 3, fail: int = 5) -> Flag:
    """Return the flag of the last of *values*, oldest first, by how many before it in a row are the same.

    FAIL with *fail* or more within *tolerance* of it (REP_CNT_FAIL and EPS), else SUSPECT with *suspect* or
    more, else PASS. NOT_EVALUATED when all that there are before it are the same, but too few. Test 8 of the
    manual, with its example counts; a difference equal to the tolerance counts as the same, so that 0 finds
    exact repetitions. Missing values are passed over: a stuck part that falls silent at times is still stuck.
    Raises ValueError unless `1 <= suspect <= fail` and *tolerance* is 0 or more.
    """
    if not (1 <= suspect <= fail and tolerance >= 0.0):
        raise ValueError("a flat line needs 1 <= suspect <= fail, and a tolerance of 0 or more")
    if not values or not known(values[-1]):
        return Flag.MISSING
    *others, value = (each for each in values if known(each))
    same = next((n for n, each in enumerate(reversed(others)) if abs(value - each) > tolerance), len(others))
    if same >= suspect:
        return Flag.FAIL if same >= fail else Flag.SUSPECT
    return Flag.PASS if same < len(others) else Flag.NOT_EVALUATED


def known(value: Value) -> TypeGuard[float]:
    """Return whether there is a value: not Missing, and a finite number."""
    return not isinstance(value, Missing) and math.isfinite(value)


@dataclass(slots=True)
class Screen:
    """The tests that need no later value, made of each sample as it comes; a test without limits is not made.

    *sensor* and *user* are those of `gross_range`, *rate* that of `rate_of_change`; *tolerance*, *suspect*
    and *fail* those of `flat_line`. A value that fails its range is no measure for the next one. A sample
    that is not newer than the last (late, or twice) is NOT_EVALUATED against the others, and not remembered.
    """

    sensor: Span | None = None
    user: Span | None = None
    rate: float | None = None
    tolerance: float | None = None
    suspect: int = 3
    fail: int = 5
    _before: tuple[float, float] | None = field(default=None, init=False)
    _recent: deque[float] = field(init=False)
    _last: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self._recent = deque(maxlen=self.fail)
        if self.user and not self.sensor:
            raise ValueError("a user span needs the sensor's span around it")
        gross_range(0.0, self.sensor or _ANY, self.user)  # let each test refuse its own limits
        rate_of_change(None, (0.0, 0.0), 1.0 if self.rate is None else self.rate)
        flat_line((), self.tolerance or 0.0, self.suspect, self.fail)

    def feed(self, time: float, value: Value) -> Flag:
        """Take one sample; return its flag, `overall` of the tests made.

        The same as the functions above say one by one, without their checking of limits that stay the same.
        """
        if isinstance(value, Missing) or not math.isfinite(value):
            self._last = max(self._last, time)
            return Flag.MISSING
        flag = self._ranged(value)
        if self.rate is not None:
            flag = _worse(flag, self._changed(time, value))
        if time <= self._last:
            return flag
        if self.tolerance is not None:
            flag = _worse(flag, self._repeated(value))
        self._last = time
        if self.sensor is None or self.sensor.low <= value <= self.sensor.high:
            self._before = (time, value)
            self._recent.append(value)
        return flag

    def _ranged(self, value: float) -> Flag:
        sensor, user = self.sensor, self.user
        if sensor is None:
            return Flag.NOT_EVALUATED
        if not sensor.low <= value <= sensor.high:
            return Flag.FAIL
        return Flag.PASS if user is None or user.low <= value <= user.high else Flag.SUSPECT

    def _changed(self, time: float, value: float) -> Flag:
        if self._before is None or self.rate is None or time <= self._before[0]:
            return Flag.NOT_EVALUATED
        then, before = self._before
        return Flag.SUSPECT if abs(value - before) > self.rate * (time - then) else Flag.PASS

    def _repeated(self, value: float) -> Flag:
        same, tolerance = 0, self.tolerance or 0.0
        for other in reversed(self._recent):
            if abs(value - other) > tolerance:
                return Flag.SUSPECT if same >= self.suspect else Flag.PASS
            same += 1
        if same >= self.suspect:
            return Flag.FAIL if same >= self.fail else Flag.SUSPECT
        return Flag.NOT_EVALUATED


def screen(settings: Quality) -> Screen:
    """Return the tests that a quality table asks for. Raises ValueError for limits that cannot be."""
    sensor = None if settings.range is None else Span(*settings.range)
    user = None if settings.usual is None else Span(*settings.usual)
    return Screen(
        sensor or (_ANY if user else None),
        user,
        settings.rate,
        settings.tolerance,
        settings.suspect,
        settings.fail,
    )


@dataclass(slots=True)
class Spikes:
    """The spike test, one sample late: a spike shows only when the next value is there.

    Until then the newest value is NOT_EVALUATED; its flag is the one that may change later (the manual,
    section 3.3.1). A sample that is not newer than the last is left out; one that is Missing leaves its
    neighbours untested.
    """

    suspect: float
    fail: float
    _pair: deque[Sample] = field(default_factory=lambda: deque(maxlen=2), init=False)

    def __post_init__(self) -> None:
        spike(0.0, 0.0, 0.0, self.suspect, self.fail)  # let the test refuse its limits

    def feed(self, time: float, value: Value) -> tuple[float, Flag] | None:
        """Take one sample; return the time [s] and the flag of the one before it, if there is one."""
        if self._pair and time <= self._pair[-1][0]:
            return None
        found = None
        if self._pair:
            middle, before = self._pair[-1], self._pair[0]
            first = Missing.INPUT_MISSING if len(self._pair) == 1 else before[1]
            found = (middle[0], spike(first, middle[1], value, self.suspect, self.fail))
        self._pair.append((time, value))
        return found
