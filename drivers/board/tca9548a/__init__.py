"""Texas Instruments TCA9548A: one I2C bus made into eight channels; NXP's PCA9548A is the same on the wires.

Datasheet: "TCA9548A Low-Voltage 8-Channel I2C Switch With Reset", Texas Instruments, SCPS207F. It measures
nothing: a `Channel` is an I2C that wraps an I2C, and what hangs on it is driven as if it were on the bus.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from drivers.bus import I2C, BusError, BusTimeout, NoAcknowledge, Pins
from drivers.device import Clock

ON = "wrapper"
ADDRESSES: tuple[int, ...] = tuple(range(0x70, 0x78))
"""A2, A1 and A0 to ground or supply (8.5.2)."""

CHANNELS = range(8)
_TRIES = 2  # to turn another mux off; one that has been unplugged must not hold up the rest
_RESET_TIME = 1e-6  # s; the pin must be low for 6 ns, and the part is ready 500 ns later (6.6)


@dataclass(frozen=True, slots=True)
class Options:
    """*keep*: leave a channel on after a transfer, until another is wanted. Saves two of three transfers."""

    keep: bool = False


@dataclass
class Turn:
    """What all the channels of all the muxes on one bus share, so that never two are on at once.

    *reset* pulls the muxes' RESET pins, where these are wired: see `pull`. *doubtful* are the addresses of
    muxes that may have a channel on; a mux is doubtful until it has been told otherwise.
    """

    reset: Callable[[], Awaitable[None]] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    doubtful: set[int] = field(default_factory=set)
    kept: tuple[int, int] | None = None


class Channel:
    """One channel of the mux at *address*: see drivers.bus.I2C.

    The bus belongs to this channel from its selection to the end of the transfer. All channels on *bus* must
    have the same *turn*. Raises ValueError for a channel that there is not.
    """

    def __init__(
        self, bus: I2C, address: int, channel: int, turn: Turn | None = None, options: Options = Options()
    ) -> None:
        if channel not in CHANNELS:
            raise ValueError(f"channel must be 0 to {max(CHANNELS)}, not {channel}")
        self._bus = bus
        self._address = address
        self._channel = channel
        self._turn = turn or Turn()
        self._keep = options.keep
        self._turn.doubtful.add(address)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer to *address* behind the mux.

        Raises NoAcknowledge when the mux or the target does not answer, BusTimeout when a line is stuck: a
        part behind a mux that holds a line low holds the whole bus, until RESET is pulled.
        """
        if address == self._address:
            raise BusError(f"{address:#04x} is the mux itself: behind it nothing can have its address")
        async with self._turn.lock:
            try:
                return await self._carry(address, write, read)
            except BusTimeout:
                await self._reset()
                raise
            finally:
                if not self._keep:
                    with suppress(BusError):  # it stays doubtful, and is turned off before the next channel
                        await self._turn_off(self._address)

    async def _carry(self, address: int, write: bytes, read: int) -> bytes:
        """Select and transfer; once more where the mux has been reset in between."""
        await self._select()
        try:
            return await self._bus.transfer(address, write, read)
        except NoAcknowledge:
            if await self._selected():
                raise
        self._turn.kept = None
        await self._select()
        return await self._bus.transfer(address, write, read)

    async def _select(self) -> None:
        """Turn this channel on and every other one off: a single write does that within a mux (8.5.4)."""
        for other in sorted(self._turn.doubtful - {self._address}):
            await self._make_sure_off(other)
        if self._turn.kept == (self._address, self._channel):
            return
        self._turn.kept = None
        self._turn.doubtful.add(self._address)
        await self._bus.transfer(self._address, bytes([1 << self._channel]))
        if self._keep:
            self._turn.kept = (self._address, self._channel)

    async def _selected(self) -> bool:
        """Return whether this channel is on. Raises NoAcknowledge when the mux itself does not answer."""
        return await self._bus.transfer(self._address, read=1) == bytes([1 << self._channel])

    async def _make_sure_off(self, mux: int) -> None:
        for _ in range(_TRIES):
            with suppress(NoAcknowledge):
                return await self._turn_off(mux)
        return None  # nobody is there, so that no channel of it is on; it is asked again the next time

    async def _turn_off(self, mux: int) -> None:
        self._turn.kept = None
        await self._bus.transfer(mux, b"\x00")
        self._turn.doubtful.discard(mux)

    async def _reset(self) -> None:
        self._turn.kept = None
        if self._turn.reset is not None:
            await self._turn.reset()


Driver = Channel
"""A mux has no other face: `drivers.load` finds the channel here."""


async def pull(pins: Pins, line: int, clock: Clock) -> None:
    """Pull RESET, wired to *line*, and let it go: every channel of every mux on it is off then (8.4.1)."""
    await pins.write(line, False)
    await clock.sleep(_RESET_TIME)
    await pins.write(line, True)


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that a mux is at *address*, or None.

    It has no identity: its one register keeps what is written to it, whatever that is. Two channels are
    turned on for a moment, one after the other; then all is as it was.
    """
    try:
        (before,) = await bus.transfer(address, read=1)
        try:
            for mask in (0x01, 0x80, 0x00):
                await bus.transfer(address, bytes([mask]))
                if await bus.transfer(address, read=1) != bytes([mask]):
                    return None
        finally:
            await bus.transfer(address, bytes([before]))
    except BusError:
        return None
    return f"a mask of channels that keeps what is written to it; it was {before:#04x}"
