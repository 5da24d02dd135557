"""What is wrong with a bin: fire, tipped over, overflowing.

Each alarm is a small state: feed it samples, and it says True, False, or why it cannot tell. Missing input
neither raises nor clears: an alarm that is on stays True, one that is off is INPUT_MISSING, never False.
Times are seconds on one clock that never goes back; a sample that is not newer than the last one is left out.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from drivers.device import Missing
from gateway.derive.saved import moment, number, samples, truth

LOWS = 600
"""The most temperatures that a fire alarm is to remember: its time, in samples."""


@dataclass(slots=True)
class Sustained:
    """A condition that counts once it has been seen for *hold* [s], and is over once gone for as long.

    Between two samples that agree it is taken to hold; samples that cannot tell (None) do not interrupt it.
    """

    hold: float
    state: bool | Missing = field(default=Missing.INPUT_MISSING, init=False)
    _on: bool = field(default=False, init=False)
    _since: float | None = field(default=None, init=False)  # since when the condition differs from _on
    _same: float | None = field(default=None, init=False)  # since when it does not
    _last: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.hold < math.inf:
            raise ValueError(f"hold must be a time of 0 s or more, not {self.hold!r}")

    def feed(self, time: float, seen: bool | None) -> bool | Missing:
        """Take whether the condition was *seen* at *time*; return the state."""
        if time <= self._last:
            return self.state
        self._last = time
        if seen is None:
            self._same = None  # it stands, but unseen it is not proved
        else:
            self._weigh(time, seen)
        self.state = _told(self._on, seen is not None)
        return self.state

    @property
    def active(self) -> bool:
        """Whether the condition counts."""
        return self._on

    @property
    def proved(self) -> bool:
        """Whether it was seen to be so, without a sample that could not tell, for as long as counts."""
        return self._same is not None and self._last - self._same >= self.hold

    def _weigh(self, time: float, seen: bool) -> None:
        if seen is self._on:
            self._same = time if self._same is None else min(time, self._same)
            self._since = None
            return
        self._since = time if self._since is None else min(time, self._since)
        self._same = None
        if time - self._since >= self.hold:
            self._on, self._same, self._since = seen, self._since, None

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        return {"on": self._on, "since": self._since, "same": self._same}

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        self._on, self._since = truth(saved["on"]), moment(saved["since"])
        self._same = moment(saved.get("same"))


@dataclass(slots=True)
class Fire:
    """Fire in the bin, from the surface temperature of the rubbish [Cel]. Latched.

    Raised when *confirm* samples in a row stand at *level* or above (the fixed point of a heat detector), or
    have risen by *rise* [K] or more within *within* [s] and stand at *clear* or above (its rate of rise, and
    not just the morning sun on a cold bin). It stays until the temperature falls below *clear*: a smouldering
    bin that rises no more still burns. Only samples that were taken show a rise, so a gap of more than
    *within* shows none. The two ways are those of point heat detectors (EN 54-5, where class A1 responds at
    54 to 65 Cel); the defaults leave room for a steel bin in the sun. An indication, not a fire alarm system.
    """

    level: float = 70.0
    rise: float = 10.0
    within: float = 120.0
    clear: float = 45.0
    confirm: int = 2
    state: bool | Missing = field(default=Missing.INPUT_MISSING, init=False)
    _on: bool = field(default=False, init=False)
    _count: int = field(default=0, init=False)
    _cool: bool = field(default=False, init=False)
    _lows: deque[tuple[float, float]] = field(default_factory=deque, init=False)  # the lowest stands first
    _last: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        if not self.clear < self.level < math.inf:
            raise ValueError(f"clear must lie below level: not {self.clear!r} and {self.level!r} Cel")
        if not (self.rise > 0.0 and 0.0 < self.within < math.inf and self.confirm >= 1):
            raise ValueError("rise, within and confirm must be above 0")

    def feed(self, time: float, temperature: float | Missing) -> bool | Missing:
        """Take one sample of the surface temperature [Cel]; return the state."""
        if time <= self._last:
            return self.state
        self._last = time
        if not isinstance(temperature, Missing):
            self._weigh(time, temperature)
        self.state = _told(self._on, not isinstance(temperature, Missing))
        return self.state

    @property
    def active(self) -> bool:
        """Whether it burns."""
        return self._on

    @property
    def proved(self) -> bool:
        """Whether the newest samples alone would say so."""
        return self._count >= self.confirm if self._on else self._cool

    def _weigh(self, time: float, temperature: float) -> None:
        risen = self._risen(time, temperature)
        hot = temperature >= (self.clear if risen >= self.rise else self.level)
        self._count = self._count + 1 if hot else 0
        self._cool = temperature < self.clear
        if self._count >= self.confirm:
            self._on = True
        elif temperature < self.clear:
            self._on = False

    def _risen(self, time: float, temperature: float) -> float:
        """Return by how much [K] *temperature* is above the lowest within the time; keep it for the next."""
        lows = self._lows
        while lows and lows[0][0] < time - self.within:
            lows.popleft()
        while lows and lows[-1][1] >= temperature:
            lows.pop()
        lows.append((time, temperature))
        return temperature - lows[0][1]

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        lows = [list(low) for low in self._lows][-LOWS:]
        return {"on": self._on, "count": self._count, "lows": lows}

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        lows = samples(saved["lows"], LOWS)
        if any(later[1] <= earlier[1] for earlier, later in pairwise(lows)):
            raise ValueError("the lowest temperatures must rise")
        self._on, self._count = truth(saved["on"]), int(number(saved["count"], 0))
        self._lows = deque(lows)


@dataclass(slots=True)
class Tipped:
    """The bin lies on its side: its inclination [deg] is beyond *limit* for *hold* [s], or back for as long.

    Take *hold* longer than the lorry takes to turn the bin over.
    """

    limit: float = 45.0
    hold: float = 120.0
    _beyond: Sustained = field(init=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.limit < 180.0:
            raise ValueError(f"the limit is an angle above 0 and below 180 deg, not {self.limit!r}")
        self._beyond = Sustained(self.hold)

    def feed(self, time: float, inclination: float | Missing) -> bool | Missing:
        """Take one sample of the inclination [deg], 0 (upright) to 180; return the state."""
        return self._beyond.feed(time, None if isinstance(inclination, Missing) else inclination > self.limit)

    @property
    def active(self) -> bool:
        """Whether the alarm is raised."""
        return self._beyond.active

    @property
    def proved(self) -> bool:
        """As `Sustained.proved`."""
        return self._beyond.proved

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        return self._beyond.save()

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        self._beyond.restore(saved)


@dataclass(slots=True)
class Overflow:
    """Rubbish stands above the full line, or blocks the eye across the opening, for *hold* [s].

    *full* [m] is the distance from the sensor down to the full line. Either witness is enough to raise; both
    must be clear, as far as they are fitted, to end it. A hand or a bag in passing is gone within *hold*.
    """

    full: float
    hold: float = 60.0
    _above: Sustained = field(init=False)

    def __post_init__(self) -> None:
        if not -math.inf < self.full < math.inf:
            raise ValueError(f"the distance to the full line must be a number, not {self.full!r}")
        self._above = Sustained(self.hold)

    def feed(
        self, time: float, distance: float | Missing | None, blocked: bool | Missing | None = None
    ) -> bool | Missing:
        """Take one sample: the *distance* [m] and whether the eye is *blocked*; return the state.

        None is a witness that is not fitted. Raises ValueError when neither is.
        """
        if distance is None and blocked is None:
            raise ValueError("an overflow needs a distance, an eye or both")
        short = distance if distance is None or isinstance(distance, Missing) else distance < self.full
        return self._above.feed(time, _either(short, blocked))

    @property
    def active(self) -> bool:
        """Whether the alarm is raised."""
        return self._above.active

    @property
    def proved(self) -> bool:
        """As `Sustained.proved`."""
        return self._above.proved

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        return self._above.save()

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        self._above.restore(saved)


def _either(*seen: bool | Missing | None) -> bool | None:
    """Return whether any of *seen* is True; None when none is and one is Missing."""
    if True in seen:
        return True
    return None if any(isinstance(each, Missing) for each in seen) else False


def _told(on: bool, known: bool) -> bool | Missing:
    return on if on or known else Missing.INPUT_MISSING
