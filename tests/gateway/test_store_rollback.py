"""A migration, and the way back: by the real code of version 1, as it was (tests/vectors/store-1.zip)."""

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main as lamppost
from gateway.ledger.linker import Linker
from gateway.reading import Lane
from gateway.store import Archive, Store, StoreError, schema
from gateway.store import downgrade as downgrade_module
from gateway.store.downgrade import downgrade
from gateway.store.file import Lock
from tests.gateway.store_rig import NOW, decision, event, reading, rows, seqs, settings, texts

FORMER = Path(__file__).parent.parent / "vectors" / "store-1.zip"
READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS

LIFE = """
import asyncio, json, sys
from pathlib import Path
from drivers.device import Quantity
from gateway.clock import Now
from gateway.config import Store as Settings
from gateway.reading import Event, Lane, Reading
from gateway.store import Store, StoreError, schema

async def main(path, number, delivered):
    now = Now()
    try:
        store = await Store.open(Settings(path=Path(path), commit=0.001), "pole-1")
    except StoreError as error:
        print(json.dumps({"refused": str(error)}))
        return
    held = {lane: [one.body for one in await store.after(lane, store.cursor(lane), 5000)] for lane in Lane}
    for n in range(int(number)):
        store.add(Reading("air", now(), {Quantity.TEMPERATURE: float(n)}))
    await store.record(Event("lamppost.former", "pole-1", now(), {}))
    await store.delivered(Lane.TELEMETRY, int(delivered))
    counts = {lane: [c.accepted, c.delivered, c.held, dict(c.dropped)] for lane, c in store.counts().items()}
    await store.close()
    print(json.dumps({"epoch": store.epoch, "version": schema.VERSION, "held": held, "counts": counts}))

asyncio.run(main(*sys.argv[1:]))
"""


def former(path: Path, number: int = 0, delivered: int = 0):
    """Live a life on the store at *path* with the code of version 1; return what it saw and did."""
    command = [sys.executable, "-c", LIFE, str(path), str(number), str(delivered)]
    environment = {**os.environ, "PYTHONPATH": str(FORMER)}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=30, cwd=path.parent, env=environment
    )
    assert not ended.returncode, ended.stderr
    return json.loads(ended.stdout)


@contextlib.asynccontextmanager
async def opened(path: Path):
    store = await Store.open(settings(path), "pole-1", None, NOW, Linker())
    try:
        yield store
    finally:
        await store.close()


def live(path: Path, number: int = 100, delivered: int = 0) -> str:
    """Live a life on the store with the present code; return the epoch."""

    async def main():
        async with opened(path) as store:
            for n in range(number):
                store.add(reading(float(n)))
            await store.record(decision())
            await store.record(event(number))
            store.remember("stream/x", "{}")
            await store.delivered(READINGS, delivered)
            counts = store.counts()
            assert counts[READINGS].held == len([s for s in seqs(path, READINGS) if s > delivered])
        return store.epoch

    return asyncio.run(main())


@pytest.mark.slow
def test_a_rollback_to_version_1_keeps_every_number_and_goes_on_and_comes_back(tmp_path):
    path = tmp_path / "s.db"
    first = former(path, 30, 10)
    assert first["version"] == 1
    assert live(path, 200, 50) == first["epoch"], "the migration goes on with it"
    compact = rows(path, "SELECT count(*) FROM telemetry WHERE form IS NOT NULL")
    assert compact[0][0] > 190
    before = {lane: texts(path, lane) for lane in Lane}
    assert "newer" in former(path)["refused"], "the former code cannot read it as it is"
    done = downgrade(path, 1)
    assert (done.readings, done.events, done.spoilt) == (230, 3, 0)
    assert [texts(path, lane) for lane in Lane] == [before[lane] for lane in Lane], "to the letter"
    assert rows(path, "PRAGMA quick_check") == [("ok",)]
    back = former(path, 20, 60)
    assert back["epoch"] == first["epoch"]
    assert back["held"]["telemetry"] == before[READINGS][50:]
    assert back["held"]["events"] == before[EVENTS]
    assert back["counts"] == {"telemetry": [250, 60, 190, {}], "events": [4, 0, 4, {}]}
    assert live(path, 10, 70) == first["epoch"], "and it can be brought up to date again"
    assert seqs(path, READINGS) == list(range(1, 261))
    assert texts(path, READINGS)[:230] == before[READINGS]
    assert done.aside.exists()


@pytest.mark.slow
def test_a_ledger_outlives_the_way_back_and_forth(tmp_path, capsys):
    path = tmp_path / "s.db"
    live(path)
    for to in (3, 2):
        downgrade(path, to)
        (tmp_path / "s.db.version-4").unlink()
        live(path)
    assert Archive(path).books().size == 3
    assert lamppost(["verify", str(path)]) == 0, capsys.readouterr().out
    former_only = downgrade(path, 1)
    former(path)
    former_only.aside.unlink()
    live(path)
    assert Archive(path).books().size == 4
    assert lamppost(["verify", str(path)]) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_delivered_readings_may_stay_behind(tmp_path, capsys):
    path = tmp_path / "s.db"
    live(path, 100, 40)
    assert lamppost(["downgrade", "--store", str(path), "--to", "1", "--held"]) == 0
    assert "60 readings and 2 events" in capsys.readouterr().out
    assert seqs(path, READINGS) == list(range(41, 101))
    assert former(path, 1, 40)["counts"]["telemetry"] == [101, 40, 61, {}]


@pytest.mark.slow
def test_what_was_not_yet_in_the_file_itself_comes_along(tmp_path):
    """After a kill the last commits stand in the log beside it."""
    path = tmp_path / "s.db"
    script = (
        "import asyncio, os, sys\nfrom pathlib import Path\n"
        "from tests.gateway.test_store_rollback import opened, reading, READINGS\n"
        "async def main():\n"
        "    async with opened(Path(sys.argv[1])) as store:\n"
        "        for n in range(50):\n            store.add(reading(float(n)))\n"
        "        await store.record(reading())\n        os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, timeout=30)
    assert (tmp_path / "s.db-wal").stat().st_size > 0
    assert downgrade(path, 1).readings == 51
    assert len(former(path)["held"]["telemetry"]) == 51
    assert (tmp_path / "s.db.version-4-wal").exists()


@pytest.mark.slow
def test_a_damaged_reading_is_dropped_by_the_former_code_and_named(tmp_path):
    path = tmp_path / "s.db"
    live(path, 20)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE telemetry SET body = zeroblob(18) WHERE seq = 7")
        connection.commit()
    assert downgrade(path, 1).spoilt == 1
    before = texts(path, READINGS)
    life = former(path)
    assert life["held"]["telemetry"] == before[:6] + before[7:]
    assert life["counts"]["telemetry"] == [20, 0, 19, {"damaged": 1}]
    assert '"reason":"damaged"' in texts(path, EVENTS)[2]


@pytest.mark.parametrize("to", [0, 4, 5, -1])
def test_only_older_versions_can_be_gone_back_to(tmp_path, to):
    path = tmp_path / "s.db"
    live(path, 5)
    with pytest.raises(StoreError, match="can be taken back to 1 up to 3"):
        downgrade(path, to)
    assert rows(path, "PRAGMA user_version") == [(4,)]
    assert not list(tmp_path.glob("s.db.version-*"))


def test_a_file_in_use_no_store_and_no_file_are_refused(tmp_path):
    path = tmp_path / "s.db"
    with pytest.raises(StoreError, match="there is no store"):
        downgrade(path, 1)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="is as it was"):
        downgrade(path, 1)
    path.unlink()
    live(path, 5)
    lock = Lock(path)
    with pytest.raises(StoreError, match="another lamppost runs"):
        downgrade(path, 1)
    lock.release()
    (tmp_path / "s.db.version-4").touch()
    with pytest.raises(StoreError, match="is there already"):
        downgrade(path, 1)


def test_a_way_back_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    live(path, 20)
    before = path.read_bytes()

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(downgrade_module._Copy, "_readings", full)
        with pytest.raises(StoreError, match="is as it was"):
            downgrade(path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(downgrade_module, "_TEXT", 1 << 50)
        with pytest.raises(StoreError, match="MiB free, and"):
            downgrade(path, 1)
    assert path.read_bytes() == before
    assert not (tmp_path / "s.db.older").exists()
    assert downgrade(path, 1).readings == 20


@pytest.mark.slow
def test_a_power_cut_between_the_renames_is_mended_by_asking_again(tmp_path):
    path = tmp_path / "s.db"
    live(path, 20)
    done = downgrade(path, 1)
    path.rename(tmp_path / "s.db.older")
    with pytest.raises(StoreError, match="taken back now"):
        downgrade(path, 1)
    assert len(former(path)["held"]["telemetry"]) == 20
    assert done.aside.exists()


def test_a_version_that_only_adds_needs_no_way_back(tmp_path, monkeypatch):
    """The next release adds a column and a table; a rollback to this one finds its file, and uses it."""
    path = tmp_path / "s.db"
    epoch = live(path, 20)

    def fifth(db):
        db.table("telemetry").add_column("extra", int)
        db.table("events").add_column("extra", str)
        db.table("more").create({"id": int}, pk="id")

    def next_release(patch):
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, fifth))
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        patch.setattr(schema, "ADDITIVE", schema.ADDITIVE | {schema.VERSION})

    with monkeypatch.context() as patch:
        next_release(patch)
        assert live(path, 20) == epoch
        assert rows(path, "PRAGMA user_version") == [(5,)]
    assert live(path, 20) == epoch, "rolled back"
    assert rows(path, "PRAGMA user_version") == [(5,)], "the file stays what it is"
    assert len(list(Archive(path).texts(READINGS))) == 60
    with monkeypatch.context() as patch:
        next_release(patch)
        assert live(path, 20) == epoch, "and updated again"
        assert seqs(path, READINGS) == list(range(1, 81))


@pytest.mark.parametrize("least", ["5", "", "many", None])
def test_a_version_that_does_more_is_refused(tmp_path, least):
    path = tmp_path / "s.db"
    live(path, 5)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 5")
        connection.execute("UPDATE meta SET value = '5' WHERE key = 'schema'")
        connection.execute("DELETE FROM meta WHERE key = 'least'")
        if least is not None:
            connection.execute("INSERT INTO meta VALUES ('least', ?)", (least,))
        connection.commit()
    with pytest.raises(StoreError, match="newer lamppost"):
        live(path)
    with pytest.raises(StoreError, match="newer version"):
        Archive(path)
