"""NXP PCA9685: sixteen outputs of pulse-width modulation, over I2C: lamps to be dimmed, servos, valves.

Datasheet: "PCA9685 16-channel, 12-bit PWM Fm+ I2C-bus LED controller", NXP, revision 4, 16 April 2015. A
driver is one of the outputs; several share a part, and must agree on its frequency.
"""

from dataclasses import dataclass

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Quantity, Values, WrongDevice

ON = "i2c"
ADDRESSES: tuple[int, ...] = tuple(address for address in range(0x40, 0x78) if address != 0x70)
"""Six pins (7.1); 0x70 is every part's address until its all-call has been turned off."""

SHARED = "channel"
"""The option in which the devices that share a part differ; in all others they must agree."""

OUTPUTS = range(16)
COUNTS = 4096  # of one period (7.3.3)
_MODE1, _MODE2, _SUBADDRESS, _LED0, _PRESCALE = 0x00, 0x01, 0x02, 0x06, 0xFE
_IDENTITY = bytes.fromhex("e2e4e8e0")  # sub-addresses 1 to 3 and all-call after a reset (tables 7 and 8)
_RESTART, _INCREMENT, _ASLEEP = 0x80, 0x20, 0x10  # MODE1 (table 5)
_PUSH_PULL = 0x04  # OUTDRV in MODE2 (table 6)
_FULL = 0x1000  # bit 4 of the high byte: full on, or full off, which wins
_OSCILLATOR = 25e6  # Hz
_STARTING = 0.0005  # s that the oscillator takes (table 5, SLEEP)
_SLOWEST, _FASTEST = 24.0, 1526.0  # Hz: prescale values 255 and 3


@dataclass(frozen=True, slots=True)
class Options:
    """*channel*; *frequency* [Hz] of the whole part; *open_drain*, also of the whole part.

    Raises ValueError for what the part does not have.
    """

    channel: int = 0
    frequency: float = 200.0
    open_drain: bool = False

    def __post_init__(self) -> None:
        if self.channel not in OUTPUTS:
            raise ValueError(f"channel must be 0 to {max(OUTPUTS)}")
        if not _SLOWEST <= self.frequency <= _FASTEST:
            raise ValueError(f"frequency must be {_SLOWEST:g} to {_FASTEST:g} Hz: about 50 for a servo")


class Driver:
    """One output. Its safe state is off; the others on the part go on when this one starts or stops."""

    quantities = frozenset({Quantity.ON})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._output = _LED0 + 4 * options.channel
        self._prescale = prescale(options.frequency)
        self._mode2 = 0 if options.open_drain else _PUSH_PULL

    async def start(self) -> None:
        """Identify the part, turn the output off, and only then wake and configure the part."""
        found = bytes([await self._read(_SUBADDRESS + at) for at in range(4)])
        if found != _IDENTITY:
            raise WrongDevice(
                f"addresses at {self._address:#04x} read {found.hex(' ')}; a PCA9685 has {_IDENTITY.hex(' ')}"
            )
        await self.stop()
        await self._configure()

    async def apply(self, value: float) -> None:
        """Set the duty, 0 (off) to 1 (on), and read it back.

        A part that lost its configuration is configured again first. Raises DeviceError for another value,
        and when the part does not take it.
        """
        if not 0 <= value <= 1:
            raise DeviceError(f"a PCA9685 takes a duty of 0 to 1, not {value:g}")
        if await self._lost():
            await self._configure()
        raw = encode(value)
        await self._write(self._output, *raw)
        found = await self._bus.transfer(self._address, bytes([self._output]), 4)
        if found != raw:
            raise DeviceError(f"the output was told {raw.hex(' ')} and holds {found.hex(' ')}")
        await self._verify()

    async def measure(self) -> Values:
        """Return 1 where the output has a duty above 0, else 0, as the part holds it.

        Raises DeviceError when the part lost its configuration: then its outputs are off.
        """
        raw = await self._bus.transfer(self._address, bytes([self._output]), 4)
        await self._verify()
        return {Quantity.ON: float(decode(raw) > 0)}

    async def stop(self) -> None:
        """Turn the output off: by one byte, so that it works whatever state the part is in."""
        await self._write(self._output + 3, _FULL >> 8)

    async def _configure(self) -> None:
        """Wake the part, with its frequency and without its all-call address.

        The frequency can be set only asleep (7.3.5). Outputs that were running are started again (7.3.1.1).
        """
        if await self._read(_PRESCALE) != self._prescale:
            await self._write(_MODE1, _INCREMENT | _ASLEEP)
            await self._write(_PRESCALE, self._prescale)
        running = await self._read(_MODE1) & _RESTART
        await self._write(_MODE1, _INCREMENT)
        await self._clock.sleep(_STARTING)
        if running:
            await self._write(_MODE1, _INCREMENT | _RESTART)
        await self._write(_MODE2, self._mode2)
        await self._verify()

    async def _verify(self) -> None:
        if said := await self._lost():
            raise DeviceError(f"{said}: was power lost, or does another output want another frequency?")

    async def _lost(self) -> str:
        """Return what is not as it was configured; empty when all is."""
        found = (await self._read(_PRESCALE), await self._read(_MODE2), await self._read(_MODE1))
        wanted = (self._prescale, self._mode2, _INCREMENT)  # the last, since a reset always changes it
        if found == wanted:
            return ""
        return f"prescale and modes read {bytes(found).hex(' ')}, not {bytes(wanted).hex(' ')}"

    async def _read(self, register: int) -> int:
        return (await self._bus.transfer(self._address, bytes([register]), 1))[0]

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes([register, *values]))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that a PCA9685 is at *address*, or None: it has its four other addresses in it."""
    try:
        found = [(await bus.transfer(address, bytes([_SUBADDRESS + at]), 1))[0] for at in range(4)]
    except BusError:
        return None
    return f"sub-addresses and all-call {bytes(found).hex(' ')}" if bytes(found) == _IDENTITY else None


def prescale(frequency: float) -> int:
    """Return the prescale value for *frequency* [Hz] (7.3.5): 3 to 255."""
    return min(255, max(3, round(_OSCILLATOR / (COUNTS * frequency)) - 1))


def encode(duty: float) -> bytes:
    """Return the four bytes of an output for *duty*, 0 to 1: when it goes on, and when it goes off.

    The ends have bits of their own; anything above 0 is one count at the least.
    """
    counts = max(1, round(duty * COUNTS)) if duty > 0 else 0
    on, off = (0, _FULL) if counts == 0 else (_FULL, 0) if counts >= COUNTS else (0, counts)
    return on.to_bytes(2, "little") + off.to_bytes(2, "little")


def decode(raw: bytes) -> float:
    """Return the duty, 0 to 1, that the four bytes of an output mean (7.3.3)."""
    on, off = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:4], "little")
    if off & _FULL:
        return 0.0
    if on & _FULL:
        return 1.0
    return (off - on) % COUNTS / COUNTS
