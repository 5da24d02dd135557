"""Whether two level sensors agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.device import Missing
from gateway.derive.level import usable
from gateway.derive.saved import moment, truth


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
    _same: float | None = None  # when they began to be as the flag says

    def __post_init__(self) -> None:
        if not self.tolerance >= 0 or not self.duration >= 0 or not self.gap >= 0:
            raise ValueError("the tolerance, the duration and the gap must not be negative")

    @property
    def since(self) -> float:
        """The time [s] from which on pairs have been other than the flag says, or else of the last pair."""
        return self._last if self._since is None else self._since

    @property
    def proved(self) -> bool:
        """Whether pairs without a gap have been as the flag says for so long that they alone would set it."""
        return self._same is not None and self._last - self._same >= self.duration

    def feed(self, at: float, first: float | Missing, second: float | Missing) -> bool:
        """Take both stages [m] of the time *at* [s]; return the flag."""
        back = max(0.0, self._last - at) if math.isfinite(self._last) else 0.0
        self._since = None if self._since is None or at - self._last > self.gap else self._since - back
        self._same = None if self._same is None or at - self._last > self.gap else self._same - back
        self._last = at
        if not usable(first) or not usable(second):
            self._since = self._same = None
        elif (abs(first - second) > self.tolerance) == self.active:
            self._since, self._same = None, at if self._same is None else self._same
        else:
            self._since, self._same = at if self._since is None else self._since, None
            if at - self._since >= self.duration:
                self.active, self._since, self._same = not self.active, None, self._since
        return self.active

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as JSON takes it."""
        last = self._last if math.isfinite(self._last) else None
        return {"active": self.active, "since": self._since, "last": last, "same": self._same}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. Raises ValueError, KeyError or TypeError when it is not that."""
        active, last = truth(state["active"]), moment(state["last"])
        since, same = moment(state["since"]), moment(state.get("same"))
        if any(each > (-math.inf if last is None else last) for each in (since, same) if each is not None):
            raise ValueError(f"this is no state of a disagreement: {state!r}")
        self.active, self._since, self._same = active, since, same
        self._last = -math.inf if last is None else last
