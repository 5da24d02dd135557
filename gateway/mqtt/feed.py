"""Reading ahead: while the broker works at what is on its way, the next batches come from the disk."""

import asyncio
from collections import deque
from collections.abc import Sequence

from gateway.mqtt.batch import Batch, Envelope
from gateway.mqtt.outbox import Outbox
from gateway.reading import Lane

AHEAD = 16
"""Batches that are read from the outbox at a time; they are read anew when fewer than half are left."""
STALE = 10.0
"""How long what was read may wait to be sent [s]: the store may have given it up in the meantime."""


class Feed:
    """The batches of *lane* behind a number, of at most so many records and bytes, in order.

    Whoever asks for another number, or for smaller batches, than what was read gets it read anew.
    """

    def __init__(self, outbox: Outbox, lane: Lane, envelope: Envelope) -> None:
        self._outbox, self._lane, self._envelope = outbox, lane, envelope
        self._ready: deque[Batch] = deque()
        self._wanted = (0, 0, 0)  # behind which number, records and bytes of a batch
        self._since = 0.0  # when the oldest of what is ready was asked for [s, monotonic]
        self._reading: asyncio.Task[Sequence[Batch]] | None = None

    def forget(self) -> None:
        """Read anew whatever is asked for next."""
        self._ready.clear()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def ready(self, after: int, records: int, size: int) -> bool:
        """Whether the batch behind *after* is here; if not, `fetch` it."""
        if self._wanted != (after, records, size) or (self._ready and _now() - self._since > STALE):
            self.forget()
            self._wanted = (after, records, size)
        self._collect()
        return bool(self._ready)

    async def fetch(self, patience: float) -> bool:
        """Read what was asked for last. False: there is nothing, or the disk takes over *patience* [s]."""
        self._read(self._wanted[0])
        await asyncio.wait((self._begun,), timeout=patience)
        self._collect()
        return bool(self._ready)

    def take(self) -> Batch:
        """Return the batch that is `ready`, and read on."""
        batch = self._ready.popleft()
        self._wanted = (batch.last, *self._wanted[1:])
        if len(self._ready) < AHEAD // 2 and self._outbox.durable(self._lane) > self._end:
            self._read(self._end)
        return batch

    @property
    def _end(self) -> int:
        """The last number that was read."""
        return self._ready[-1].last if self._ready else self._wanted[0]

    @property
    def _begun(self) -> asyncio.Task[Sequence[Batch]]:
        assert self._reading is not None
        return self._reading

    def _read(self, after: int) -> None:
        if self._reading is None:
            if not self._ready:
                self._since = _now()
            self._reading = asyncio.create_task(self._batches(after, *self._wanted[1:]))

    async def _batches(self, after: int, records: int, size: int) -> Sequence[Batch]:
        runs = await self._outbox.batches(self._lane, after, records, size, AHEAD)
        if self._envelope.compress:  # a thread's work: 2 ms for a long batch
            return await asyncio.to_thread(self._envelope.seal_all, runs)
        return self._envelope.seal_all(runs)

    def _collect(self) -> None:
        """Take what has been read. What went wrong with it is raised."""
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            self._ready.extend(reading.result())


def _now() -> float:
    return asyncio.get_running_loop().time()
