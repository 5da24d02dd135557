"""A disk that fails, fills up, locks or vanishes: nothing that was accepted is lost, and all is counted."""

import asyncio
import json
import sqlite3
import threading
import time

import pytest

from gateway.reading import Lane, encode
from gateway.store import Counts, Store, StoreError
from gateway.store import file as file_module
from gateway.store import intake as intake_module
from gateway.store.pending import Pending, row_of
from tests.gateway.store_rig import (
    NOW,
    Ahead,
    books_agree,
    crash_image,
    event,
    failing_disk,
    opened,
    reading,
    rows,
    seqs,
    settings,
)

READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS
BIG = "x" * 2000


def run(main):
    return asyncio.run(main)


def test_what_was_added_survives_a_failing_disk(tmp_path, caplog):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading(0.0))
            with failing_disk():
                store.add(reading(1.0))
                with pytest.raises(StoreError, match="disk does not take what is written"):
                    await store.record(event(1))
                store.add(reading(2.0))
                await asyncio.sleep(0.05)
                status = store.status()
                assert (status["writable"], status["waiting"]) == (False, 2)
                assert "kernel's log" in status["problem"]
            await store.changed()  # the store tries by itself again
            assert store.status()["writable"] is True
            assert store.status()["problem"] == ""
            values = [
                json.loads(one.body)["values"]["temperature"] for one in await store.after(READINGS, 0, 9)
            ]
            assert values == [0.0, 1.0, 2.0]
            assert seqs(path, EVENTS) == []  # the refused one never comes
            assert await store.record(event(2)) == 1

    run(main())
    assert len(caplog.records) == 2  # once when it began, once when it was over


def test_a_store_in_trouble_finds_out_by_itself_that_it_is_over(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            with failing_disk(), pytest.raises(StoreError):
                await store.record(event())
            async with asyncio.timeout(5):
                while not store.status()["writable"]:
                    await asyncio.sleep(0.05)

    run(main())


@pytest.mark.parametrize("limit", range(4096, 160_000, 13_001))
def test_nothing_is_lost_wherever_the_writing_stops(tmp_path, limit):
    """Writes beyond a growing offset fail: in the log, in the checkpoint, at the start of a transaction."""
    path = tmp_path / "s.db"

    async def main():
        accepted = []
        async with opened(path, keep=0) as store:

            async def work(number):
                for value in range(number, number + 40):
                    one = reading(float(value), device=BIG)
                    try:
                        accepted.append((await store.record(one), encode(one)))
                    except StoreError:
                        return

            await work(0)
            with failing_disk(limit):
                await work(100)
            await store.delivered(READINGS, 10)
            await work(200)
            assert await store.after(READINGS, 0, 1000) == accepted
            books_agree(store, path, {READINGS: 10, EVENTS: 0})
        async with opened(path) as store:
            assert await store.after(READINGS, 0, 1000) == accepted

    run(main())
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_another_program_that_holds_the_lock_delays_and_loses_nothing(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading())
            stranger = sqlite3.connect(path, isolation_level=None)
            stranger.execute("BEGIN IMMEDIATE")
            store.add(reading())
            began = time.monotonic()
            with pytest.raises(StoreError, match="another program writes"):
                await store.record(event())
            assert time.monotonic() - began < 4.0  # SQLite's own patience is 5 s
            assert file_module._PATIENCE < 0.95  # control waits for at most a second
            assert len(await store.after(READINGS, 0, 9)) == 1
            stranger.execute("ROLLBACK")
            stranger.close()
            assert await store.record(reading()) == 3

    run(main())


def test_memory_is_bounded_and_what_it_has_no_room_for_is_announced(tmp_path, monkeypatch):
    monkeypatch.setattr(intake_module, "_MEMORY", 50_000)
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading())
            with failing_disk():
                for value in range(100):
                    store.add(reading(float(value), device=BIG))
                    if value == 50:  # half of it has been at the disk's door already
                        with pytest.raises(StoreError):
                            await store.record(event())
                assert store.status()["waiting"] == 100
            await store.changed()
            counts = store.counts()[READINGS]
            assert counts.accepted == 101
            lost = counts.dropped["memory"]
            assert 80 < lost < 95
            stored = await store.after(READINGS, 1, 200)
            assert [one.seq for one in stored] == list(range(2 + lost, 102))
            assert json.loads(stored[0].body)["values"]["temperature"] == float(lost)  # the oldest went
            (gap,) = await store.recent(EVENTS, 9)
            assert (gap["kind"], gap["first"], gap["last"], gap["reason"]) == ("gap", 2, 1 + lost, "memory")
            books_agree(store, path, {READINGS: 0, EVENTS: 0})
        async with opened(path) as store:
            assert store.counts()[READINGS] == counts

    run(main())


def test_what_failed_gives_way_to_what_came_meanwhile():
    """Of rows on their way to the disk and rows behind them, memory loses the older ones."""
    at = NOW()  # the same for all: a time with fewer digits would make a smaller row
    rows = [row_of(reading(float(value), device=BIG, at=at)) for value in range(4)]
    pending = Pending(2 * rows[0].size)
    for row in rows[:2]:
        pending.add(row)
    assert pending.take(9) == (0, rows[:2])
    for row in (rows[2], rows[3], rows[3]):
        pending.add(row)
    assert len(pending) == 5
    pending.failed()
    assert len(pending) == 5
    assert pending.take(9) == (3, [rows[3], rows[3]])
    pending.failed()
    assert pending.take(9) == (3, [rows[3], rows[3]])
    pending.committed()
    assert len(pending) == 0


def test_a_record_that_became_unreadable_is_dropped_and_announced(tmp_path):
    """A flipped bit in a text is no damage that SQLite sees; it must not hold up what comes behind it."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for value in range(6):
                await store.record(reading(float(value)))
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE telemetry SET body = CAST(x'ff7b7d' AS TEXT) WHERE seq = 2")
            connection.execute("UPDATE telemetry SET body = substr(body, 3) WHERE seq IN (4, 5)")
        connection.close()
        async with opened(path) as store:
            assert [row["seq"] for row in await store.recent(READINGS, 9)] == [6, 3, 1]
            assert [one.seq for one in await store.after(READINGS, 1, 1)] == [3]
            assert [one.seq for one in await store.after(READINGS, 0, 9)] == [1, 3, 6]
            assert store.counts()[READINGS] == Counts(6, 0, 3, {"damaged": 3})
            gaps = await store.recent(EVENTS, 9)
            told = [(gap["first"], gap["last"], gap["reason"]) for gap in reversed(gaps)]
            assert told == [(2, 2, "damaged"), (4, 5, "damaged")]
            await store.delivered(READINGS, 6)
            assert [one.seq for one in await store.after(READINGS, 0, 9)] == [1, 3, 6]

    run(main())


def test_numbers_whose_rows_memory_lost_are_not_given_again(tmp_path, monkeypatch):
    """They have no rows: only the saved high-water mark knows them."""
    monkeypatch.setattr(intake_module, "_MEMORY", 3000)
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            with failing_disk():
                for _ in range(2):
                    store.add(reading(device=BIG))
                with pytest.raises(StoreError):
                    await store.record(reading(device=BIG))  # pushes both out, and is withdrawn itself
            await store.record(event())
            assert store.counts()[READINGS] == Counts(2, 0, 0, {"memory": 2})
            image = crash_image(path, tmp_path / "crash")
        async with opened(image) as store:
            assert store.counts()[READINGS] == Counts(2, 0, 0, {"memory": 2})
            assert await store.record(reading()) == 3

    run(main())


def test_at_its_limit_the_store_drops_the_oldest_readings_and_says_so(tmp_path):
    path = tmp_path / "s.db"
    size = 1 << 20

    async def main():
        async with opened(path, max_size=size) as store:
            await store.record(event(1))
            for value in range(1000):
                store.add(reading(float(value), device=BIG))
                if value % 50 == 49:
                    await store.record(event(value))
            counts = store.counts()
            assert counts[READINGS].accepted == 1000
            assert counts[READINGS].dropped["full"] > 500
            assert (
                counts[READINGS].held > 120
            )  # of the 190 that fit: it drops in small portions, not all there is
            assert counts[EVENTS].dropped == {}
            books_agree(store, path, {READINGS: 0, EVENTS: 0})
            missing = set(range(1, 1001)) - {one.seq for one in await store.after(READINGS, 0, 2000)}
            told = set()
            for gap in await store.recent(EVENTS, 1000, kind="gap"):
                assert gap["reason"] == "full"
                told |= set(range(gap["first"], gap["last"] + 1))
            assert missing == told == set(range(1, max(told) + 1))
            assert store.status()["bytes"] < size + (3 << 20)  # with the write-ahead log
            assert store.status()["writable"] is True

    run(main())
    assert path.stat().st_size <= size


def test_at_its_limit_what_is_delivered_goes_first(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            for value in range(1, 1001):
                store.add(reading(float(value), device=BIG))
                if value % 20 == 0:
                    await store.record(event())
                    await store.delivered(READINGS, value - 20)
            assert store.counts()[READINGS] == Counts(1000, 980, 20, {})
            books_agree(store, path, {READINGS: 980, EVENTS: 0})

    run(main())


def test_events_alone_at_the_limit_are_refused_and_never_dropped(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db", max_size=1 << 20) as store:
            for _ in range(5):
                await store.record(reading(device=BIG))

            async def told():
                for number in range(2000):
                    assert await store.record(event_of(BIG)) >= number

            with pytest.raises(StoreError, match="full"):
                await told()
            held = store.counts()[EVENTS].held
            assert held > 100
            assert store.counts()[READINGS].dropped == {"full": 5}
            await store.delivered(EVENTS, held // 2)
            assert await store.record(event()) > held  # delivery makes room

    def event_of(text):
        one = event()
        return type(one)(one.type, text, one.at, {})

    run(main())


def test_a_file_that_was_moved_away_takes_no_more_records(tmp_path):
    """Written into a file without a name, they would be lost with the process."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading(0.0))
            path.rename(tmp_path / "elsewhere")
            store.add(reading(1.0))
            with pytest.raises(StoreError, match="moved away or replaced while in use: put it back"):
                await store.record(event())
            (tmp_path / "elsewhere").rename(path)
            await store.changed()
            assert await store.record(reading(2.0)) == 3

    run(main())


def test_reading_waits_while_the_file_cannot_be_read(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        store = await Store.open(settings(path), "pole-1", Quick())
        await store.record(reading())
        path.rename(tmp_path / "elsewhere")
        waiting = asyncio.create_task(store.after(READINGS, 0, 9))
        await asyncio.sleep(0.05)
        with pytest.raises(StoreError, match="cannot be opened"):
            await store.recent(READINGS, 9)
        with pytest.raises(StoreError, match="cannot be opened"):
            await store.find("0" * 32)
        assert "cannot be opened" in store.status()["problem"]
        assert not waiting.done()
        (tmp_path / "elsewhere").rename(path)
        assert len(await waiting) == 1
        assert store.status()["problem"] == ""
        await store.close()

    class Quick(Ahead):
        async def sleep(self, seconds):
            await asyncio.sleep(0.01)

    run(main())


def test_a_failing_checkpoint_is_told_and_loses_nothing(tmp_path, caplog):
    """The write-ahead log is short and takes records; the database cannot be written at its end."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:

            async def fill(number):
                for _ in range(number):
                    store.add(reading(device=BIG))
                await store.record(reading())

            for _ in range(8):
                await fill(150)
            with failing_disk(9 << 19):
                for _ in range(3):
                    await fill(100)
                await store.record(event())
                assert store.status()["writable"] is True
                assert "disk does not take" in store.status()["problem"]
            for _ in range(2):
                await fill(75)
                await store.record(event())
            assert store.status()["problem"] == ""
            assert len(await store.after(READINGS, 0, 5000)) == 1663
        async with opened(path) as store:
            assert len(await store.after(READINGS, 0, 5000)) == 1663

    run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_disk_that_hangs_is_told_and_does_not_keep_the_store_from_closing(tmp_path, caplog):
    path = tmp_path / "s.db"

    async def main():
        clock = Ahead()
        store = await Store.open(settings(path), "pole-1", clock)
        await store.record(reading())
        hang = threading.Event()
        stuck = asyncio.create_task(store._keeper._writer.call(hang.wait))  # what a stuck fsync would do
        await asyncio.sleep(0)
        store.add(reading())
        waiting = asyncio.create_task(store.record(event()))
        await asyncio.sleep(0.02)
        clock.ahead += 6
        assert "has not answered for 6 s" in store.status()["problem"]
        assert store.status()["writable"] is False
        began = time.monotonic()
        await store.close()
        assert time.monotonic() - began < 10.0
        with pytest.raises(StoreError, match="closed"):
            await waiting
        hang.set()
        await stuck

    run(main())
    assert "1 records could not be written" in caplog.text
