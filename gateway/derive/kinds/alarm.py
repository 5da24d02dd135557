"""Alarms as streams: `active` is 1, 0 or, where nothing is known and no alarm stands, missing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.device import Missing, Quantity
from gateway.derive.kind import Proof, Result, Taken


class Detector(Protocol):
    """What raises and ends an alarm, and must not forget that it did."""

    @property
    def active(self) -> bool:
        """Whether the alarm is raised."""
        ...

    @property
    def proved(self) -> bool:
        """Whether the newest samples alone would make it raised, or not, as it is."""
        ...

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it."""
        ...

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        ...


@dataclass(slots=True)
class Alarm:
    """The state of an alarm stream.

    *feed* tells the *detector* what was taken and returns the alarm, *since* how far back [s, Unix] the alarm
    of a time looks.
    """

    detector: Detector
    feed: Callable[[float, Taken], bool | Missing]
    since: Callable[[float], float]

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        """Give the alarm after this sample; one that only stands, without input, has no quality flag."""
        before, active = self.detector.active, self.feed(time, taken)
        value = active if isinstance(active, Missing) else float(active)
        absent = Missing in map(type, taken.values.values())
        since = None if absent else self.since(time)
        return (Result(time, {Quantity.ACTIVE: value}, since, proof=self._proof(before, absent)),)

    def _proof(self, before: bool, absent: bool) -> Proof:
        if self.detector.active is not before:
            return Proof.NEW
        return Proof.AGAIN if self.detector.proved and not absent else Proof.NONE

    def advance(self, time: float) -> Iterable[Result]:
        """Time alone neither raises nor ends an alarm."""
        return ()

    def save(self) -> Any:
        return self.detector.save()

    def restore(self, saved: Any) -> None:
        self.detector.restore(saved)
