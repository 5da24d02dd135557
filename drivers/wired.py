"""Emulated parts put together as a configuration says: on buses, behind muxes, on lines, on channels."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple, Protocol, runtime_checkable

from drivers.device import Clock, Quantity
from drivers.emulated import Chip, EmulatedAnalog, EmulatedI2C, EmulatedPins, Span
from drivers.faults import Faults


class Hop(NamedTuple):
    """A step from a bus to one behind a mux: which part the mux is, where, and on which of its channels."""

    domain: str
    driver: str
    address: int
    channel: int


class Way(NamedTuple):
    """How to get to a bus: the name of a real one, and the muxes on the way from there."""

    root: str
    hops: tuple[Hop, ...] = ()


class World(Protocol):
    """The face of an emulated part that looks to the street."""

    @property
    def spans(self) -> Mapping[Quantity, Span]: ...

    def set(self, quantity: Quantity, value: float) -> None: ...


@runtime_checkable
class Living(Protocol):
    """A part that does something by itself, as long as *run* runs."""

    async def run(self) -> None: ...


@runtime_checkable
class Showing(Protocol):
    """A part on a channel, whose voltages have to be brought up to now."""

    def show(self) -> None: ...


_PAIRS = {4: (0, 1), 5: (0, 3), 6: (1, 3), 7: (2, 3)}  # channels that are the difference of two inputs
_CALLED = {"length": "speed"}
"""What an emulated part calls an option of its driver, where the two names differ."""


@dataclass
class WiredBus:
    """A real bus and all that can be reached from it. Before each transfer, who is addressed *looks* up.

    *faults*, if there are any, befall the transfers.
    """

    clock: Clock
    before: Callable[[], None]
    faults: Faults | None = None
    chips: MutableMapping[int, Chip] = field(default_factory=dict)
    looks: dict[int, dict[tuple[Hop, ...], Callable[[], None]]] = field(default_factory=dict)
    _wires: EmulatedI2C = field(init=False)

    def __post_init__(self) -> None:
        self._wires = EmulatedI2C(self.chips)
        self._bus = self.faults.bus(self._wires) if self.faults else self._wires

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer; see drivers.bus.I2C."""
        self.before()
        for look in self.looks.get(address, {}).values():
            look()
        return await self._bus.transfer(address, write, read)

    def behind(self, hops: tuple[Hop, ...]) -> MutableMapping[int, Chip]:
        """Return the chips on the bus that *hops* lead to; muxes that are not there yet are put there."""
        chips = self.chips
        for domain, driver, address, channel in hops:
            module = import_module(f"drivers.{domain}.{driver}.chip")
            if self._wires.chips is self.chips:
                self._wires.chips = module.Wired(self.chips)
            mux = chips.get(address)
            if not isinstance(mux, module.Emulated):
                mux = chips[address] = module.Emulated(self.clock)
            chips = mux.behind[channel]
        return chips

    def on(self, way: Way, address: int, chip: Chip, look: Callable[[], None]) -> None:
        """Put *chip* at *address* of the bus that *way* leads to."""
        self.behind(way.hops)[address] = chip
        self.looks.setdefault(address, {})[way.hops] = look


@dataclass
class Converter:
    """The world's side of an emulated converter: what the parts on its channels do to its inputs."""

    chip: Any
    clock: Clock
    analog: EmulatedAnalog = field(init=False)
    parts: dict[int, World] = field(default_factory=dict)
    shows: dict[int, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.analog = EmulatedAnalog(self.clock)

    def look(self) -> None:
        """Bring every input up to now."""
        for channel, part in self.parts.items():
            self.shows[channel]()
            if isinstance(part, Showing):
                part.show()
        for channel, volts in self.analog.volts.items():
            plus, minus = _PAIRS.get(channel, (channel, None))
            self.chip.inputs[plus] = volts
            if minus is not None:
                self.chip.inputs[minus] = 0.0


def made(domain: str, driver: str, clock: Clock) -> Any:
    """Return the emulated part of a driver on I2C."""
    return import_module(f"drivers.{domain}.{driver}.chip").Emulated(clock)


def fitted(
    domain: str, driver: str, wires: EmulatedPins | EmulatedAnalog, at: int, clock: Clock, options: Any
) -> Any:
    """Return the emulated part of a driver on lines or channels, wired as the driver's *options* say."""
    kind = import_module(f"drivers.{domain}.{driver}.chip").Emulated
    _, _, *further = signature(kind).parameters
    given = {name: clock if name == "clock" else _option(name, options) for name in further}
    return kind(wires, at, **{name: value for name, value in given.items() if value is not None})


def _option(name: str, options: Any) -> Any:
    if name == "zeros":
        return options.working_zero, options.auxiliary_zero
    value = getattr(options, _CALLED.get(name, name), None)
    return value if value is None or name != "gas" else Quantity(value)
