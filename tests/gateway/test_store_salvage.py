"""What a damaged file holds is fetched while the store works: all of it, once, never at others' cost."""

import asyncio
import gc
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger.linker import Linker
from gateway.reading import Lane, encode
from gateway.store import Archive, Store, quarantine
from gateway.store import keeper as keeper_module
from gateway.store import rescue as rescue_module
from gateway.store import salvage as salvage_module
from gateway.store import wreck as wreck_module
from gateway.store.form import Decoder
from gateway.store.wreck import PROGRESS, unfinished
from tests.gateway.store_rig import NOW, crash_image, decision, event, reading, rows, settings, texts

READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS
COUNT = 2000


def run(main):
    return asyncio.run(main)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nothing is fetched before the store is open, and the rest without pauses."""
    monkeypatch.setattr(salvage_module, "_LONGEST", 0.0)
    monkeypatch.setattr(rescue_module, "_PAUSE", 0.0)
    monkeypatch.setattr(rescue_module, "_WAIT", 0.02)
    monkeypatch.setattr(wreck_module, "_WINDOW", 100)


async def opening(path: Path, **more) -> Store:
    return await Store.open(settings(path, **more), "pole-1", None, NOW, Linker())


async def rescued(store: Store) -> None:
    async with asyncio.timeout(20):
        while store._rescue is not None and not store._rescue.done():
            await asyncio.sleep(0.005)
    if store._rescue is not None:
        store._rescue.result()


def damaged(path: Path, delivered: int = 0, spoil: bool = True) -> list[str]:
    """Make a store that is to be moved aside at its next start; return its readings."""

    async def main():
        store = await opening(path)
        for n in range(COUNT):
            store.add(reading(float(n)))
        for n in range(3):
            await store.record(event(n))
        await store.record(decision())
        store.remember("stream/x", "{}")
        await store.delivered(READINGS, delivered)
        await store.close()

    run(main())
    bodies = texts(path, READINGS)
    if spoil:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 1024 * 512)
            file.write(b"\xa5" * 512)
    path.with_name(path.name + ".damaged").touch()
    return bodies


def left(file: str = "s.db.quarantine-1", readings: object = 0) -> str:
    """Return what is remembered of a file."""
    counts = {"telemetry": readings, "events": 0}
    return json.dumps([{"file": file, "epoch": "", "after": counts, "saved": counts}])


def told(path: Path, type_: str) -> list[dict]:
    bodies = [json.loads(text) for text in texts(path, EVENTS)]
    return [body["data"] for body in bodies if body.get("type") == type_]


def test_the_store_is_open_before_and_all_comes_in_the_end(tmp_path):
    path = tmp_path / "s.db"
    bodies = damaged(path, delivered=100)

    async def main():
        store = await opening(path)
        assert store.counts()[READINGS].accepted == 0, "it is up at once"
        assert await store.remembered() == {"stream/x": "{}", PROGRESS: (await store.remembered())[PROGRESS]}
        store.add(reading(-1.0))
        await rescued(store)
        await store.close()

    run(main())
    saved = [text for text in texts(path, READINGS) if '"temperature":-1.0' not in text]
    assert saved == [body for body in bodies[100:] if body in set(saved)], "in order, and once"
    assert COUNT - 100 - 60 < len(saved) < COUNT - 100
    (moved,), (end,) = told(path, "lamppost.store.quarantined"), told(path, "lamppost.store.salvaged")
    assert moved["continues"] is True
    assert end["salvaged"] == {"telemetry": len(saved), "events": 4}
    assert end["epoch"] == moved["epoch"]
    assert rows(path, f"SELECT * FROM memory WHERE name = '{PROGRESS}'") == []
    assert Archive(path).books().size == 1, "the decision is linked anew"
    assert not [body for body in texts(path, READINGS) if "form" in json.loads(body)]
    assert rows(path, "SELECT count(*) FROM telemetry WHERE form IS NOT NULL")[0][0] > len(saved) - 5


def test_nothing_is_lost_and_nothing_comes_twice_however_often_it_is_interrupted(tmp_path):
    path = tmp_path / "s.db"
    bodies = damaged(path, spoil=False)
    lives = 0

    async def life(number):
        store = await opening(path)
        for _ in range(number):
            await asyncio.sleep(0.003)
        await store.record(event(99))
        image = crash_image(path, tmp_path / f"life-{number}")
        done = store._rescue is None or store._rescue.done()
        await store.close()
        return image, done

    done = False
    while not done:
        lives += 1
        path, done = run(life(lives))
    assert lives > 2, "it was interrupted"
    assert texts(path, READINGS) == bodies
    (end,) = told(path, "lamppost.store.salvaged")
    assert end["salvaged"] == {"telemetry": COUNT, "events": 4}


def test_it_never_holds_the_loop(tmp_path, monkeypatch):
    """In processor time of the loop's own thread, so that a busy machine changes nothing."""
    path, turns = tmp_path / "s.db", list[float]()
    damaged(path, spoil=False)
    monkeypatch.setattr(wreck_module, "_WINDOW", COUNT)  # four times what it is: some 15 ms of a thread
    turn = asyncio.Handle._run

    def timed(self):
        began = time.thread_time()
        turn(self)
        turns.append(time.thread_time() - began)

    async def main():
        store = await opening(path)
        monkeypatch.setattr(asyncio.Handle, "_run", timed)
        await rescued(store)
        monkeypatch.setattr(asyncio.Handle, "_run", turn)
        assert store.counts()[READINGS].accepted == COUNT
        await store.close()

    gc.disable()  # of all that the tests have left behind
    try:
        run(main())
    finally:
        gc.enable()
    assert len(turns) > 10
    assert max(turns) < 0.005


@pytest.mark.parametrize("renamed", [[], ["-wal"], ["-wal", ""]])
def test_a_move_that_was_interrupted_is_finished_under_the_name_that_it_had(tmp_path, renamed):
    """Else the log would be told from its file, with all that has not been moved out of it."""
    path, image = tmp_path / "s.db", tmp_path / "image"

    async def main():
        store = await opening(path)
        await store.record(event(7))
        crash_image(path, image)
        await store.close()

    run(main())
    path = image / "s.db"
    aside = quarantine.begin(path, "a test")
    for suffix in renamed:
        path.with_name(path.name + suffix).rename(aside.path.with_name(aside.path.name + suffix))

    async def later():
        for _ in range(2):
            store = await opening(path)
            await rescued(store)
            await store.close()

    run(later())
    assert [json.loads(text)["data"].get("number") for text in texts(path, EVENTS)].count(7) == 1
    (moved,) = told(path, "lamppost.store.quarantined")
    assert (moved["file"], moved["reason"]) == (aside.path.name, "a test")
    assert not (image / "s.db.damaged").exists()


@pytest.mark.parametrize("suffix", ["", "-2"])
def test_a_note_that_was_left_behind_begins_nothing_again(tmp_path, suffix):
    path = tmp_path / "s.db"
    damaged(path, spoil=False)

    async def life():
        store = await opening(path)
        await rescued(store)
        await store.close()

    run(life())
    (moved,) = told(path, "lamppost.store.quarantined")
    path.with_name("s.db.damaged").write_text(json.dumps({"file": moved["file"] + suffix, "reason": "x"}))
    if suffix:  # of another file, which is there: it was not told of
        (tmp_path / (moved["file"] + suffix)).touch()
    run(life())
    assert len(texts(path, READINGS)) == COUNT
    assert len(told(path, "lamppost.store.quarantined")) == (2 if suffix else 1)


@pytest.mark.parametrize(
    "note",
    [
        "7", "{}", "[" * 5000, '{"file": 7, "reason": ""}', '{"file": "/etc/passwd", "reason": ""}',
        '{"file": "b.db.quarantine-1", "reason": ""}', '{"file": "s.db.quarantine-1/../../x", "reason": ""}',
    ],
)  # fmt: skip
def test_what_the_note_says_may_be_anything(tmp_path, note):
    path = tmp_path / "s.db"
    path.with_name("s.db.damaged").write_text(note)
    assert quarantine.begun(path) is None
    assert quarantine.found_in_use(path)


def test_it_waits_while_there_is_no_room(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    damaged(path)
    cramped = [True]
    monkeypatch.setattr(keeper_module.Keeper, "cramped", lambda self: cramped[0])

    async def main():
        store = await opening(path)
        await asyncio.sleep(0.2)
        assert store.counts()[READINGS].accepted == 0
        cramped[0] = False
        await rescued(store)
        assert store.counts()[READINGS].held > COUNT - 60
        await store.close()

    run(main())


def test_a_small_store_is_filled_to_three_quarters_and_no_held_reading_goes_for_it(tmp_path):
    path = tmp_path / "s.db"
    damaged(path, spoil=False)

    async def main():
        store = await opening(path)
        store._keeper._log.limit = 160 << 10  # as if the store were that small, log included
        async with asyncio.timeout(10):
            while store.status()["bytes"] <= store.status()["limit"] * 3 // 4:
                await asyncio.sleep(0.01)
        accepted = store.counts()[READINGS].accepted
        await asyncio.sleep(0.2)
        assert store.counts()[READINGS].accepted == accepted
        assert store.counts()[READINGS].dropped == {}
        assert not store._rescue.done()
        await store.close()
        return accepted

    assert 0 < run(main()) < COUNT


def test_damage_on_damage_loses_neither(tmp_path):
    path = tmp_path / "s.db"
    bodies = damaged(path, spoil=False)

    async def half():
        store = await opening(path)
        async with asyncio.timeout(10):
            while not 200 <= store.counts()[READINGS].accepted < COUNT:
                await asyncio.sleep(0)
        await store.close()

    run(half())
    path.with_name(path.name + ".damaged").touch()

    async def whole():
        store = await opening(path)
        await rescued(store)
        await store.close()

    run(whole())
    assert sorted(texts(path, READINGS)) == sorted(bodies)
    assert len(told(path, "lamppost.store.salvaged")) == 2


def test_a_damaged_file_that_was_deleted_meanwhile_ends_it(tmp_path):
    path = tmp_path / "s.db"
    damaged(path)

    async def main():
        store = await opening(path)
        for aside in tmp_path.glob("*.quarantine-*"):
            aside.unlink()
        await store.close()
        store = await opening(path)
        await rescued(store)
        await store.close()

    run(main())
    assert rows(path, f"SELECT * FROM memory WHERE name = '{PROGRESS}'") == []
    assert len(told(path, "lamppost.store.salvaged")) == 1


@pytest.mark.parametrize(
    "text",
    [
        None, "", "7", "{}", "[7]", '[{"file": 7}]', "[" * 5000,
        left("/etc/passwd"), left("s.db"), left(readings=-1), left(readings=0.5), left(readings=None),
    ],
)  # fmt: skip
def test_what_is_remembered_of_it_may_be_anything(tmp_path, text):
    assert len(unfinished(tmp_path, left())) == 1
    assert unfinished(tmp_path, text) == []


def test_a_compact_row_is_copied_only_as_it_was_written(tmp_path):
    path = tmp_path / "s.db"
    damaged(path, spoil=False)
    (tmp_path / "s.db.damaged").unlink()
    with closing(sqlite3.connect(path)) as db:
        row = db.execute("SELECT body, time, form, stamp FROM telemetry WHERE seq = 9").fetchone()
        decoder = Decoder(db)
        packed = decoder.packed(*row)
        assert packed.text() == decoder.text(*row) == texts(path, READINGS)[8]
        assert packed.form.device == "air"
        body, time, form, stamp = row
        for spoilt in (
            (body[:-1] + bytes([body[-1] ^ 1]), time, form, stamp), (body[:-8], time, form, stamp),
            (body, time + 1.0, form, stamp), (body, time, 99, stamp), (body, time, form, 99),
            ("text", time, form, stamp), (None, time, form, stamp), (body, None, form, stamp),
        ):  # fmt: skip
            assert decoder.packed(*spoilt) is None
    assert encode(reading(1.0))
