"""Texas Instruments ADS1115: four analog inputs, converted to 16 bits, over I2C.

Datasheet: "ADS111x", Texas Instruments, SBAS444E (December 2024); its sections are named beside what they
justify.
The part has two faces: `Driver` is a sensor that measures one channel, and `Channels` lends all of them to
other drivers.
"""

import asyncio
from dataclasses import dataclass
from math import copysign

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x48, 0x49, 0x4A, 0x4B)
"""ADDR to GND, VDD, SDA or SCL (7.5.1.1)."""

CHANNELS = {0: "AIN0", 1: "AIN1", 2: "AIN2", 3: "AIN3"} | {
    4: "AIN0 - AIN1",
    5: "AIN0 - AIN3",
    6: "AIN1 - AIN3",
    7: "AIN2 - AIN3",
}
"""What a channel converts: an input against ground, or a pair in the order of the MUX bits (8.1.3)."""

FULL_SCALES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256)  # V, in the order of the PGA bits (8.1.3)
RATES = (8, 16, 32, 64, 128, 250, 475, 860)  # conversions in a second, in the order of the DR bits (8.1.3)
_CONVERSION, _CONFIG, _LOW_THRESHOLD, _HIGH_THRESHOLD = range(4)  # 8.1.1
_START = 0x8000  # OS: written 1 to start, read 1 when no conversion runs
_SINGLE = 0x0100  # MODE
# The comparator is off, so its latch bit has no effect. It is set because a part that has just got its power
# back has it clear: without it, channel 4 at 2.048 V and 128 SPS would look like the reset value 0x8583.
_OURS = 0x0007
_UNTOUCHED = (0x8000, 0x7FFF)  # the thresholds after a reset (8.1.4), which nobody here writes
_RAILS = (0x7FFF, 0x8000)  # what clips (7.5.4)
_WAKING = 0.0002  # s; the oscillator of a part in power-down takes about 0.11 ms to start
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Options:
    """*channel* as CHANNELS; *full_scale* [V]; *rate* [Hz]; *divider*: volts before it for one at the pin.

    A `Channels` uses full_scale and rate only. Raises ValueError for what the part cannot do.
    """

    channel: int = 0
    full_scale: float = 4.096
    rate: int = 128
    divider: float = 1.0

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            told = ", ".join(f"{number} ({inputs})" for number, inputs in CHANNELS.items())
            raise ValueError(f"channel must be one of {told}")
        if self.full_scale not in FULL_SCALES:
            raise ValueError(f"full_scale must be one of {', '.join(map(str, FULL_SCALES))} V")
        if self.rate not in RATES:
            raise ValueError(f"rate must be one of {', '.join(map(str, RATES))} conversions in a second")
        if not 1.0 <= self.divider <= 1000.0:
            raise ValueError("divider must be 1 (none) to 1000: input volts for one volt at the pin")


class Channels:
    """The channels of one ADS1115, for any number of drivers: see drivers.bus.Analog.

    Each conversion is carried out alone, on command; in between the part sleeps.
    """

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._turn = asyncio.Lock()
        self._takes = 1.1 / options.rate + _WAKING  # the rate is exact to 10 % (5.5)
        self._free = float("-inf")

    @property
    def full_scale(self) -> float:
        """The voltage [V] that a clipped channel gives, with the sign of its end."""
        return self._options.full_scale

    async def start(self) -> None:
        """Identify the part and show that it takes a configuration. Safe to repeat."""
        async with self._turn:
            found = (await self._read(_LOW_THRESHOLD), await self._read(_HIGH_THRESHOLD))
            if found != _UNTOUCHED:
                told = " ".join(f"{word:04x}" for word in found)
                raise WrongDevice(f"thresholds read {told}; an ADS1115 that nobody else uses has 8000 7fff")
            await self._rest()
            self._check(await self._read(_CONFIG), configuration(0, self._options))

    async def voltage(self, channel: int) -> float:
        """Convert *channel*, 0 to 7 as CHANNELS, and return its voltage [V].

        Takes a conversion, and the wait for those that others asked for. Raises DeviceError when it never
        ends, or when the part lost its configuration half-way.
        """
        if channel not in CHANNELS:
            raise BusError(f"there is no channel {channel}: an ADS1115 has 0 to {max(CHANNELS)}")
        async with self._turn:
            return decode(await self._convert(configuration(channel, self._options)), self.full_scale)

    async def stop(self) -> None:
        """To power-down, which is where the part is between conversions anyway."""
        async with self._turn:
            await self._rest()

    async def _convert(self, config: int) -> int:
        await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))  # one given up half-way
        try:
            await self._write(_CONFIG, config | _START)
        finally:  # the part begins when the transfer ends, which on a busy bus is late
            self._free = self._clock.monotonic() + self._takes
        await self._until_idle(config)
        code = await self._read(_CONVERSION)
        self._check(await self._read(_CONFIG), config)  # last: a part without power gives 0, as a true 0 V
        return code

    async def _until_idle(self, config: int) -> None:
        await self._clock.sleep(self._takes)
        for _ in range(_LOOKS):
            word = await self._read(_CONFIG)
            self._check(word, config)
            if word & _START:
                return
            await self._clock.sleep(self._takes / 4)
        raise DeviceError(f"no conversion within {2 * self._takes:.3g} s: the part never became idle")

    async def _rest(self) -> None:
        await self._write(_CONFIG, configuration(0, self._options))

    def _check(self, word: int, config: int) -> None:
        if word & ~_START != config:
            raise DeviceError(f"configured as {config:04x}, reads {word & ~_START:04x}: was power lost?")

    async def _read(self, register: int) -> int:
        return int.from_bytes(await self._bus.transfer(self._address, bytes((register,)), 2))

    async def _write(self, register: int, word: int) -> None:
        await self._bus.transfer(self._address, bytes((register,)) + word.to_bytes(2))


class Driver:
    """One channel of an ADS1115 as a sensor."""

    quantities = frozenset({Quantity.VOLTAGE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._channels = Channels(bus, address, clock, options)
        self._options = options

    async def start(self) -> None:
        """Identify the part and show that it takes a configuration."""
        await self._channels.start()

    async def measure(self) -> Values:
        """Convert once: volts before the divider, OUT_OF_RANGE where the input clips."""
        volts = await self._channels.voltage(self._options.channel)
        if abs(volts) >= self._channels.full_scale:
            return {Quantity.VOLTAGE: Missing.OUT_OF_RANGE}
        return {Quantity.VOLTAGE: volts * self._options.divider}

    async def stop(self) -> None:
        """To power-down."""
        await self._channels.stop()


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an ADS1115 is at *address*, or None.

    It has no identity: both thresholds at their reset values, which another part's registers will not show.
    An ADS1113, ADS1114 or ADS1015 answers the same. Only reads.
    """
    try:
        low, high, config = [
            int.from_bytes(await bus.transfer(address, bytes((register,)), 2))
            for register in (_LOW_THRESHOLD, _HIGH_THRESHOLD, _CONFIG)
        ]
    except BusError:
        return None
    if (low, high) != _UNTOUCHED or config in (0x0000, 0xFFFF, low, high):
        return None
    return f"thresholds 0x8000 and 0x7fff, configuration {config:#06x}"


def configuration(channel: int, options: Options) -> int:
    """Return the word for the Config register (8.1.3), which starts nothing by itself."""
    mux = 4 + channel if channel < 4 else channel - 4
    pga, rate = FULL_SCALES.index(options.full_scale), RATES.index(options.rate)
    return mux << 12 | pga << 9 | _SINGLE | rate << 5 | _OURS


def decode(code: int, full_scale: float) -> float:
    """Turn a 16-bit code into volts (7.5.4); one that clips into plus or minus *full_scale* exactly."""
    signed = code - 0x10000 if code & 0x8000 else code
    return copysign(full_scale, signed) if code in _RAILS else signed * full_scale / 32768
