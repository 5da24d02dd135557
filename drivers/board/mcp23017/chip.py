"""An emulated MCP23017, from datasheet DS20001952C: two ports of eight lines, and an interrupt for each."""

from collections.abc import Callable, Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins, Span

# One byte for each port: the order of the registers is that of the datasheet's table 3-1.
_NAMES = ["iodir", "ipol", "gpinten", "defval", "intcon", "iocon", "gppu", "intf", "intcap", "gpio", "olat"]


class Emulated:
    """One part. `pins` is the world's side of its lines: contacts and relays go onto it as onto a header.

    *interrupt* is called with the level of the interrupt pin whenever that changes. Faults: `power_cycle` and
    `reset` (all lines are inputs), *deaf* (writes are acknowledged and forgotten), `shorted` (line to level).
    """

    spans: Mapping[Quantity, Span] = {}

    def __init__(self, clock: Clock) -> None:
        self.pins = EmulatedPins(clock, changed=self._moved)
        self.interrupt: Callable[[bool], None] = lambda high: None
        self.deaf = False
        self.shorted: dict[int, bool] = {}
        self._pin_high = True
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: the world moves its lines, by `pins`."""
        raise ValueError(f"an expander does not know {quantity}")

    def power_cycle(self) -> None:
        """Lose everything: every line lets go."""
        self.memory = {name: [0, 0] for name in _NAMES}
        self.memory["iodir"] = [0xFF, 0xFF]
        self._pointer = 0
        self._seen = self._port(0), self._port(1)
        self.pins.release()
        self._tell()

    reset = power_cycle

    def transfer(self, write: bytes, read: int) -> bytes:
        """A register and what to write from there on; then what to read from there on."""
        if write:
            self._point(write[0])
        for value in write[1:]:
            if not self.deaf:
                self._store(value)
            self._step()
        answer = bytearray()
        for _ in range(read):
            answer.append(self._fetch())
            self._step()
        return bytes(answer)

    def _bank(self) -> bool:
        return bool(self.memory["iocon"][0] & 0x80)

    def _point(self, register: int) -> None:
        if self._bank() and not (register <= 0x0A or 0x10 <= register <= 0x1A):
            raise BusError(f"there is no register {register:#04x} in bank mode")
        if not self._bank() and register > 0x15:
            raise BusError(f"there is no register {register:#04x}")
        self._pointer = register

    def _here(self) -> tuple[str, int]:
        """Return the name and the port of the register at the pointer."""
        if self._bank():
            return _NAMES[self._pointer & 0x0F], self._pointer >> 4 & 1
        return _NAMES[self._pointer >> 1], self._pointer & 1

    def _step(self) -> None:
        if self.memory["iocon"][0] & 0x20:  # SEQOP: the pointer stays, or toggles within a pair
            self._pointer ^= 0 if self._bank() else 1
        elif self._bank():
            self._pointer = {0x0A: 0x10, 0x1A: 0x00}.get(self._pointer, self._pointer + 1)
        else:
            self._pointer = (self._pointer + 1) % 0x16

    def _fetch(self) -> int:
        name, port = self._here()
        value = self._port(port) ^ self.memory["ipol"][port] if name == "gpio" else self.memory[name][port]
        if name in ("gpio", "intcap"):
            self.memory["intf"][port] = 0
            self._look(port)
            self._tell()
        return value

    def _store(self, value: int) -> None:
        name, port = self._here()
        match name:
            case "intf" | "intcap":
                raise BusError(f"{name.upper()} is read-only")
            case "iocon":
                if value & 0x01:
                    raise BusError("bit 0 of IOCON is unimplemented")
                self.memory["iocon"] = [value, value]
            case "gpio" | "olat":
                self.memory["olat"][port] = value
            case _:
                self.memory[name][port] = value
        self._drive()
        self._look(port)
        self._tell()

    def _drive(self) -> None:
        """Bring the lines to what latches and directions say; a line's level comes with its direction."""
        for line in range(16):
            port, bit = divmod(line, 8)
            if self.memory["iodir"][port] >> bit & 1:
                self.pins.release(line)
                continue
            high = bool(self.memory["olat"][port] >> bit & 1)
            if line not in self.pins.outputs or self.pins.levels[line] != high:
                self.pins.drive(line, high)

    def _port(self, port: int) -> int:
        lines = range(8 * port, 8 * port + 8)
        return sum(
            self.shorted.get(line, self.pins.levels.get(line, True)) << at for at, line in enumerate(lines)
        )

    def _moved(self, line: int, high: bool) -> None:
        """A line has changed: the first such line of a port interrupts, and the port is captured."""
        port = line // 8
        if not self.memory["intf"][port]:
            enabled, now = self.memory["gpinten"][port], self._port(port)
            reference = (
                self.memory["defval"][port]
                if self.memory["intcon"][port] >> line % 8 & 1
                else self._seen[port]
            )
            if enabled & 1 << line % 8 and (now ^ reference) >> line % 8 & 1:
                self.memory["intf"][port] = 1 << line % 8
                self.memory["intcap"][port] = now
        if not self.memory["intf"][port]:
            self._look(port)
        self._tell()

    def _look(self, port: int) -> None:
        """Take the port as it is now for what the next change is compared to."""
        seen = list(self._seen)
        seen[port] = self._port(port)
        self._seen = seen[0], seen[1]

    def _tell(self) -> None:
        """Show the interrupt at the pin: low while one is pending, with both ports on it by MIRROR."""
        mirrored = bool(self.memory["iocon"][0] & 0x40)
        pending = self.memory["intf"][0] | (self.memory["intf"][1] if mirrored else 0)
        if (high := not pending) != self._pin_high:
            self._pin_high = high
            self.interrupt(high)
