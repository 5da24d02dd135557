"""The same of levels, one by one: sums that no order of arrival changes."""

import math
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing
from gateway.derive.noise.levels import (
    HIGHEST,
    LOWEST,
    SHARE,
    TENTHS,
    UNIT,
    check_percent,
    check_share,
    enough,
    is_level,
    level_of,
    positive,
    quantile,
)


@dataclass(slots=True)
class Tally:
    """Levels summed up one by one, in any order: gives exactly the same at any order, and as the functions.

    Holds no level, only sums and at most one entry per class of RESOLUTION. *whole* is the time [us] that
    the levels are to stand for; None for just the durations that came.
    """

    share: float = SHARE
    whole: int | None = None
    given: int = 0  # [us] that came, with a level or without
    heard: int = 0  # [us] with a level
    step: int = 0  # [us] of which every duration with a level is a multiple
    energy: int = 0  # [us / UNIT]
    highest: float = -math.inf
    classes: dict[int, int] = field(default_factory=dict)  # [us] by class

    def __post_init__(self) -> None:
        check_share(self.share)

    def add(self, level: float | Missing, duration: float) -> None:
        """Add one level [dB] that holds for *duration* [s]. ValueError: the duration is not positive."""
        self.hold(level, positive(duration))

    def hold(self, level: float | Missing, micros: int) -> None:
        """Add one level [dB] that holds for *micros* [us], above 0."""
        self.given += micros
        if not is_level(level):
            return
        self.heard += micros
        self.energy += micros * round(10 ** (level / 10) * UNIT)
        if level > self.highest:
            self.highest = level
        if micros != self.step:
            self.step = math.gcd(self.step, micros)
        at = round(level * TENTHS)
        self.classes[at] = self.classes.get(at, 0) + micros

    def peak(self, level: float | Missing) -> None:
        """Let *level* [dB], the meter's own maximum of a time, be a highest one too."""
        if is_level(level) and self.heard and level > self.highest:
            self.highest = level

    @property
    def enough(self) -> bool:
        """Whether the least share of the time has a level."""
        return enough(self.heard, self.given if self.whole is None else self.whole, self.share)

    def laeq(self) -> float | Missing:
        """Return LAeq [dB], or INPUT_MISSING, as the function `laeq`."""
        return level_of(self.energy, self.heard) if self.enough else Missing.INPUT_MISSING

    def lamax(self) -> float | Missing:
        """Return the highest level [dB], or INPUT_MISSING, as the function `lamax`."""
        return self.highest if self.enough else Missing.INPUT_MISSING

    def exceeded(self, percent: float) -> float | Missing:
        """Return LAN [dB], or INPUT_MISSING; rule and errors: the function `exceeded`."""
        check_percent(percent)
        return quantile(self.classes, percent, self.step) if self.enough else Missing.INPUT_MISSING

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it: sums, and the class counts."""
        step = max(1, self.step)
        counts = [[level, micros // step] for level, micros in self.classes.items()]
        highest = None if self.highest == -math.inf else self.highest
        return [self.given, self.step, self.energy, highest, counts]

    def restore(self, saved: Any) -> None:
        """Take over, in a new tally, what `save` gave. Raises ValueError, TypeError."""
        given, step, energy, highest, counts = saved
        numbers = [given, step, energy, *(number for row in counts for number in row)]
        if any(type(number) is not int for number in numbers) or step < 0 or energy.bit_length() > 200:
            raise TypeError("a tally has whole numbers")
        classes = {level: count * step for level, count in counts}
        heard = sum(classes.values())
        in_range = all(LOWEST * TENTHS <= level <= HIGHEST * TENTHS for level in classes)
        if (
            not in_range
            or min(classes.values(), default=1) <= 0
            or heard > given
            or (energy > 0) != (heard > 0)
        ):
            raise ValueError("this is no tally of levels")
        if (highest is None) == (heard > 0) or (heard and not is_level(highest)):
            raise ValueError("this is no highest level")
        self.given, self.heard, self.step, self.energy, self.classes = given, heard, step, energy, classes
        self.highest = -math.inf if highest is None else float(highest)
