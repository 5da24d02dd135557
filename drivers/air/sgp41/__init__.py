"""Sensirion SGP41: VOC index and NOx index over I2C.

Datasheet "SGP41", version 1.0 (October 2022), section 3 (commands); gas index algorithm, version 3.2. The
part gives ticks; Sensirion's own algorithm, a package of theirs, makes indices of them. It counts time in
calls: one is one second, always, and that is what most of this driver is about.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import floor
from typing import Protocol

from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Values
from drivers.sensirion import Port

ADDRESSES: tuple[int, ...] = (0x59,)

NEEDS = ("sensirion_gas_index_algorithm",)
"""Built with a C compiler, so it comes only with the extra `gas`."""

_CONDITION, _MEASURE, _HEATER_OFF, _SERIAL, _FEATURES = 0x2612, 0x2619, 0x3615, 0x3682, 0x202F
_EXECUTION, _MEASURE_TIME = 0.001, 0.05  # [s]
_CONDITIONING, _AGAIN = 9.0, 60.0  # [s]; longer than 10 s damages the part
_SGP41 = 0x0040  # feature set; an SGP40 has 0x0020

_STEP = 1.0  # the algorithm's own interval [s]
_CATCH_UP = 5  # steps that may have been missed and are made up for
_LEARNT = 3 * 3600  # steps after which the VOC algorithm's state is worth keeping
_KEPT = 600.0  # how long it may be kept [s]
_LARGEST = 65000  # ticks from here on, and 0, are no signal


class Algorithm(Protocol):
    """One of Sensirion's two algorithms. `process` takes the ticks of one second and returns the index."""

    def init(self) -> None: ...
    def process(self, s_sgp: int) -> int: ...


class Rememberer(Algorithm, Protocol):
    """The one for VOC, whose state outlives a short interruption."""

    def get_states(self) -> tuple[float, float]: ...
    def set_states(self, state0: float, state1: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """The air by which the part corrects itself: *humidity* 0 to 100 %, *temperature* -45 to 130 Cel."""

    humidity: float = 50.0
    temperature: float = 25.0

    def __post_init__(self) -> None:
        if not 0 <= self.humidity <= 100:
            raise ValueError(f"humidity must be 0 to 100 %, not {self.humidity}")
        if not -45 <= self.temperature <= 130:
            raise ValueError(f"temperature must be -45 to 130 degrees Celsius, not {self.temperature}")


class Driver:
    """An SGP41, to be measured each second.

    `measure` waits for the next whole second. Up to five missed seconds are made up for from the ticks before
    and after; after more of them the algorithm begins anew, and the reading is UNRELIABLE. *ticks* is what
    the part gave last: VOC, NOx.
    """

    quantities = frozenset({Quantity.VOC_INDEX, Quantity.NOX_INDEX})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, _EXECUTION)
        self._clock = clock
        self._air = encode_air(options.humidity, options.temperature)
        self._algorithms: tuple[Rememberer, Algorithm] | None = None
        self.ticks: tuple[int, int] | None = None
        self._last: float | None = None  # the second that was last fed, on the algorithm's own grid
        self._steps = 0  # fed without interruption
        self._restarted = False
        self._conditioned = float("-inf")
        self._was_silent = False

    async def start(self) -> None:
        """Ask the part for its serial number, and condition its NOx pixel: 9 s, once a minute at the most.

        A part that answered all the time, and was measured within the last seconds, needs none.
        """
        await self._port.ask(_SERIAL, 3)
        self._algorithms = self._algorithms or _algorithms()
        now = self._clock.monotonic()
        running = self._last is not None and now - self._last <= _CATCH_UP and not self._was_silent
        if not running and now - self._conditioned > _AGAIN:
            await self._condition()
        self._restarted, self._was_silent = True, False

    async def measure(self) -> Values:
        """Take the ticks of the next second, and return the indices."""
        steps = await self._due()
        now = self._clock.monotonic()
        try:
            ticks = await self._ticks()
        except NoAcknowledge:
            self._was_silent = True  # and perhaps without power
            raise
        interrupted = steps > _CATCH_UP + 1
        unreliable = interrupted and not self._restarted
        self._restarted = False
        if self._last is None or interrupted:
            self._begin(now)
            steps = 1
        else:
            self._last += steps * _STEP
        values = self._feed(ticks, steps)
        return dict.fromkeys(values, Missing.UNRELIABLE) if unreliable else values

    async def stop(self) -> None:
        """Turn the heater off."""
        self._was_silent = True
        await self._port.tell(_HEATER_OFF)

    async def _condition(self) -> None:
        """Heat the NOx pixel for 9 s, and end it by all means: the part does not end it itself."""
        self._conditioned = began = self._clock.monotonic()
        try:
            while (passed := self._clock.monotonic() - began) < _CONDITIONING:
                await self._port.ask(_CONDITION, 1, *encode_air(50.0, 25.0), takes=_MEASURE_TIME)
                await self._clock.sleep(min(_STEP, _CONDITIONING - passed) - _MEASURE_TIME)
            await self._ticks()
        except BaseException:
            with suppress(BusError):
                await self.stop()
            raise

    async def _due(self) -> int:
        """Wait for the next second of the grid; return how many have passed since the last, at least 1."""
        if self._last is None:
            return 1
        await self._clock.sleep(max(0.0, self._last + _STEP - self._clock.monotonic()))
        return max(1, floor((self._clock.monotonic() - self._last) / _STEP + 0.5))

    async def _ticks(self) -> tuple[int, int]:
        return decode(await self._port.ask(_MEASURE, 2, *self._air, takes=_MEASURE_TIME))

    def _begin(self, now: float) -> None:
        """Begin anew at *now*. What has been learnt of VOC in three hours is kept over ten minutes."""
        kept = self._last is not None and now - self._last <= _KEPT and self._steps >= _LEARNT
        voc, nox = self._known()
        states = voc.get_states() if kept else None
        voc.init()
        nox.init()
        if states:
            voc.set_states(*states)
        self._last, self._steps, self.ticks = now, 0, None

    def _feed(self, ticks: tuple[int, int], steps: int) -> dict[Quantity, float | Missing]:
        """Feed the algorithms *steps* seconds, of which *ticks* end the last."""
        before = self.ticks or ticks
        self.ticks = ticks
        self._steps += steps
        indices = [0, 0]
        for pixel, algorithm in enumerate(self._known()):
            for each in between(before[pixel], ticks[pixel], steps):
                indices[pixel] = algorithm.process(each)
        return {
            Quantity.VOC_INDEX: judge(ticks[0], indices[0]),
            Quantity.NOX_INDEX: judge(ticks[1], indices[1]),
        }

    def _known(self) -> tuple[Rememberer, Algorithm]:
        if self._algorithms is None:
            raise DeviceError("not started: the algorithm of this SGP41 is not loaded")
        return self._algorithms


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the feature set of the part at *address* if it is an SGP41's, else None. It keeps measuring."""
    try:
        (features,) = await Port(bus, address, clock, _EXECUTION).ask(_FEATURES, 1)
    except (BusError, DeviceError):
        return None
    return f"feature set {features:#06x}" if features & 0x1E0 == _SGP41 else None


def decode(words: tuple[int, ...]) -> tuple[int, int]:
    """Return the ticks of the VOC and of the NOx pixel (Measure Raw Signals)."""
    voc, nox = words
    return voc, nox


def encode_air(humidity: float, temperature: float) -> tuple[int, int]:
    """Return the words that tell the part the air around it: percent and degrees Celsius (3.2)."""
    return round(humidity * 65535 / 100), round((temperature + 45) * 65535 / 175)


def between(before: int, after: int, steps: int) -> Iterator[int]:
    """Yield the ticks of *steps* seconds from *before*, which is excluded, to *after*, on a straight line."""
    if not (0 < before < _LARGEST and 0 < after < _LARGEST):
        before = after
    for step in range(1, steps + 1):
        yield before + round((after - before) * step / steps)


def judge(ticks: int, index: int) -> float | Missing:
    """Return the *index* that the algorithm gave for *ticks*: 1 to 500, or 0 in its first 45 seconds."""
    if not 0 < ticks < _LARGEST:
        return Missing.SENTINEL
    return float(index) if index > 0 else Missing.WARMING_UP


def _algorithms() -> tuple[Rememberer, Algorithm]:
    """Import Sensirion's package only where an SGP41 is configured: it must be compiled."""
    try:
        from sensirion_gas_index_algorithm.nox_algorithm import (
            NoxAlgorithm,
        )
        from sensirion_gas_index_algorithm.voc_algorithm import (
            VocAlgorithm,
        )
    except ImportError as error:
        raise DeviceError(
            "an SGP41 needs Sensirion's algorithm; install the package: pip install 'lamppost[gas]'"
        ) from error
    return VocAlgorithm(), NoxAlgorithm()
