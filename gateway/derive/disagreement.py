"""Whether two level sensors agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.device import Missing
from gateway.derive.level import usable


@dataclass(slots=True)
class Disagreement:
    """A flag that two level sensors have differed by more than *tolerance* [m] for *duration* [s].

    It goes when they have agreed for as long. While either is missing the flag stays as it is, and the time
    is counted afresh: one sensor alone proves nothing. So it is after more than *gap* [s] without a pair.
    Where time goes back, as when a clock is set right, it is counted on as if none had passed.
    Raises ValueError for a negative parameter.
    """

    tolerance: float
    duration: float = 900.0
    gap: float = math.inf
    active: bool = False
    _since: float | None = None  # when they began to be other than the flag says
    _last: float = -math.inf

    def __post_init__(self) -> None:
        if not self.tolerance >= 0 or not self.duration >= 0 or not self.gap >= 0:
            raise ValueError("the tolerance, the duration and the gap must not be negative")

    @property
    def since(self) -> float:
        """The time [s] from which on pairs have been other than the flag says, or else of the last pair."""
        return self._last if self._since is None else self._since

    def feed(self, at: float, first: float | Missing, second: float | Missing) -> bool:
        """Take both stages [m] of the time *at* [s]; return the flag."""
        if self._since is not None and at < self._last:
            self._since -= self._last - at
        if at - self._last > self.gap:
            self._since = None
        self._last = at
        if not usable(first) or not usable(second) or (abs(first - second) > self.tolerance) == self.active:
            self._since = None
            return self.active
        self._since = at if self._since is None else self._since
        if at - self._since >= self.duration:
            self.active, self._since = not self.active, None
        return self.active

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as JSON takes it."""
        last = self._last if math.isfinite(self._last) else None
        return {"active": self.active, "since": self._since, "last": last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. Raises ValueError, KeyError or TypeError when it is not that."""
        active, since, last = state["active"], state["since"], state["last"]
        times = [float(each) for each in (since, last) if each is not None]
        if type(active) is not bool or not all(map(math.isfinite, times)) or times != sorted(times):
            raise ValueError(f"this is no state of a disagreement: {state!r}")
        self.active, self._since = active, None if since is None else float(since)
        self._last = -math.inf if last is None else float(last)
