"""An emulated ADS1115, from datasheet SBAS444E: four inputs, one converter, four registers."""

from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None))  # MUX
_RANGES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)  # PGA: the last three are one
_PERIODS = (1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 250, 1 / 475, 1 / 860)  # DR


class Emulated:
    """One part with `inputs` [V] against its ground, at a supply of 5 V.

    `set` moves input 0. Faults: *never_ready* (a conversion that does not end), *slow* (by how much its own
    clock is off: 1.1 is the slowest that the datasheet allows), inputs beyond full scale or supply.
    """

    spans: Mapping[Quantity, Span] = {Quantity.VOLTAGE: Span(-0.3, 4.0957, 0.000125)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.inputs = [0.0, 0.0, 0.0, 0.0]
        self.supply = 5.0
        self.slow = 1.1
        self.never_ready = False
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put *value* volts onto input 0."""
        if quantity is not Quantity.VOLTAGE:
            raise ValueError(f"an ADS1115 does not know {quantity}")
        self.inputs[0] = value

    def power_cycle(self) -> None:
        """Lose the configuration, and the result with it."""
        self.registers = {0: 0x0000, 1: 0x0583, 2: 0x8000, 3: 0x7FFF}  # bit 15 of 1 is told by `_busy`
        self._pointer = 0
        self._ends: float | None = None

    def transfer(self, write: bytes, read: int) -> bytes:
        """A pointer, and perhaps two bytes for its register; then up to two bytes of it."""
        self._advance()
        if len(write) not in (0, 1, 3) or read > 2:
            raise BusError("registers are words behind a pointer of one byte")
        if write:
            if write[0] > 3:
                raise BusError(f"bits 7 to 2 of the pointer must be 0, not {write[0]:#04x}")
            self._pointer = write[0]
        if len(write) == 3:
            self._store(int.from_bytes(write[1:]))
        return self._word().to_bytes(2)[:read]

    @property
    def _busy(self) -> bool:
        return self._ends is not None

    def _word(self) -> int:
        word = self.registers[self._pointer]
        return word | (not self._busy) << 15 if self._pointer == 1 else word

    def _store(self, word: int) -> None:
        match self._pointer:
            case 0:
                raise BusError("the conversion register cannot be written")
            case 1:
                self.registers[1] = word & 0x7FFF
                if not self._busy and (word & 0x8000 or not word & 0x0100):
                    self._begin()
            case register:
                self.registers[register] = word

    def _begin(self) -> None:
        """Start a conversion. Settings that are written while it runs are for the next one."""
        self._latched = self.registers[1]
        self._ends = self._clock.monotonic() + 0.00011 + _PERIODS[self._latched >> 5 & 7] * self.slow

    def _advance(self) -> None:
        """Show the latest result; a continuous conversion goes on."""
        if self._ends is None or self.never_ready or self._clock.monotonic() < self._ends:
            return
        self.registers[0] = self._code() & 0xFFFF
        self._ends = None
        if not self.registers[1] & 0x0100:
            self._begin()

    def _code(self) -> int:
        plus, minus = _PAIRS[self._latched >> 12 & 7]
        volts = self._pin(plus) - (0.0 if minus is None else self._pin(minus))
        code = round(volts / _RANGES[self._latched >> 9 & 7] * 32768)
        return min(max(code, -0x8000), 0x7FFF)

    def _pin(self, number: int) -> float:
        """Return the voltage at a pin, whose diodes hold it near the supply."""
        return min(max(self.inputs[number], -0.3), self.supply + 0.3)
