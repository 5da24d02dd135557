"""The write-ahead log is emptied beside the writer: no decision waits for it, and it stays bounded."""

import asyncio
import threading
from contextlib import closing

import pytest

from gateway.reading import Lane
from gateway.store.file import log_size, read_only
from gateway.store.sweep import Sweeper
from tests.gateway.store_rig import decision, opened, reading

BIG = "x" * 2000


def test_a_decision_does_not_wait_while_the_log_is_emptied(tmp_path, monkeypatch):
    """On a disk that takes its time over the database, and not over the log."""
    path, slow, begun = tmp_path / "s.db", threading.Event(), threading.Event()
    move = Sweeper._move

    def takes_long(self: Sweeper) -> bool:
        begun.set()
        slow.wait(10)
        return move(self)

    monkeypatch.setattr(Sweeper, "_move", takes_long)

    async def main() -> None:
        async with opened(path) as store:
            for _ in range(260):
                store.add(reading(device=BIG))
            await store.record(decision())
            while not begun.is_set():
                await asyncio.sleep(0.01)
            async with asyncio.timeout(2):
                assert [await store.record(decision()) for _ in range(3)] == [2, 3, 4]
            assert store.status()["problem"] == ""
            slow.set()
        assert log_size(path) == 0

    asyncio.run(main())


@pytest.mark.parametrize("size", [20, 200])
def test_the_log_stays_small_however_fast_it_is_filled(tmp_path, size):
    path = tmp_path / "s.db"

    async def main() -> int:
        most = 0
        async with opened(path) as store:
            for _ in range(6000 // size):
                for _ in range(size):
                    store.add(reading(device=BIG))
                await store.record(reading())
                most = max(most, log_size(path))
            assert store.counts()[Lane.TELEMETRY].accepted == 6000 // size * (size + 1)
        return most

    assert asyncio.run(main()) < 4 << 20
    with closing(read_only(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
