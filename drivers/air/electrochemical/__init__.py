"""Alphasense four-electrode gas sensors (A4, B4 series) on their boards, on two channels of a converter.

Application note AAN 803-05, algorithm 1 with its table 3: the auxiliary electrode sees what the working
electrode sees but the gas, so `n_T` times its drift from zero is taken off the working electrode's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.bus import Analog
from drivers.device import Clock, Missing, Quantity, Values

ON = "analog"
TAKES = ("auxiliary",)
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a part on a converter is its channel; here the working electrode's."""

_COLDEST, _STEP = -30, 10  # Cel, of the table
CORRECTIONS: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("A4", "no2"): (0.8, 0.8, 1.0, 1.2, 1.6, 1.8, 1.9, 2.5, 3.6),
    ("A4", "o3"): (1.0, 1.2, 1.2, 1.6, 1.7, 2.0, 2.1, 3.4, 4.6),
    ("A4", "so2"): (1.3, 1.3, 1.3, 1.2, 0.9, 0.4, 0.4, 0.4, 0.4),
    ("A4", "co"): (1.0, 1.0, 1.0, 1.0, -0.2, -0.9, -1.5, -1.5, -1.5),
    ("B4", "no2"): (1.3, 1.3, 1.3, 1.3, 1.0, 0.6, 0.4, 0.2, -1.5),
    ("B4", "o3"): (0.9, 0.9, 1.0, 1.3, 1.5, 1.7, 2.0, 2.5, 3.7),
    ("B4", "so2"): (1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.9, 3.0, 5.8),
    ("B4", "co"): (0.7, 0.7, 0.7, 0.7, 1.0, 3.0, 3.5, 4.0, 4.5),
}
"""n_T of each sensor at -30, -20 ... 50 degrees (AAN 803-05, table 3, algorithm 1)."""

RANGES: Mapping[str, float] = {"no2": 20e3, "o3": 20e3, "so2": 50e3, "co": 500e3}
"""The highest concentration [ppb] for which either series is warranted."""

_LOOKS = 6
_STILL = 0.010  # V; the boards are quieter than this over a tenth of a second, a wire in the air is not
_DEAD = 0.030  # V; a board with power is never so low, its zeros are at 0.2 to 0.4 V


@dataclass(frozen=True, slots=True)
class Options:
    """The *gas*, the sensor's *series*, the *auxiliary* electrode's channel, and the label of the sensor.

    *working_zero* and *auxiliary_zero* [V]; *sensitivity* [V/ppb]; *temperature* assumed [Cel], which gives
    n_T from the table, unless *correction* gives it. *saturation*: the highest voltage of the board's
    amplifiers [V]. *stray*: how far the auxiliary electrode may be from its zero [V]. *lowest*: the
    concentration [ppb] below which a reading is no longer drift. Raises ValueError for what cannot be.
    """

    gas: Literal["no2", "o3", "so2", "co"] = "no2"
    series: Literal["A4", "B4"] = "B4"
    auxiliary: int = 3
    working_zero: float = 0.225
    auxiliary_zero: float = 0.225
    sensitivity: float = 0.0003
    temperature: float = 20.0
    correction: float | None = None
    saturation: float = 3.0
    stray: float = 0.15
    lowest: float = -100.0

    def __post_init__(self) -> None:
        if not 0 <= self.auxiliary <= 63:
            raise ValueError("auxiliary must be a channel, 0 to 63")
        for name, zero in (("working_zero", self.working_zero), ("auxiliary_zero", self.auxiliary_zero)):
            if not 0.05 <= zero <= 1.5:
                raise ValueError(f"{name} must be 0.05 to 1.5 V: the label's 225 mV are 0.225")
        if not 0.00001 <= self.sensitivity <= 0.005:
            raise ValueError("sensitivity must be 0.00001 to 0.005 V/ppb: the label's 0.3 mV/ppb are 0.0003")
        if not -30.0 <= self.temperature <= 50.0:
            raise ValueError("temperature must be -30 to 50 Cel, as the sensors")
        if self.correction is not None and not -10.0 <= self.correction <= 10.0:
            raise ValueError("correction must be -10 to 10")
        if not self.working_zero < self.saturation <= 6.2:
            raise ValueError("saturation must be above working_zero, up to 6.2 V")
        if not 0.01 <= self.stray <= 1.0:
            raise ValueError("stray must be 0.01 to 1 V")
        if not -10_000.0 <= self.lowest <= 0.0:
            raise ValueError("lowest must be -10000 to 0 ppb")


class Driver:
    """One gas sensor. Raises ValueError when both electrodes are said to be on one channel."""

    def __init__(self, bus: Analog, address: int, clock: Clock, options: Options = Options()) -> None:
        if address == options.auxiliary:
            raise ValueError(f"both electrodes are on channel {address}: the auxiliary one needs its own")
        self._channels = bus
        self._working = address
        self._options = options
        self._quantity = Quantity(options.gas)
        self.quantities = frozenset({self._quantity})

    async def start(self) -> None:
        """Convert both channels once, to see that they are there."""
        await self._channels.voltage(self._working)
        await self._channels.voltage(self._options.auxiliary)

    async def measure(self) -> Values:
        """Look six times at both electrodes, in turn, and return the gas [ppb]; slightly below 0 is drift.

        OUT_OF_RANGE where the converter clips, the board is saturated, or the sensor is not warranted. FAULT
        for a board without power or a stray auxiliary electrode. UNRELIABLE for a voltage that does not stay,
        and for a result below `lowest`, as of electrodes that are exchanged. Raises what the converter does.
        """
        working, auxiliary = [], []
        for _ in range(_LOOKS):
            auxiliary.append(await self._channels.voltage(self._options.auxiliary))
            working.append(await self._channels.voltage(self._working))
        limit = min(self._options.saturation, self._channels.full_scale)
        return {self._quantity: decode(working, auxiliary, self._options, limit)}

    async def stop(self) -> None:
        """Nothing: the sensor wants to stay powered."""


def decode(
    working: Sequence[float], auxiliary: Sequence[float], options: Options, limit: float
) -> float | Missing:
    """Return the gas [ppb] for looks at both electrodes [V], below *limit* [V], or why there is none."""
    both = (*working, *auxiliary)
    if max(map(abs, both)) >= limit:
        return Missing.OUT_OF_RANGE
    if min(both) < _DEAD:
        return Missing.FAULT
    if max(max(looks) - min(looks) for looks in (working, auxiliary)) > _STILL:
        return Missing.UNRELIABLE
    we, ae = sum(working) / len(working), sum(auxiliary) / len(auxiliary)
    if abs(ae - options.auxiliary_zero) > options.stray:
        return Missing.FAULT
    ppb = concentration(we, ae, options)
    if ppb < options.lowest:
        return Missing.UNRELIABLE
    return ppb if ppb <= RANGES[options.gas] else Missing.OUT_OF_RANGE


def concentration(working: float, auxiliary: float, options: Options) -> float:
    """Return the gas [ppb]: ((WE - WE0) - n_T (AE - AE0)) / sensitivity."""
    drift = correction(options) * (auxiliary - options.auxiliary_zero)
    return (working - options.working_zero - drift) / options.sensitivity


def correction(options: Options) -> float:
    """Return n_T: the given one, or the table's at the assumed temperature, between its entries in a line."""
    if options.correction is not None:
        return options.correction
    entries = CORRECTIONS[options.series, options.gas]
    place = (options.temperature - _COLDEST) / _STEP
    # The place is never negative, so int() rounds down below 0 degrees as well; 50 belongs to the last pair.
    below = min(int(place), len(entries) - 2)
    return entries[below] + (place - below) * (entries[below + 1] - entries[below])
