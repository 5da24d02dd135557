"""When a bin was emptied: a fall of its fill that is no echo.

Times are seconds on one clock that never goes back, fills are percent, 0 to 100. A sample that is not newer
than the last one (late, or twice) is left out, and so is one that is Missing: neither counts, neither clears.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing
from gateway.derive.saved import number, samples

Sample = tuple[float, float]
"""Time [s] and fill [%]."""

HOUR = 3600.0

PEAKS = 64
"""The most samples that a fall may be measured from. One in more steps is measured from every second."""


@dataclass(frozen=True, slots=True)
class Emptying:
    """The bin was emptied: when first seen so [s], and the fills before and after [%]."""

    at: float
    before: float
    after: float


@dataclass(slots=True)
class Emptyings:
    """Notices when the bin is emptied.

    That is a fall of the fill by *fall* [points of %] or more within *within* [s], down to *below* [%] or
    lower, which *confirm* samples in a row show. The sample before always counts, however old: a bin that was
    emptied while nothing was heard was emptied too. A compactor's stroke is also a fall: there, set *below*
    under what is left after a stroke. Memory: at most PEAKS samples, and *confirm*.
    """

    fall: float = 30.0
    within: float = HOUR
    confirm: int = 2
    below: float = 100.0
    pending: list[Sample] = field(default_factory=list, init=False)  # low, but not confirmed yet
    _peaks: deque[Sample] = field(default_factory=deque, init=False)  # falling: the highest stands first
    _line: float = field(default=-math.inf, init=False)
    _last: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        if not (0.0 < self.fall <= 100.0 and 0.0 <= self.below <= 100.0):
            raise ValueError("fall is a number of points above 0, and below a fill, both of 100 % at most")
        if not self.within >= 0.0 or self.confirm < 1:
            raise ValueError("within is 0 s or more, and confirm a count of 1 or more")

    def feed(self, time: float, fill: float | Missing) -> Emptying | None:
        """Take one sample; return the emptying when this sample confirms it."""
        if isinstance(fill, Missing) or time <= self._last:
            return None
        self._last = time
        if not self.pending:
            self._line = self._threshold(time)
        if fill <= self._line:
            self.pending.append((time, fill))
            return self._settle() if len(self.pending) >= self.confirm else None
        self.pending.clear()  # it was a hand, a lid, an echo
        self._remember(time, fill)
        return None

    def _threshold(self, time: float) -> float:
        while len(self._peaks) > 1 and self._peaks[0][0] < time - self.within:
            self._peaks.popleft()
        return min(self._peaks[0][1] - self.fall, self.below) if self._peaks else -math.inf

    def _settle(self) -> Emptying:
        found = Emptying(self.pending[0][0], self._peaks[0][1], self.pending[-1][1])
        self._peaks.clear()
        for time, fill in self.pending:
            self._remember(time, fill)
        self.pending.clear()
        return found

    def _remember(self, time: float, fill: float) -> None:
        while self._peaks and self._peaks[-1][1] <= fill:
            self._peaks.pop()
        self._peaks.append((time, fill))
        if len(self._peaks) > PEAKS:  # an odd number: the first and the last stay
            self._peaks = deque([each for n, each in enumerate(self._peaks) if n % 2 == 0])

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        return {
            "pending": [list(each) for each in self.pending],
            "peaks": [list(each) for each in self._peaks],
            "line": self._line if self.pending else None,
        }

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        pending, peaks = samples(saved["pending"], self.confirm - 1), samples(saved["peaks"], PEAKS)
        if pending and not peaks:
            raise ValueError("a fall has a fill that it fell from")
        self._line = number(saved["line"]) if pending else -math.inf
        self.pending, self._peaks = pending, deque(peaks)
