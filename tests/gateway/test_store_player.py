"""Playing a file's readings: the same as its records say, damaged rows left out."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from drivers.device import Missing, Quantity
from gateway.clock import Instant, LoopClock, Quality
from gateway.reading import Flag, Lane, Reading, reading_of
from gateway.store import Archive, Store
from gateway.store.player import Played, play
from tests.gateway.store_rig import NOW, settings

START = 1_790_812_800.0


def at(seconds: float, boot: str = "b") -> Instant:
    return Instant(START + seconds, float(seconds), boot, Quality.SYNCHRONIZED)


def readings() -> list[Reading]:
    made = []
    for n in range(50):
        boot = "b" if n < 30 else "c"
        made.append(Reading("air", at(n, boot), {Quantity.PM2_5: n / 7, Quantity.CO2: 400.0 + n}))
        flagged = {Quantity.DISTANCE: Flag.SUSPECT}
        made.append(Reading("range", at(n + 0.1, boot), {Quantity.DISTANCE: 1.0}, flags=flagged))
        gone = {Quantity.CLOSED: Missing.BUS_ERROR}
        made.append(
            Reading("lid", at(n + 0.2, boot), {}, gone)
            if n % 5
            else Reading("lid", at(n), {Quantity.CLOSED: 1.0})
        )
    labelled = {Quantity.FLOOD_STAGE: "action, 2 m"}
    return [*made, Reading("river", at(60), {Quantity.FLOOD_STAGE: 1.0}, labels=labelled)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    async def write() -> None:
        store = await Store.open(settings(tmp_path / "pole.db"), "pole-1", LoopClock(), NOW)
        for reading in readings():
            store.add(reading)
        await store.close()

    asyncio.run(write())
    return tmp_path / "pole.db"


def played(path: Path, *devices: str, since: float = 0.0, until: float = 1e12) -> list[Reading]:
    return [each for part in play(path, devices, since, until) for each in part.readings]


def test_every_reading_is_as_its_record_says(file):
    devices = ("air", "range", "lid", "river")
    with sqlite3.connect(file) as db:
        compact = db.execute("SELECT count(*) FROM telemetry WHERE form IS NOT NULL").fetchone()[0]
    assert 100 < compact < len(readings()), "some rows are compact, some are texts"
    records = [reading_of(each.body) for each in Archive(file).records(Lane.TELEMETRY, 0.0, 1e12)]
    assert played(file, *devices) == records == readings()


def test_only_the_devices_and_the_time_that_are_asked_for(file):
    found = played(file, "air", "lid", since=START + 10, until=START + 12)
    assert [(each.device, each.at.mono) for each in found] == [
        *(("air", 10.0), ("lid", 10.0), ("air", 11.0), ("lid", 11.2), ("air", 12.0))
    ]


def test_what_was_taken_is_counted_and_how_far_it_is(file, monkeypatch):
    monkeypatch.setattr("gateway.store.player.CHUNK", 60)
    parts: list[Played] = list(play(file, {"air"}, 0.0, 1e12))
    assert [part.records for part in parts] == [60, 60, 31]
    assert [round(part.share, 2) for part in parts] == [0.4, 0.79, 1.0]


def test_damaged_rows_are_left_out(file):
    with sqlite3.connect(file) as db:
        db.execute(
            "UPDATE telemetry SET body = substr(body, 1, 8) || x'00' || substr(body, 10) WHERE seq = 100"
        )
        db.execute("UPDATE telemetry SET time = time + 1 WHERE seq = 103")
        db.execute("UPDATE telemetry SET form = 999 WHERE seq = 106")
        db.execute("UPDATE telemetry SET stamp = NULL WHERE seq = 109")
        db.execute("UPDATE telemetry SET body = 'nonsense' WHERE form IS NULL AND seq < 3")
    lost = {100, 103, 106, 109}
    wanted = [
        each for n, each in enumerate(readings(), 1) if n not in lost and n >= 3 and each.device == "air"
    ]
    assert played(file, "air") == wanted


def test_a_time_that_is_refused_leaves_its_reading_out(file):
    def place(time: float, mono: float, boot: str, clock: Quality) -> Instant:
        if mono > 20.0:
            raise ValueError("no")
        return Instant(0.0, mono, "", clock)

    found = [each for part in play(file, {"air"}, 0.0, 1e12, place) for each in part.readings]
    assert [each.at for each in found] == [
        Instant(0.0, float(n), "", Quality.SYNCHRONIZED) for n in range(21)
    ]
