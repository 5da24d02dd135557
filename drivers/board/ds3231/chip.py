"""An emulated DS3231, from datasheet 19-5170 revision 10: a calendar, a thermometer, a battery.

The calendar counts days from the first of 2000 in cycles of four years, as the part does: it knows nothing of
the calendar's other exceptions.
"""

from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CENTURIES = 2 * 36525 * 86400
_BEGIN = 9497 * 86400  # the first of January 2026
_CYCLE, _TAKES, _HIDDEN = 64.0, 0.125, 0.002  # s: conversions, how long one takes, until BSY shows it


class Emulated:
    """One part with its crystal at some temperature.

    Faults: *battery* (False: power lost is time lost), *drift* [ppm] of its crystal, `stop` (the oscillator
    stands still), *hung* (a conversion never ends), *deaf* (it does not convert on command).
    """

    spans: Mapping[Quantity, Span] = {Quantity.TEMPERATURE: Span(-40.0, 85.0, 0.25)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._celsius = 20.0
        self.battery = True
        self.drift = 0.0
        self.hung = False
        self.deaf = False
        self._power_up()
        self._told = _BEGIN * 1.0
        self.status = 0x08

    def set(self, quantity: Quantity, value: float) -> None:
        """Warm or cool the crystal; the next conversion shows it."""
        if quantity is not Quantity.TEMPERATURE:
            raise ValueError(f"a DS3231 does not know {quantity}")
        self._advance()
        self._celsius = value

    def power_cycle(self) -> None:
        """With a battery nothing is lost, and the clock goes on unless EOSC forbids it."""
        self._advance()
        self._pointer = 0
        if not self.battery:
            self._power_up()

    def stop(self) -> None:
        """Stop the oscillator for good, and let it run again at once: the time is wrong from then on."""
        self._told = self._now() - 3600.0
        self._since = self._clock.monotonic()
        self.status |= 0x80

    def transfer(self, write: bytes, read: int) -> bytes:
        """A pointer and what to write from there, then what to read from there on, around the end."""
        self._advance()
        if write:
            self._point(write[0])
            self._store(write[1:])
        memory = self._memory()
        answer = bytes(memory[(self._pointer + offset) % 19] for offset in range(read))
        self._pointer = (self._pointer + read) % 19
        return answer

    def _power_up(self) -> None:
        self._since = self._clock.monotonic()
        self._told = 0.0
        self.twelve = False
        self.weekday = 0
        self.alarms = bytearray(7)
        self.control, self.status, self.aging = 0x1C, 0x88, 0
        self._code = 0
        self._pointer = 0
        self._began: float | None = self._since
        self._next = self._since + _CYCLE

    def _point(self, register: int) -> None:
        if register > 18:
            raise BusError(f"there is no register {register:#04x}")
        self._pointer = register

    def _now(self) -> float:
        """Return the seconds since 2000, as the part counts them."""
        passed = self._clock.monotonic() - self._since
        return (self._told + passed * (1 + self.drift * 1e-6)) % _CENTURIES

    def _advance(self) -> None:
        """End and begin conversions."""
        now = self._clock.monotonic()
        while self._next <= now:
            self._began = self._began or self._next
            self._next += _CYCLE
        if self._began is not None and now >= self._began + _TAKES and not self.hung:
            self._code = round(self._celsius * 4) & 0x3FF
            self._began = None
            self.control &= ~0x20

    def _busy(self) -> bool:
        return self._began is not None and self._clock.monotonic() >= self._began + _HIDDEN

    def _memory(self) -> list[int]:
        status = self.status | (0x04 if self._busy() else 0)
        temperature = [self._code >> 2, (self._code & 3) << 6]
        return [*self._time(), *self.alarms, self.control, status, self.aging, *temperature]

    def _time(self) -> list[int]:
        days, seconds = divmod(int(self._now()), 86400)
        century, days_in = divmod(days, 36525)
        cycle, day = divmod(days_in, 1461)
        year = 4 * cycle
        for length in (366, 365, 365, 365):
            if day < length:
                break
            day, year = day - length, year + 1
        month = 0
        while day >= (long := _length(month, year)):
            day, month = day - long, month + 1
        weekday = (days + self.weekday) % 7 + 1
        hour = self._hour(seconds // 3600)
        numbers = [seconds % 60, seconds // 60 % 60, weekday, day + 1, month + 1, year]
        second, minute, of_week, date, of_year, two = [each // 10 << 4 | each % 10 for each in numbers]
        return [second, minute, hour, of_week, date, of_year | century << 7, two]

    def _hour(self, hour: int) -> int:
        if not self.twelve:
            return hour // 10 << 4 | hour % 10
        shown = (hour + 11) % 12 + 1
        return 0x40 | (hour >= 12) << 5 | shown // 10 << 4 | shown % 10

    def _store(self, values: bytes) -> None:
        if values and self._pointer < 7:
            self._store_time(values)
        for value in values:
            match self._pointer:
                case 0x07 | 0x08 | 0x09 | 0x0A | 0x0B | 0x0C | 0x0D:
                    self.alarms[self._pointer - 7] = value
                case 0x0E:
                    self._control(value)
                case 0x0F:
                    if value & 0x70:
                        raise BusError(f"bits 6 to 4 of the status are 0, not those of {value:#04x}")
                    self.status = self.status & value & 0x83 | value & 0x08
                case 0x10:
                    self.aging = value
                case 0x11 | 0x12:
                    raise BusError("the temperature cannot be written")
            self._pointer = (self._pointer + 1) % 19

    def _store_time(self, values: bytes) -> None:
        """Take a whole time: writing a part of it is not needed here. The second begins now."""
        if self._pointer != 0 or len(values) < 7:
            raise BusError("the time is written as a whole, or runs over in between")
        second, minute, hour, weekday, date, month, year = values[:7]
        if not 1 <= weekday <= 7:
            raise BusError("the day of the week is 1 to 7")
        self.twelve = bool(hour & 0x40)
        number = _plain(hour & 0x1F) % 12 + 12 * (hour >> 5 & 1) if self.twelve else _plain(hour)
        days = _days(_plain(year), _plain(month & 0x1F) - 1, _plain(date) - 1) + 36525 * (month >> 7)
        self._told = days * 86400.0 + number * 3600 + _plain(minute) * 60 + _plain(second)
        self._since = self._clock.monotonic()
        self.weekday = (weekday - 1 - days) % 7

    def _control(self, value: int) -> None:
        converting = self._began is not None
        self.control = value & ~0x20 | (self.control & 0x20 if converting else 0)
        if value & 0x20:
            self.control |= 0x20
            if not converting and not self.deaf:
                self._began = self._clock.monotonic()


def _length(month: int, year: int) -> int:
    return 29 if month == 1 and year % 4 == 0 else _MONTHS[month]


def _days(year: int, month: int, day: int) -> int:
    """Return the days since the first of 2000; month and day count from 0."""
    if month > 11 or month < 0 or not 0 <= day < _length(month, year):
        raise BusError("illogical dates result in undefined operation")
    return (
        year // 4 * 1461
        + (year % 4 and 1 + year % 4 * 365)
        + sum(_length(each, year) for each in range(month))
        + day
    )


def _plain(byte: int) -> int:
    if byte & 0x0F > 9 or byte >> 4 > 9:
        raise BusError(f"{byte:#04x} is not binary coded decimal")
    return (byte >> 4) * 10 + (byte & 0x0F)
