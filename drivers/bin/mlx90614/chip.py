"""An MLX90614 made of arithmetic: two temperatures in RAM, an EEPROM, SMBus words with their check byte."""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_RAM = {Quantity.TEMPERATURE: 0x06, Quantity.SURFACE_TEMPERATURE: 0x07}
_EEPROM = {0x20: 0x9993, 0x21: 0x62E3, 0x22: 0x0201, 0x23: 0xF71C, 0x24: 0xFFFF, 0x25: 0x9FB4, 0x2E: 0xBE5A}
_EEPROM |= {0x3C: 0x1A2B, 0x3D: 0x40C1, 0x3E: 0x7F01, 0x3F: 0x0002}


class Emulated:
    """One part before a surface, at its delivered address. It does not answer for 0.25 s after power-on.

    Faults: `errors` (quantities whose word carries the error flag), `spoil` (bits that are flipped in every
    check byte), `held` (words in RAM whatever the world), `asleep`.
    """

    spans: Mapping[Quantity, Span] = {
        Quantity.TEMPERATURE: Span(-40.0, 125.0, 0.02),
        Quantity.SURFACE_TEMPERATURE: Span(-70.0, 382.0, 0.02),
    }

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._world = {Quantity.TEMPERATURE: 21.0, Quantity.SURFACE_TEMPERATURE: 24.0}
        self.errors: set[Quantity] = set()
        self.spoil = 0
        self.held: dict[int, int] = {}
        self.asleep = False
        self._ready_at = clock.monotonic()  # it has had power for a while

    def set(self, quantity: Quantity, value: float) -> None:
        """Temperatures in Cel: of the surface, and of the part."""
        if quantity not in self._world:
            raise ValueError(f"this part does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        self.asleep = False
        self._ready_at = self._clock.monotonic() + 0.25

    def transfer(self, write: bytes, read: int) -> bytes:
        if self.asleep or self._clock.monotonic() < self._ready_at:
            raise NoAcknowledge("the part sleeps, or has just been given power")
        if write == b"\xff\xe8":
            self.asleep = True
            return b""
        if len(write) != 1:
            raise NoAcknowledge("a command is one byte; its EEPROM is not written in the field")
        if read not in (2, 3):
            raise BusError("a word is two bytes and a check byte, read after a repeated start")
        raw = self._word(write[0]).to_bytes(2, "little")
        return (raw + bytes((_check(bytes((0xB4, write[0], 0xB5)) + raw) ^ self.spoil,)))[:read]

    def _word(self, command: int) -> int:
        if command in self.held:
            return self.held[command]
        for quantity, cell in _RAM.items():
            if cell == command:
                return round((self._world[quantity] + 273.15) * 50) | (quantity in self.errors) << 15
        if command in _EEPROM:
            return _EEPROM[command]
        if command > 0x3F:
            raise NoAcknowledge(f"there is no command {command:#04x}")
        return 0


def _check(data: bytes) -> int:
    """x8 + x2 + x + 1, bit by bit over all that was on the wires."""
    value = 0
    for byte in data:
        for bit in range(7, -1, -1):
            top = value >> 7 ^ byte >> bit & 1
            value = (value << 1 & 0xFF) ^ (0x07 if top else 0)
    return value
