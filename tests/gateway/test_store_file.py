"""Opening: one owner, the right file, a damaged one moved aside and saved from."""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import time

import pytest

from gateway.reading import Lane
from gateway.store import Counts, Store, StoreError, form, prepare, schema
from gateway.store import file as file_module
from tests.gateway.store_rig import Ahead, crash_image, event, opened, reading, rows, seqs, settings, texts

READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS


def run(main):
    return asyncio.run(main)


def fill(path, number=50, delivered=10):
    """Make a store with *number* readings and three events; return its epoch."""

    async def main():
        async with opened(path) as store:
            for value in range(number):
                store.add(reading(float(value)))
            for value in range(3):
                await store.record(event(value))
            await store.delivered(READINGS, delivered)
            store.remember("stream/rain", "x" * 300)
            return store.epoch

    return run(main())


def quarantined(path):
    return sorted(path.parent.glob(path.name + ".quarantine-*[0-9Z]"))


def test_a_new_file_has_its_own_epoch_and_keeps_it(tmp_path):
    one, other = fill(tmp_path / "a" / "one.db"), fill(tmp_path / "a" / "other.db")
    assert one != other
    assert len(one) == 8
    assert int(one, 16) >= 0
    assert fill(tmp_path / "a" / "one.db") == one


def test_the_file_is_safe_against_a_power_cut(tmp_path):
    """NORMAL loses committed rows in a power cut; an automatic checkpoint swallows its errors."""

    async def main():
        async with opened(tmp_path / "s.db") as store:
            ask = store._keeper._log._connection.execute
            call = store._keeper._writer.call
            assert await call(lambda: ask("PRAGMA synchronous").fetchone()) == (2,)
            assert await call(lambda: ask("PRAGMA journal_mode").fetchone()) == ("wal",)
            assert await call(lambda: ask("PRAGMA wal_autocheckpoint").fetchone()) == (0,)

    run(main())


def test_a_second_daemon_is_refused_and_told_who_has_the_store(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path):
            with pytest.raises(
                StoreError, match=rf"another lamppost runs on the store .*s\.db \(pid {os.getpid()}\)"
            ):
                await Store.open(settings(path), "pole-1")
        async with opened(path):  # and the lock goes with the store
            pass

    run(main())


def test_the_lock_goes_with_the_process(tmp_path):
    path = tmp_path / "s.db"
    holder = "import sys; from pathlib import Path; from gateway.store.file import Lock; "
    holder += "Lock(Path(sys.argv[1])); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(StoreError, match=f"pid {process.pid}"):
            fill(path)
        process.kill()
        process.wait()
        fill(path)


def test_another_gateways_store_is_refused(tmp_path):
    path = tmp_path / "s.db"
    fill(path)

    async def main():
        with pytest.raises(StoreError, match="belongs to the gateway 'pole-1', and this one is 'pole-2'"):
            await Store.open(settings(path), "pole-2")

    run(main())
    assert quarantined(path) == []
    fill(path)  # a refusal leaves no lock behind


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "s.db"
    fill(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        newer = (str(schema.VERSION + 1),)
        connection.execute("UPDATE meta SET value = ? WHERE key IN ('schema', 'least')", newer)
    connection.close()
    with pytest.raises(StoreError, match="written by a newer lamppost"):
        fill(path)
    assert quarantined(path) == []


def test_an_older_schema_is_brought_up_step_by_step(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    epoch = fill(path)

    def another(db):
        db.table("meta").insert({"key": "step", "value": "was here"})

    version = schema.VERSION + 1
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, another))
    monkeypatch.setattr(schema, "VERSION", version)
    assert fill(path) == epoch
    assert rows(path, "SELECT value FROM meta WHERE key IN ('step', 'schema') ORDER BY key") == [
        (str(version),),
        ("was here",),
    ]
    assert rows(path, "PRAGMA user_version") == [(version,)]
    assert len(seqs(path, READINGS)) == 100


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    fill(path)

    def another(db):
        db.table("meta").insert({"key": "step", "value": "was here"})
        db.execute("INSERT INTO nowhere VALUES (1)")

    version = schema.VERSION
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, another))
        patch.setattr(schema, "VERSION", version + 1)
        with pytest.raises(StoreError, match="no such table: nowhere"):
            fill(path)
    assert rows(path, "PRAGMA user_version") == [(version,)]
    fill(path)
    assert rows(path, "SELECT count(*) FROM meta WHERE key = 'step'") == [(0,)]


def test_an_up_to_date_file_opens_without_sqlite_utils(tmp_path):
    """It costs 7 MB and 50 ms."""
    fill(tmp_path / "s.db")
    check = (
        "import asyncio, sys; from pathlib import Path; from gateway.store import Store; "
        "from tests.gateway.store_rig import settings; "
        "store = asyncio.run(Store.open(settings(Path(sys.argv[1])), 'pole-1')); "
        "sys.exit('sqlite_utils' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check, tmp_path / "s.db"], check=True)


@pytest.mark.parametrize("obstacle", ["file", "directory"])
def test_a_path_that_cannot_be_used_is_explained(tmp_path, obstacle):
    if obstacle == "file":
        (tmp_path / "x").write_text("")
        path, words = tmp_path / "x" / "s.db", "is not writable .*create it and give it to the user"
    else:
        path, words = tmp_path / "s.db", "cannot be opened: check"
        path.mkdir()
    with pytest.raises(StoreError, match=words):
        fill(path)


@pytest.mark.parametrize("content", [b"Dear diary", b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_foreign_file_is_moved_aside_whole(tmp_path, content):
    path = tmp_path / "s.db"
    path.write_bytes(content)
    fill(path)
    (aside,) = quarantined(path)
    assert aside.read_bytes() == content

    async def main():
        async with opened(path) as store:
            (told,) = await store.recent(EVENTS, 1, before=2)
            assert told["type"] == "lamppost.store.quarantined"
            assert told["data"]["file"] == aside.name
            assert told["data"]["salvaged"] == {"telemetry": 0, "events": 0}

    run(main())


def test_somebody_elses_database_is_moved_aside_unchanged(tmp_path):
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE diary (entry)")
    connection.close()
    content = path.read_bytes()
    fill(path)
    assert quarantined(path)[0].read_bytes() == content


def test_an_empty_file_is_a_new_store(tmp_path):
    path = tmp_path / "s.db"
    path.touch()
    fill(path)
    assert quarantined(path) == []


def test_quarantined_files_never_replace_each_other(tmp_path):
    path = tmp_path / "s.db"
    for number in range(3):
        path.write_bytes(b"junk %d" % number)
        fill(path)
    assert sorted(aside.read_bytes() for aside in quarantined(path)) == [b"junk 0", b"junk 1", b"junk 2"]


def test_what_a_damaged_file_still_holds_is_saved_into_a_new_epoch(tmp_path):
    path = tmp_path / "s.db"
    epoch = fill(path, number=2000, delivered=100)
    bodies = texts(path, READINGS)
    with path.open("r+b") as file:  # in the middle of the readings, which take most of the file
        file.seek(path.stat().st_size // 1024 * 512)
        file.write(b"\xa5" * 512)

    async def main():
        async with opened(path) as store:
            assert store.epoch != epoch
            saved = [one.body for one in await store.after(READINGS, 0, 5000)]
            assert saved == [body for body in bodies[100:] if body in set(saved)]  # in order, nothing made up
            assert 1900 - 60 < len(saved) < 1900  # a page holds about 10, and the steps over it grow
            events = await store.recent(EVENTS, 9)
            assert [one.get("data", {}).get("number") for one in reversed(events)] == [0, 1, 2, None]
            assert events[0]["data"]["salvaged"] == {"telemetry": len(saved), "events": 3}
            assert store.counts()[READINGS] == Counts(len(saved), 0, len(saved), {})

    run(main())


def test_damage_found_in_use_is_moved_aside_at_the_next_start(tmp_path):
    path = tmp_path / "s.db"
    epoch = fill(path, number=2000, delivered=0)

    async def meet():
        store = await Store.open(settings(path), "pole-1", Ahead())
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        waiting = asyncio.create_task(store.after(READINGS, 0, 5000))
        async with asyncio.timeout(5):
            while store.status()["writable"]:
                await asyncio.sleep(0.01)
        assert "restart lamppost" in store.status()["problem"]
        assert (tmp_path / "s.db.damaged").exists()  # so that the next start need not find it again
        waiting.cancel()
        await store.close()

    run(meet())
    assert fill(path) != epoch
    assert len(quarantined(path)) == 1
    assert fill(path) != epoch
    assert len(quarantined(path)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM lane WHERE name = 'events'",
        "UPDATE lane SET cursor = 'soon'",
        "UPDATE lane SET high = -1",
        "UPDATE lane SET high = 9223372036854775807",
        "UPDATE lane SET cursor = 1.5",
        "DELETE FROM meta WHERE key = 'epoch'",
        "UPDATE meta SET value = '+/#' WHERE key = 'epoch'",
        "DELETE FROM meta WHERE key = 'gateway'",
        "UPDATE meta SET value = '7' WHERE key = 'schema'",
        "UPDATE meta SET value = 'pnle-1' WHERE key = 'gateway'",
        "UPDATE meta SET value = '01234567' WHERE key = 'epoch'",
        "INSERT INTO dropped VALUES ('telemetry', 1, 'x', 'full', 0)",
        "PRAGMA user_version = 77",
        "PRAGMA application_id = 1",
        "ALTER TABLE dropped RENAME COLUMN reason TO season",
        "ALTER TABLE events RENAME COLUMN seq TO sep",
        "ALTER TABLE lane RENAME COLUMN high TO nigh",
        "ALTER TABLE telemetry RENAME COLUMN device TO devise",
        "ALTER TABLE memory RENAME COLUMN time TO tome",
        "DROP TABLE lane",
        "DROP TABLE telemetry",
        "DROP TABLE dropped",
        "DROP TABLE memory",
        "DROP TABLE form",
        "DROP TABLE stamp",
    ],
)
def test_books_that_cannot_be_true_are_damage(tmp_path, damage):
    path = tmp_path / "s.db"
    fill(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute(damage)
    connection.close()
    fill(path)
    assert len(quarantined(path)) == 1


@pytest.mark.parametrize(
    ("table", "key"), [("meta", b"gateway"), ("lane", b"telemetry"), ("memory", b"stream/rain")]
)
def test_an_index_that_does_not_lead_to_its_row_is_damage(tmp_path, table, key):
    """SQLite's quick_check does not compare an index with its table."""
    path = tmp_path / "s.db"
    fill(path)
    query = f"SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_{table}_1'"
    ((page,),), ((size,),) = rows(path, query), rows(path, "PRAGMA page_size")
    content, start = bytearray(path.read_bytes()), (page - 1) * size
    at = content.index(key, start, start + size)
    content[at + len(key) - 1] ^= 1
    path.write_bytes(content)
    assert rows(path, "PRAGMA quick_check") == [("ok",)]
    fill(path)
    assert len(quarantined(path)) == 1


def test_a_table_whose_rows_have_lost_their_numbers_is_damage(tmp_path):
    path = tmp_path / "s.db"
    fill(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        changed = "sql = replace(sql, 'PRIMARY KEY', 'PRIMARX KEY')"
        connection.execute(f"UPDATE sqlite_schema SET {changed} WHERE name = 'events'")
    connection.close()
    assert rows(path, "PRAGMA quick_check") == [("ok",)]
    fill(path)
    assert len(quarantined(path)) == 1


@pytest.mark.parametrize(("left", "words"), [(0, "cut off after 0"), (1, "cut off after 1"), (-1, "header")])
def test_a_file_without_its_beginning_is_not_taken_for_a_new_one(tmp_path, left, words):
    """SQLite would remove the log beside it; or find it read-only, for ever."""
    path, image = tmp_path / "s.db", tmp_path / "image"

    async def main():
        async with opened(path) as store:
            await store.record(event())
            crash_image(path, image)

    run(main())
    content = (image / "s.db").read_bytes()
    (image / "s.db").write_bytes(content[:left] if left >= 0 else content[:18] + b"\x03" + content[19:])
    fill(image / "s.db")
    assert len(quarantined(image / "s.db")) == 1
    (told,) = [
        json.loads(text)["data"]
        for text in texts(image / "s.db", EVENTS)
        if json.loads(text).get("type") == "lamppost.store.quarantined"
    ]
    assert words in told["reason"]
    assert told["salvaged"]["events"] == 1, "it is in the log"


@pytest.mark.parametrize("seed", range(15))
def test_a_mutated_file_never_keeps_the_store_from_opening(tmp_path, seed):
    mutate_and_open(tmp_path, seed)


def mutate_and_open(tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / "s.db"
    fill(path, number=300)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 3, 30, 300])):
        content[chance.randrange(chance.choice([100, 4096, len(content)]))] = chance.randrange(256)
    del content[chance.choice([len(content), chance.randrange(len(content))]) :]
    path.write_bytes(content)

    async def main():
        began = time.monotonic()
        async with opened(path) as store:
            assert time.monotonic() - began < 5
            number = await store.record(reading())
            for lane, counts in store.counts().items():
                assert counts.accepted == counts.delivered + counts.held + sum(counts.dropped.values()), lane
            assert number == store.durable(READINGS)

    run(main())


def test_another_process_makes_the_file_and_this_one_never_imports_the_migrations(tmp_path):
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom gateway.config import Store as Settings\n"
        "from gateway.store import Store, prepare\n"
        "async def main():\n"
        "    settings = Settings(path=Path(sys.argv[1]))\n"
        "    await prepare(settings, 'pole-1')\n"
        "    store = await Store.open(settings, 'pole-1')\n"
        "    print(store.counts()['events'].accepted, 'sqlite_utils' in sys.modules)\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "s.db")]
    for _ in range(2):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert ended.stdout == "0 False\n", ended.stderr


def test_what_the_other_process_cannot_make_is_said_by_this_one(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    broken = settings(tmp_path / "file" / "s.db")

    async def main():
        await prepare(broken, "pole-1")
        with pytest.raises(StoreError, match="not writable"):
            await Store.open(broken, "pole-1")

    run(main())


def test_a_large_file_is_not_looked_through_before_it_opens_but_soon_after(tmp_path, monkeypatch):
    """Its damage is found a minute later, by a thread that only reads; the next start mends it."""
    monkeypatch.setattr(file_module, "_SMALL", 0)
    path = tmp_path / "s.db"
    epoch = fill(path, number=3000, delivered=0)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 1024 * 512)
        file.write(b"\xa5" * 512)

    async def main():
        clock = Ahead()
        async with opened(path, clock=clock) as store:
            assert store.epoch == epoch
            assert store.status()["checked_age"] is None
            clock.ahead += 61
            await store.record(event())
            async with asyncio.timeout(5):
                while not store.damage:
                    await asyncio.sleep(0.01)
            assert store.status()["writable"] is False
            assert "restart lamppost" in store.status()["problem"]

    run(main())
    assert fill(path) != epoch
    assert len(quarantined(path)) == 1


def test_a_sound_file_is_looked_through_every_day(tmp_path):
    async def main():
        clock = Ahead()
        async with opened(tmp_path / "s.db", clock=clock) as store:
            for seconds in (61, 86_400, 86_400):
                clock.ahead += seconds
                await store.record(event())
                async with asyncio.timeout(5):
                    while (age := store.status()["checked_age"]) is None or age > 60:
                        await asyncio.sleep(0.01)
            assert store.damage == ""

    run(main())


def test_forms_that_no_reading_needs_any_more_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(form, "MOST", 12)
    path, clock = tmp_path / "s.db", Ahead()

    async def main():
        async with opened(path, clock=clock, keep=0) as store:
            for number in range(30):
                await store.record(reading(device=f"air{number // 3}"))
            await store.delivered(READINGS, 24)
            clock.ahead += 61
            for _ in range(2):
                await store.record(event())
            while len(rows(path, "SELECT * FROM form")) > 3:
                await asyncio.sleep(0.01)
            await store.record(reading(device="air3"))
            await store.record(reading(device="air8"))
            left = await store.recent(READINGS, 99)
            assert [one["device"] for one in left] == ["air8", "air3", *["air9"] * 3, *["air8"] * 3]

    run(main())
    names = {name for (name,) in rows(path, "SELECT device FROM form")}
    assert names == {"air8", "air9", "air3"}
