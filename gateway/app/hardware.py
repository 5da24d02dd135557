"""The wires that a configuration names, real or emulated, opened once and closed at the end."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import drivers
from drivers.board.tca9548a import Turn
from drivers.bus import I2C, Analog, Pins
from drivers.device import Clock
from drivers.street import Street
from drivers.wired import Hop, Way
from gateway.app.breaker import Breaker, Tell
from gateway.app.check import Placed, Plan
from gateway.app.lent import LentAnalog, LentPins
from gateway.app.wiring import EMULATED, Lender, Wiring, mux_address


class _Closable(Protocol):
    async def close(self) -> None: ...


@dataclass
class Hardware:
    """Real or emulated, by the path that the configuration gives. A bus opens when it is first asked for.

    *tell* hears of buses that are stuck, and back.
    """

    clock: Clock
    street: Street | None = None
    tell: Tell = lambda kind, data: None
    _roots: dict[str, I2C] = field(default_factory=dict)
    _channels: dict[tuple[str, Way], I2C] = field(default_factory=dict)
    _turns: dict[tuple[str, Way], Turn] = field(default_factory=dict)
    _pins: dict[Any, Pins] = field(default_factory=dict)
    _adcs: dict[Any, Analog] = field(default_factory=dict)
    _opened: list["_Closable"] = field(default_factory=list)

    def build(self, plan: Plan, placed: Placed) -> Any:
        """Return the driver of *placed*, on its bus, line or channel."""
        wires: I2C | Pins | Analog
        match placed.part.on:
            case "pins":
                wires = self._on_line(plan, placed)
            case "analog":
                wires = self._on_channel(plan, placed)
            case _:
                wires = self._on_bus(plan, placed)
        return placed.part.driver(wires, placed.address, self.clock, placed.options)

    def bus(self, wiring: Wiring, name: str) -> I2C:
        """Return the bus called *name*: a real one, the street's, or a channel of a mux."""
        return self._at(wiring, _way(wiring, name))

    def open(self, path: str) -> I2C:
        """Return the real bus at *path*."""
        return self._root(path, path)

    async def close(self) -> None:
        """Close every bus and release every line."""
        for opened in self._opened:
            await opened.close()

    def _on_bus(self, plan: Plan, placed: Placed) -> I2C:
        way = _way(plan.wiring, str(placed.config.bus))
        if plan.wiring.bus(way.root).path == EMULATED:
            self._street().attach(placed.part.domain, placed.part.name, way, placed.address)
        return self._at(plan.wiring, way)

    def _on_line(self, plan: Plan, placed: Placed) -> Pins:
        if placed.config.pins is not None:
            return self._expander(plan, placed, plan.wiring.pins[placed.config.pins])
        chip = plan.config.header.chip
        if chip == EMULATED:
            part = placed.part
            self._street().attach_line(
                placed.config.id, part.domain, part.name, placed.address, placed.options
            )
        return self._header(chip)

    def _expander(self, plan: Plan, placed: Placed, lender: Lender) -> Pins:
        way = _way(plan.wiring, lender.config.bus)
        if plan.wiring.bus(way.root).path == EMULATED:
            street, part, at = self._street(), placed.part, (way, lender.address)
            street.expand(lender.part.domain, lender.part.name, *at, lender.options.interrupt)
            street.attach_line(placed.config.id, part.domain, part.name, placed.address, placed.options, at)
        key = (plan.wiring.path(lender.config.bus), way, lender.address, lender.options)
        if key not in self._pins:
            header = self._header(plan.config.header.chip) if lender.options.interrupt is not None else None
            self._pins[key] = LentPins(self._lender(plan.wiring, way, lender, header))
        return self._pins[key]

    def _on_channel(self, plan: Plan, placed: Placed) -> Analog:
        lender = plan.wiring.adcs[str(placed.config.adc)]
        way = _way(plan.wiring, lender.config.bus)
        if plan.wiring.bus(way.root).path == EMULATED:
            street, part, at = self._street(), placed.part, (way, lender.address)
            street.convert(lender.part.domain, lender.part.name, *at)
            street.attach_channel(part.domain, part.name, at, placed.address, placed.options)
        key = (plan.wiring.path(lender.config.bus), way, lender.address, lender.options)
        if key not in self._adcs:
            self._adcs[key] = LentAnalog(self._lender(plan.wiring, way, lender))
        return self._adcs[key]

    def _lender(self, wiring: Wiring, way: Way, lender: Lender, *further: Any) -> Any:
        made = lender.part.lender
        assert made is not None  # or the check would have said so
        return made(self._at(wiring, way), lender.address, self.clock, lender.options, *further)

    def _street(self) -> Street:
        if self.street is None:
            self.street = Street(self.clock)
        return self.street

    def _at(self, wiring: Wiring, way: Way) -> I2C:
        path = str(wiring.bus(way.root).path)
        if not way.hops:
            return self._root(way.root, path)
        if (path, way) not in self._channels:
            outer, last = Way(way.root, way.hops[:-1]), way.hops[-1]
            turn = self._turns.setdefault((path, outer), Turn())
            if path == EMULATED:
                self._street().bus(way.root).behind(way.hops)
            mux = drivers.load(last.driver).lender
            assert mux is not None  # or the check would have said so
            self._channels[path, way] = mux(self._at(wiring, outer), last.address, last.channel, turn)
        return self._channels[path, way]

    def _root(self, name: str, path: str) -> I2C:
        key = f"{path} {name}" if path == EMULATED else path
        if key not in self._roots:
            wires = self._street().bus(name) if path == EMULATED else self._linux(path)
            self._roots[key] = Breaker(name, wires, self.clock, lambda kind, data: self.tell(kind, data))
        return self._roots[key]

    def _header(self, chip: str) -> Pins:
        if chip not in self._pins:
            self._pins[chip] = self._street().lines if chip == EMULATED else self._gpiozero(chip)
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


def _way(wiring: Wiring, name: str) -> Way:
    """Return how to get to the bus called *name*."""
    *hops, root = wiring.chain(name)
    parts = [(drivers.load(str(bus.mux)), bus) for bus in reversed(hops)]
    return Way(
        root.id,
        tuple(Hop(part.domain, part.name, mux_address(bus), bus.channel or 0) for part, bus in parts),
    )
