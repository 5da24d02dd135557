"""What is remembered beside the records, and the readings of earlier: across restarts and failing disks."""

import asyncio
import contextlib
import json
import re
import sqlite3
from pathlib import Path

import pytest

from gateway.cli import main as lamppost
from gateway.clock import Instant, Quality
from gateway.reading import Lane, encode
from gateway.store import Store, StoreError, schema
from gateway.store import reader as reader_module
from tests.gateway.store_rig import (
    NOW,
    crash_image,
    event,
    failing_disk,
    opened,
    reading,
    rows,
    settings,
    texts,
)

READINGS = Lane.TELEMETRY
ROLLBACK = Path(__file__).parent.parent.parent / "docs" / "deployment.md"


def run(main):
    return asyncio.run(main)


def stored(path):
    return rows(path, "SELECT name, body FROM memory ORDER BY name")


def remembered(path, **more):
    async def main():
        async with opened(path, **more) as store:
            return await store.remembered()

    return run(main())


# Texts.


def test_the_latest_text_of_each_name_outlives_the_process(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            assert await store.remembered() == {}
            store.remember("rain", "1 mm")
            store.remember("flood", "")
            await store.record(event())
            store.remember("rain", "2 mm")
            store.remember("gone", "for now")
            store.forget("gone")
            store.forget("never there")
            await store.record(event())
            assert stored(path) == [("flood", ""), ("rain", "2 mm")]

    run(main())
    assert remembered(path) == {"flood": "", "rain": "2 mm"}


def test_a_text_is_durable_in_the_transaction_of_the_records_around_it(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, commit=3600) as store:
            store.add(reading(1.0))
            store.remember("count", "1")
            assert await store.remembered() == {"count": "1"}, "what was said last counts, durable or not"
            assert crashed(path, tmp_path / "before") == ([], [])
            await store.record(event())
            store.add(reading(2.0))
            store.remember("count", "2")
            store.remember("forgotten", "at once")
            store.forget("forgotten")
            assert await store.remembered() == {"count": "2"}
            assert crashed(path, tmp_path / "after") == ([(1,)], [("count", "1")])

    run(main())
    assert stored(path) == [("count", "2")], "closing commits it"


def crashed(path, to):
    copy = crash_image(path, to)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        readings = connection.execute("SELECT seq FROM telemetry").fetchall()
        return readings, connection.execute("SELECT name, body FROM memory").fetchall()


def test_a_text_alone_is_committed_within_the_interval(tmp_path, virtual):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, commit=5) as store:
            store.remember("alone", "x")
            await asyncio.sleep(4.9)
            assert stored(path) == []
            news = asyncio.create_task(store.changed())
            await asyncio.sleep(0.2)
            await news
            assert stored(path) == [("alone", "x")]

    virtual(main())


def test_while_the_disk_fails_the_latest_text_waits(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            store.remember("state", "old")
            store.remember("other", "stays")
            await store.record(event())
            with failing_disk():
                for number in range(50):
                    store.remember("state", str(number))
                store.forget("other")
                with pytest.raises(StoreError):
                    await store.record(event())
                store.remember("state", "latest")
                assert await store.remembered() == {"state": "latest"}
                assert stored(path) == [("other", "stays"), ("state", "old")]
            await store.changed()
            assert stored(path) == [("state", "latest")]
            assert store.status()["writable"] is True

    run(main())


def test_a_text_alone_that_the_disk_did_not_take_is_written_later_by_itself(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            with failing_disk():
                store.remember("state", "x")
                while store.status()["writable"]:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                while stored(path) != [("state", "x")]:
                    await asyncio.sleep(0.05)

    run(main())


def test_records_and_texts_are_written_together_or_not_at_all(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
                stranger.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON memory BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
                store.add(reading(1.0))
                store.remember("state", "x")
                with pytest.raises(StoreError, match="no"):
                    await store.record(event())
                assert (rows(path, "SELECT seq FROM telemetry"), stored(path)) == ([], [])
                stranger.execute("DROP TRIGGER no")
            await store.record(event())
            assert (rows(path, "SELECT seq FROM telemetry"), stored(path)) == ([(1,)], [("state", "x")])

    run(main())


def test_a_text_that_came_while_an_older_one_was_written_is_written_too(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for number in range(200):
                store.remember("state", str(number))
                await asyncio.sleep(0)
            for _ in range(100):
                if stored(path) == [("state", "199")]:
                    break
                await asyncio.sleep(0.01)
            assert stored(path) == [("state", "199")]

    run(main())


def test_there_is_room_for_so_many_names_and_so_large_texts(tmp_path):
    path, large = tmp_path / "s.db", "é" * (32 * 1024)

    async def main():
        async with opened(path) as store:
            for number in range(256):
                store.remember(f"stream/{number}", large if number == 7 else "x")
            for name, text in (("one/more", "x"), ("stream/7", large + "x"), ("stream/7", "\ud800")):
                with pytest.raises(ValueError, match=r"one more|at most 65536 bytes|surrogates"):
                    store.remember(name, text)
            store.remember("stream/7", large)  # no new name
            store.forget("stream/0")
            store.remember("one/more", "x")
            with pytest.raises(ValueError, match="at most 256 bytes"):
                store.remember("n" * 257, "x")

        async with opened(path) as store:  # the names of before count too
            with pytest.raises(ValueError, match="256 texts are remembered"):
                store.remember("stream/0", "x")
            found = await store.remembered()
            assert (len(found), found["stream/7"], "stream/0" in found) == (256, large, False)

    run(main())


def test_a_closed_store_remembers_nothing_more(tmp_path):
    async def main():
        store = await Store.open(settings(tmp_path / "s.db"), "pole-1")
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            store.remember("a", "b")

    run(main())


def test_texts_at_the_end_of_the_space_push_out_the_oldest_readings(tmp_path):
    """A store that is full to its limit goes on, as it does for records."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            while not store.counts()[READINGS].dropped:
                for value in range(200):
                    store.add(reading(float(value), device="x" * 500))
                await store.record(event())
            for number in range(8):
                store.remember(f"stream/{number}", "y" * 40_000)
                await store.record(event())
            assert store.status()["problem"] == ""
            assert len(stored(path)) == 8

    run(main())


# An older file, and the way back.


def as_version_1(path, monkeypatch, number=30):
    """Make a file as the first version left it, with content: its own migration, its own inserts."""
    lines = [encode(reading(float(value))) for value in range(number)]
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection,
        monkeypatch.context() as p,
    ):
        p.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        p.setattr(schema, "VERSION", 1)
        connection.execute("PRAGMA journal_mode = WAL")
        schema.migrate(connection, 0, "pole-1")
        for seq, body in enumerate(lines, 1):
            row = (seq, 1000.0 + seq, "air", body)
            connection.execute("INSERT INTO telemetry VALUES (?, ?, ?, ?)", row)
        connection.execute("UPDATE lane SET high = 30, cursor = 10 WHERE name = 'telemetry'")
        assert schema.inconsistency(connection) == ""
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return epoch, lines


def tables(path):
    return rows(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")


def test_a_file_of_version_1_keeps_all_it_has_and_begins_to_remember(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    epoch, lines = as_version_1(path, monkeypatch)

    async def main():
        async with opened(path) as store:
            assert store.epoch == epoch
            assert [one.body for one in await store.after(READINGS, 10, 99)] == lines[10:]
            assert store.counts()[READINGS].held == 20
            assert await store.remembered() == {}
            store.remember("rain", "x")
            assert await store.record(reading()) == 31

    run(main())
    assert stored(path) == [("rain", "x")]
    assert rows(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert not list(tmp_path.glob("*quarantine*"))


def test_a_migration_that_is_killed_half_way_leaves_version_1(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    as_version_1(path, monkeypatch)
    before = tables(path)

    def second(db):
        schema._second(db)
        raise sqlite3.OperationalError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (schema._first, second, *schema.MIGRATIONS[2:]))
        with pytest.raises(StoreError, match="the power is gone"):
            remembered(path)
    assert tables(path) == before
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert remembered(path) == {}
    assert len(rows(path, "SELECT seq FROM telemetry")) == 30


def test_the_documented_way_back_leaves_a_file_of_version_1(tmp_path, monkeypatch):
    path, old = tmp_path / "s.db", tmp_path / "old.db"
    as_version_1(old, monkeypatch)
    as_version_1(path, monkeypatch)
    assert remembered(path) == {}, "it is brought up to date"
    (command,) = re.findall(r"^    lamppost (downgrade .*)$", ROLLBACK.read_text(), re.M)
    words = command.replace("--to 3", "--to 1").split()
    words[words.index("--store") + 1] = str(path)
    assert lamppost(words) == 0
    ledger = {"ledger", "leaves"}  # stays, for the code that knows it
    assert [each for each in tables(path) if not ledger & {*each}] == tables(old)
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert rows(path, "SELECT value FROM meta WHERE key = 'schema'") == [("1",)]
    assert remembered(path) == {}, "and forward again"
    assert len(rows(path, "SELECT seq FROM telemetry")) == 30


# Damage.


def test_salvage_carries_what_was_remembered_into_the_new_file(tmp_path):
    path = tmp_path / "s.db"

    async def fill():
        async with opened(path) as store:
            for number in range(40):
                store.remember(f"stream/{number}", f"{number} " * 500)
                await store.record(event(number))

    run(fill())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE memory SET body = CAST(x'ff41' AS TEXT) WHERE name = 'stream/5'")
        connection.execute("UPDATE memory SET time = 'soon' WHERE name = 'stream/6'")
        connection.execute("UPDATE lane SET cursor = 'soon' WHERE name = 'events'")
    found = remembered(path)
    assert len(list(tmp_path.glob("*quarantine*[0-9Z]"))) == 1
    assert found == {f"stream/{n}": f"{n} " * 500 for n in range(40) if n not in (5, 6)}


def test_salvage_of_a_file_of_version_1_has_nothing_remembered_to_carry(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    _, lines = as_version_1(path, monkeypatch)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE lane SET high = -1")
    assert remembered(path) == {}
    assert texts(path, READINGS) == lines[10:]


def test_a_text_that_is_no_text_any_more_is_left_out(tmp_path):
    path = tmp_path / "s.db"

    async def fill():
        async with opened(path) as store:
            for name in ("a", "b", "c"):
                store.remember(name, name)

    run(fill())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE memory SET body = CAST(x'ff41' AS TEXT) WHERE name = 'a'")
        connection.execute("UPDATE memory SET name = CAST(x'fe' AS TEXT) WHERE name = 'b'")
    assert remembered(path) == {"c": "c"}
    assert not list(tmp_path.glob("*quarantine*"))


# Readings of earlier.


def at(time):
    return Instant(time, time, "b", Quality.SYNCHRONIZED)


async def put(store, times, first=0):
    for value, time in enumerate(times, first):
        store.add(reading(float(value), at=at(float(time))))
    await store.record(event())


async def replayed(store, since):
    return [body for chunk in [chunk async for chunk in store.replay(since)] for body in chunk]


def values(bodies):
    return [int(body["values"]["temperature"]) for body in bodies]


@pytest.mark.parametrize("since", [-1.0, 0.0, 1.0, 1.5, 2.0, 700.0, 1199.0, 1199.5, 1200.0, 1e12])
def test_a_replay_begins_with_the_first_reading_of_its_time(tmp_path, since):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            await put(store, range(1200))
            found = await replayed(store, since)
            assert values(found) == [time for time in range(1200) if time >= since]
            assert found == [json.loads(encode(reading(body["time"], at=at(body["time"])))) for body in found]

    run(main())


def test_a_replay_of_nothing_is_empty(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            assert await replayed(store, 0.0) == []

    run(main())


def test_a_replay_comes_in_chunks_and_lets_the_loop_breathe(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            await put(store, range(1100))
            beats = 0

            async def beat():
                nonlocal beats
                while True:
                    await asyncio.sleep(0)
                    beats += 1

            heart = asyncio.create_task(beat())
            sizes, seen = [], []
            async for chunk in store.replay(0.0):
                sizes.append(len(chunk))
                seen.append(beats)
            heart.cancel()
            assert sizes == [500, 500, 100]
            assert 0 < seen[0] < seen[1] < seen[2]

    run(main())


def test_a_replay_ends_at_its_call_and_has_what_is_not_durable_yet(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db", commit=3600) as store:
            await put(store, range(10))
            for value in range(10, 13):
                store.add(reading(float(value), at=at(float(value))))
            replay = store.replay(5.0)
            await put(store, range(13, 20), 13)  # new, and durable before the first chunk is asked for
            assert values([body for chunk in [c async for c in replay] for body in chunk]) == list(
                range(5, 13)
            )
            assert values(await replayed(store, 5.0)) == list(range(5, 20))

    run(main())


def test_a_replay_has_what_waits_for_a_failing_disk_once(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            await put(store, range(5))
            with failing_disk():
                store.add(reading(5.0, at=at(5.0)))
                store.add(reading(6.0, at=at(1.0)))
                with pytest.raises(StoreError):
                    await store.record(event())
                assert values(await replayed(store, 3.0)) == [3, 4, 5]
            await store.changed()
            assert values(await replayed(store, 3.0))[:3] == [3, 4, 5]

    run(main())


@pytest.mark.parametrize(
    "times",
    [
        [*range(300), *range(100, 400)],  # set back
        [*range(300), *range(900, 950), *range(300, 600)],  # forward for a while
        [*range(500, 600), *range(50), *range(600, 700)],  # a boot without the time
        [*range(500, 600), *range(50), *range(400, 500), *range(30)],
        [7, 3, 9, 1, 8, 2] * 20,
    ],
)
def test_no_reading_of_the_time_asked_for_is_left_out_where_the_clock_was_set(tmp_path, times):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            await put(store, times)
            for since in (0.5, 2.5, 120.0, 250.0, 299.0, 350.0, 550.0, 599.0, 620.0, 920.0, 1000.0):
                found = values(await replayed(store, since))
                wanted = [value for value, time in enumerate(times) if time >= since]
                assert set(wanted) <= set(found)
                assert found == list(range(found[0], len(times))) if wanted else not found

    run(main())


def test_the_look_back_is_bounded(tmp_path, monkeypatch):
    """Readings of a wrong time beyond so many in a row are not looked through."""
    monkeypatch.setattr(reader_module, "LOOK_BACK", 40)

    async def main():
        async with opened(tmp_path / "s.db") as store:
            await put(store, [*range(1000, 1100), *range(41), *range(1100, 1900)])
            assert values(await replayed(store, 1050.0))[0] == 141
        async with opened(tmp_path / "t.db") as store:
            await put(store, [*range(1000, 1100), *range(39), *range(1100, 1900)])
            assert values(await replayed(store, 1050.0))[0] == 50

    run(main())


def test_a_replay_steps_over_holes_and_what_is_unreadable(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await put(store, range(100))
            await store.delivered(READINGS, 100)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM telemetry WHERE seq <= 20 OR seq BETWEEN 50 AND 60")
            connection.execute("UPDATE telemetry SET body = '{\"kind' WHERE seq = 31")
            connection.execute("UPDATE telemetry SET body = CAST(x'ff' AS TEXT) WHERE seq = 32")
            connection.execute("UPDATE telemetry SET body = '[1]', time = 'x' WHERE seq = 33")
        async with opened(path) as store:
            kept = [n for n in range(100) if not (n < 20 or 49 <= n < 60 or n in (30, 31, 32))]
            for since in (0.0, 25.0, 30.0, 52.0, 99.0):
                found, wanted = values(await replayed(store, since)), [n for n in kept if n >= since]
                assert found == kept[-len(found) :]
                assert found[-len(wanted) :] == wanted

    run(main())


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    path = tmp_path / "s.db"

    async def fill():
        async with opened(path) as store:
            await put(store, range(2000))

    async def main():
        store = await Store.open(settings(path), "pole-1", None, NOW)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        with pytest.raises(StoreError, match="damaged"):
            await replayed(store, 0.0)
        with pytest.raises(StoreError, match="damaged"):
            await store.remembered()
        assert store.damage
        await store.close()

    run(fill())
    run(main())
