"""Maxim DS3231: a clock that keeps the time on a battery, and the temperature of its crystal, over I2C.

Datasheet: "DS3231 Extremely Accurate I2C-Integrated RTC/TCXO/Crystal", Maxim Integrated, 19-5170 revision 10.
It keeps the time of day in UTC here, in 24-hour mode; 12-hour mode is understood.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x68,)

_SECONDS, _CONTROL, _STATUS, _TEMPERATURE = 0x00, 0x0E, 0x0F, 0x11
_REGISTERS = 19  # then the pointer wraps to the seconds (Address Map)
_STOP_ON_BATTERY, _CONVERT = 0x80, 0x20  # EOSC, CONV (Control Register)
_STOPPED, _BUSY = 0x80, 0x04  # OSF, BSY (Status Register)
_ALWAYS_ZERO = {0: 0x80, 1: 0x80, 2: 0x80, 3: 0xF8, 4: 0xC0, 5: 0x60, 15: 0x70, 18: 0x3F}
_TWELVE, _AFTERNOON, _CENTURY = 0x40, 0x20, 0x80
_CONVERSION = 0.2  # s, the longest (tCONV)
_LOOKS, _PAUSE = 5, 0.05
_COLDEST, _WARMEST = -45.0, 90.0  # Cel; it works from -40 to 85, and tells 3 degrees off at the worst
_FIRST, _LAST = 946684800, 7258118399  # Unix time of the first second of 2000 and the last of 2199


@dataclass(frozen=True, slots=True)
class Options:
    """The part has no settings that a city would change."""


class Driver:
    """A DS3231: a sensor of temperature, and a clock by `time` and `set_time`."""

    quantities = frozenset({Quantity.TEMPERATURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock

    async def start(self) -> None:
        """Look whether its registers can be a DS3231's, and let it run on its battery."""
        raw = await self._registers()
        if fault := implausible(raw):
            raise WrongDevice(f"at {self._address:#04x} there is no DS3231: {fault}")
        if raw[_CONTROL] & _STOP_ON_BATTERY:
            await self._write(_CONTROL, raw[_CONTROL] & ~(_STOP_ON_BATTERY | _CONVERT))

    async def measure(self) -> Values:
        """Convert, 0.2 s, and return the temperature. Raises DeviceError when a conversion never ends.

        By itself the part converts only every 64 s. One that does not take the command, which leaves its bit
        standing without being busy, still does that: the latest temperature stands.
        """
        raw = await self._checked()
        if not (raw[_CONTROL] & _CONVERT or raw[_STATUS] & _BUSY):
            await self._write(_CONTROL, raw[_CONTROL] | _CONVERT)
            await self._clock.sleep(_CONVERSION)
        idle = 0
        for _ in range(_LOOKS):
            raw = await self._checked()
            idle = 0 if raw[_STATUS] & _BUSY else idle + 1
            # Zero is also what a part that has just got its power back holds, 2 ms before it shows as busy.
            if idle and (any(raw[_TEMPERATURE:]) or idle > 1):
                return {Quantity.TEMPERATURE: decode_temperature(raw[_TEMPERATURE:])}
            await self._clock.sleep(_PAUSE)
        raise DeviceError(f"the part is busy for more than {_LOOKS * _PAUSE:.2g} s: it hangs in a conversion")

    async def stop(self) -> None:
        """Nothing: a clock must go on."""

    async def time(self) -> float:
        """Return the time [s, Unix], in whole seconds.

        Raises DeviceError when the oscillator has ever stopped since the time was set: then it is wrong.
        """
        raw = await self._checked()
        if raw[_STATUS] & _STOPPED:
            raise DeviceError("the clock has stood still, as without a battery: its time must be set again")
        return float(decode_time(raw[:7]))

    async def set_time(self, time: float) -> None:
        """Set the clock to *time* [s, Unix]: at the next full second, with which the part's own begins.

        Raises ValueError outside the years 2000 to 2199, DeviceError when the part did not take it.
        """
        second = ceil(time)
        raw = encode_time(second)
        await self._clock.sleep(second - time)
        await self._write(_SECONDS, *raw)
        status = (await self._checked())[_STATUS]
        await self._write(_STATUS, status & ~_STOPPED)
        if abs(await self.time() - second) > 1:
            raise DeviceError("the part did not take the time")

    async def _checked(self) -> bytes:
        raw = await self._registers()
        if fault := implausible(raw):
            raise DeviceError(f"{fault}: the part or its wires are defective")
        return raw

    async def _registers(self) -> bytes:
        """Return all of them, of one moment: the part holds the time still for a burst."""
        return await self._bus.transfer(self._address, bytes([_SECONDS]), _REGISTERS)

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes([register, *values]))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that a DS3231 is at *address*, or None. Only reads.

    It has no identity, but its 19 registers come again when one reads on, and the time among them is one.
    """
    try:
        raw = await bus.transfer(address, bytes([_SECONDS]), 2 * _REGISTERS)
    except BusError:
        return None
    first, again = raw[:_REGISTERS], raw[_REGISTERS:]
    if implausible(first) or implausible(again) or first[7:15] != again[7:15]:
        return None
    if not -1 <= decode_time(again[:7]) - decode_time(first[:7]) <= 1:
        return None
    stopped = ", but the clock has stood still" if first[_STATUS] & _STOPPED else ""
    return f"19 registers that repeat, with a time among them{stopped}"


def implausible(raw: bytes) -> str:
    """Return what shows that *raw*, registers 0x00 to 0x12, is not a DS3231's; empty when nothing does.

    Bits that are always 0, and a date that there is: a day or a month of 0 is none.
    """
    for register, mask in _ALWAYS_ZERO.items():
        if raw[register] & mask:
            return f"register {register:#04x} is {raw[register]:#04x}, where bits {mask:#04x} are always 0"
    if not raw[3]:
        return "its day of the week is 0"
    try:
        decode_time(raw[:7])
    except DeviceError as error:
        return str(error)
    return ""


def decode_temperature(raw: bytes) -> float | Missing:
    """Turn registers 0x11 and 0x12 into degrees Celsius: ten bits, two's complement, a quarter each."""
    celsius = (int.from_bytes(raw[:2], signed=True) >> 6) * 0.25
    return celsius if _COLDEST <= celsius <= _WARMEST else Missing.OUT_OF_RANGE


def decode_time(raw: bytes) -> int:
    """Turn registers 0x00 to 0x06 into Unix time [s]. Raises DeviceError where they are no date.

    The century bit toggles when the years run over: clear is 2000 to 2099. The part takes 2100 for a leap
    year, which it is not; its 29th of February is no date.
    """
    years = 2100 if raw[5] & _CENTURY else 2000
    try:
        moment = datetime(
            years + _bcd(raw[6]),
            _bcd(raw[5] & 0x1F),
            _bcd(raw[4]),
            _hour(raw[2]),
            _bcd(raw[1]),
            _bcd(raw[0]),
            tzinfo=UTC,
        )
    except ValueError as error:
        raise DeviceError(f"its time reads {raw.hex(' ')}, which is none") from error
    return int(moment.timestamp())


def encode_time(time: int) -> bytes:
    """Return registers 0x00 to 0x06 for *time* [s, Unix]. Raises ValueError outside 2000 to 2199."""
    if not _FIRST <= time <= _LAST:
        raise ValueError(f"a DS3231 knows the years 2000 to 2199, not the Unix time {time}")
    moment = datetime.fromtimestamp(time, UTC)
    fields = (moment.second, moment.minute, moment.hour, moment.isoweekday(), moment.day, moment.month)
    raw = bytearray(_to_bcd(each) for each in (*fields, moment.year % 100))
    raw[5] |= _CENTURY if moment.year >= 2100 else 0
    return bytes(raw)


def _hour(byte: int) -> int:
    """Return the hour, 0 to 23; in 12-hour mode 12 is the hour of midnight and of noon."""
    if not byte & _TWELVE:
        return _bcd(byte & 0x3F)
    hour = _bcd(byte & 0x1F)
    if not 1 <= hour <= 12:
        raise ValueError("hours of 12-hour mode are 1 to 12")
    return hour % 12 + (12 if byte & _AFTERNOON else 0)


def _bcd(byte: int) -> int:
    tens, ones = divmod(byte, 16)
    if ones > 9 or tens > 9:
        raise ValueError(f"{byte:#04x} is not binary coded decimal")
    return 10 * tens + ones


def _to_bcd(number: int) -> int:
    tens, ones = divmod(number, 10)
    return tens << 4 | ones
