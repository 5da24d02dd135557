"""Every part's probe, by discovery: it knows its own chip, and is not taken in by anything else."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

import drivers
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import Missing
from drivers.emulated import Chip, EmulatedI2C
from tests.conftest import VirtualClock

PROBED = [name for name in drivers.names() if drivers.load(name).probe]
ON_I2C = [name for name in drivers.names() if drivers.load(name).addresses]
SENSORS = [name for name in ON_I2C if drivers.load(name).on == "i2c"]
SHARED = [
    (name, other, address)
    for name in PROBED
    for other in ON_I2C
    if other != name
    for address in drivers.load(other).addresses[:4]
    if address in drivers.load(name).addresses
]
OWN = [(name, address) for name in PROBED for address in drivers.load(name).addresses[:16]]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def chip(name: str, clock: VirtualClock) -> Chip:
    made: Chip = import_module(f"drivers.{drivers.names()[name]}.{name}.chip").Emulated(clock)
    return made


def probed(name: str, bus: Any, address: int, clock: VirtualClock) -> str | None:
    probe = drivers.load(name).probe
    assert probe
    found: str | None = run(probe(bus, address, clock))
    return found


def powered(name: str, address: int, clock: VirtualClock) -> EmulatedI2C:
    bus = EmulatedI2C({address: chip(name, clock)})
    clock.now += 10.0
    return bus


def test_every_part_on_a_bus_can_be_probed():
    assert set(PROBED) == set(ON_I2C)


@pytest.mark.parametrize(("name", "address"), OWN)
def test_it_recognises_its_own_part(name: str, address: int, clock: VirtualClock):
    """At each of its addresses, with a word of evidence; and again, for a probe leaves no mark."""
    bus = powered(name, address, clock)
    for _ in range(2):
        assert probed(name, bus, address, clock)
        clock.now += 1.0


@pytest.mark.parametrize(("name", "other", "address"), SHARED)
def test_it_is_not_taken_in_by_another_part(name: str, other: str, address: int, clock: VirtualClock):
    assert probed(name, powered(other, address, clock), address, clock) is None


@dataclass
class Says:
    """A target that says the same byte for ever, or a bus that fails in the same way."""

    byte: int = 0
    error: type[BusError] | None = None

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        if self.error:
            raise self.error("the transfer failed")
        return bytes([self.byte]) * read


NOTHINGS = [
    Says(0x00),
    Says(0xFF),
    Says(0x55),
    Says(0x01),  # two of them are a distance that an MB7040 could give
    *(Says(0, error) for error in (NoAcknowledge, BusTimeout, BusError)),
]


@pytest.mark.parametrize("bus", NOTHINGS, ids=str)
@pytest.mark.parametrize("name", PROBED)
def test_it_is_not_taken_in_by_nothing(name: str, bus: Says, clock: VirtualClock):
    """Stuck lines, memories of one value, and no part at all: None, and no error."""
    assert probed(name, bus, drivers.load(name).addresses[0], clock) is None


@pytest.mark.parametrize("name", SENSORS)
def test_a_running_part_takes_no_harm_from_any_probe(name: str, clock: VirtualClock):
    """After every probe that may be tried at its address, its own or a stranger's, it measures as before."""
    part = drivers.load(name)
    for package in part.needs:
        pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")
    address = part.addresses[0]
    bus = powered(name, address, clock)
    driver = part.driver(bus, address, clock)

    async def settled() -> dict[Any, Any]:
        for _ in range(90):
            values = dict(await driver.measure())
            if not {Missing.WARMING_UP, Missing.NOT_READY} & set(values.values()):
                return values
            await clock.sleep(0.5)
        return values

    run(driver.start())
    before = run(settled())
    for other in PROBED:
        if address in drivers.load(other).addresses:
            probed(other, bus, address, clock)
            clock.now += 1.0
    after = run(settled())
    missing = {quantity for quantity, value in after.items() if isinstance(value, Missing)}
    assert missing == {quantity for quantity, value in before.items() if isinstance(value, Missing)}
    assert set(after) == set(before)
