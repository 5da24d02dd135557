"""The store's promise while nothing fails."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

from gateway.clock import Instant, Quality
from gateway.reading import Lane, encode
from gateway.store import Counts, Store, StoreError
from tests.gateway.store_rig import Ahead, decision, event, opened, reading, rows, seqs, settings

READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS


def run(main):
    return asyncio.run(main)


def test_a_record_is_in_the_file_when_record_returns(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, commit=3600) as store:
            store.add(reading(1.5))
            told = event(7)
            assert await store.record(told) == 1
            assert rows(path, "SELECT body FROM events") == [(encode(told),)]
            assert seqs(path, READINGS) == [1]  # with all that was added before it
            assert (store.durable(READINGS), store.durable(EVENTS)) == (1, 1)

    run(main())


def test_a_reading_waits_for_the_interval_and_an_event_does_not(tmp_path, virtual):
    async def main():
        async with opened(tmp_path / "s.db", commit=5) as store:
            store.add(reading())
            await asyncio.sleep(4.9)
            assert store.durable(READINGS) == 0
            assert store.status()["waiting"] == 1
            news = asyncio.create_task(store.changed())
            await asyncio.sleep(0.2)
            await news
            assert store.durable(READINGS) == 1
            began = asyncio.get_running_loop().time()
            store.add(event())
            await store.changed()
            assert store.durable(EVENTS) == 1
            assert asyncio.get_running_loop().time() - began < 1
            assert store.status()["waiting"] == 0

    virtual(main())


def test_numbers_are_dense_and_in_order_of_addition(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            numbers = []
            for start in range(0, 12_000, 3000):
                for value in range(start, start + 3000):
                    store.add(reading(float(value)))
                numbers.append(await store.record(reading(-1.0)))
            stored = await store.after(READINGS, 0, 20_000)
            assert [one.seq for one in stored] == list(range(1, 12_005))
            values = [json.loads(one.body)["values"]["temperature"] for one in stored]
            assert [value for value in values if value >= 0] == [float(value) for value in range(12_000)]
            assert numbers == [3001, 6002, 9003, 12_004]

    run(main())


def test_concurrent_records_share_a_commit(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            numbers = await asyncio.gather(*(store.record(event(n)) for n in range(300)))
            assert numbers == list(range(1, 301))
            bodies = [json.loads(one.body)["data"]["number"] for one in await store.after(EVENTS, 0, 300)]
            assert bodies == list(range(300))
            # a commit of its own for each would take 300 pages of the write-ahead log and more
            assert store.status()["bytes"] < 300 * 4096

    run(main())


def test_after_gives_what_is_behind_a_number_up_to_a_limit(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            bodies = []
            for value in range(10):
                one = reading(float(value))
                bodies.append(encode(one))
                await store.record(one)
            assert await store.after(READINGS, 3, 2) == [(4, bodies[3]), (5, bodies[4])]
            assert await store.after(READINGS, 10, 5) == []
            assert await store.after(EVENTS, 0, 5) == []

    run(main())


def test_changed_wakes_every_waiter_once_something_is_durable(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            waiters = [asyncio.create_task(store.changed()) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert not any(waiter.done() for waiter in waiters)
            store.add(reading())
            await asyncio.gather(*waiters)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.changed(), 0.02)

    run(main())


async def a_minute(store, clock, seconds=61):
    """Let the store look for what may be trimmed, and return when it has."""
    clock.ahead += seconds
    for _ in range(2):
        await store.record(event())


def test_the_numbers_go_on_after_everything_was_delivered_and_trimmed(tmp_path):
    path, clock = tmp_path / "s.db", Ahead()

    async def fill():
        async with opened(path, clock=clock, keep=0) as store:
            for _ in range(20):
                await store.record(reading())
            await store.delivered(READINGS, 20)
            await a_minute(store, clock)
            assert seqs(path, READINGS) == []
            return store.epoch

    async def resume():
        async with opened(path) as store:
            assert store.counts()[READINGS] == Counts(20, 20, 0, {})
            assert await store.record(reading()) == 21
            return store.epoch

    assert run(fill()) == run(resume())


def test_only_delivered_rows_that_are_old_enough_are_trimmed(tmp_path):
    path, clock = tmp_path / "s.db", Ahead()

    async def main():
        old = Instant(1000.0, 0.0, "b", Quality.SYNCHRONIZED)
        async with opened(path, clock=clock, keep=86_400) as store:
            for at in (old, old, None, old):
                await store.record(reading(at=at))
            for _ in range(2):
                await store.record(reading(at=old))
            await store.delivered(READINGS, 5)
            await a_minute(store, clock)
            assert seqs(path, READINGS) == [3, 4, 5, 6]  # from the front, up to the first that is young
            assert store.counts()[READINGS] == Counts(6, 5, 1, {})

    run(main())


def test_events_are_kept_for_a_time_of_their_own(tmp_path):
    path, clock = tmp_path / "s.db", Ahead()

    async def main():
        async with opened(path, clock=clock, keep=0, keep_events=86_400) as store:
            await store.record(reading())
            await store.record(event())
            await store.delivered(READINGS, 1)
            await store.delivered(EVENTS, 1)
            await a_minute(store, clock)
            assert seqs(path, READINGS) == []
            assert seqs(path, EVENTS)[0] == 1

    run(main())


def test_a_trim_goes_on_chunk_by_chunk(tmp_path):
    path, clock = tmp_path / "s.db", Ahead()

    async def main():
        async with opened(path, clock=clock, keep=0) as store:
            for _ in range(11_999):
                store.add(reading())
            await store.record(reading())
            await store.delivered(READINGS, 11_000)
            for seconds, first in ((61, 5001), (1.1, 10_001), (1.1, 11_001)):
                await a_minute(store, clock, seconds)
                assert seqs(path, READINGS) == list(range(first, 12_001))

    run(main())


def test_the_cursor_is_saved_within_two_seconds(tmp_path):
    path, clock = tmp_path / "s.db", Ahead()

    async def main():
        async with opened(path, clock=clock) as store:
            for _ in range(5):
                await store.record(reading())
            await store.delivered(READINGS, 3)
            clock.ahead += 1.5
            await store.delivered(READINGS, 4)
            for _ in range(2):
                await store.record(event())
            assert rows(path, "SELECT cursor FROM lane WHERE name = 'telemetry'") == [(0,)]
            clock.ahead += 0.6
            for _ in range(2):
                await store.record(event())
            assert rows(path, "SELECT cursor FROM lane WHERE name = 'telemetry'") == [(4,)]

    run(main())


def test_an_idle_store_writes_nothing(tmp_path, virtual):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading())
            await store.delivered(READINGS, 1)
            await asyncio.sleep(10)
            await store.ping()  # the writer's thread lives in real time
            before = rows(path, "PRAGMA data_version"), (tmp_path / "s.db-wal").stat().st_mtime_ns
            await asyncio.sleep(3600)
            assert (rows(path, "PRAGMA data_version"), (tmp_path / "s.db-wal").stat().st_mtime_ns) == before

    virtual(main())


def test_the_cursor_never_goes_back_nor_beyond_what_is_durable(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for _ in range(5):
                await store.record(reading())
            await store.delivered(READINGS, 4)
            await store.delivered(READINGS, 2)
            assert store.counts()[READINGS] == Counts(5, 4, 1, {})
            await store.delivered(READINGS, 99)
            assert store.counts()[READINGS] == Counts(5, 5, 0, {})
            assert await store.record(reading()) == 6
            assert store.counts()[READINGS] == Counts(6, 5, 1, {})

    run(main())


def test_a_drop_is_counted_announced_and_gone(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for _ in range(10):
                await store.record(reading())
            await store.delivered(READINGS, 2)
            await store.drop(READINGS, 1, 4, "refused: payload format invalid")
            await store.drop(READINGS, 3, 5, "refused: too large")  # 3 and 4 are gone already
            assert store.counts()[READINGS] == Counts(10, 2, 5, {"refused": 3})
            assert [one.seq for one in await store.after(READINGS, 0, 20)] == [1, 2, 6, 7, 8, 9, 10]
            gaps = await store.recent(EVENTS, 10, kind="gap")
            told = [(gap["lane"], gap["first"], gap["last"], gap["reason"]) for gap in gaps]
            assert told == [
                ("telemetry", 5, 5, "refused: too large"),
                ("telemetry", 3, 4, "refused: payload format invalid"),
            ]
            await store.drop(READINGS, 3, 5, "again")
            assert len(await store.recent(EVENTS, 10, kind="gap")) == 2
            await store.delivered(READINGS, 10)
            assert store.counts()[READINGS] == Counts(10, 7, 0, {"refused": 3})
        async with opened(path) as store:
            assert store.counts()[READINGS] == Counts(10, 7, 0, {"refused": 3})

    run(main())


def test_the_number_of_a_dropped_last_record_is_not_given_again(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for _ in range(5):
                await store.record(reading())
            await store.drop(READINGS, 5, 5, "test")
        async with opened(tmp_path / "s.db") as store:
            assert store.counts()[READINGS] == Counts(5, 0, 4, {"test": 1})
            assert await store.record(reading()) == 6

    run(main())


def test_a_drop_in_the_middle_is_announced_run_by_run(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for _ in range(9):
                await store.record(event())
            await store.drop(EVENTS, 4, 5, "one")
            await store.drop(EVENTS, 2, 8, "two")
            gaps = [json.loads(one.body) for one in await store.after(EVENTS, 9, 10)]
            assert [(gap["first"], gap["last"]) for gap in gaps] == [(4, 5), (2, 3), (6, 8)]
            assert store.counts()[EVENTS] == Counts(12, 0, 5, {"one": 2, "two": 5})
            await store.delivered(EVENTS, 1)
            assert store.counts()[EVENTS] == Counts(12, 1, 4, {"one": 2, "two": 5})

    run(main())


def test_recent_is_newest_first_by_device_and_kind_and_pages(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for value in range(6):
                await store.record(reading(float(value), device="air" if value % 2 else "river"))
            await store.record(event())
            one = decision()
            await store.record(one)
            found = await store.recent(READINGS, 2)
            assert [(row["seq"], row["values"]["temperature"]) for row in found] == [(6, 5.0), (5, 4.0)]
            assert [row["seq"] for row in await store.recent(READINGS, 9, before=5)] == [4, 3, 2, 1]
            assert [row["seq"] for row in await store.recent(READINGS, 2, device="river")] == [5, 3]
            assert await store.recent(READINGS, 9, device="nobody") == []
            assert await store.recent(EVENTS, 9, kind="decision") == [{"event": 2, **json.loads(encode(one))}]
            assert [row["kind"] for row in await store.recent(EVENTS, 9)] == ["decision", "event"]

    run(main())


def test_find_gives_the_decision_and_nothing_else(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            one, other = decision(), decision()
            told = event()
            for record in (one, told, other):
                await store.record(record)
            assert await store.find(one.id) == {"event": 1, **json.loads(encode(one))}
            for stranger in (told.id, one.id[:-1], "", "%", '"', "x" * 5000, "\ud800"):
                assert await store.find(stranger) is None

    run(main())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_that_is_no_json_is_refused_at_once(tmp_path, value):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            with pytest.raises(StoreError, match="air record cannot be written as JSON"):
                store.add(reading(value))
            with pytest.raises(StoreError, match="cannot be written"):
                await store.record(reading(device="\ud800"))
            assert await store.record(reading()) == 1

    run(main())


def test_a_record_that_is_too_large_is_refused_at_once(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            with pytest.raises(StoreError, match="at most 65536"):
                store.add(reading(device="é" * 32_768))
            assert await store.record(reading(device="é" * 30_000)) == 1

    run(main())


def test_a_cancelled_record_is_withdrawn(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            waiting = asyncio.create_task(store.record(event(1)))
            await asyncio.sleep(0)
            waiting.cancel()
            assert await store.record(event(2)) == 1
            assert waiting.cancelled()

    run(main())


def test_closing_commits_what_waits_and_refuses_more(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        store = await Store.open(settings(path, commit=3600), "pole-1")
        for _ in range(7000):  # more than one commit takes
            store.add(reading())
        await store.delivered(READINGS, 7000)  # nothing is durable yet: nothing can be delivered
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            store.add(reading())
        with pytest.raises(StoreError, match="closed"):
            await store.record(reading())
        assert store.status()["writable"] is False
        await store.close()

    run(main())
    assert not (tmp_path / "s.db-wal").exists()
    assert seqs(path, READINGS) == list(range(1, 7001))


def writers(path):
    """Return how many descriptors of this process may write to the file itself."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if each.readlink() == path:
                flags = Path("/proc/self/fdinfo", each.name).read_text().split("flags:")[1].split()[0]
                count += int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
    return count


def test_only_one_connection_ever_writes(tmp_path):
    """Two that write or checkpoint at once can damage a file in every SQLite before 3.51.3."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            seen = set()
            for count in range(60):
                for _ in range(500):
                    store.add(reading(float(count)))
                await store.record(event(count))
                await store.after(READINGS, 0, 10)
                seen.add(writers(path))
            return seen, store.status()["wear"]["written"]

    seen, written = run(main())
    assert seen == {1}
    assert written > 2.5 * (1 << 20), "the log was emptied on the way"


def test_many_commits_leave_a_small_write_ahead_log(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for _ in range(300):  # some 1,500 pages
                await store.record(reading(device="x" * 2000))
            assert (tmp_path / "s.db-wal").stat().st_size < 3 << 20

    run(main())
