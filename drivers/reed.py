"""A reed on a line, whose closures are counted whether or not anybody measures."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from drivers.bus import BusError, Edge, Pins
from drivers.device import DeviceError


class Watch:
    """Tells *hear* every edge of *line* from `start` to `stop`. *name* is that of its task."""

    def __init__(self, pins: Pins, line: int, name: str, hear: Callable[[Edge], None]) -> None:
        self._pins = pins
        self._line = line
        self._name = name
        self._hear = hear
        self._listener: asyncio.Task[None] | None = None

    @property
    def goes_on(self) -> bool:
        """Whether the line is watched."""
        return self._listener is not None and not self._listener.done()

    async def start(self) -> None:
        """Watch, from before this returns. Raises BusError when that cannot be."""
        if not self.goes_on:
            self._listener = asyncio.create_task(self._listen(), name=self._name)
        await asyncio.sleep(0)
        self._check()

    async def catch_up(self) -> None:
        """Hear the edges that wait to be heard. Raises what ended the watch, so that it is started again."""
        for _ in range(2):
            await asyncio.sleep(0)
        self._check()

    async def stop(self) -> None:
        """Watch no longer."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError, BusError, DeviceError):
                await listener

    async def _listen(self) -> None:
        edges = self._pins.edges(self._line)
        try:
            async for edge in edges:
                self._hear(edge)
        finally:
            if isinstance(edges, AsyncGenerator):
                await edges.aclose()
        raise DeviceError(f"line {self._line} has no more edges: its owner closed it")

    def _check(self) -> None:
        if self._listener is None:
            raise DeviceError("not started: nobody watches the line")
        if self._listener.done():
            self._listener.result()


class Reed:
    """Closures among edges: the closing edge after *debounce* [s] without any, by the times of the edges.

    So it does not matter how long the reed stays closed, how it bounces at either end, or when the news of an
    edge comes. An opening edge of a reed that was open before tells of a closing edge that was lost, and
    counts as well. *closed* and *quiet* tell of the latest edge: the level after it, and whether none was
    within the debounce time before.
    """

    def __init__(self, debounce: float, active_low: bool, closed: bool = False) -> None:
        self.closed = closed  # as far as is known
        self.quiet = True
        self._debounce = debounce
        self._active_low = active_low
        self._last = float("-inf")

    def closes(self, edge: Edge) -> bool:
        """Take one edge, in order of time; return whether it counts as a closure."""
        self.quiet = edge.time - self._last >= self._debounce
        self._last = max(self._last, edge.time)
        was_closed, self.closed = self.closed, edge.high != self._active_low
        return self.quiet and (self.closed or not was_closed)
