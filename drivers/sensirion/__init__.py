"""How Sensirion's parts speak on I2C: their datasheets describe it in the same words.

A command is a word of 16 bits (an SHT4x's is a byte), and every word after it, in either direction, is
followed by its CRC-8. While a part executes a command it does not acknowledge, so an answer is read with a
transfer of its own. The datasheets are named in the drivers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from drivers.bus import I2C, BusError
from drivers.checksum import crc8
from drivers.device import ChecksumError, Clock, DeviceError, Missing, Quantity, WrongDevice

_INDICES = frozenset({Quantity.VOC_INDEX, Quantity.NOX_INDEX})


class Port:
    """One part on its bus. A command takes *execution* seconds, unless the caller knows better.

    It is *width* bytes long.
    """

    def __init__(self, bus: I2C, address: int, clock: Clock, execution: float, width: int = 2) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._execution = execution
        self._width = width
        self._free = float("-inf")

    async def ask(
        self, command: int, count: int, *arguments: int, takes: float | None = None
    ) -> tuple[int, ...]:
        """Send *command*, wait while it executes, and return the *count* words of its answer."""
        takes = self._execution if takes is None else takes
        await self.tell(command, *arguments, takes=takes)
        await self._clock.sleep(takes)
        return tuple(checked(await self._bus.transfer(self._address, read=3 * count)))

    async def tell(self, command: int, *arguments: int, takes: float | None = None) -> None:
        """Send *command* once the one before has been executed, also where that was given up half-way.

        Returns before *command* is executed: the next call waits for it. The part begins when the transfer
        ends, which on a busy bus is late.
        """
        await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))
        try:
            frame = command.to_bytes(self._width) + b"".join(map(guarded, arguments))
            await self._bus.transfer(self._address, frame)
        finally:
            self._free = self._clock.monotonic() + (self._execution if takes is None else takes)

    async def ready(self, command: int, mask: int, tries: int, pause: float) -> bool:
        """Return whether the word that *command* asks for gets a bit of *mask*.

        It is asked for *tries* times, with *pause* seconds after each.
        """
        for _ in range(tries):
            (flag,) = await self.ask(command, 1)
            if flag & mask:
                return True
            await self._clock.sleep(pause)
        return False

    async def name(self, command: int, count: int) -> str | None:
        """Return the name that *command* asks for, or None where no such answer comes: for a probe."""
        try:
            return text(await self.ask(command, count))
        except (BusError, DeviceError):
            return None


class Word(NamedTuple):
    """One word of a result: what it says, whether it has a sign, and how many counts make a unit."""

    quantity: Quantity
    signed: bool
    divisor: int


def guarded(word: int) -> bytes:
    """Return *word* as it goes over the wires: high byte, low byte, CRC-8."""
    raw = word.to_bytes(2)
    return raw + bytes([crc8(raw)])


def checked(raw: bytes) -> Iterator[int]:
    """Yield the 16-bit words of *raw*, each followed by its CRC-8. Raises ChecksumError."""
    for at in range(0, len(raw), 3):
        word, crc = raw[at : at + 2], raw[at + 2]
        if crc8(word) != crc:
            raise ChecksumError(f"word {at // 3} has CRC {crc:#04x}, computed {crc8(word):#04x}")
        yield int.from_bytes(word)


def text(words: Sequence[int]) -> str:
    """Return the text that *words* spell, up to its first zero byte."""
    return b"".join(word.to_bytes(2) for word in words).partition(b"\0")[0].decode("ascii", "replace")


def identify(words: Sequence[int], name: str) -> None:
    """Raise WrongDevice unless *words* spell *name* (a product name)."""
    told = text(words)
    if told != name:
        raise WrongDevice(f"the part says that it is a {told!r}, not a {name}")


def register(words: Sequence[int]) -> int:
    """Return a register of 32 bits, which comes as two words."""
    high, low = words
    return high << 16 | low


def decode(layout: Sequence[Word], words: Sequence[int], warming: bool) -> dict[Quantity, float | Missing]:
    """Turn the *words* of a SEN5x or SEN6x into values, in the order of *layout*.

    0xFFFF, and 0x7FFF where the word is signed, mean "unknown": WARMING_UP while *warming*, else SENTINEL.
    """
    return {each.quantity: _value(each, word, warming) for each, word in zip(layout, words, strict=True)}


def condemned(
    status: Sequence[int], bits: Mapping[int, tuple[frozenset[Quantity], frozenset[Quantity]]]
) -> dict[Quantity, Missing]:
    """Return what a *status* register (two words) says must not be trusted.

    *bits* gives for each bit what is broken when it is set (FAULT) and what is in doubt (UNRELIABLE). A fault
    is never softened to a doubt.
    """
    said: dict[Quantity, Missing] = {}
    for bit, (broken, doubtful) in bits.items():
        if register(status) >> bit & 1:
            said = dict.fromkeys(doubtful, Missing.UNRELIABLE) | said | dict.fromkeys(broken, Missing.FAULT)
    return said


def _value(layout: Word, word: int, warming: bool) -> float | Missing:
    if word == (0x7FFF if layout.signed else 0xFFFF):
        return Missing.WARMING_UP if warming else Missing.SENTINEL
    value = (word - 0x10000 if layout.signed and word & 0x8000 else word) / layout.divisor
    # An index is 1 to 500; the algorithm gives 0 until it has seen enough air.
    return Missing.WARMING_UP if layout.quantity in _INDICES and value <= 0 else value
