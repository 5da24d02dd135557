"""The buses and the header that a configuration names, opened once and closed at the end."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from drivers.bus import I2C, Pins
from drivers.device import Clock
from drivers.street import Street
from gateway.app.check import EMULATED, Placed, Plan


class _Closable(Protocol):
    async def close(self) -> None: ...


@dataclass
class Hardware:
    """Real or emulated, by the path that the configuration gives. A bus opens when it is first asked for."""

    clock: Clock
    street: Street | None = None
    _buses: dict[str, I2C] = field(default_factory=dict)
    _pins: dict[str, Pins] = field(default_factory=dict)
    _opened: list["_Closable"] = field(default_factory=list)

    def build(self, plan: Plan, placed: Placed) -> Any:
        """Return the driver of *placed*, on its bus or line."""
        wires: I2C | Pins
        if placed.on_pins:
            wires = self._header(plan.config.header.chip)
            emulated = plan.config.header.chip == EMULATED
        else:
            path = next(bus.path for bus in plan.config.bus if bus.id == placed.config.bus)
            wires = self._bus(path)
            emulated = path == EMULATED
        if emulated:
            part = placed.part
            self._street().attach(placed.config.id, part.domain, part.name, placed.address, placed.options)
        return placed.part.driver(wires, placed.address, self.clock, placed.options)

    async def close(self) -> None:
        """Close every bus and release every line."""
        for opened in self._opened:
            await opened.close()

    def _street(self) -> Street:
        if self.street is None:
            self.street = Street(self.clock)
        return self.street

    def _bus(self, path: str) -> I2C:
        if path not in self._buses:
            self._buses[path] = self._street() if path == EMULATED else self._linux(path)
        return self._buses[path]

    def _header(self, chip: str) -> Pins:
        if chip not in self._pins:
            self._pins[chip] = self._street().pins if chip == EMULATED else self._gpiozero(chip)
        return self._pins[chip]

    def _linux(self, path: str) -> I2C:
        from drivers.linux import LinuxI2C  # smbus2 only where there is a real bus

        bus = LinuxI2C(path)
        self._opened.append(bus)
        return bus

    def _gpiozero(self, chip: str) -> Pins:
        from drivers.header import (
            HeaderPins,
        )  # gpiozero, and through it lgpio, only where there are real lines

        pins = HeaderPins(chip)
        self._opened.append(pins)
        return pins
