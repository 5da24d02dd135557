"""What the emulated INA219 and INA226 do alike on the wires, from their datasheets."""

from collections.abc import Callable, Container

from drivers.bus import BusError, NoAcknowledge


class Pointer:
    """Words behind a pointer of one byte, which stays where it was.

    *write* and *read* do what a register does.
    """

    def __init__(self, write: Callable[[int, int], None], read: Callable[[int], int]) -> None:
        self._write, self._read = write, read
        self.at = 0

    def transfer(self, write: bytes, read: int, known: Container[int]) -> bytes:
        """A pointer to one of the *known* perhaps, a word to write there, and a word to read."""
        if len(write) not in (0, 1, 3):
            raise NoAcknowledge("a write is a pointer, or a pointer and two bytes")
        if write:
            if write[0] not in known:
                raise NoAcknowledge(f"there is no register {write[0]:#04x}")
            self.at = write[0]
        if len(write) == 3:
            self._write(write[0], int.from_bytes(write[1:]))
        if read not in (0, 2):
            raise BusError("registers are read as two bytes")
        return self._read(self.at).to_bytes(2) if read else b""


def clip(value: int, low: int, high: int) -> int:
    """Return *value*, or the end of its range that it is beyond."""
    return min(max(value, low), high)
