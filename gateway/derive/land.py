"""How the ground, or what stands on it, leans, moves and shakes."""

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from drivers.device import Missing
from gateway.derive.saved import number, truth

STANDARD_GRAVITY = 9.80665  # m/s2, exact (3rd CGPM, 1901)
TOLERANCE = 0.05
"""Share of 1 g by which |a| may be off; beyond that something shakes, and it is not gravity alone."""


class Vector(NamedTuple):
    """An acceleration [m/s2], or what changes it, on three axes; z points up when the part lies level."""

    x: float
    y: float
    z: float

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def times(self, factor: float) -> "Vector":
        """Return the vector stretched by *factor*."""
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    @property
    def length(self) -> float:
        """Its length |a|."""
        return math.hypot(*self)


ZERO = Vector(0.0, 0.0, 0.0)


class Tilt(NamedTuple):
    """How a part leans [deg]: its x and y axes over the horizon, -90 to 90, and z off the plumb, 0 to 180."""

    x: float
    y: float
    inclination: float


def resting(a: Vector) -> bool:
    """Return whether |a| is 1 g within 5 %, so that its direction is that of gravity."""
    return abs(a.length - STANDARD_GRAVITY) <= TOLERANCE * STANDARD_GRAVITY


def tilt(a: Vector) -> Tilt | Missing:
    """Return the tilt of the acceleration *a* [m/s2]; UNRELIABLE when it is not `resting`.

    `x = atan2(ax, sqrt(ay2 + az2))`, `y = atan2(ay, sqrt(ax2 + az2))`, `inclination = acos(az / |a|)`, the
    last as an atan2, since acos tells nothing of an angle below 1e-6 deg. Analog Devices AN-1057,
    "Triple-axis tilt calculation". 1 mg is about 0.057 deg.
    """
    if not resting(a):
        return Missing.UNRELIABLE
    x = math.atan2(a.x, math.hypot(a.y, a.z))
    y = math.atan2(a.y, math.hypot(a.x, a.z))
    return Tilt(math.degrees(x), math.degrees(y), math.degrees(math.atan2(math.hypot(a.x, a.y), a.z)))


def angle(a: Vector, b: Vector) -> float:
    """Return the angle [deg], 0 to 180, between two vectors: `atan2(|a x b|, a . b)`.

    Exact for small angles, where acos is not. 0 when one of the vectors is zero.
    """
    cross = (a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
    return math.degrees(math.atan2(math.hypot(*cross), a.x * b.x + a.y * b.y + a.z * b.z))


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured when the part was installed, and how its offsets move with its temperature.

    *gravity* [m/s2], averaged over minutes, at *temperature* [Cel]; *drift* [m/s2/Cel] of each axis, from the
    datasheet or better from a quiet week on the spot (an ADXL355: at most 0.0015). Raises ValueError when
    *gravity* is not `resting`.
    """

    gravity: Vector
    temperature: float = 25.0
    drift: Vector = ZERO

    def __post_init__(self) -> None:
        if not resting(self.gravity):
            raise ValueError("the baseline must have been measured at rest: |a| is not 1 g within 5 %")

    def compensated(self, a: Vector, temperature: float) -> Vector:
        """Return *a* [m/s2] as it would have been at the baseline's temperature: `a - drift (T - T0)`."""
        return a - self.drift.times(temperature - self.temperature)

    def movement(self, a: Vector, temperature: float | Missing) -> float | Missing:
        """Return the angle [deg] between the compensated *a* [m/s2] and the baseline's gravity.

        Missing as `accepted` is.
        """
        accepted = self.accepted(a, temperature)
        return accepted if isinstance(accepted, Missing) else angle(accepted, self.gravity)

    def accepted(self, a: Vector, temperature: float | Missing) -> Vector | Missing:
        """Return the compensated *a* [m/s2], if it is gravity alone.

        UNRELIABLE when it is not `resting`; INPUT_MISSING without a *temperature* [Cel], if it matters.
        """
        if self.drift != ZERO:
            if isinstance(temperature, Missing):
                return Missing.INPUT_MISSING
            a = self.compensated(a, temperature)
        return a if resting(a) else Missing.UNRELIABLE


@dataclass(slots=True)
class Movement:
    """The movement off a *baseline*, of the mean vector over the newest *window* [s].

    Samples that are not `resting` are left out, and at least *least* must remain. Samples may come late, or
    again with another value; what lies a window or more behind the newest is forgotten.
    Raises ValueError for a window or a *least* that is not positive.
    """

    baseline: Baseline
    window: float = 300.0
    least: int = 10
    _times: list[float] = field(default_factory=list)
    _vectors: dict[float, Vector | Missing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.window > 0 or self.least < 1:
            raise ValueError("the window must be above 0 s, and hold at least one sample")

    def feed(self, at: float, a: Vector | Missing, temperature: float | Missing) -> None:
        """Take the acceleration [m/s2] and the part's temperature [Cel] of the time *at* [s]."""
        if self._times and at <= self._times[-1] - self.window:
            return
        if at not in self._vectors:
            insort(self._times, at)
        self._vectors[at] = a if isinstance(a, Missing) else self.baseline.accepted(a, temperature)
        self._forget(self._times[-1])

    def value(self, now: float) -> float | Missing:
        """Return the movement [deg] at *now* [s].

        Of too few samples it is UNRELIABLE if there were enough, but not at rest; INPUT_MISSING otherwise.
        """
        self._forget(now)
        kept = self._vectors.values()
        good = [vector for vector in kept if not isinstance(vector, Missing)]
        if len(good) >= self.least:
            return angle(mean(good), self.baseline.gravity)
        shaken = sum(1 for vector in kept if vector is Missing.UNRELIABLE)
        return Missing.UNRELIABLE if len(good) + shaken >= self.least else Missing.INPUT_MISSING

    def _forget(self, now: float) -> None:
        if not self._times or self._times[0] > now - self.window:
            return
        old = bisect_right(self._times, now - self.window)
        for time in self._times[:old]:
            del self._vectors[time]
        del self._times[:old]


def mean(vectors: Sequence[Vector]) -> Vector:
    """Return the mean, the same in any order. Raises ValueError when there are none."""
    if not vectors:
        raise ValueError("the mean needs at least one vector")
    return Vector(*(math.fsum(axis) / len(vectors) for axis in zip(*vectors, strict=True)))


@dataclass(slots=True)
class Drift:
    """An alarm for a slow movement: the two-sided tabular CUSUM around *target*.

    `S+ = max(0, S+ + x - target - allowance)`, `S- = max(0, S- + target - x - allowance)`, an alarm when
    either is above *decision*. All in the unit of what is fed. Usual: an allowance of half the shift to be
    found, and a decision of 4 to 5 standard deviations. E. S. Page, Biometrika 41 (1954), pages 100 to 115;
    NIST/SEMATECH e-Handbook, 6.3.2.3. The alarm stays until `reset`: the ground does not move back by itself.
    Raises ValueError for a negative allowance, or a decision that is not positive.
    """

    target: float
    allowance: float
    decision: float
    active: bool = False
    high: float = 0.0
    low: float = 0.0

    def __post_init__(self) -> None:
        if not self.allowance >= 0 or not self.decision > 0:
            raise ValueError("the allowance must not be negative, and the decision must be above 0")

    def feed(self, value: float | Missing) -> bool:
        """Take the next value; return the alarm. A missing one changes nothing."""
        if isinstance(value, Missing) or not math.isfinite(value):
            return self.active
        self.high = max(0.0, self.high + value - self.target - self.allowance)
        self.low = max(0.0, self.low + self.target - value - self.allowance)
        self.active = self.active or max(self.high, self.low) > self.decision
        return self.active

    @property
    def proved(self) -> bool:
        """Whether the sums say what it is: no more once it is raised, since it stays so."""
        return not self.active

    def reset(self) -> None:
        """Begin anew: somebody has looked."""
        self.active, self.high, self.low = False, 0.0, 0.0

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it. Sums that have led to the alarm count no more."""
        sums = (0.0, 0.0) if self.active else (self.high, self.low)
        return {"active": self.active, "high": sums[0], "low": sums[1]}

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        active, high, low = truth(saved["active"]), number(saved["high"], 0.0), number(saved["low"], 0.0)
        self.active, self.high, self.low = active, high, low


@dataclass(slots=True)
class Step:
    """An alarm for a sudden movement: the mean of the newest *short* samples against the *long* before them.

    Raised while the two means differ by *threshold* or more; it ends when the long mean has learnt the new
    level. The difference of a short- and a long-term average, as the ratio of seismology's STA/LTA trigger
    (R. V. Allen, Bull. Seism. Soc. Am. 68 (1978), pages 1521 to 1532), taken of a level instead of a power.
    Raises ValueError unless `0 < short <= long` and the threshold is positive.
    """

    threshold: float
    short: int = 5
    long: int = 60
    active: bool = False
    _values: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if not 0 < self.short <= self.long or not self.threshold > 0:
            raise ValueError("a step needs 0 < short <= long samples, and a threshold above 0")

    def feed(self, value: float | Missing) -> bool:
        """Take the next value; return the alarm. A missing one changes nothing."""
        if isinstance(value, Missing) or not math.isfinite(value):
            return self.active
        self._values.append(value)
        if len(self._values) > self.short + self.long:
            self._values.popleft()
        height = self.height
        self.active = not isinstance(height, Missing) and abs(height) >= self.threshold
        return self.active

    @property
    def proved(self) -> bool:
        """Always: it is what the samples say that it looks at."""
        return True

    def save(self) -> list[float]:
        """Return what `restore` needs, as JSON takes it."""
        return list(self._values)

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, TypeError."""
        if not isinstance(saved, list) or len(saved) > self.short + self.long:
            raise ValueError(f"a step keeps {self.short + self.long} numbers at most")
        for value in [number(each) for each in saved]:
            self.feed(value)

    @property
    def height(self) -> float | Missing:
        """The short mean less the long one; NOT_READY until both are full."""
        if len(self._values) < self.short + self.long:
            return Missing.NOT_READY
        before = math.fsum(islice(self._values, self.long)) / self.long
        return math.fsum(islice(self._values, self.long, None)) / self.short - before


class Vibration(NamedTuple):
    """How hard it shakes [m/s2]: the root mean square, and the highest |a| off the mean."""

    rms: float
    peak: float


def vibration(samples: Iterable[Vector]) -> Vibration | Missing:
    """Return the vibration of evenly spaced *samples* [m/s2], less their mean, which is gravity.

    The vector sum of the three axes, unweighted, up to the bandwidth of the part: an acceleration, to be
    compared with itself over time, not with the particle velocities of DIN 4150-3. NOT_READY for fewer than
    two, UNRELIABLE when one is not a number.
    """
    block = list(samples)
    if len(block) < 2:
        return Missing.NOT_READY
    if not all(math.isfinite(axis) for a in block for axis in a):
        return Missing.UNRELIABLE
    rest = mean(block)
    lengths = [(a - rest).length for a in block]
    return Vibration(math.sqrt(math.fsum(x * x for x in lengths) / len(lengths)), max(lengths))
