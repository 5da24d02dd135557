"""When room is short: what goes first, what it leaves behind, and what is said of it."""

import asyncio
import contextlib
import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Flag, Lane, Reading
from gateway.store import Counts
from gateway.store import ballast as ballast_module
from gateway.store import checkpoint as checkpoint_module
from gateway.store import upkeep as upkeep_module
from gateway.store.ballast import Ballast
from gateway.store.means import thinned
from gateway.store.wear import Wear
from tests.gateway.store_rig import books_agree, event, opened, reading, rows

READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS
ROOT = Path(__file__).parents[2]
_TRIGGER = "CREATE TRIGGER no BEFORE INSERT ON dropped BEGIN SELECT RAISE(ABORT, 'no'); END"


def run(main):
    return asyncio.run(main)


def at(time, boot="b"):
    return Instant(float(time), float(time), boot, Quality.SYNCHRONIZED)


def one(time, values, device="air", **more):
    return Reading(device, at(time), values, **more)


# What is left of a minute


@pytest.mark.parametrize(
    ("name", "values", "left", "word"),
    [
        (Quantity.TEMPERATURE, [10.0, 11.0, 15.0], 12.0, "mean"),
        (Quantity.TEMPERATURE, [1.7e308, 1.7e308], 1.7e308, "mean"),
        (Quantity.SOUND_LEVEL, [60.0, 70.0], 67.4036269, "energy mean"),
        (Quantity.WIND_DIRECTION, [350.0, 20.0], 5.0, "mean direction"),
        (Quantity.WIND_DIRECTION, [90.0, 270.0], 270.0, "mean direction"),
        (Quantity.RAIN, [0.2, 0.0, 0.4], 0.6, "sum"),
        (Quantity.WIND_GUST, [3.0, 9.0, 4.0], 9.0, "highest"),
        (Quantity.SOUND_LEVEL_MIN, [33.0, 31.0, 34.0], 31.0, "lowest"),
        (Quantity.CLOSED, [1.0, 1.0, 0.0], 0.0, "last"),
    ],
)
def test_a_minute_leaves_what_its_quantity_asks_for(name, values, left, word):
    (made,) = thinned([one(60 + n, {name: value}) for n, value in enumerate(values)])
    assert math.isclose(made.values[name], left, rel_tol=1e-9)
    assert made.labels == {name: f"{word} of 1 min"}
    assert made.at == at(59 + len(values))


def test_devices_minutes_and_boots_are_kept_apart_and_in_order():
    t = Quantity.TEMPERATURE
    given = [one(n, {t: float(n)}, device) for n in range(30, 90, 10) for device in ("a", "b")]
    given.append(Reading("a", at(85, "other"), {t: 1.0}))
    made = thinned(given)
    told = [(r.device, r.at.time, r.values[t]) for r in made]
    assert told == [("a", 50, 40), ("b", 50, 40), ("a", 80, 70), ("b", 80, 70), ("a", 85, 1)]
    assert made[-1] is given[-1], "one that is alone stays as it is"


def test_what_failed_is_left_out_and_the_worst_flag_stays():
    t, h, c = Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.CO2
    made = thinned(
        [
            one(1, {t: 10.0, h: 50.0}, flags={t: Flag.PASS, h: Flag.FAIL}, missing={c: Missing.WARMING_UP}),
            one(2, {t: 99.0, h: 60.0}, flags={t: Flag.FAIL, h: Flag.FAIL}, missing={c: Missing.SENTINEL}),
            one(3, {t: 12.0}, flags={t: Flag.SUSPECT}, missing={h: Missing.SENTINEL}),
        ]
    )
    assert made[0].values == {t: 11.0, h: 55.0}
    assert made[0].flags == {t: Flag.SUSPECT, h: Flag.FAIL}
    assert made[0].missing == {c: Missing.SENTINEL}


def test_a_value_with_words_of_its_own_stays_the_last():
    f = Quantity.FLOOD_STAGE
    made = thinned([one(n, {f: float(n)}, labels={f: f"stage {n}"}) for n in (1, 2)])
    assert (made[0].values, made[0].labels) == ({f: 2.0}, {f: "stage 2"})


# At the store's own limit


async def fill(store, number, began=0, devices=5, every=1.0):
    for n in range(began, began + number):
        time = 1.7e9 + n // devices * every
        store.add(one(time, {Quantity.TEMPERATURE: float(n % 7)}, f"air{n % devices}"))
        if n % 500 == 499:
            await store.record(event(n))


def test_held_readings_become_means_before_any_is_given_up(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            await fill(store, 30_000)
            await store.record(event())
            counts = store.counts()
            assert counts[READINGS].accepted == 30_000
            assert set(counts[READINGS].dropped) == {"thinned"}
            assert counts[READINGS].dropped["thinned"] > 10_000
            assert counts[EVENTS].dropped == {}
            books_agree(store, path, dict.fromkeys(Lane, 0))
            assert store.status()["state"] == "thinning"
            left = await store.after(READINGS, 0, 50_000)
            gaps = [g for g in await store.recent(EVENTS, 999, kind="gap") if g["lane"] == "telemetry"]
            told = [n for gap in gaps for n in range(gap["first"], gap["last"] + 1)]
            assert len(told) == len(set(told))
            assert set(told) | {row.seq for row in left} == set(range(1, 30_001))
            assert not set(told) & {row.seq for row in left}
            gap = gaps[-1]  # the first
            begin, end = span(gap)
            means = [json.loads(row.body) for row in left if begin <= row.seq <= end]
            assert begin == gap["last"] + 1
            assert len(means) == end - begin + 1
            assert {mean["labels"]["temperature"] for mean in means} == {"mean of 1 min"}
            assert [mean["time"] for mean in means] == sorted(mean["time"] for mean in means)
        async with opened(path, max_size=1 << 20) as store:
            assert store.counts() == {**counts, EVENTS: store.counts()[EVENTS]}

    run(main())


def span(gap):
    assert gap["reason"].startswith("thinned: ")
    words = [int(word) for word in gap["reason"].split() if word.isdecimal()]
    return words[0], words[1]


def test_what_cannot_be_thinned_any_more_goes_oldest_first(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            await fill(store, 30_000, every=60.0)  # one reading for each device and minute
            counts = store.counts()[READINGS]
            assert set(counts.dropped) == {"full"}
            assert counts.held > 5000
            assert store.status()["state"] == "dropping"
            books_agree(store, path, dict.fromkeys(Lane, 0))

    run(main())


def test_what_the_delivery_was_given_is_not_thinned_under_its_number(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            await fill(store, 3000)
            given = await store.after(READINGS, 0, 1600)
            await fill(store, 20_000, 3000)
            assert store.counts()[READINGS].dropped["thinned"] > 1000
            again = {row.seq: row.body for row in await store.after(READINGS, 0, 1600)}
            assert all(again[row.seq] == row.body for row in given)

    run(main())


def test_events_outlive_readings_also_where_events_were_delivered(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            for number in range(100):
                await store.record(event(number))
            await store.delivered(EVENTS, 100)
            await fill(store, 30_000, every=60.0)
            assert rows(path, "SELECT min(seq) FROM events") == [(1,)]
            assert store.counts()[READINGS].dropped["full"] > 1000

    run(main())


def test_rows_that_are_no_readings_do_not_keep_the_rest_from_being_thinned(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            await fill(store, 3000)
            await store.record(event())
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
                stranger.execute("UPDATE telemetry SET body = x'00' WHERE seq IN (1, 2, 700, 701, 1900)")
            await fill(store, 20_000, 3000)
            counts = store.counts()[READINGS]
            assert counts.dropped["thinned"] > 1000
            books_agree(store, path, dict.fromkeys(Lane, 0))

    run(main())


def test_thinning_that_fails_half_way_changes_nothing(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path, max_size=1 << 20) as store:
            await fill(store, 3000)
            await store.record(event())
            before = rows(path, "SELECT count(*), sum(length(body)) FROM telemetry")
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
                stranger.execute(_TRIGGER)
                log, cursors = store._keeper._log, dict.fromkeys(Lane, 0)
                with pytest.raises(sqlite3.Error, match="no"):
                    await store._keeper._writer.call(lambda: log.thinning.thin(cursors, at(1.7e9)))
                stranger.execute("DROP TRIGGER no")
            assert rows(path, "SELECT count(*), sum(length(body)) FROM telemetry") == before
            assert await store.record(event()) == 8
            assert store.counts()[READINGS] == Counts(3000, 0, 3000, {})

    run(main())


# A disk that is full


def test_the_ballast_is_made_when_there_is_room_and_gives_it_back(tmp_path, monkeypatch):
    ballast = Ballast(tmp_path / "s.db")
    assert not ballast.held
    assert not ballast.release()
    ballast.restore()
    assert ballast.held
    assert os.stat(tmp_path / "s.db.ballast").st_blocks * 512 >= ballast_module.SIZE
    assert ballast.release()
    assert not ballast.held
    monkeypatch.setattr(ballast_module, "_SPARE", 1 << 60)
    ballast.restore()
    assert list(tmp_path.iterdir()) == []


FULL = """
import asyncio, json, os, sys
from pathlib import Path
from gateway.reading import Lane
from gateway.store import Store, StoreError
from gateway.store import ballast
from tests.gateway.store_rig import Ahead, event, reading, settings, books_agree
home = Path(sys.argv[1])
ballast._SPARE = 1 << 20
async def main():
    clock, path = Ahead(), home / "s.db"
    store = await Store.open(settings(path), "pole-1", clock)
    await store.record(reading(0.0))
    clock.ahead += 61
    for _ in range(2):
        await store.record(event())
    while not store.status()["ballast"]:
        await asyncio.sleep(0.01)
    with open(home / "filler", "wb", buffering=0) as filler:  # the partition is full, to the last block
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    states = []
    async def press(number):
        for value in range(number):
            store.add(reading(float(value), device="x" * 2000))
        try:
            await store.record(event())
        except StoreError:
            pass
        states.append(store.status()["state"])
        return states[-1]
    while await press(200) == "writing":
        pass
    while await press(200) == "reserve":
        pass
    assert store.counts()[Lane.TELEMETRY].dropped == {}, "what is held stays while somebody frees the disk"
    state = "reserve" if "reserve" in states else "never"
    memory = store.status()
    waiting = memory["waiting"]
    began = asyncio.get_running_loop().time()
    store.add(reading(7.0))
    took = asyncio.get_running_loop().time() - began
    books_agree(store, path, dict.fromkeys(Lane, 0))
    await store.close()
    reopened = await Store.open(settings(path), "pole-1", clock)  # opening on a full disk
    os.unlink(home / "filler")
    last = await reopened.record(event())
    clock.ahead += 61
    for _ in range(3):
        await reopened.record(event())
    while not reopened.status()["ballast"]:
        await asyncio.sleep(0.01)
    books_agree(reopened, path, dict.fromkeys(Lane, 0))
    print(json.dumps([state, memory["state"], memory["writable"], waiting > 0, took < 0.05,
                      reopened.status()["state"], memory["problem"]]))
    await reopened.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("size", ["24m"])
def test_on_a_full_partition_the_reserve_is_used_then_memory_and_nothing_held_is_lost(tmp_path, size):
    """On a file system of its own where this user may mount one; elsewhere on the ballast's word alone."""
    mount = f'mount -t tmpfs -o size={size} none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        return
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, FULL], capture_output=True, text=True, timeout=50, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    *states, problem = json.loads(ended.stdout)
    assert states == ["reserve", "memory", False, True, True, "writing"]
    assert "the disk is full: free some space" in problem


READ_ONLY = """
import asyncio, json, os, subprocess, sys
from pathlib import Path
from gateway.reading import Lane
from gateway.store import Store, StoreError
from tests.gateway.store_rig import event, reading, settings
home = Path(sys.argv[1])
async def main():
    store = await Store.open(settings(home / "s.db"), "pole-1")
    await store.record(reading(0.0))
    said = []
    await store.record(reading(1.0))
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", home], check=True)
    try:
        await Store.open(settings(home / "s.db"), "pole-1")
    except StoreError as error:
        said.append(str(error))
    subprocess.run(["mount", "-o", "remount,rw", home], check=True)
    store = await Store.open(settings(home / "s.db"), "pole-1")
    assert len(await store.after(Lane.TELEMETRY, 0, 9)) == 2
    await store.close()
    print(json.dumps(said))
asyncio.run(main())
"""


def test_on_a_read_only_file_system_a_store_does_not_open_and_says_why(tmp_path):
    mount = f'mount -t tmpfs -o size=24m none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        return
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, READ_ONLY], capture_output=True, text=True, timeout=50, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    (said,) = json.loads(ended.stdout)
    assert "read-only" in said.lower()


# Damaged files that were moved aside


def test_of_damaged_files_the_newest_few_are_kept_and_the_rest_named(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        gone = []
        for number in range(6):
            path.write_bytes(b"junk %d" % number)
            async with opened(path) as store:
                (told,) = await store.recent(EVENTS, 1)
                gone += told["data"].get("deleted", [])
        return gone

    gone = run(main())
    kept = sorted(one.name for one in tmp_path.glob("*.quarantine-*[0-9Z]"))
    assert len(gone) == 2
    assert len(kept) == 4
    assert not set(gone) & set(kept)
    assert {(tmp_path / name).read_bytes() for name in kept} == {b"junk %d" % n for n in (2, 3, 4, 5)}


def test_of_large_damaged_files_no_more_are_kept_than_the_store_may_take(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        for number in range(3):
            path.write_bytes(b"%d" % number * (3 << 19))
            async with opened(path, max_size=4 << 20):
                pass

    run(main())
    assert {one.read_bytes()[:1] for one in tmp_path.glob("*.quarantine-*[0-9Z]")} == {b"1", b"2"}


# The log that cannot be emptied, and the card


def test_a_reader_that_keeps_the_log_from_being_emptied_is_spoken_of(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep_module, "_SWOLLEN", 1 << 20)
    monkeypatch.setattr(checkpoint_module, "_ENOUGH", 1 << 18)
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(reading())
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as stranger:
                stranger.execute("BEGIN")
                stranger.execute("SELECT * FROM events").fetchall()
                for _ in range(4):
                    for _ in range(200):
                        store.add(reading(device="x" * 2000))
                    await store.record(event())
                await store.record(event())
                assert "another program reads the store and does not end" in store.status()["problem"]
                assert store.status()["writable"] is True
            for _ in range(2):
                for _ in range(200):
                    store.add(reading(device="x" * 2000))
                await store.record(event())
            await store.record(event())
            assert store.status()["problem"] == ""

    run(main())


def test_what_the_card_has_to_bear_is_told_after_ten_minutes(monkeypatch):
    monkeypatch.setattr("gateway.store.wear.written", lambda: 1_000_000)
    wear = Wear(0.0, 10**12)
    monkeypatch.setattr("gateway.store.wear.written", lambda: 7_000_000)
    assert wear.status(500.0) == {"written": 6_000_000, "day": None, "life": None}
    told = wear.status(1000.0)
    assert told["day"] == 518_400_000
    assert math.isclose(told["life"], 10**12 / (518_400_000 * 365.25))
    assert Wear(0.0, None).status(1000.0)["life"] is None
    monkeypatch.setattr("gateway.store.wear.written", lambda: None)
    assert wear.status(1000.0) == {"written": None, "day": None, "life": None}
