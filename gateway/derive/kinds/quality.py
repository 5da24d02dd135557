"""Quality: the test that needs the next value, and so speaks one sample late."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import LOGICAL, Missing, Quantity
from gateway.derive.kind import Context, Input, Kind, Result, Taken
from gateway.derive.quality import Spikes


@dataclass(frozen=True, slots=True)
class Despiked:
    """Distance of a value from the mean of its neighbours, in its unit: *suspect* above, failed above *fail*.

    `0 < suspect <= fail`. The spike test of QARTOD, whose high threshold is *fail*.
    """

    suspect: float
    fail: float


@dataclass(slots=True)
class _Late:
    """Gives each sample when the next one is there, with the flag of its test."""

    quantity: Quantity
    spikes: Spikes
    _before: float | Missing | None = field(default=None, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        (value,) = taken.values.values()
        before, found = self._before, self.spikes.feed(time, value)
        if found is None and before is not None:
            return ()  # late, or twice
        self._before = value
        if found is None or before is None:
            return ()
        at, flag = found
        return (Result(at, {self.quantity: before}, at, flag=flag),)

    def advance(self, time: float) -> Iterable[Result]:
        """Time alone changes nothing."""
        return ()

    def save(self) -> Any:
        """The readings in the store bring it back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""


def _make(options: Despiked, context: Context) -> _Late:
    return _Late(context.source.quantity, Spikes(options.suspect, options.fail))


KINDS: Mapping[str, Kind] = {
    "despiked": Kind(
        Despiked,
        (Input("value", frozenset(set(Quantity) - LOGICAL)),),
        lambda options, context: (context.source.quantity,),
        _make,
        reach=lambda options, context: 3.0 * context.interval,
    ),
}
