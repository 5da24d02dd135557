"""Melexis MLX90614: the temperature of a surface from afar, over SMBus.

Datasheet: "MLX90614 family", Melexis, 3901090614 revision 008. Sections are named beside what they justify.
"""

from dataclasses import dataclass

from drivers.bus import I2C, BusError
from drivers.checksum import crc8
from drivers.device import ChecksumError, Clock, Missing, Quantity, Values

ADDRESSES: tuple[int, ...] = (0x5A,)
"""As delivered. Another one can be written into the part; two on one bus want a mux instead."""

ON = "i2c"

AMBIENT, OBJECT = 0x06, 0x07  # RAM (8.4.6)
ERROR = 0x8000  # the part could not compute (8.4.6)
STEP, ABSOLUTE_ZERO = 0.02, 273.15
AMBIENT_RANGE, OBJECT_RANGE = (-40.02, 125.02), (-70.01, 382.19)  # Cel (8.4.6)
TRIES, PAUSE = 4, 0.1  # it has valid data 0.25 s after power-on (Electrical specifications)


@dataclass(frozen=True, slots=True)
class Options:
    """*emissivity* of the surface over that stored in the part, which is 1 as delivered; *zero* [K].

    The zero is what the surface reads too high. Raises ValueError for an emissivity outside 0.1 to 1 and a
    zero beyond 20 K.
    """

    emissivity: float = 1.0
    zero: float = 0.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.emissivity <= 1:
            raise ValueError("emissivity must be 0.1 to 1")
        if not abs(self.zero) <= 20:
            raise ValueError("zero must be -20 to 20 K: more is a defect")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what speaks for an MLX90614 at *address*: two words with valid checksums.

    It has no identity that says its name.
    """
    try:
        words = [await read(bus, address, command) for command in (AMBIENT, OBJECT)]
    except (BusError, ChecksumError):
        return None
    return None if not any(words) else "two words with a valid packet error code"


class Driver:
    """An MLX90614. It measures by itself, and has no settings that could be lost."""

    quantities = frozenset({Quantity.SURFACE_TEMPERATURE, Quantity.TEMPERATURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options

    async def start(self) -> None:
        """Wait until the part answers with a valid checksum, 0.3 s at the longest: it may be just powered.

        Raises ChecksumError when it is another part.
        """
        for _ in range(TRIES - 1):
            try:
                await read(self._bus, self._address, AMBIENT)
            except BusError:
                await self._clock.sleep(PAUSE)
            else:
                return
        await read(self._bus, self._address, AMBIENT)

    async def measure(self) -> Values:
        """Return the temperatures of the surface and of the part itself [Cel].

        FAULT where the part reports an error, OUT_OF_RANGE beyond what it can tell. Raises ChecksumError when
        a word arrives with a wrong packet error code.
        """
        ambient = await read(self._bus, self._address, AMBIENT)
        surface = await read(self._bus, self._address, OBJECT)
        return decode(ambient, surface, self._options)

    async def stop(self) -> None:
        """Nothing: it only looks. From its sleep it is not woken by an ordinary bus (8.4.7)."""


async def read(bus: I2C, address: int, command: int) -> int:
    """Read one word with a repeated start. Raises ChecksumError when its packet error code is wrong."""
    raw = await bus.transfer(address, bytes((command,)), 3)
    sent = bytes((address << 1, command, address << 1 | 1)) + raw[:2]
    if crc8(sent, polynomial=0x07, initial=0) != raw[2]:
        raise ChecksumError(f"word {command:#04x} reads {raw.hex()}: its packet error code is wrong")
    return int.from_bytes(raw[:2], "little")


def decode(ambient: int, surface: int, options: Options) -> Values:
    """Turn the two words into degrees Celsius. The surface's emissivity needs the part's own temperature."""
    own = _celsius(ambient, AMBIENT_RANGE)
    seen = _celsius(surface, OBJECT_RANGE)
    if isinstance(seen, float) and options.emissivity != 1:
        seen = Missing.INPUT_MISSING if isinstance(own, Missing) else emitted(seen, own, options.emissivity)
    if isinstance(seen, float):
        seen -= options.zero
    return {Quantity.SURFACE_TEMPERATURE: seen, Quantity.TEMPERATURE: own}


def emitted(seen: float, own: float, emissivity: float) -> float | Missing:
    """Return the surface's temperature [Cel], of which only a part is its own radiation.

    The rest is mirrored, from surroundings taken to be as warm as the part. Below absolute zero, which only a
    wrong emissivity gives, it is OUT_OF_RANGE.
    """
    around = (own + ABSOLUTE_ZERO) ** 4
    radiation = ((seen + ABSOLUTE_ZERO) ** 4 - around) / emissivity + around
    return radiation**0.25 - ABSOLUTE_ZERO if radiation > 0 else Missing.OUT_OF_RANGE


def _celsius(word: int, limits: tuple[float, float]) -> float | Missing:
    if word & ERROR:
        return Missing.FAULT
    celsius = word * STEP - ABSOLUTE_ZERO
    return celsius if limits[0] <= round(celsius, 2) <= limits[1] else Missing.OUT_OF_RANGE
