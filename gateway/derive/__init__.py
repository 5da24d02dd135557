"""Readings to readings: pure functions in the modules of each domain, and the streams around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.device import Missing, Quantity
from gateway.config import Derive
from gateway.derive.bins import linear_fill
from gateway.derive.flood import stage
from gateway.reading import Reading, significant

OUTPUTS: Mapping[str, Quantity] = {"fill": Quantity.FILL, "stage": Quantity.STAGE}
"""What each kind of stream gives."""

INPUTS: Mapping[str, Quantity] = {"fill": Quantity.DISTANCE, "stage": Quantity.DISTANCE}
"""What each kind of stream takes."""

PARAMETERS: Mapping[str, tuple[str, ...]] = {"fill": ("empty", "full"), "stage": ("reference",)}
"""The keys that each kind of stream needs, all in metres."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A derived device: takes one quantity of one device, gives one quantity of its own."""

    id: str
    device: str
    takes: Quantity
    gives: Quantity
    convert: Callable[[float], float | Missing]

    def feed(self, reading: Reading) -> Reading | None:
        """Return the derived reading, at the same instant, or None when *reading* is not its input."""
        if reading.device != self.device:
            return None
        if self.takes in reading.values:
            result = self.convert(reading.values[self.takes])
        elif self.takes in reading.missing:
            result = Missing.INPUT_MISSING
        else:
            return None
        if isinstance(result, Missing):
            return Reading(self.id, reading.at, {}, {self.gives: result})
        return Reading(self.id, reading.at, {self.gives: significant(result)})


def build(settings: Derive) -> Stream:
    """Return the stream that *settings*, already checked, describe."""
    device, _, quantity = settings.source.partition(".")
    return Stream(settings.id, device, Quantity(quantity), OUTPUTS[settings.kind], _conversion(settings))


def _conversion(settings: Derive) -> Callable[[float], float | Missing]:
    if settings.kind == "fill":
        empty, full = settings.empty or 0.0, settings.full or 0.0
        return lambda distance: linear_fill(distance, empty, full)
    reference = settings.reference or 0.0
    return lambda distance: stage(distance, reference)
