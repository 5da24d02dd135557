"""How a pole is wired: buses, muxes, expanders and converters, and which device hangs on what.

All of it is checked before anything is started: what is unknown, what lies outside of a part, and what two
targets would share.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import drivers
from drivers.device import Actuator
from gateway import config as settings
from gateway.config import Config, ConfigError
from gateway.places import Path as KeyPath
from gateway.toml import did_you_mean

EMULATED = "emulated:street"
"""The path of a bus or header whose targets are the emulated street's."""

HEADER = "the header"
_KEYS = ("bus", "address", "line", "pins", "adc", "channel")
_WANTED: Mapping[str, tuple[str, ...]] = {
    "i2c": ("bus", "address"),
    "pins": ("line", "pins"),
    "analog": ("adc", "channel"),
}
_WHERE = {
    "i2c": "on an I2C bus: give bus and address",
    "pins": "on a line: give line, and pins where it is an expander's",
    "analog": "on a channel of a converter: give adc and channel",
}


@dataclass(frozen=True, slots=True)
class Lender:
    """An expander or a converter: what it lends to devices, and where it is itself."""

    config: settings.Pins | settings.Adc
    part: drivers.Part
    options: Any
    address: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the devices of a configuration hang on."""

    config: Config
    pins: Mapping[str, Lender] = field(default_factory=dict)
    adcs: Mapping[str, Lender] = field(default_factory=dict)

    def bus(self, name: str) -> settings.Bus:
        """Return the bus called *name*."""
        return next(bus for bus in self.config.bus if bus.id == name)

    def chain(self, name: str) -> list[settings.Bus]:
        """Return the bus called *name*, the bus that it is a channel on, and so on up to a real one."""
        found = [self.bus(name)]
        while (above := found[-1].on) is not None:
            found.append(self.bus(above))
        return found

    def path(self, name: str) -> str:
        """Return the path of the real bus at the end of the chain from *name*."""
        return str(self.chain(name)[-1].path)


def mux_address(bus: settings.Bus) -> int:
    """Return where the mux of *bus* is: its usual address unless given."""
    return drivers.load(str(bus.mux)).addresses[0] if bus.address is None else bus.address


@dataclass(frozen=True, slots=True)
class _Target:
    """Something that answers at an address of a bus: *name* for people, *key* where the file says so.

    A device also has its *part* and its *options*.
    """

    name: str
    bus: str
    address: int
    key: KeyPath
    part: drivers.Part | None = None
    options: Any = None


@dataclass
class Checker:
    """Looks at the wiring of a draft, and tells *say* of each problem."""

    draft: settings.Draft
    say: Callable[[KeyPath, str], None]
    problems: Callable[[ConfigError], None]
    wiring: Wiring = field(init=False)
    _sound: set[str] = field(default_factory=set)
    _targets: list[_Target] = field(default_factory=list)
    _taken: dict[tuple[str, int], str] = field(default_factory=dict)

    def run(self) -> None:
        """Look at buses, expanders and converters; then `place` each device, and look for `collisions`."""
        config = self.draft.config
        for index, bus in self._listed("bus", config.bus):
            self._bus(("bus", index), bus)
        self._sound = {bus.id for bus in config.bus if self._ends(bus)}
        for index, bus in self._listed("bus", config.bus):
            if bus.id in self._sound:
                self._channel(("bus", index), bus)
        self.wiring = Wiring(config)
        self.wiring = Wiring(
            config,
            dict(self._lenders("pins", config.pins, "expander")),
            dict(self._lenders("adc", config.adc, "converter")),
        )

    def place(self, index: int, device: settings.Device, part: drivers.Part) -> int | None:
        """Return the address, line or channel of *device*, or None after saying why it has none."""
        path: KeyPath = ("device", index)
        if part.on == "wrapper":
            self.say(
                (*path, "driver"), f"a {device.driver} measures nothing: {_LENT_BY[part.lends or 'i2c']}"
            )
            return None
        for key in _KEYS:
            if getattr(device, key) is not None and key not in _WANTED[part.on]:
                self.say((*path, key), f"{device.driver} is {_WHERE[part.on]}, not {key}")
        if part.on == "i2c":
            return self._at_address(path, device, part)
        if part.on == "analog":
            return self._at_channel(path, device)
        return self._at_line(path, device, part)

    def note(self, index: int, device: settings.Device, part: drivers.Part, at: int, options: Any) -> None:
        """Remember what *device* takes, and say what another has taken before."""
        if part.on == "i2c":
            place: KeyPath = ("device", index, "address")
            self._targets.append(_Target(device.id, str(device.bus), at, place, part, options))
            return
        analog = part.on == "analog"
        where, what = (str(device.adc), "channel") if analog else (device.pins or HEADER, "line")
        self._take(("device", index, what), device.id, where, what, at)
        for key in part.takes:
            self._take(("device", index, "options", key), device.id, where, what, getattr(options, key))

    def _take(self, path: KeyPath, name: str, where: str, what: str, number: int | None) -> None:
        """Let *name* have a line or a channel, or say who has it, or that there is no such."""
        if number is None:
            return
        lenders = self.wiring.adcs if what == "channel" else self.wiring.pins
        if self._within(path[:-1], str(path[-1]), number, lenders.get(where)) is None:
            return
        if (before := self._taken.setdefault((f"{what} {where}", number), name)) != name:
            self.say(path, f"{name} and {before} are both on {what} {number} of {where}: move one of them")

    def collisions(self) -> None:
        """Two targets at one address answer at the same time, and both are wrong.

        What is on a bus is heard on every channel of its muxes as well.
        """
        muxes = {
            (str(bus.on), mux_address(bus)): ("bus", index, "address")
            for index, bus in self._listed("bus", self.wiring.config.bus)
            if bus.mux is not None and bus.id in self._sound
        }
        found = [_Target("the mux", on, address, key) for (on, address), key in muxes.items()]
        found += [each for each in self._targets if each.bus in self._sound]
        for number, target in enumerate(found):
            above = [bus.id for bus in self.wiring.chain(target.bus)]
            for other in found[:number]:
                if other.address == target.address:
                    self._collide(target, other, above, [bus.id for bus in self.wiring.chain(other.bus)])

    def _collide(self, target: _Target, other: _Target, above: list[str], others: list[str]) -> None:
        if target.bus == other.bus and target.part and target.part == other.part and target.part.shared:
            said = _not_shared(target.part, target, other)
        elif target.bus == other.bus:
            said = f"are both on address {target.address:#04x} on bus {target.bus}: move one of them"
        elif target.bus in others or other.bus in above:
            outer = target.bus if target.bus in others else other.bus
            said = (
                f"both answer at {target.address:#04x}, for what is on bus {outer} is heard behind its muxes "
                "too: move one of them"
            )
        else:
            return
        if said:
            self.say(target.key, f"{target.name} and {other.name} {said}")

    def _listed(self, name: str, entries: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
        return zip(self.draft.kept.get(name, ()), entries, strict=False)

    # Buses

    def _bus(self, path: KeyPath, bus: settings.Bus) -> None:
        """A bus has a path, or it is a channel of a mux: not both, and nothing of either is forgotten."""
        if bus.mux is None:
            for key in ("on", "address", "channel"):
                if getattr(bus, key) is not None:
                    self.say((*path, key), f"{key} is for a bus behind a mux: give mux too, or leave it out")
            if bus.path is None:
                self.say(path, f'{bus.id} needs the key "path", or mux, on and channel: it is behind a mux')
            return
        if bus.path is not None:
            self.say((*path, "path"), f"{bus.id} is behind a mux: give path or mux, not both")
        for key in ("on", "channel"):
            if getattr(bus, key) is None:
                self.say(path, f'{bus.id} is behind a mux, so it needs the key "{key}" too')
        if bus.on is not None:
            self._known_bus((*path, "on"), bus.on)
        part = self._lending((*path, "mux"), bus.mux, "i2c", "mux")
        if part is not None and bus.address is not None:
            self._possible((*path, "address"), bus.mux, part, bus.address)

    def _ends(self, bus: settings.Bus) -> bool:
        """Whether the chain from *bus* ends at a path, with a mux that there is at every step."""
        known = {each.id: each for each in self.draft.config.bus}
        seen: set[str] = set()
        at: settings.Bus | None = bus
        while at is not None and at.mux is not None:
            if at.id in seen:
                index = dict(zip(known, self.draft.kept.get("bus", ()), strict=False))[bus.id]
                self.say(("bus", index, "on"), f"{bus.id} hangs on itself: on must lead to a bus with a path")
                return False
            seen.add(at.id)
            if at.channel is None or at.mux not in drivers.names() or drivers.load(at.mux).lends != "i2c":
                return False
            at = known.get(str(at.on))
        return at is not None and at.path is not None

    def _channel(self, path: KeyPath, bus: settings.Bus) -> None:
        """Two buses that are the same wires would not know of each other's targets."""
        if bus.path == EMULATED:
            return
        key = bus.path if bus.mux is None else f"channel {bus.channel} of {mux_address(bus):#04x} on {bus.on}"
        if (before := self._taken.setdefault((f"bus {key}", 0), bus.id)) != bus.id:
            self.say(path, f"{bus.id} and {before} are both {key}: make them one [[bus]]")

    def _known_bus(self, path: KeyPath, name: str) -> bool:
        buses = [bus.id for bus in self.draft.config.bus]
        if name not in buses:
            hint = did_you_mean(name, buses) or "; add it as a [[bus]]"
            self.say(path, f'there is no bus "{name}"{hint}')
        return name in buses

    # Expanders and converters

    def _lenders(self, table: str, entries: tuple[Any, ...], what: str) -> Iterator[tuple[str, Lender]]:
        for index, entry in self._listed(table, entries):
            path: KeyPath = (table, index)
            known = self._known_bus((*path, "bus"), entry.bus)
            part = self._lending(
                (*path, "driver"), entry.driver, "pins" if table == "pins" else "analog", what
            )
            if part is None:
                continue
            address = part.addresses[0] if entry.address is None else entry.address
            if not self._possible((*path, "address"), entry.driver, part, address):
                continue
            if known:
                self._targets.append(_Target(entry.id, entry.bus, address, (*path, "address")))
            try:
                options = settings.options(
                    part.options, entry.options, self.draft.document, (*path, "options")
                )
            except ConfigError as error:
                self.problems(error)
                continue
            for key in part.takes if table == "pins" else ():
                self._take((*path, "options", key), entry.id, HEADER, "line", getattr(options, key))
            yield entry.id, Lender(entry, part, options, address)

    def _lending(self, path: KeyPath, name: str, lends: drivers.On, what: str) -> drivers.Part | None:
        """Return the part called *name* if it lends what is wanted, else say which do."""
        names = drivers.names()
        if name in names and drivers.load(name).lends == lends:
            return drivers.load(name)
        those = [each for each in names if drivers.load(each).lends == lends]
        hint = did_you_mean(name, those) or f"; there are: {', '.join(those)}"
        self.say(path, f'there is no {what} "{name}"{hint}')
        return None

    # Devices

    def _at_address(self, path: KeyPath, device: settings.Device, part: drivers.Part) -> int | None:
        if device.bus is None:
            buses = ", ".join(bus.id for bus in self.draft.config.bus) or "none yet"
            self.say(path, f'{device.id} needs the key "bus"; there are: {buses}')
        else:
            self._known_bus((*path, "bus"), device.bus)
        address = part.addresses[0] if device.address is None else device.address
        return address if self._possible((*path, "address"), device.driver, part, address) else None

    def _possible(self, path: KeyPath, name: str, part: drivers.Part, address: int) -> bool:
        if address not in part.addresses:
            can = ", ".join(f"{each:#04x}" for each in part.addresses[:8])
            self.say(path, f"a {name} cannot be at {address:#04x}; it can be at {can}")
        return address in part.addresses

    def _at_channel(self, path: KeyPath, device: settings.Device) -> int | None:
        lender = self._lent(path, "adc", device.adc, self.wiring.adcs)
        if device.adc is None:
            there = ", ".join(adc.id for adc in self.wiring.config.adc) or "none yet: add one as [[adc]]"
            self.say(
                path, f'{device.id} needs the key "adc": the converter that it is on; there are: {there}'
            )
        if device.channel is None:
            self.say(path, f'{device.id} needs the key "channel": the input of the converter that it is on')
        return self._within(path, "channel", device.channel, lender)

    def _at_line(self, path: KeyPath, device: settings.Device, part: drivers.Part) -> int | None:
        lender = self._lent(path, "pins", device.pins, self.wiring.pins)
        if device.pins is not None and part.direct:
            said = "looks too rarely for it: put it on the header"
            self.say((*path, "pins"), f"an expander such as {device.pins} {said}")
        if device.line is None:
            said = "the GPIO number" if device.pins is None else "the expander's line"
            self.say(path, f'{device.id} needs the key "line": {said} that it is wired to')
        elif (
            lender is not None
            and device.line in lender.part.outputs
            and not issubclass(part.driver, Actuator)
        ):
            self.say(
                (*path, "line"),
                f"line {device.line} of a {lender.part.name} can only be an output, and {device.id} listens: "
                "give it another",
            )
        return self._within(path, "line", device.line, lender)

    def _lent(
        self, path: KeyPath, key: str, name: str | None, lenders: Mapping[str, Lender]
    ) -> Lender | None:
        entries = self.draft.config.pins if key == "pins" else self.draft.config.adc
        ids = [entry.id for entry in entries]
        if name is not None and name not in ids:
            hint = did_you_mean(name, ids) or f"; add it as [[{key}]]"
            self.say((*path, key), f'there is no {key} "{name}"{hint}')
        return lenders.get(name or "")

    def _within(self, path: KeyPath, key: str, number: int | None, lender: Lender | None) -> int | None:
        """Return *number* if it is one of the lender's, or of the header's, which has no other."""
        if number is None or lender is None or number in lender.part.numbers:
            return number
        last = max(lender.part.numbers)
        what = "channel" if lender.part.lends == "analog" else "line"
        self.say((*path, key), f"a {lender.part.name} has {what}s 0 to {last}, not {number}")
        return None


def _not_shared(part: drivers.Part, target: _Target, other: _Target) -> str:
    """Return why two devices cannot share the *part* that they are both on; empty where they can."""
    at = f"the {part.name} at {target.address:#04x} on bus {target.bus}"
    if (number := getattr(target.options, part.shared)) == getattr(other.options, part.shared):
        return f"are both on {part.shared} {number} of {at}: move one of them"
    names = [field.name for field in fields(part.options) if field.name != part.shared]
    apart = [name for name in names if getattr(target.options, name) != getattr(other.options, name)]
    return f"share {at}: give both the same {' and '.join(apart)}" if apart else ""


_LENT_BY = {
    "i2c": "name it in a [[bus]], with mux, on and channel",
    "pins": "name it in [[pins]], and its lines in devices, with pins and line",
    "analog": "name it in [[adc]], and its channels in devices, with adc and channel",
    "wrapper": "name it where it is lent",
}
