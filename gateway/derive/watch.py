"""When something was watched: what nobody heard is not "nothing happened"."""

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class Watch:
    """When something was watched, and when not, as far as the last *keep* [s] go."""

    keep: float
    _since: float | None = None
    _lost: float | None = None  # since when it is watched no more
    _begins: list[float] = field(default_factory=list)  # of the gaps,
    _ends: list[float] = field(default_factory=list)
    _sums: list[float] = field(default_factory=list)  # and the length of all up to each

    def begin(self, at: float) -> None:
        """It is watched from *at* [s]; nothing new when it already is."""
        if self._since is None:
            self._since = at
        elif self._lost is not None and at > self._lost:
            before = self._sums[-1] if self._sums else 0.0
            self._begins.append(self._lost)
            self._ends.append(at)
            self._sums.append(before + at - self._lost)
            self._forget(at - self.keep)
        self._lost = None

    def lose(self, at: float) -> None:
        """It is watched no more from *at* [s]; nothing new when it already is not."""
        if self._lost is None:
            self._lost = at if not self._ends else max(at, self._ends[-1])

    def share(self, now: float, window: float) -> float:
        """Return the share, 0 to 1, of the *window* [s] up to *now* [s] in which it was watched."""
        if self._since is None:
            return 0.0
        start = now - window
        if self._lost is None and self._since <= start and (not self._ends or self._ends[-1] <= start):
            return 1.0
        missed = max(0.0, self._since - start)
        if self._lost is not None:
            missed += now - self._lost
        place = bisect_right(self._ends, start)
        if place < len(self._ends):
            before = self._sums[place - 1] if place else 0.0
            missed += self._sums[-1] - before - max(0.0, start - self._begins[place])
        return max(0.0, 1.0 - missed / window)

    def _forget(self, before: float) -> None:
        old = bisect_right(self._ends, before)
        if old > 64:  # not one by one
            gone = self._sums[old - 1]
            del self._begins[:old], self._ends[:old], self._sums[:old]
            self._sums = [each - gone for each in self._sums]
