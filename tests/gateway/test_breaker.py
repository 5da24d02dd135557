"""A bus that hangs: recovered once, then left alone; and one on which only a part hangs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.bus import BusError, BusTimeout, NoAcknowledge
from gateway.app.breaker import LONGEST_PAUSE, Breaker
from tests.conftest import VirtualClock


@dataclass
class Wires:
    """A bus that costs a second where it hangs. *hangs* says for which addresses."""

    clock: VirtualClock
    hangs: Callable[[int], bool] = lambda address: False
    absent: set[int] = field(default_factory=set)
    heals: bool = False
    carried: int = 0
    opened: int = 0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        self.carried += 1
        if self.hangs(address):
            await self.clock.sleep(1.0)
            raise BusTimeout("a line is held")
        if address in self.absent:
            raise NoAcknowledge("nobody")
        return bytes(read)

    async def recover(self) -> None:
        self.opened += 1
        if self.heals:
            self.hangs = lambda address: False


@dataclass
class Rig:
    clock: VirtualClock
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wires = Wires(self.clock)
        self.bus = Breaker("main", self.wires, self.clock, lambda kind, data: self.told.append(kind))

    def ask(self, *addresses: int) -> list[Any]:
        async def main() -> list[Any]:
            found: list[Any] = []
            for address in addresses:
                try:
                    found.append(await self.bus.transfer(address, read=1))
                except BusError as error:
                    found.append(type(error))
            return found

        return asyncio.run(main())


@pytest.fixture
def rig(clock: VirtualClock) -> Rig:
    return Rig(clock)


def always(address: int) -> bool:
    return True


def test_a_bus_that_works_is_left_as_it_is(rig: Rig):
    rig.wires.absent.add(0x77)
    assert rig.ask(0x44, 0x77, 0x44) == [b"\0", NoAcknowledge, b"\0"]
    assert (rig.wires.opened, rig.told) == (0, [])


def test_a_part_that_hangs_is_no_bus_that_hangs(rig: Rig):
    """As long as anybody gets through, nothing is opened anew and nobody is held up."""
    rig.ask(0x44)
    rig.wires.hangs = lambda address: address == 0x29
    for _ in range(10):
        assert rig.ask(0x29, 0x44) == [BusTimeout, b"\0"]
    assert (rig.wires.opened, rig.told) == (0, [])


def test_when_everybody_is_late_the_bus_is_recovered_once(rig: Rig):
    rig.ask(0x44, 0x29, 0x76)
    rig.wires.hangs, rig.wires.heals = always, True
    assert rig.ask(0x44, 0x29) == [BusTimeout] * 2
    assert rig.wires.opened == 0, "the third has not been asked yet"
    assert rig.ask(0x76, 0x44, 0x29, 0x76) == [BusTimeout, b"\0", b"\0", b"\0"]
    assert (rig.wires.opened, rig.told) == (1, []), "it helped, so nobody needs to know"
    rig.wires.hangs = always
    rig.ask(0x44, 0x29, 0x76)
    assert (rig.wires.opened, rig.told) == (2, []), "the next time is a first time again"


def test_a_bus_that_stays_stuck_is_left_alone_for_longer_and_longer(rig: Rig):
    rig.ask(0x44)
    rig.wires.hangs = always
    rig.ask(0x44, 0x44)
    assert rig.told == ["lamppost.bus.stuck"]
    began, carried = rig.clock.now, rig.wires.carried
    assert rig.ask(*[0x44] * 100) == [BusTimeout] * 100
    assert (rig.clock.now, rig.wires.carried) == (began, carried), "told at once, and nothing on the wires"
    pauses = []
    for _ in range(10):
        rig.clock.now = rig.bus._until
        rig.ask(0x44, 0x44)
        pauses.append(rig.bus._until - rig.clock.now)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_PAUSE] * 5]
    assert rig.told == ["lamppost.bus.stuck"], "said once"
    assert rig.wires.opened == 11, "once before each pause"


def test_a_bus_that_comes_back_is_said_once_and_begins_at_the_shortest_pause(rig: Rig):
    rig.ask(0x44)
    rig.wires.hangs = always
    rig.ask(0x44, 0x44)
    rig.wires.hangs, rig.wires.absent = (lambda address: False), {0x44}
    rig.clock.now += 1.0
    assert rig.ask(0x44, 0x44) == [NoAcknowledge] * 2, "a NACK shows that the lines move"
    assert rig.told == ["lamppost.bus.stuck", "lamppost.bus.back"]
    rig.wires.hangs = always
    rig.ask(0x44, 0x44)
    assert rig.bus._until - rig.clock.now == 1.0


def test_what_cannot_be_recovered_is_not(clock: VirtualClock):
    """A bus without that ability is only left alone."""

    class Simple:
        async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
            raise BusTimeout("held")

    bus = Breaker("main", Simple(), clock)
    for _ in range(2):
        with pytest.raises(BusTimeout, match="held"):
            asyncio.run(bus.transfer(0x44, read=1))
    with pytest.raises(BusTimeout, match="bus main is stuck; it is tried again in 1"):
        asyncio.run(bus.transfer(0x44, read=1))
    assert bus.recoveries == 0
