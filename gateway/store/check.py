"""The daily look through the whole file, in a thread of its own that only reads."""

import asyncio
import sqlite3

from gateway.store.reader import Reader
from gateway.store.writer import Writer

_CHECK = (60.0, 86_400.0)  # [s] after the start, and then again and again


class Check:
    """Looks for damage, and for forms and stamps that no row needs any more."""

    def __init__(self, writer: Writer) -> None:
        self.at = writer.clock.monotonic() + _CHECK[0]
        """When the next is due, on the clock."""
        self.sound: float | None = None
        """When the whole file was last found to be sound."""
        self._writer = writer
        self._reader = Reader(writer.path, "store-check")
        self._task: asyncio.Task[None] | None = None

    def begin(self, now: float) -> None:
        """Look, if it is time for it, beside everything else."""
        if now >= self.at:
            self.at = now + _CHECK[1]
            self._task = asyncio.create_task(self._look(), name="store-check")

    def cancel(self) -> None:
        """Look no further."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Let go of the file."""
        await self._reader.close()

    async def _look(self) -> None:
        condition = self._writer.condition
        try:
            if found := await self._reader.examine():
                condition.spoilt(f"the store's file is damaged: restart lamppost, which mends it ({found})")
            else:
                self.sound = self._writer.clock.monotonic()
                await self._prune()
            condition.neglect("check", None)
        except sqlite3.Error as error:
            condition.neglect("check", error)

    async def _prune(self) -> None:
        log = self._writer.log
        if await self._writer.call(log.crowded):
            used = await self._reader.used()
            await self._writer.call(lambda: log.prune(used))
