"""The automatic baseline of a CO2 sensor: what it shows in the freshest air of some days is fresh air."""

import math
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing
from gateway.derive.air.means import whole
from gateway.derive.saved import number

_HOUR = 3600
HIGHEST = 40_000.0
"""The most [ppm] that an NDIR or photoacoustic part tells; what lies beyond is not counted."""


@dataclass(slots=True)
class Baseline:
    """The offset that takes a CO2 sensor's lowest hours of the last *days* to *target* [ppm].

    What a part's own automatic self-calibration does (Sensirion SCD30 field calibration, Senseair ABC), but
    in the open, with a limit. It holds only where the air is fresh for some hours in those days.

    *target* [ppm], 400 to 425: fresh air; *days*, 1 to 60; *percentile* [%], 0 to 50, of the hourly means,
    nearest rank, so that no single low hour decides; *share*, above 0 to 1, of the hours that must be
    there; *limit* [ppm], above 0: an offset beyond it is a place without fresh air or a broken part, and is
    refused. ValueError otherwise. At most 24 * *days* hourly means are held, to 0.01 ppm.
    """

    target: float = 420.0
    days: int = 7
    percentile: float = 2.0
    share: float = 0.75
    limit: float = 100.0
    _hours: dict[int, float] = field(default_factory=dict, init=False, repr=False)
    _newest: int | None = field(default=None, init=False, repr=False)
    _offset: float | Missing | None = field(default=None, init=False, repr=False)  # None: to be formed anew

    def __post_init__(self) -> None:
        if not 400.0 <= self.target <= 425.0:
            raise ValueError(f"fresh air has 400 to 425 ppm of CO2, not {self.target:g}")
        if not 1 <= self.days <= 60:
            raise ValueError(f"a baseline looks back 1 to 60 days, not {self.days}")
        if not 0.0 <= self.percentile <= 50.0:
            raise ValueError(f"a baseline's percentile is 0 to 50 %, not {self.percentile:g}")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"the share of hours is above 0, to 1, not {self.share:g}")
        if not self.limit > 0.0:
            raise ValueError(f"the limit of the offset is above 0 ppm, not {self.limit:g}")

    def feed(self, time: float, mean: float | Missing) -> None:
        """Take the *mean* [ppm], as the part gave it, of the hour that *time* [s, Unix] lies in.

        The same hour again replaces it: a corrected mean counts, a repeated one changes nothing. A late
        hour is taken as long as it is within the days; what is Missing or beyond what a part can tell is
        passed over.
        """
        hour = math.floor(time / _HOUR)
        if isinstance(mean, Missing) or not 0.0 < mean <= HIGHEST:
            return
        if self._newest is None or hour > self._newest:
            self._newest = hour
            self._forget(hour - 24 * self.days)
        if hour > self._newest - 24 * self.days:
            self._hours[hour] = round(mean, 2)
            self._offset = None

    def offset(self) -> float | Missing:
        """Return what to add [ppm] to the part's readings.

        NOT_READY until enough hours are there, UNRELIABLE when it would be beyond the limit.
        """
        if self._offset is None:
            self._offset = self._formed()
        return self._offset

    def save(self) -> Any:
        """Return the hours as JSON takes them: the first one's number, and a mean or null for each."""
        if not self._hours:
            return None
        first, last = min(self._hours), max(self._hours)
        return [first, [self._hours.get(hour) for hour in range(first, last + 1)]]

    def restore(self, saved: Any) -> None:
        """Take over, in a new baseline, what `save` gave. Raises ValueError, TypeError."""
        if saved is None:
            return
        first, means = saved
        if type(means) is not list or not 0 < len(means) <= 24 * self.days:
            raise ValueError(f"at most {24 * self.days} hours are kept")
        for hour, mean in enumerate(means, whole(first)):
            if mean is not None:
                self.feed(float(hour * _HOUR), number(mean))

    def _formed(self) -> float | Missing:
        if len(self._hours) < self.share * 24 * self.days:
            return Missing.NOT_READY
        rank = max(1, math.ceil(self.percentile / 100.0 * len(self._hours)))
        offset = self.target - sorted(self._hours.values())[rank - 1]
        return offset if abs(offset) <= self.limit else Missing.UNRELIABLE

    def correct(self, co2: float) -> float | Missing:
        """Return *co2* [ppm], 0 to HIGHEST, with the offset, not below 0; Missing as `offset` is."""
        if not 0.0 <= co2 <= HIGHEST:
            return Missing.OUT_OF_RANGE
        offset = self.offset()
        return offset if isinstance(offset, Missing) else max(0.0, co2 + offset)

    def _forget(self, last: int) -> None:
        for hour in [hour for hour in self._hours if hour <= last]:
            del self._hours[hour]
