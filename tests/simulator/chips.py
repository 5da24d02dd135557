"""What is on the pole: a hygrometer on a bus with faults, the contact of a lid, two switched loads."""

from collections.abc import AsyncIterator
from typing import Any

from drivers.bus import BusError, Edge
from drivers.device import Quantity
from drivers.emulated import EmulatedI2C, EmulatedPins
from drivers.faults import Fault, Faults, FaultyI2C, FaultyPins, Plan
from drivers.weather.sht4x.chip import Emulated
from gateway.app.breaker import Breaker, Tell
from gateway.app.check import Placed
from gateway.app.check import Plan as Checked
from tests.simulator.world import World

AIR, LID, SIREN, PUMP = 0x44, 17, 23, 25
LINES = {SIREN: "siren", PUMP: "pump"}
BELIEVED = 8.0
"""Seconds back within which a published value must have been the world's: a measurement takes less."""

NOISE = Plan(
    {
        Fault.ADDRESS_NACK: 0.02,
        Fault.DATA_NACK: 0.01,
        Fault.SHORT_READ: 0.02,
        Fault.FLIPPED_BIT: 0.05,
        Fault.HANG: 0.01,
        Fault.BROWN_OUT: 0.02,
        Fault.STUCK: 0.01,
        Fault.EDGE_LOST: 0.1,
        Fault.EDGE_LATE: 0.2,
        Fault.BOUNCE: 0.2,
    },
    share=0.3,
    kinds=(Fault.HANG, Fault.UNPLUGGED, Fault.STRANGER, Fault.STUCK),
)


class Clock:
    """The clock of the chips: the world's, which no process takes with it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("a chip does not wait")


class Parts:
    """The parts, and what is true around them. They outlive every process."""

    street = None  # see gateway.app.hardware.Hardware, in whose place a Wiring stands

    def __init__(self, world: World) -> None:
        self.world = world
        clock = Clock(world)
        self.pins = EmulatedPins(clock)
        self.chip = Emulated(clock)
        self.wires = EmulatedI2C({AIR: self.chip})
        self.history: dict[Quantity, list[tuple[float, float]]] = {}
        self.lid = True
        self.lid_cut = False
        """Whether the lid's wire is cut."""
        self.plan = Plan()
        self.set(Quantity.TEMPERATURE, 20.0)
        self.set(Quantity.HUMIDITY, 50.0)
        self.set_lid(True)

    def set(self, quantity: Quantity, value: float) -> None:
        """Let the air be so."""
        self.chip.set(quantity, value)
        self.history.setdefault(quantity, []).append((self.world.now, value))
        self.world.note(f"world {quantity} {value:.2f}")

    def set_lid(self, closed: bool) -> None:
        """Open or close the lid."""
        self.lid = closed
        self.world.note(f"lid {'closed' if closed else 'open'}")
        self.pins.set(LID, not closed)

    def was(self, quantity: Quantity, value: float, moment: float) -> bool:
        """Tell whether *value* was true, within a count, shortly before *moment* [s, the world's]."""
        step = self.chip.spans[quantity].step
        told, in_force = False, None
        for when, true in self.history[quantity]:
            if when > moment:
                break
            if when >= moment - BELIEVED:
                told = told or abs(true - value) <= step
            else:
                in_force = true
        return told or (in_force is not None and abs(in_force - value) <= step)


class Wiring:
    """The wires of one process: what it opens of the parts, with the faults on them."""

    street = None

    def __init__(self, parts: Parts, clock: Any) -> None:
        self.tell: Tell = lambda kind, data: None
        self._clock = clock
        self.faults = Faults(parts.world.seed * 100 + parts.world.process, parts.plan, clock)
        bus = FaultyI2C(parts.wires, self.faults)
        self._bus = Breaker("i2c", bus, clock, lambda kind, data: self.tell(kind, data))
        self._pins = _Mortal(FaultyPins(parts.pins, self.faults), parts)

    def build(self, plan: Checked, placed: Placed) -> Any:
        """Return the driver of *placed*."""
        wires = self._pins if placed.part.on == "pins" else self._bus
        return placed.part.driver(wires, placed.address, self._clock, placed.options)


class _Mortal:
    """Lines that a dead process cannot move."""

    def __init__(self, pins: FaultyPins, parts: Parts) -> None:
        self._pins, self._parts, self._world = pins, parts, parts.world

    async def write(self, line: int, high: bool) -> None:
        if not self._world.alive:
            raise BusError("the process is dead")
        await self._pins.write(line, high)

    async def read(self, line: int) -> bool:
        if line == LID and self._parts.lid_cut:
            raise BusError("the lid's wire is cut")
        return await self._pins.read(line)

    def edges(self, line: int) -> AsyncIterator[Edge]:
        return self._pins.edges(line)
