"""A wind vane with eight reeds and eight resistors, on a channel of a converter.

"Weather Sensor Assembly p/n 80422", Argent Data Systems (sold as SparkFun SEN-08942 and SEN-15901): the
magnet closes one reed or two neighbours, so that the vane has one of 16 resistances, behind a pull-up of
10 kOhm. The voltage that the datasheet prints for 315 degrees, 4.78 V, is a misprint: its own 64.9 kOhm make
4.33 V.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.bus import Analog
from drivers.device import Clock, Missing, Quantity, Values

ON = "analog"
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a part on a converter is its channel."""

RESISTANCES: Mapping[float, float] = {
    0.0: 33_000.0,
    22.5: 6_570.0,
    45.0: 8_200.0,
    67.5: 891.0,
    90.0: 1_000.0,
    112.5: 688.0,
    135.0: 2_200.0,
    157.5: 1_410.0,
    180.0: 3_900.0,
    202.5: 3_140.0,
    225.0: 16_000.0,
    247.5: 14_120.0,
    270.0: 120_000.0,
    292.5: 42_120.0,
    315.0: 64_900.0,
    337.5: 21_880.0,
}
"""Direction [deg] to resistance [Ohm]."""

_LOOKS = 5
_STILL = 0.005  # V; resistors give the same voltage again, a wire in the air or a vane that turns does not


@dataclass(frozen=True, slots=True)
class Options:
    """*supply* [V] above the *pull_up* [Ohm]; *north*: what the vane says when it points north [deg].

    *tolerance*: how far from a voltage of the vane another is still taken for it, as a share of the way to
    the middle between two (1: always the nearest). *table*: pairs of volts and degrees for another vane;
    supply and pull-up do not matter then. Raises ValueError for what cannot be.
    """

    supply: float = 3.3
    pull_up: float = 10_000.0
    north: float = 0.0
    tolerance: float = 0.6
    table: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not 1.0 <= self.supply <= 6.0:
            raise ValueError("supply must be 1 to 6 V")
        if not 500.0 <= self.pull_up <= 1e6:
            raise ValueError("pull_up must be 500 to 1000000 Ohm")
        if not -360.0 < self.north < 360.0:
            raise ValueError("north must be between -360 and 360 deg")
        if not 0.05 <= self.tolerance <= 1.0:
            raise ValueError("tolerance must be 0.05 to 1")
        if self.table:
            _check_table(self.table)


class Driver:
    """A wind vane. Where the wind comes from, in as many steps as the vane has."""

    quantities = frozenset({Quantity.WIND_DIRECTION})

    def __init__(self, bus: Analog, address: int, clock: Clock, options: Options = Options()) -> None:
        self._channels = bus
        self._channel = address
        self._options = options
        self._table = table(options)

    async def start(self) -> None:
        """Convert once, to see that there is such a channel."""
        await self._channels.voltage(self._channel)

    async def measure(self) -> Values:
        """Look five times and return the direction [deg], 0 to below 360.

        UNRELIABLE for a voltage between two of the vane's, or one that does not stay; FAULT for one beyond
        them all (a cut or shorted wire), OUT_OF_RANGE where the converter clips. Raises what that raises.
        """
        looks = [await self._channels.voltage(self._channel) for _ in range(_LOOKS)]
        if max(map(abs, looks)) >= self._channels.full_scale:
            return {Quantity.WIND_DIRECTION: Missing.OUT_OF_RANGE}
        if max(looks) - min(looks) > _STILL:
            return {Quantity.WIND_DIRECTION: Missing.UNRELIABLE}
        found = decode(sum(looks) / _LOOKS, self._table, self._options.tolerance)
        turned = found if isinstance(found, Missing) else (found - self._options.north) % 360.0
        return {Quantity.WIND_DIRECTION: turned}

    async def stop(self) -> None:
        """Nothing: a vane is inert."""


def table(options: Options) -> tuple[tuple[float, float], ...]:
    """Return the vane's voltages, rising, each with its direction [deg]."""
    made = [(options.supply * ohm / (ohm + options.pull_up), degrees) for degrees, ohm in RESISTANCES.items()]
    return tuple(sorted(options.table or made))


def decode(volts: float, table: Sequence[tuple[float, float]], tolerance: float) -> float | Missing:
    """Return the direction whose voltage is the nearest, if that is near enough.

    The lowest and the highest voltage have no neighbour on one side: there it is as far as on the other.
    """
    nearest = min(range(len(table)), key=lambda at: abs(table[at][0] - volts))
    off = volts - table[nearest][0]
    beside = nearest + (1 if off > 0 else -1)
    beyond = not 0 <= beside < len(table)
    if beyond:
        beside = nearest - (1 if off > 0 else -1)
    if abs(off) <= tolerance * abs(table[beside][0] - table[nearest][0]) / 2:
        return table[nearest][1]
    return Missing.FAULT if beyond else Missing.UNRELIABLE


def _check_table(table: Sequence[tuple[float, float]]) -> None:
    volts, degrees = [each[0] for each in table], [each[1] for each in table]
    if not 2 <= len(table) <= 64:
        raise ValueError("table must have 2 to 64 pairs of volts and degrees")
    if not all(-6.2 < each < 6.2 for each in volts) or not all(0.0 <= each < 360.0 for each in degrees):
        raise ValueError("table must be pairs such as [0.9, 45.0]: volts, then degrees from 0 to below 360")
    rising = sorted(volts)
    if any(after - before < 0.001 for before, after in pairwise(rising)):
        raise ValueError("two voltages of the table are less than 0.001 V apart")
