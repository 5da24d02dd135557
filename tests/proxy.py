"""A TCP proxy on loopback that carries connections to a broker as badly as it is told to.

    with Proxy(broker.port) as proxy:      # clients connect to proxy.port
        proxy.partition()                  # nothing passes, and nobody is told
        proxy.heal()

What it is told holds for the connections that there are and for those to come, until `heal`. It runs in a
thread of its own, so that tests with and without an event loop can use it.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

CHUNK = 16_384
SLICE = 0.02
"""How long the pauses of a slow line are [s]."""
T = TypeVar("T")


@dataclass(eq=False)
class _Pair:
    """A client's connection, and ours to the broker for it."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter | None = None
    deaf: bool = False  # nothing passes any more, and nobody is told
    torn: bool = False  # bytes are missing: it cannot go on


@dataclass
class Packets:
    """Finds the MQTT packets in a stream of bytes (MQTT 5.0, 2.1)."""

    _rest: bytes = b""
    _skip: int = 0

    def feed(self, data: bytes) -> Iterator[int]:
        """Yield the first byte, which is its type and flags, of every packet that begins in *data*."""
        data, self._rest = self._rest + data, b""
        while data:
            if self._skip:
                self._skip, data = max(0, self._skip - len(data)), data[self._skip :]
                continue
            end = next((at for at, digit in enumerate(data[1:5], 1) if digit < 128), None)
            if end is None:
                self._rest = data
                return
            self._skip = end + 1 + sum((digit & 127) << 7 * at for at, digit in enumerate(data[1 : end + 1]))
            yield data[0]


@dataclass
class Proxy:
    """Carries connections to *target*, a loopback port."""

    target: int
    port: int = 0
    connects: list[float] = field(default_factory=list)
    """When clients connected [s, monotonic]."""
    published: list[float] = field(default_factory=list)
    """When a PUBLISH passed that a client wants acknowledged [s, monotonic]."""
    _pairs: set[_Pair] = field(default_factory=set)
    _rate: float = 0.0
    _delay: float = 0.0
    _hungry: bool = False
    _dead: bool = False

    def __enter__(self) -> "Proxy":
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="proxy")
        self._thread.start()
        assert started.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def delay(self, seconds: float) -> None:
        """Let everything arrive so much later, in both directions."""
        self._tell(lambda: setattr(self, "_delay", seconds))

    def slow(self, rate: float) -> None:
        """Carry at most *rate* bytes/s in each direction of each connection."""
        self._tell(lambda: setattr(self, "_rate", rate))

    def swallow(self) -> None:
        """Lose what the broker says: its acknowledgements. Connections that lost any are reset by `heal`."""
        self._tell(lambda: setattr(self, "_hungry", True))

    def partition(self) -> None:
        """Let nothing pass; what was sent meanwhile arrives after `heal`, as TCP sends it again."""
        self._tell(lambda: self._open.clear())

    def half_open(self) -> None:
        """Let the broker vanish without a word: what clients say is taken and lost, also on new connections.

        `heal` is for new connections; those that were deaf stay so until the client gives them up.
        """

        def tell() -> None:
            self._dead = True
            for pair in self._pairs:
                pair.deaf = True
                if pair.broker is not None:
                    pair.broker.transport.abort()

        self._tell(tell)

    def reset(self) -> None:
        """Break every connection with an RST on both sides."""
        self._tell(lambda: [_reset(pair) for pair in self._pairs])

    def heal(self) -> None:
        """Be a good proxy again."""

        def tell() -> None:
            self._rate, self._delay, self._hungry, self._dead = 0.0, 0.0, False, False
            self._open.set()
            for pair in self._pairs:
                if pair.torn:
                    _reset(pair)

        self._tell(tell)

    def most_in_a_second(self, since: float) -> int:
        """Return the most of `published` that passed within one second, from *since* on."""
        times = [at for at in list(self.published) if at >= since]
        return max((sum(at <= other < at + 1.0 for other in times) for at in times), default=0)

    def _tell(self, what: Callable[[], T]) -> T:
        async def body() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(body(), self._loop).result(5)

    async def _run(self, started: threading.Event) -> None:
        self._loop, self._over, self._open = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._open.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._over.wait()
        server.close()
        for pair in self._pairs:
            _reset(pair)
        await asyncio.sleep(0.01)  # the transports' own closing
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer, deaf=self._dead)
        self._pairs.add(pair)
        self.connects.append(time.monotonic())
        try:
            await self._open.wait()
            if not pair.deaf:
                await self._both(pair, reader)
            with contextlib.suppress(OSError):
                while pair.deaf and await reader.read(CHUNK):
                    pass
        finally:
            self._pairs.discard(pair)
            for side in (pair.client, pair.broker):
                if side is not None:
                    side.close()

    async def _both(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        """Carry both directions to their ends."""
        try:
            from_broker, pair.broker = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(pair, reader, pair.broker, Packets()))
                group.create_task(self._carry(pair, from_broker, pair.client, None))
        except* OSError:
            if not pair.deaf:
                _reset(pair)

    async def _carry(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: Packets | None
    ) -> None:
        """Carry one direction to its end."""
        async with contextlib.aclosing(self._late(reader)) as chunks:
            async for data in chunks:
                await self._open.wait()
                if pair.deaf or (self._hungry and up is None):
                    pair.torn |= not pair.deaf
                elif data:
                    if up is not None:
                        self.published += [
                            time.monotonic() for kind in up.feed(data) if kind >> 4 == 3 and kind & 6
                        ]
                    await self._write(writer, data)
                else:
                    writer.write_eof()

    async def _late(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Yield what arrives, and b"" at its end, each when it is due."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def fill() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(CHUNK)
                except OSError:
                    data = b""
                await waiting.put((self._loop.time() + self._delay, data))

        filling = asyncio.create_task(fill())
        try:
            data = b"-"
            while data:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                yield data
        finally:
            filling.cancel()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            some = max(1, round(self._rate * SLICE)) if self._rate else len(data)
            writer.write(data[:some])
            await writer.drain()
            data = data[some:]
            if self._rate:
                await asyncio.sleep(SLICE)


def _reset(pair: _Pair) -> None:
    for side in (pair.client, pair.broker):
        if side is not None and not side.is_closing():
            found: socket.socket = side.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.transport.abort()
