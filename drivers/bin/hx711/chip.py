"""An HX711 made of arithmetic: a bridge under a load, conversions on the clock, and two lines."""

import math
from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Quantity
from drivers.emulated import EmulatedPins, Span

_CELL = 0.002 / 50  # V at the cell's output per V of its supply and kg
_GAINS = {25: 128, 26: 32, 27: 64}


class Emulated:
    """One part with a 50 kg cell of 2 mV/V, its clock at *line*, its data at *data*.

    It sees the clock each time that somebody uses the header. Two conversions never come out quite equal,
    unless `frozen`. `resets` counts how often the clock was high for too long.

    Faults: `unplugged` (a wire of the cell is off: a rail), `dead` (no conversion), `stuck` (a level that the
    data line has whatever the part does), `held` (counts that come whatever the weight), `tare` (what the
    empty cell gives), `rate` (another one than was ordered), `power_cycle`.
    """

    spans: Mapping[Quantity, Span] = {Quantity.WEIGHT: Span(-5.0, 95.0, 0.0005)}

    def __init__(self, pins: EmulatedPins, line: int, data: int = 6, rate: int = 10) -> None:
        self._pins, self._line, self._data = pins, line, data
        self._clock = pins.clock
        self._before = pins.before
        pins.before = self._look
        self._logged = pins.logged
        self._weight = 0.0
        self.rate, self.tare, self.resets = rate, 0, 0
        self.unplugged = self.dead = self.frozen = False
        self.stuck: bool | None = None
        self.held: int | None = None
        self._number = 0
        self._seen_at = self._clock.monotonic()
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Weight in kg."""
        if quantity is not Quantity.WEIGHT:
            raise ValueError(f"this part does not know {quantity}")
        self._look()  # what was converted before stays as it was
        self._weight = value

    def power_cycle(self) -> None:
        self._high_at: float | None = None
        self._asleep = False
        self._reset(self._clock.monotonic())

    def _reset(self, now: float) -> None:
        self._gain, self._pulses = 128, 0
        self._register: int | None = None  # what a conversion left, until it has been clocked out
        self._ready_at = now + 4 / self.rate

    def _look(self) -> None:
        """Bring the part up to now: what was written since the last look was written then."""
        self._before()
        for line, what, high in self._pins.since(self._logged):
            if line == self._line and what == "level":
                self._edge(high, self._seen_at)
        self._logged = self._pins.logged
        self._seen_at = self._clock.monotonic()
        if self._high_at is not None and self._seen_at - self._high_at > 60e-6:
            self._asleep = True
        self._convert(self._seen_at)
        self._pins.set(self._data, self._level() if self.stuck is None else self.stuck)

    def _edge(self, high: bool, now: float) -> None:
        if high and self._high_at is None:
            self._high_at = now
            if self._register is not None:
                self._pulses += 1
                if self._pulses > 27:
                    raise BusError("more than 27 pulses in one read")
        elif not high and self._high_at is not None:
            self._asleep = self._asleep or now - self._high_at > 60e-6
            self._high_at = None
            if self._asleep:
                self._asleep = False
                self.resets += 1
                self._reset(now)

    def _convert(self, now: float) -> None:
        if self._asleep or self.dead or now < self._ready_at:
            return
        period = 1 / self.rate
        if self._pulses >= 25 and _GAINS[self._pulses] != self._gain:
            self._gain, self._register, self._pulses = _GAINS[self._pulses], None, 0
            self._ready_at += 3 * period
            self._convert(now)
            return
        missed = math.floor((now - self._ready_at) / period)
        self._ready_at += (missed + 1) * period
        self._number += 1
        self._register = self._counts() & 0xFFFFFF
        if self._pulses >= 25:
            self._pulses = 0

    def _counts(self) -> int:
        """The bridge's voltage over half the supply and the gain, in 24 bits ("Analog Inputs")."""
        if self.held is not None:
            return self.held
        share = (2.0 if self.unplugged else self._weight * _CELL * self._gain * 2) * (1 << 23)
        counts = math.floor(share) + self.tare + (0 if self.frozen else self._number & 1)
        return min(max(counts, -(1 << 23)), (1 << 23) - 1)

    def _level(self) -> bool:
        """High while nothing is ready, low at a conversion, its bits at the pulses, high after them."""
        if self._asleep or self._register is None or self._pulses > 24:
            return True
        return bool(self._pulses and self._register >> (24 - self._pulses) & 1)
