"""What the store's tests share: settings, records, an eye on the file itself, and a disk that fails."""

import contextlib
import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from drivers.device import Quantity
from gateway import config
from gateway.clock import Instant, LoopClock, Now, Quality
from gateway.reading import Decision, Event, Lane, Outcome, Reading
from gateway.store import Archive, Store

NOW = Now(quality=lambda: Quality.SYNCHRONIZED)


def settings(path: Path, **more: Any) -> config.Store:
    """Settings under which a reading is committed at once and nothing is trimmed, unless *more* says so."""
    return config.Store(path=path, **{"commit": 0.001, **more})


class Ahead(LoopClock):
    """The loop's clock, which a test may put forward: the store's threads stay in real time."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@contextlib.asynccontextmanager
async def opened(
    path: Path, gateway: str = "pole-1", clock: LoopClock | None = None, **more: Any
) -> AsyncIterator[Store]:
    store = await Store.open(settings(path, **more), gateway, clock, NOW)
    try:
        yield store
    finally:
        await store.close()


def reading(value: float = 1.0, device: str = "air", at: Instant | None = None) -> Reading:
    return Reading(device, at or NOW(), {Quantity.TEMPERATURE: value})


def event(number: int = 0) -> Event:
    return Event("lamppost.test", "pole-1", NOW(), {"number": number})


def decision() -> Decision:
    return Decision(NOW(), "full", 1, "0" * 64, "off", "press on", "press", Outcome.ACTED, ("it was full",))


def rows(path: Path, query: str) -> list[Any]:
    """Ask the file itself, past the store."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def seqs(path: Path, lane: Lane) -> list[int]:
    return [seq for (seq,) in rows(path, f"SELECT seq FROM {lane} ORDER BY seq")]


def texts(path: Path, lane: Lane) -> list[str]:
    """Return the lane's records as they lie in the file, put together as an offline tool does it."""
    return [text for _, text in Archive(path).texts(lane)]


def crash_image(path: Path, to: Path) -> Path:
    """Copy the files as a kill would leave them. By another process: closing a copy here would drop locks."""
    to.mkdir()
    subprocess.run(["cp", *path.parent.glob(path.name + "*"), to], check=True)
    return to / path.name


def books_agree(store: Store, path: Path, floors: dict[Lane, int]) -> None:
    """Compare what the store counts with the rows in its file. *floors*: what each lane has delivered."""
    for lane, counts in store.counts().items():
        held = rows(path, f"SELECT count(*) FROM {lane} WHERE seq > {floors[lane]}")[0][0]
        assert counts.held == held
        assert counts.accepted == counts.delivered + counts.held + sum(counts.dropped.values())
        assert counts.accepted == store.durable(lane)


@contextlib.contextmanager
def failing_disk(limit: int = 0) -> Iterator[None]:
    """Make the kernel refuse (EFBIG) every write of this process beyond *limit* bytes into any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
