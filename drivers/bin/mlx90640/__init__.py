"""Melexis MLX90640: the temperatures of 32 x 24 surfaces from afar, over I2C.

Datasheet: "MLX90640 32x24 IR array", Melexis, 3901090640 revision 12. Sections are named beside what they
justify; what its words mean is in `calibration`.
"""

from dataclasses import dataclass
from math import ceil

from drivers.bin.mlx90640 import calibration
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x33,)
"""As delivered. Another one can be written into the part; two on one bus want a mux instead."""

ON = "i2c"

RAM, EEPROM, IDENTITY, STATUS, CONTROL = 0x0400, 0x2400, 0x2407, 0x8000, 0x800D
NEW_DATA, SUBPAGE = 0x0008, 0x0007
CLEAR = 0x0030  # no new data; the next may overwrite (10.2, STATUS)
RESOLUTION = 2 << 10  # 18 bits
OTHER_PART = 0x0040  # of the EEPROM's word 10: an MLX90641, which has 16 x 12
RATES = {0.5: 0, 1.0: 1, 2.0: 2, 4.0: 3, 8.0: 4, 16.0: 5, 32.0: 6, 64.0: 7}  # Hz: code (10.2, CONTROL)
POWER_UP = 0.08  # s (8)
SUBPAGES = 6  # that are looked at for the two that make a frame
POLLS = 8  # in one period of a subpage
REST = 4  # pixels that may have no temperature beside those that the EEPROM marks
COLDEST = -40.0


@dataclass(frozen=True, slots=True)
class Options:
    """*rate* [Hz] of half frames, *emissivity* of the surfaces, *heating* [K], *percentile* to report.

    Heating is how much warmer the part is than what the surfaces mirror. Percentile 100 is the hottest pixel,
    99 leaves out the hottest hundredth. Raises ValueError for another rate than the part's, an emissivity
    outside 0.1 to 1, a heating outside -20 to 20 K, a percentile outside 50 to 100.
    """

    rate: float = 4.0
    emissivity: float = 1.0
    heating: float = 8.0
    percentile: float = 100.0

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise ValueError(f"rate must be one of {', '.join(f'{rate:g}' for rate in RATES)} Hz")
        if not 0.1 <= self.emissivity <= 1:
            raise ValueError("emissivity must be 0.1 to 1")
        if not abs(self.heating) <= 20:
            raise ValueError("heating must be -20 to 20 K")
        if not 50 <= self.percentile <= 100:
            raise ValueError("percentile must be 50 to 100")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the serial number when an MLX90640 answers at *address*: its EEPROM holds that very address."""
    try:
        words = await read(bus, address, IDENTITY, 9)
    except BusError:
        return None
    known = words[8] & 0x7F == address and not words[3] & OTHER_PART and 0 < sum(words[:3]) < 3 * 0xFFFF
    return f"serial number {' '.join(f'{word:04x}' for word in words[:3])}" if known else None


class Driver:
    """An MLX90640 that looks all the time; `measure` takes its next two half frames."""

    quantities = frozenset({Quantity.SURFACE_TEMPERATURE, Quantity.TEMPERATURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._period = 1 / options.rate
        self._control = calibration.CHESS | RESOLUTION | RATES[options.rate] << 7 | 0x0001
        self._calibration: calibration.Calibration | None = None

    async def start(self) -> None:
        """Read the calibration, which has no checksum, twice; configure the part, and let it begin anew."""
        self._calibration = None
        await self._clock.sleep(POWER_UP)
        eeprom = await self._eeprom()
        if eeprom[15] & 0x7F != self._address or eeprom[10] & OTHER_PART:
            raise WrongDevice(
                f"the EEPROM of what answers at {self._address:#04x} holds {eeprom[15]:#06x} for an address "
                f"and {eeprom[10]:#06x} for a kind: not an MLX90640's"
            )
        self._calibration = calibration.parse(eeprom)
        await self._write(CONTROL, self._control)
        await self._verify()
        await self._clock.sleep(2 * self._period)  # the half frame under way has begun with other settings

    async def measure(self) -> Values:
        """Return the temperatures of the hottest surface and of the part [Cel].

        OUT_OF_RANGE where the hottest is beyond the calibration, UNRELIABLE where more pixels fail than a
        part may have. Raises DeviceError when half frames do not come, repeat themselves or are overwritten
        while they are read, and when the part lost its settings.
        """
        if self._calibration is None:
            raise DeviceError("not started: the calibration of this MLX90640 is not known")
        await self._write(STATUS, CLEAR)  # what was waiting may be minutes old
        frames = await self._frames()
        pixels: list[float | None] = []
        for page, words in frames.items():
            pixels += self._image(words, page, self._calibration).values()
            await self._clock.sleep(0)  # let others work: this was some milliseconds of arithmetic
        own = calibration.ambient(frames[1], self._control, self._calibration).temperature
        bad = self._calibration.pixels.count(None)
        surface = hottest(pixels, self._options.percentile, bad + REST)
        return {Quantity.SURFACE_TEMPERATURE: surface, Quantity.TEMPERATURE: own}

    async def stop(self) -> None:
        """Nothing: it only looks, and has no sleep."""

    def _image(self, words: list[int], page: int, known: calibration.Calibration) -> dict[int, float | None]:
        emissivity, heating = self._options.emissivity, self._options.heating
        return calibration.temperatures(words, page, self._control, known, emissivity, heating)

    async def _eeprom(self) -> tuple[int, ...]:
        first = await read(self._bus, self._address, EEPROM, calibration.EEPROM_WORDS)
        second = await read(self._bus, self._address, EEPROM, calibration.EEPROM_WORDS)
        if first != second:
            raise DeviceError("the EEPROM reads differently twice: look at the wires and the bus's speed")
        return tuple(first)

    async def _frames(self) -> dict[int, list[int]]:
        """Return one half frame of each kind. A half that was overwritten while it was read is read anew."""
        found: dict[int, list[int]] = {}
        torn = 0
        for _ in range(SUBPAGES):
            page, words = await self._half()
            if words is None:
                torn += 1
            else:
                found[page] = words
            if len(found) == 2:
                return found
        if torn:
            raise DeviceError(f"{torn} half frames were overwritten as they were read: rate or bus are wrong")
        raise DeviceError(f"only half frame {next(iter(found))} comes, again and again")

    async def _half(self) -> tuple[int, list[int] | None]:
        """Wait for a half frame; return which it is, and its words unless the next came into them."""
        page = (await self._ready()) & SUBPAGE
        if page > 1:
            raise DeviceError(f"the part speaks of half frame {page}, and there are 0 and 1")
        await self._write(STATUS, CLEAR)
        words = await read(self._bus, self._address, RAM, calibration.RAM_WORDS)
        await self._verify()
        torn = (await read(self._bus, self._address, STATUS, 1))[0] & NEW_DATA
        return page, None if torn else words

    async def _ready(self) -> int:
        """Wait for new data, three periods at most; return the status."""
        for _ in range(3 * POLLS):
            status = (await read(self._bus, self._address, STATUS, 1))[0]
            if status & NEW_DATA:
                return status
            await self._clock.sleep(self._period / POLLS)
        raise DeviceError(f"no half frame within {3 * self._period:g} s: the part does not measure")

    async def _verify(self) -> None:
        found = (await read(self._bus, self._address, CONTROL, 1))[0]
        if found != self._control:
            told = f"the control register reads {found:#06x}, not {self._control:#06x}"
            raise DeviceError(f"{told}: the part lost its settings")

    async def _write(self, register: int, word: int) -> None:
        await self._bus.transfer(self._address, register.to_bytes(2) + word.to_bytes(2))


async def read(bus: I2C, address: int, register: int, count: int) -> list[int]:
    """Read *count* words from *register* on in one transfer with a repeated start."""
    raw = await bus.transfer(address, register.to_bytes(2), 2 * count)
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, 2 * count, 2)]


def hottest(pixels: list[float | None], percentile: float, missing: int) -> float | Missing:
    """Return the pixel above which less than 100 - *percentile* percent lie [Cel].

    UNRELIABLE when more than *missing* have no temperature; OUT_OF_RANGE beyond -40 Cel and the calibration's
    end.
    """
    known = sorted(each for each in pixels if each is not None)
    if len(pixels) - len(known) > missing or not known:
        return Missing.UNRELIABLE
    value = known[ceil(len(known) * percentile / 100) - 1]
    return value if round(value) >= COLDEST and value <= calibration.FARTHEST else Missing.OUT_OF_RANGE
