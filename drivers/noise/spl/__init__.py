"""DFRobot SEN0232: an analog sound level meter, on a channel of a converter.

Product page and wiki "Gravity: Analog Sound Level Meter", DFRobot, V1.0: 0.6 to 2.6 V for 30 to 130 dB(A),
50 dB for a volt. Levels are averaged by their energy (IEC 61672-1), never as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, log10

from drivers.bus import Analog
from drivers.device import Clock, Missing, Quantity, Values

ON = "analog"
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a part on a converter is its channel."""

_PER_VOLT = 50.0  # dB
_LOWEST, _HIGHEST = 0.6, 2.6  # V
_STEP = 0.0002  # V; the ends count as inside, give or take a step of the converter


@dataclass(frozen=True, slots=True)
class Options:
    """*samples* in a measurement, *spacing* between them [s], *offset* [dB] that a calibrator asks for.

    Raises ValueError beyond 1 to 100 samples, 0 to 1 s, or -10 to 10 dB.
    """

    samples: int = 8
    spacing: float = 0.125
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 100:
            raise ValueError("samples must be 1 to 100")
        if not 0.0 <= self.spacing <= 1.0:
            raise ValueError("spacing must be 0 to 1 s")
        if not -10.0 <= self.offset <= 10.0:
            raise ValueError("offset must be -10 to 10 dB: a meter that strays further is defective")


class Driver:
    """A SEN0232. Its level is the energy mean over the time of one measurement."""

    quantities = frozenset({Quantity.SOUND_LEVEL})

    def __init__(self, bus: Analog, address: int, clock: Clock, options: Options = Options()) -> None:
        self._channels = bus
        self._channel = address
        self._clock = clock
        self._options = options

    async def start(self) -> None:
        """Convert once, to see that there is such a channel."""
        await self._channels.voltage(self._channel)

    async def measure(self) -> Values:
        """Sample for a second, by default, and return the energy mean [dB].

        FAULT when any sample is below 0.6 V: the meter is unplugged, or without power. OUT_OF_RANGE when any
        is above 2.6 V or clips. Raises what the converter raises.
        """
        volts = []
        for _ in range(self._options.samples):
            began = self._clock.monotonic()
            volts.append(await self._channels.voltage(self._channel))
            taken = self._clock.monotonic() - began
            await self._clock.sleep(max(0.0, self._options.spacing - taken))
        if max(volts) >= self._channels.full_scale:
            return {Quantity.SOUND_LEVEL: Missing.OUT_OF_RANGE}
        found = decode(volts)
        return {Quantity.SOUND_LEVEL: found if isinstance(found, Missing) else found + self._options.offset}

    async def stop(self) -> None:
        """Nothing: the meter has no switch."""


def decode(volts: Iterable[float]) -> float | Missing:
    """Return the level [dB] of samples in volts, or why there is none."""
    samples = list(volts)
    if min(samples) < _LOWEST - _STEP:
        return Missing.FAULT
    if max(samples) > _HIGHEST + _STEP:
        return Missing.OUT_OF_RANGE
    return energy_mean([_PER_VOLT * each for each in samples])


def energy_mean(levels: Iterable[float]) -> float:
    """Return the level [dB] of the mean energy of *levels*: 60, 60, 60 and 90 make 84, not 67.5."""
    energies = [10.0 ** (level / 10.0) for level in levels]
    return 10.0 * log10(fsum(energies) / len(energies))
