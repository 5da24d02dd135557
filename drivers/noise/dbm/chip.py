"""An emulated PCBA-DBM-r3, from the maker's register description."""

from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_HISTORY = 100


class Emulated:
    """A PCBA-DBM-r3. It hears its world once in each averaging time.

    Faults: *version* is what the VERSION register holds; *deaf* computes nothing (levels stay 0); *stuck*
    computes the same level for ever.
    """

    spans: Mapping[Quantity, Span] = {Quantity.SOUND_LEVEL: Span(35.0, 115.0, 1.0)}

    def __init__(self, clock: Clock, version: int = 0x31) -> None:
        self._clock = clock
        self._level = 52.0
        self.version = version
        self.deaf = False
        self.stuck = False
        self.power_cycle()

    @property
    def powered_down(self) -> bool:
        """Whether the microphone is off."""
        return bool(self._registers[0x06] & 0x01)

    def set(self, quantity: Quantity, value: float) -> None:
        """Make a sound of *value*."""
        if quantity is not Quantity.SOUND_LEVEL:
            raise ValueError("only the sound level can be set: the extremes follow from it")
        self._advance()
        self._level = value

    def power_cycle(self) -> None:
        """A-weighting, 1000 ms, nothing computed."""
        defaults = {0x05: 0xAA, 0x06: 0x02, 0x07: 0x03, 0x08: 0xE8, 0x0D: 45, 0x0E: 85}
        unique = {0x00: self.version, 0x01: 0xDE, 0x02: 0xAD, 0x03: 0xBE, 0x04: 0xEF}
        empty = dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, *range(0x14, 0x14 + _HISTORY)), 0)
        self._registers = empty | unique | defaults
        self._pointer = 0
        self._average(1000)

    def transfer(self, write: bytes, read: int) -> bytes:
        """Set the register, write what follows to it and on, or read from it on."""
        self._registers[0x00] = self.version
        self._advance()
        if write:
            self._pointer = write[0]
        for value in write[1:]:
            self._store(self._pointer, value)
            self._pointer += 1
        try:
            return bytes(self._registers[self._pointer + offset] for offset in range(read))
        except KeyError as error:
            raise BusError(f"there is no register {error.args[0]:#04x}") from error

    def _store(self, register: int, value: int) -> None:
        match register:
            case 0x06:
                self._control(value)
            case 0x08:
                self._registers[0x08] = value
                self._average(self._registers[0x07] << 8 | value)
            case 0x09:
                self._reset(value)
            case 0x05 | 0x07 | 0x0D | 0x0E:
                self._registers[register] = value
            case _:
                raise BusError(f"register {register:#04x} cannot be written")

    def _control(self, value: int) -> None:
        if value & 0xE0 or value & 0x06 == 0x06:
            raise BusError(f"reserved bits set in CONTROL: {value:#04x}")
        asleep = self._registers[0x06] & 0x01  # writing 0 does not wake it
        changed = (self._registers[0x06] ^ value) & 0x06
        self._registers[0x06] = value | asleep
        if changed:
            self._average(self._period)

    def _reset(self, value: int) -> None:
        if value & 0xF0:
            raise BusError(f"reserved bits set in RESET: {value:#04x}")
        if value & 0x08:
            self.power_cycle()
        if value & 0x04:
            self._registers |= dict.fromkeys(range(0x14, 0x14 + _HISTORY), 0)
        if value & 0x02:
            self._registers |= {0x0B: 0, 0x0C: 0}

    def _average(self, period: int) -> None:
        """Begin again with an averaging time of *period* milliseconds; no level until it is over."""
        if not 10 <= period <= 10000:
            raise BusError(f"an averaging time of {period} ms: 10 to 10000 is possible")
        self._period = period
        self._since, self._ticks = self._clock.monotonic(), 0
        self._registers[0x0A] = 0

    def _advance(self) -> None:
        """Compute the levels of the averaging times that are over."""
        if self.powered_down or self.deaf:
            return
        ticks = int((self._clock.monotonic() - self._since) * 1000 / self._period + 1e-9)
        fresh = min(ticks - self._ticks, _HISTORY)
        self._ticks = ticks
        level = self._registers[0x0A] if self.stuck and self._registers[0x0A] else self._count()
        for _ in range(fresh):
            self._keep(level)

    def _count(self) -> int:
        return max(1, min(254, round(self._level)))

    def _keep(self, level: int) -> None:
        registers = self._registers
        registers[0x0A] = level
        registers[0x0B] = min(registers[0x0B] or level, level)
        registers[0x0C] = max(registers[0x0C], level)
        for register in range(0x14 + _HISTORY - 1, 0x14, -1):
            registers[register] = registers[register - 1]
        registers[0x14] = level
