"""An emulated SHT4x, from datasheet "SHT4x", version 6: deaf while it measures, every word with its CRC."""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.checksum import crc8
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_MEASURING = {0xFD: 0.0083, 0xF6: 0.0045, 0xE0: 0.0016}
_HEATING = {0x39: 1.1, 0x32: 0.11, 0x2F: 1.1, 0x24: 0.11, 0x1E: 1.1, 0x15: 0.11}
_SERIAL, _RESET = 0x89, 0x94
_T, _RH = Quantity.TEMPERATURE, Quantity.HUMIDITY


class Emulated:
    """One part with the number *serial*.

    Faults: *spoilt* holds the words (0, 1) whose CRC is wrong; *hung* is a measurement that never ends; *raw*
    replaces the words of the next measurements.
    """

    spans: Mapping[Quantity, Span] = {_T: Span(-40.0, 125.0, 175 / 65535), _RH: Span(0.0, 100.0, 125 / 65535)}

    def __init__(self, clock: Clock, serial: int = 0x0F4A2B1C) -> None:
        self._clock = clock
        self._world = {_T: 21.0, _RH: 55.0}
        self.serial = serial
        self.spoilt: set[int] = set()
        self.hung = False
        self.raw: tuple[int, int] | None = None
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*."""
        if quantity not in self._world:
            raise ValueError(f"an SHT4x does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the measurement that was running, or waiting to be read."""
        self._busy_until = self._clock.monotonic() + 0.001
        self._answer = b""

    def transfer(self, write: bytes, read: int) -> bytes:
        """One command, or a read of what the last one left; both only while nothing runs (4.1)."""
        if write and read:
            raise BusError("an SHT4x knows no repeated start: write, wait, read")
        if self._clock.monotonic() < self._busy_until:
            raise NoAcknowledge("the part is busy")
        if write:
            self._order(write)
        return self._read(read) if read else b""

    def _order(self, write: bytes) -> None:
        command = write[0]
        if len(write) != 1 or command not in {*_MEASURING, *_HEATING, _SERIAL, _RESET}:
            raise NoAcknowledge(f"there is no command {write.hex()}")
        words = self._words(warmed=20.0 if command in _HEATING else 0.0)
        if command == _SERIAL:
            words = (self.serial >> 16, self.serial & 0xFFFF)
        self._answer = b"" if command == _RESET else self._framed(words)
        takes = (_MEASURING | _HEATING).get(command, 0.001)
        self._busy_until = self._clock.monotonic() + (float("inf") if self.hung else takes)

    def _words(self, warmed: float) -> tuple[int, int]:
        temperature = round((self._world[_T] + warmed + 45) * 65535 / 175)
        humidity = round((self._world[_RH] + 6) * 65535 / 125)
        return self.raw or (min(0xFFFF, max(0, temperature)), min(0xFFFF, max(0, humidity)))

    def _framed(self, words: tuple[int, int]) -> bytes:
        framed = bytearray()
        for number, word in enumerate(words):
            raw = word.to_bytes(2)
            framed += raw + bytes([crc8(raw) ^ (number in self.spoilt)])
        return bytes(framed)

    def _read(self, read: int) -> bytes:
        """Give the answer once, or the beginning of it."""
        if not self._answer:
            raise NoAcknowledge("there is nothing to read")
        if read > len(self._answer):
            raise BusError("an answer has 6 bytes")
        answer, self._answer = self._answer[:read], b""
        return answer
