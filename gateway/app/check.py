"""Every problem of a configuration at once, before anything is started."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drivers
from drivers.bus import BusError
from drivers.device import Actuator, Quantity
from gateway import config as settings
from gateway import derive, rules
from gateway.clock import LoopClock
from gateway.config import Config, ConfigError, Problem
from gateway.places import Path as KeyPath
from gateway.rules import Expression, RuleFile, Type
from gateway.toml import did_you_mean, read

EMULATED = "emulated:street"
"""The path of a bus or header whose targets are the emulated street's."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A configured device with its driver found and its options built."""

    config: settings.Device
    part: drivers.Part
    options: Any
    address: int
    quantities: frozenset[Quantity]

    @property
    def on_pins(self) -> bool:
        """Whether the device is on the header, not on an I2C bus."""
        return self.config.line is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration in which nothing is wrong, with everything that checking it has found."""

    path: Path
    config: Config
    devices: Mapping[str, Placed]
    rules: tuple[RuleFile, ...]
    permissives: Mapping[str, tuple[Expression, ...]]

    def types(self) -> Mapping[str, Type]:
        """Return every name that a rule may use, and its type."""
        return _types(self.devices, self.config.derive)


def plan(path: Path, keep_expired: bool = False) -> Plan:
    """Check the configuration at *path*, and the rule files that it names. Raises ConfigError.

    A rule that has expired is a problem, but no reason for a pole that starts up at night to stay dark:
    with *keep_expired* it is loaded, and shown, and never acts.
    """
    draft = settings.load(path)
    checker = _Checker(path, draft, keep_expired)
    found = checker.run()
    problems = [*draft.problems, *checker.problems]
    if problems:
        unique = dict.fromkeys(problems)
        raise ConfigError(sorted(unique, key=lambda each: (each.file, each.line, each.column)))
    return found


class _Unplugged:
    """A bus with nothing on it: enough to build a driver and ask what it measures."""

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        raise BusError("this bus only exists while a configuration is checked")


@dataclass
class _Checker:
    path: Path
    draft: settings.Draft
    keep_expired: bool
    problems: list[Problem] = field(default_factory=list)

    def run(self) -> Plan:
        """Look at everything that can still be looked at."""
        config = self.draft.config
        devices = {
            each.config.id: each
            for index, device in self._listed("device", config.device)
            for each in self._place(index, device)
        }
        self._unique_ids()
        self._collisions(list(devices.values()))
        self._streams(devices)
        self._broker()
        whole = len(devices) == len(self.draft.document.data.get("device", ())) and not self.problems
        if self.draft.problems or not whole:  # a name that is unknown may be one that was broken above
            self._rule_files_read()
            return Plan(self.path, config, devices, (), {})
        types = _types(devices, config.derive)
        return Plan(self.path, config, devices, self._rules(types, devices), self._permissives(types))

    def _listed(self, name: str, entries: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
        return zip(self.draft.kept.get(name, ()), entries, strict=False)

    def _say(self, path: KeyPath, message: str) -> None:
        self.problems.append(self.draft.document.problem(path, message))

    def _place(self, index: int, device: settings.Device) -> Iterator[Placed]:
        """Yield the device with its driver, or say why it cannot be."""
        path: KeyPath = ("device", index)
        names = drivers.names()
        if device.driver not in names:
            hint = did_you_mean(device.driver, names) or f"; there are: {', '.join(names)}"
            return self._say((*path, "driver"), f'there is no driver "{device.driver}"{hint}')
        part = drivers.load(device.driver)
        try:
            options = settings.options(part.options, device.options, self.draft.document, (*path, "options"))
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None
        address = self._pin(path, device) if not part.addresses else self._target(path, device, part)
        self._guarded(path, device, part)
        if address is None:
            return None
        try:
            built = part.driver(_Unplugged(), address, LoopClock(), options)
        except ValueError as error:
            return self._say((*path, "options"), f"{device.id}: {error}")
        yield Placed(device, part, options, address, frozenset(built.quantities))
        return None

    def _pin(self, path: KeyPath, device: settings.Device) -> int | None:
        for key in ("bus", "address"):
            if getattr(device, key) is not None:
                self._say((*path, key), f"{device.driver} is on a line of the header: give line, not {key}")
        if device.line is None:
            self._say(path, f'{device.id} needs the key "line": the GPIO number that it is wired to')
        return device.line

    def _target(self, path: KeyPath, device: settings.Device, part: drivers.Part) -> int | None:
        if device.line is not None:
            self._say((*path, "line"), f"{device.driver} is on an I2C bus: give bus and address, not line")
        buses = [bus.id for bus in self.draft.config.bus]
        if device.bus is None:
            self._say(path, f'{device.id} needs the key "bus"; there are: {", ".join(buses) or "none yet"}')
        elif device.bus not in buses:
            hint = did_you_mean(device.bus, buses) or "; add it as a [[bus]]"
            self._say((*path, "bus"), f'there is no bus "{device.bus}"{hint}')
        address = part.addresses[0] if device.address is None else device.address
        if address not in part.addresses:
            can = ", ".join(f"{each:#04x}" for each in part.addresses[:8])
            self._say(
                (*path, "address"), f"a {device.driver} cannot be at {address:#04x}; it can be at {can}"
            )
            return None
        return address

    def _guarded(self, path: KeyPath, device: settings.Device, part: drivers.Part) -> None:
        acts = issubclass(part.driver, Actuator)
        if acts and device.guard is None:
            self._say(path, f"{device.id} acts, so it needs a [device.guard] with at least max_on")
        if not acts and device.guard is not None:
            self._say((*path, "guard"), f"{device.id} only measures: a guard is for a device that acts")

    def _unique_ids(self) -> None:
        config, seen = self.draft.config, dict[str, str]()
        for table, entries in (("bus", config.bus), ("device", config.device), ("derive", config.derive)):
            for index, entry in self._listed(table, entries):
                kind = "bus" if table == "bus" else "device"
                if (key := f"{kind} {entry.id}") in seen:
                    self._say(
                        (table, index, "id"), f'the id "{entry.id}" is taken by a [[{seen[key]}]] above'
                    )
                seen.setdefault(key, table)

    def _collisions(self, devices: list[Placed]) -> None:
        """Two targets at one address answer at the same time, and both are wrong."""
        seen: dict[tuple[str, int], str] = {}
        places = dict(
            zip((d.id for d in self.draft.config.device), self.draft.kept.get("device", ()), strict=True)
        )
        for device in devices:
            where = "" if device.on_pins else str(device.config.bus)
            key = (where, device.address)
            if key in seen:
                taken = (
                    f"line {device.address}"
                    if device.on_pins
                    else f"address {device.address:#04x} on bus {device.config.bus}"
                )
                self._say(
                    ("device", places[device.config.id], "line" if device.on_pins else "address"),
                    f"{device.config.id} and {seen[key]} are both on {taken}: move one of them",
                )
            seen.setdefault(key, device.config.id)

    def _streams(self, devices: Mapping[str, Placed]) -> None:
        """A stream is made from a device, or from a stream that stands above it."""
        intervals = {
            f"{name}.{quantity}": device.config.interval
            for name, device in devices.items()
            for quantity in device.quantities
        }
        for index, stream in self._listed("derive", self.draft.config.derive):
            path: KeyPath = ("derive", index)
            if stream.source not in intervals:
                hint = did_you_mean(stream.source, intervals)
                self._say((*path, "from"), f'there is no reading "{stream.source}"{hint}')
                continue
            source = intervals[stream.source]
            for key, said in derive.problems(stream, source):
                self._say((*path, key), said)
            intervals[f"{stream.id}.{derive.gives(stream)}"] = derive.interval(stream, source)

    def _broker(self) -> None:
        mqtt = self.draft.config.mqtt
        if mqtt.exposed:
            self._say(
                ("mqtt", "host"),
                f"readings would go to {mqtt.host} in plain text: add [mqtt.tls], or set "
                f'mqtt.plaintext = "{settings.ACCEPT_PLAINTEXT}"',
            )
        if mqtt.tls is not None and (mqtt.tls.certificate is None) != (mqtt.tls.key is None):
            self._say(("mqtt", "tls"), "a certificate and its key go together: give both, or neither")
        if mqtt.password_file is not None and mqtt.password_credential is not None:
            self._say(("mqtt", "password_file"), "give password_file or password_credential, not both")
        if mqtt.username is None and (mqtt.password_file or mqtt.password_credential):
            self._say(("mqtt", "password_file"), "a password needs a username")

    def _rules(self, types: Mapping[str, Type], devices: Mapping[str, Placed]) -> tuple[RuleFile, ...]:
        switches = {name for name, device in devices.items() if device.config.guard is not None}
        try:
            return rules.load_all(
                self.draft.config.rules.files, types, switches, keep_expired=self.keep_expired
            )
        except ConfigError as error:
            self.problems.extend(error.problems)
            return ()

    def _rule_files_read(self) -> None:
        """Look at the rule files as far as that goes without names: they are there, and they are TOML."""
        for path in self.draft.config.rules.files:
            try:
                read(path)
            except ConfigError as error:
                self.problems.extend(error.problems)

    def _permissives(self, types: Mapping[str, Type]) -> dict[str, tuple[Expression, ...]]:
        found: dict[str, tuple[Expression, ...]] = {}
        for index, device in self._listed("device", self.draft.config.device):
            if device.guard is None:
                continue
            path: KeyPath = ("device", index, "guard", "permissives")
            found[device.id] = tuple(
                e for text in device.guard.permissives for e in self._compiled(text, types, path)
            )
        return found

    def _compiled(self, text: str, types: Mapping[str, Type], path: KeyPath) -> Iterator[Expression]:
        try:
            yield rules.condition(text, types)
        except rules.RuleError as error:
            self._say(path, f'"{text}", column {error.column}: {error.message}')


def _types(devices: Mapping[str, Placed], streams: tuple[settings.Derive, ...]) -> dict[str, Type]:
    quantities = {name: device.quantities for name, device in devices.items()}
    quantities |= {stream.id: frozenset({derive.gives(stream)}) for stream in streams if _named(stream)}
    return rules.vocabulary(quantities)


def _named(stream: settings.Derive) -> bool:
    """Whether the stream's source names a quantity at all."""
    return stream.source.partition(".")[2] in list(Quantity)
