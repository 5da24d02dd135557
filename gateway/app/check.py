"""Every problem of a configuration at once, before anything is started."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import drivers
from drivers.bus import BusError
from drivers.device import Actuator, Quantity
from gateway import config as settings
from gateway import derive, rules
from gateway.app.bincheck import BinCheck, buzzers, unclaimed
from gateway.app.streamcheck import unfit
from gateway.app.wiring import Checker, Wiring
from gateway.clock import LoopClock
from gateway.config import Config, ConfigError, Problem
from gateway.people import People
from gateway.people import load as load_people
from gateway.places import Path as KeyPath
from gateway.rules import Expression, RuleFile, Type
from gateway.toml import did_you_mean, read

if TYPE_CHECKING:
    from gateway.app.register import Register


@dataclass(frozen=True, slots=True)
class Placed:
    """A configured device with its driver found and its options built."""

    config: settings.Device
    part: drivers.Part
    options: Any
    address: int
    quantities: frozenset[Quantity]

    @property
    def where(self) -> dict[str, Any]:
        """Where the device is, by the keys of the configuration."""
        match self.part.on:
            case "pins":
                return {"bus": self.config.pins, "line": self.address}
            case "analog":
                return {"bus": self.config.adc, "channel": self.address}
        return {"bus": self.config.bus, "address": self.address}


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration in which nothing is wrong, with everything that checking it has found."""

    path: Path
    config: Config
    devices: Mapping[str, Placed]
    streams: tuple[derive.Design, ...]
    rules: tuple[RuleFile, ...]
    permissives: Mapping[str, tuple[Expression, ...]]
    wiring: Wiring
    register: "Register | None" = None
    people: People = field(default_factory=People)

    def types(self) -> Mapping[str, Type]:
        """Return every name that a rule may use, and its type."""
        return _types(self.devices, self.streams)


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

    def __post_init__(self) -> None:
        self._checker = Checker(self.draft, self._say, lambda error: self.problems.extend(error.problems))

    def run(self) -> Plan:
        """Look at everything that can still be looked at."""
        config = self.draft.config
        self._checker.run()
        devices = {
            each.config.id: each
            for index, device in self._listed("device", config.device)
            for each in self._place(index, device)
        }
        self._unique_ids()
        self._checker.collisions()
        self._place_of_pole()
        streams = self._streams(devices)
        self._broker()
        whole = len(devices) == len(self.draft.document.data.get("device", ())) and not self.problems
        people = self._people()
        if self.draft.problems or not whole:  # a name that is unknown may be one that was broken above
            self._rule_files_read()
            return Plan(self.path, config, devices, streams, (), {}, self._wiring)
        types = _types(devices, streams)
        found = self._rules(types, devices)
        permissives = self._permissives(types)
        self._bins(devices, types, permissives)
        return Plan(
            *(self.path, config, devices, streams, found, permissives, self._wiring),
            register=self._register(devices),
            people=people,
        )

    def _listed(self, name: str, entries: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
        return zip(self.draft.kept.get(name, ()), entries, strict=False)

    def _say(self, path: KeyPath, message: str) -> None:
        self.problems.append(self.draft.document.problem(path, message))

    @property
    def _wiring(self) -> Wiring:
        return self._checker.wiring

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
        address = self._checker.place(index, device, part)
        if part.absent:
            self._say((*path, "driver"), _absent(part))
        self._guarded(path, device, part)
        if address is None:
            return None
        try:
            built = part.driver(_Unplugged(), address, LoopClock(), options)
        except ValueError as error:
            return self._say((*path, "options"), f"{device.id}: {error}")
        self._tested(path, device, frozenset(built.quantities))
        self._checker.note(index, device, part, address, options)
        yield Placed(device, part, options, address, frozenset(built.quantities))
        return None

    def _tested(self, path: KeyPath, device: settings.Device, quantities: frozenset[Quantity]) -> None:
        """Quality tests are of what the device measures, with limits that can be."""
        for name, tests in device.quality.items():
            at = (*path, "quality", name)
            if name not in quantities:
                hint = did_you_mean(name, quantities) or f"; it gives: {', '.join(sorted(quantities))}"
                self._say(at, f'{device.id} has no quantity "{name}" to test{hint}')
                continue
            try:
                derive.screen(tests)
            except ValueError as error:
                self._say(at, f"{device.id}.{name}: {error}")

    def _guarded(self, path: KeyPath, device: settings.Device, part: drivers.Part) -> None:
        acts = issubclass(part.driver, Actuator)
        if acts and device.guard is None and device.id not in buzzers(self.draft.config):
            self._say(path, f"{device.id} acts, so it needs a [device.guard] with at least max_on")
        if not acts and device.guard is not None:
            self._say((*path, "guard"), f"{device.id} only measures: a guard is for a device that acts")
        others = [each.id for each in self.draft.config.device if each.guard and each.id != device.id]
        for other in device.guard.excludes if device.guard else ():
            if other not in others:
                hint = did_you_mean(other, others) or f"; there are: {', '.join(others) or 'none yet'}"
                said = f'{device.id} excludes "{other}", which is no other device with a guard{hint}'
                self._say((*path, "guard", "excludes"), said)

    def _unique_ids(self) -> None:
        config, seen = self.draft.config, dict[str, str]()
        tables = ("bus", config.bus), ("pins", config.pins), ("adc", config.adc)
        for table, entries in (*tables, ("device", config.device), ("derive", config.derive)):
            for index, entry in self._listed(table, entries):
                kind = "device" if table in ("device", "derive") else table
                if (key := f"{kind} {entry.id}") in seen:
                    self._say(
                        (table, index, "id"), f'the id "{entry.id}" is taken by a [[{seen[key]}]] above'
                    )
                seen.setdefault(key, table)

    def _place_of_pole(self) -> None:
        zone = self.draft.config.gateway.place.zone
        if zone is not None and not derive.known_zone(zone):
            said = f'there is no time zone "{zone}"; say "UTC", or such as "Europe/Dublin"'
            self._say(("gateway", "place", "zone"), said)

    def _streams(self, devices: Mapping[str, Placed]) -> tuple[derive.Design, ...]:
        """A stream is made from devices, or from streams that stand above it."""
        known = {
            derive.Source(name, quantity): device.config.interval
            for name, device in devices.items()
            for quantity in device.quantities
        }
        zone, found = self.draft.config.gateway.place.zone or "", []
        for index, stream in self._listed("derive", self.draft.config.derive):
            try:
                made = derive.design(stream, known, self.draft.document, ("derive", index), zone)
            except ConfigError as error:
                self.problems.extend(error.problems)
                continue
            found.append(made)
            known |= {derive.Source(made.id, quantity): made.interval for quantity in made.gives}
        places = {each.id: index for index, each in self._listed("derive", self.draft.config.derive)}
        for name, key, said in unfit(found, devices):
            self._say(("derive", places[name], key), said)
        return tuple(found)

    def _broker(self) -> None:
        mqtt = self.draft.config.mqtt
        if mqtt.exposed:
            self._say(
                ("mqtt", "host"),
                f"readings would go to {mqtt.host} in plain text: add [mqtt.tls], or set "
                f'mqtt.plaintext = "{settings.ACCEPT_PLAINTEXT}"',
            )
        for key, said in mqtt.contradictions:
            self._say(("mqtt", key), said)
        if mqtt.tls is not None and (mqtt.tls.certificate is None) != (mqtt.tls.key is None):
            self._say(("mqtt", "tls"), "a certificate and its key go together: give both, or neither")
        if mqtt.password_file is not None and mqtt.password_credential is not None:
            self._say(("mqtt", "password_file"), "give password_file or password_credential, not both")
        if mqtt.username is None and (mqtt.password_file or mqtt.password_credential):
            self._say(("mqtt", "password_file"), "a password needs a username")

    def _people(self) -> People:
        access = self.draft.config.access
        if access.people is not None and access.people_credential is not None:
            self._say(("access", "people"), "give people or people_credential, not both")
        try:
            return load_people(access)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return People()

    def _register(self, devices: Mapping[str, Placed]) -> "Register | None":
        """The register tells of each device of the pole, and of no other."""
        path = self.draft.config.public.file
        if path is None:
            return None
        from gateway.app.register.file import load  # for those who have one

        acts = {name for name, device in devices.items() if device.config.guard is not None}
        acts |= buzzers(self.draft.config)
        try:
            return load(path, set(devices) - acts, acts)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None

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

    def _bins(
        self,
        devices: Mapping[str, Placed],
        types: Mapping[str, Type],
        permissives: Mapping[str, tuple[Expression, ...]],
    ) -> None:
        """A press is run by a compactor, and by nothing else; and all that bins name is there."""
        config = self.draft.config
        for name in unclaimed(config, ((each.config.id, each.part.name) for each in devices.values())):
            said = f'{name} is a press: it needs a [[compactor]] with device = "{name}"'
            index = next(at for at, each in self._listed("device", config.device) if each.id == name)
            self._say(("device", index), said)
        for table, entry, key, said in BinCheck(config, devices, types, permissives).run():
            place = self.draft.kept.get(table, [])[entry]
            self._say((table, place, key) if key else (table, place), said)

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


def _absent(part: drivers.Part) -> str:
    """Say what must be installed for *part*."""
    packages = ", ".join(each.replace("_", "-") for each in part.absent)
    return f"an {part.name} needs the package {packages}, which is not installed: pip install 'lamppost[gas]'"


def _types(devices: Mapping[str, Placed], streams: tuple[derive.Design, ...]) -> dict[str, Type]:
    quantities = {name: device.quantities for name, device in devices.items()}
    return rules.vocabulary(quantities | {stream.id: frozenset(stream.gives) for stream in streams})
