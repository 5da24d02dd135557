"""Who answers on a bus, and behind its muxes: every address is listened to, and every part's probe tried."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import drivers
from drivers.board.tca9548a import Turn
from drivers.bus import I2C, BusError, BusTimeout, NoAcknowledge
from drivers.device import Clock

ADDRESSES = range(0x08, 0x78)
COMMON = 16
"""Addresses that a part may have to be looked for by its probe alone. One that can have any is asked only
where something was heard: nothing is written to a stranger that it may misunderstand."""

PATIENCE = 3
"""Addresses in a row at which the bus may be timed out before it counts as stuck."""

DEPTH = 3
"""Muxes behind one another that are followed."""


class Step(NamedTuple):
    """A mux and its channel, on the way to a bus."""

    address: int
    channel: int


Path = tuple[Step, ...]
"""The way from a real bus to one behind its muxes; empty for the real one."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that answers: the parts that it shows itself to be, each with its evidence; or none."""

    path: Path
    address: int
    parts: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The drivers that recognise it."""
        return tuple(name for name, _ in self.parts)


@dataclass
class Scan:
    """Looks through one bus. *done* addresses of *due* have been looked at; a mux that is found adds more."""

    bus: I2C
    clock: Clock
    done: int = 0
    due: int = len(ADDRESSES)
    _late: int = 0

    async def run(self) -> AsyncIterator[Found | None]:
        """Yield what is found, and None for each address at which nothing is.

        Raises BusError where the bus itself does not work: then no address can be told.
        """
        async for found in self._look(self.bus, (), frozenset()):
            yield found

    async def _look(self, bus: I2C, path: Path, outer: frozenset[int]) -> AsyncIterator[Found | None]:
        """Look through *bus*; what answers at *outer* is on a bus before it, and is heard here as well."""
        muxes = await self._muxes(bus, outer) if len(path) < DEPTH else {}
        self.due += sum(len(ADDRESSES) * len(drivers.load(name).numbers) for name, _ in muxes.values())
        heard = set(outer)
        for address in ADDRESSES:
            self.done += 1
            found = None
            if address in muxes:
                found = Found(path, address, (muxes[address],))
            elif address not in outer:
                found = await self._ask(bus, path, address)
            if found is not None:
                heard.add(address)
            yield found
        turn = Turn(doubtful=set(muxes))
        for address, (name, _) in muxes.items():
            part = drivers.load(name)
            assert part.lender is not None
            for channel in sorted(part.numbers):
                behind = part.lender(bus, address, channel, turn)
                async for found in self._look(behind, (*path, Step(address, channel)), frozenset(heard)):
                    yield found

    async def _muxes(self, bus: I2C, outer: frozenset[int]) -> dict[int, tuple[str, str]]:
        """Find the muxes first, and turn their channels off: any other question may turn one on."""
        found: dict[int, tuple[str, str]] = {}
        for name in drivers.names():
            part = drivers.load(name)
            if part.lends != "i2c" or part.probe is None:
                continue
            for address in part.addresses:
                if address in outer or not await self._heard(bus, address):
                    continue
                if (evidence := await part.probe(bus, address, self.clock)) is not None:
                    found[address] = (name, evidence)
                    await bus.transfer(address, b"\x00")
        return found

    async def _ask(self, bus: I2C, path: Path, address: int) -> Found | None:
        """Ask everybody who may be at *address*; None where nobody is."""
        heard = await self._heard(bus, address)
        parts = []
        for part in candidates(address, heard):
            assert part.probe is not None
            if (evidence := await part.probe(bus, address, self.clock)) is not None:
                parts.append((part.name, evidence))
        return Found(path, address, tuple(parts)) if heard or parts else None

    async def _heard(self, bus: I2C, address: int) -> bool:
        """Whether anybody acknowledges a read of one byte. Many parts do so only after a command.

        An error without the kernel's number is a part's own, so that somebody is there.
        """
        try:
            await bus.transfer(address, read=1)
        except NoAcknowledge:
            return False
        except BusTimeout:
            self._late += 1
            if self._late >= PATIENCE:
                raise
            return False
        except BusError as error:
            if error.errno is not None:
                raise
        self._late = 0
        return True


def candidates(address: int, heard: bool) -> Sequence[drivers.Part]:
    """Return the parts that may be at *address*, those first that can be nowhere else."""
    every = [drivers.load(name) for name in drivers.names()]
    fitting = [
        part
        for part in every
        if part.probe is not None
        and part.lends != "i2c"
        and address in part.addresses
        and (heard or len(part.addresses) <= COMMON)
    ]
    return sorted(fitting, key=lambda part: len(part.addresses))
