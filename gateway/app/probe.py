"""`lamppost probe`: which part answers where, and whether that is what the configuration expects."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drivers
from drivers.bus import I2C, BusError
from drivers.street import Street
from drivers.wired import Hop, Way
from gateway import terminal
from gateway.app.check import Plan, plan
from gateway.app.hardware import Hardware
from gateway.app.scan import Found, Scan, Step
from gateway.app.scan import Path as Steps
from gateway.app.wiring import EMULATED, mux_address
from gateway.clock import LoopClock
from gateway.problem import ConfigError, Problem

WELL, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Expected:
    """Somebody whom the configuration expects at an address: *who* is its id, *driver* its part."""

    bus: str
    path: Steps
    address: int
    who: str
    driver: str


@dataclass
class Bench:
    """The buses to look through, by their names; and who is expected there."""

    buses: dict[str, I2C] = field(default_factory=dict)
    expected: list[Expected] = field(default_factory=list)
    found: dict[str, list[Found]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def steps(self, runner: asyncio.Runner) -> Iterator[tuple[float, Found | None]]:
        """Look through every bus; yield the share that is done, 0 to 1, at each address."""
        for number, (name, bus) in enumerate(self.buses.items()):
            scan = Scan(bus, LoopClock())
            looks, found = scan.run(), self.found.setdefault(name, [])
            try:
                while True:
                    each = runner.run(_next(looks))
                    found += [each] if each is not None else []
                    yield (number + scan.done / scan.due) / len(self.buses), each
            except StopAsyncIteration:
                continue
            except BusError as error:
                self.faults[name] = str(error)

    def warnings(self) -> list[str]:
        """Return what is not as it should be, a sentence each."""
        said = [f"{name} cannot be looked through: {why}" for name, why in self.faults.items()]
        for each in self.expected:
            if each.bus not in self.faults:
                said += self._missed(each)
        for name, found in self.found.items():
            said += [
                f"{_place(name, one)} may be any of {', '.join(one.names)}"
                for one in found
                if len(one.parts) > 1
            ]
        return said

    def _missed(self, wanted: Expected) -> Iterator[str]:
        where = f"{wanted.address:#04x} on {_bus(wanted.bus, wanted.path)}"
        said = f"{wanted.who} is configured as a {wanted.driver} at {where}"
        there = [
            each
            for each in self.found.get(wanted.bus, ())
            if (each.path, each.address) == (wanted.path, wanted.address)
        ]
        if not there:
            yield f"{said}, where nobody answers"
        elif wanted.driver not in there[0].names:
            known = " or ".join(f"a {name}" for name in there[0].names)
            is_it = f"it is {known}" if known else "it does not look like one"
            yield f"{said}, and somebody answers, but {is_it}"

    def who(self, bus: str, one: Found) -> str:
        """Return the id of whom the configuration has there."""
        return ", ".join(
            each.who
            for each in self.expected
            if (each.bus, each.path, each.address) == (bus, one.path, one.address)
        )


def probe(config: Path | None, paths: Sequence[str], everything: bool, as_json: bool) -> int:
    """Look through the buses of *config*, those at *paths*, and all of this machine if *everything*.

    0 when everybody whom the configuration expects is there; 1 when not, or when a bus cannot be used.
    Raises ConfigError when the configuration is wrong or there is no bus at all.
    """
    with asyncio.Runner() as runner:
        hardware = runner.run(_hardware())
        try:
            checked = plan(config, keep_expired=True) if config else None
            bench = runner.run(_configured(checked, hardware)) if checked else Bench()
            named = [*paths, *(_machine() if everything or not (config or paths) else [])]
            runner.run(_add(bench, named, hardware))
            if not bench.buses:
                raise ConfigError(
                    [Problem("lamppost probe", 0, "there is no I2C bus here: turn it on, or give --bus PATH")]
                )
            label = f"looking through {len(bench.buses)} bus{'es' * (len(bench.buses) != 1)}"
            for _ in terminal.progress(label, bench.steps(runner)):
                pass
        finally:
            runner.run(hardware.close())
    warnings = bench.warnings()
    if as_json:
        print(json.dumps(_report(bench, warnings)))
    else:
        _print(bench, warnings)
    missed = any(True for each in bench.expected for _ in bench._missed(each))
    return FAILED if bench.faults or missed else WELL


async def _hardware() -> Hardware:
    return Hardware(LoopClock())


async def _next(looks: Any) -> Found | None:
    found: Found | None = await anext(looks)
    return found


async def _configured(checked: Plan, hardware: Hardware) -> Bench:
    """Return the buses of a configuration, with everybody who is expected on them."""
    bench, wiring = Bench(), checked.wiring
    for placed in checked.devices.values():
        if placed.part.on != "pins" or placed.config.pins is not None:
            hardware.build(checked, placed)
    for bus in checked.config.bus:
        if bus.mux is None:
            bench.buses[bus.id] = hardware.bus(wiring, bus.id)
        else:
            hardware.bus(wiring, bus.id)

    def expect(bus: str, address: int, who: str, driver: str) -> None:
        *outer, root = wiring.chain(bus)
        path = tuple(Step(mux_address(each), each.channel or 0) for each in reversed(outer))
        wanted = Expected(root.id, path, address, who, driver)
        if wanted not in bench.expected:
            bench.expected.append(wanted)

    for bus in checked.config.bus:
        if bus.mux is not None:
            expect(str(bus.on), mux_address(bus), "the mux", bus.mux)
    for lender in (*wiring.pins.values(), *wiring.adcs.values()):
        expect(lender.config.bus, lender.address, lender.config.id, lender.part.name)
    for placed in checked.devices.values():
        if placed.part.on == "i2c":
            expect(str(placed.config.bus), placed.address, placed.config.id, placed.part.name)
    return bench


async def _add(bench: Bench, paths: Sequence[str], hardware: Hardware) -> None:
    for path in paths:
        if path == EMULATED:
            bench.buses[path] = shop(hardware.clock).bus(EMULATED)
        elif path not in bench.buses:
            bench.buses[path] = hardware.open(path)


def shop(clock: Any) -> Street:
    """Return a street with one of every part on a bus; those that share an address are behind a mux."""
    street, on_bus = Street(clock), [drivers.load(name) for name in drivers.names()]
    shelves: dict[int, list[drivers.Part]] = {}
    for part in on_bus:
        if part.addresses and part.lends != "i2c":
            shelves.setdefault(part.addresses[0], []).append(part)
    for address, parts in shelves.items():
        for channel, part in enumerate(parts):
            way = Way(EMULATED, (Hop(*_mux(), _SHOP_MUX, channel),) if len(parts) > 1 else ())
            put = street.expand if part.lends == "pins" else street.attach
            put(part.domain, part.name, way, address)
    return street


_SHOP_MUX = 0x71


def _mux() -> tuple[str, str]:
    return next(
        (domain, name) for name, domain in drivers.names().items() if drivers.load(name).lends == "i2c"
    )


def _machine() -> list[str]:
    """Return the I2C buses of this machine, in the order of their numbers."""
    found = [str(path) for path in Path("/dev").glob("i2c-*")]
    return sorted(found, key=lambda path: [int(each) for each in re.findall(r"\d+", path)])


def _bus(name: str, path: Steps) -> str:
    return ", ".join([name, *(f"channel {step.channel} of {step.address:#04x}" for step in path)])


def _place(name: str, one: Found) -> str:
    return f"what answers at {one.address:#04x} on {_bus(name, one.path)}"


def _print(bench: Bench, warnings: Sequence[str]) -> None:
    rows = [
        (_bus(name, one.path), f"{one.address:#04x}", part, bench.who(name, one), evidence)
        for name, found in bench.found.items()
        for one in found
        for part, evidence in one.parts or (("?", "somebody answers, whom no driver knows"),)
    ]
    terminal.show(terminal.table(("bus", "address", "part", "configured as", "evidence"), rows))
    for each in warnings:
        terminal.show(f"! {each}")
    count, buses = sum(map(len, bench.found.values())), len(bench.buses)
    if any(one.path for found in bench.found.values() for one in found):
        terminal.show(
            "What answers before a mux is heard behind it too, so nothing there can have its address."
        )
    terminal.show(f"{count} answer{'s' * (count != 1)} on {buses} bus{'es' * (buses != 1)}.")


def _report(bench: Bench, warnings: Sequence[str]) -> dict[str, Any]:
    found = [
        {
            "bus": name,
            "muxes": [step._asdict() for step in one.path],
            "address": one.address,
            "parts": dict(one.parts),
            "configured": bench.who(name, one) or None,
        }
        for name, those in bench.found.items()
        for one in those
    ]
    return {"found": found, "warnings": list(warnings), "faults": bench.faults}
