"""The pole's journal and memory, there before the store is: no output waits for a disk to become safe."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.app.streams import Memory
from gateway.control import Journal
from gateway.reading import Record
from gateway.store import StoreError


class Books:
    """Hands everything on, once it is open. Until then nothing can be recorded, so that nothing goes on."""

    def __init__(self) -> None:
        self._open: tuple[Journal, Memory] | None = None

    def open(self, journal: Journal, memory: Memory) -> None:
        """Write and read there from now on."""
        self._open = journal, memory

    async def record(self, record: Record) -> object:
        """Return when *record* is durable. Raises StoreError."""
        return await self._opened()[0].record(record)

    async def remembered(self) -> Mapping[str, str]:
        """Return every text by its name. Raises StoreError."""
        return await self._opened()[1].remembered()

    def remember(self, name: str, text: str) -> None:
        """Keep *text* under *name*. Raises ValueError and StoreError."""
        self._opened()[1].remember(name, text)

    def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the stored readings of *since* [s, Unix] and later. Raises StoreError."""
        return self._opened()[1].replay(since)

    def _opened(self) -> tuple[Journal, Memory]:
        if self._open is None:
            raise StoreError("the store is not open yet")
        return self._open
