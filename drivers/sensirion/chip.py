"""How Sensirion's emulated parts behave on I2C, from their datasheets and not from what the drivers do.

A part that executes a command is deaf. It leaves an answer to be read, once; what is read beyond it is ones.
"""

from collections.abc import Callable
from struct import unpack

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock


class Interface:
    """A part's end of the wires. *corrupt* is the number of next answers with a wrong CRC."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.corrupt = 0
        self.occupy(0.0)

    def occupy(self, seconds: float) -> None:
        """Be deaf for so long, with nothing to read: while a command is executed, or after power-up."""
        self._answer: bytes | None = None
        self._free = self._clock.monotonic() + seconds

    def listen(self) -> None:
        """Raise NoAcknowledge while a command is executed."""
        if self._clock.monotonic() < self._free:
            raise NoAcknowledge("the part executes a command")

    def answer(self, *words: int) -> None:
        """Leave *words* to be read, each followed by its CRC."""
        self._answer = b"".join(map(framed, words))
        if self.corrupt:
            self.corrupt -= 1
            self._answer = bytes([self._answer[0] ^ 0x10]) + self._answer[1:]

    def read(self, count: int) -> bytes:
        """Hand the answer out."""
        answer, self._answer = self._answer, None
        if answer is None:
            raise NoAcknowledge("there is nothing to read")
        return answer[:count].ljust(count, b"\xff")

    def exchange(self, write: bytes, read: int, execute: Callable[[int, bytes], None]) -> bytes:
        """Let *execute* take a command and the bytes of its arguments, or hand out its answer; never both."""
        if write:
            execute(int.from_bytes(write[:2]), write[2:])
            if read:
                raise NoAcknowledge("the answer is not there yet: the command takes time")
        return self.read(read) if read else b""


def words(raw: bytes) -> tuple[int, ...]:
    """Return the words of a command's arguments. Raises BusError unless each is followed by its CRC."""
    parts = [raw[at : at + 3] for at in range(0, len(raw), 3)]
    found = tuple(int.from_bytes(part[:2]) for part in parts)
    if list(map(framed, found)) != parts:
        raise BusError("each word of the arguments is followed by its CRC")
    return found


def spelt(text: str, count: int) -> tuple[int, ...]:
    """Return the first *count* words of *text*, with zeros behind it."""
    raw = text.encode()[: 2 * count].ljust(2 * count, b"\0")
    return unpack(f">{count}H", raw)


def framed(word: int) -> bytes:
    """Return *word* and its CRC: what is left of it when x^8 + x^5 + x^4 + 1 divides it as one long number.

    Reckoned on its own, so as not to trust the driver's.
    """
    register = (word ^ 0xFF00) << 8
    for bit in reversed(range(8, 24)):
        if register >> bit & 1:
            register ^= 0x131 << (bit - 8)
    return word.to_bytes(2) + bytes([register])
