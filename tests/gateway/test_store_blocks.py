"""Many rows at once say what each of them says, to the letter, however they are cut."""

import asyncio
import contextlib
import json
import math
import random
import sqlite3
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.device import Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Lane, Reading, encode, significant
from gateway.store import StoreError, digits
from gateway.store.digits import digits as spelled
from tests.gateway.store_rig import event, opened, reading
from tests.gateway.test_store_form import RECORDS, altered, full

READINGS = Lane.TELEMETRY


@given(st.lists(st.floats(), min_size=1, max_size=8))
def test_numbers_are_spelled_as_repr_does(numbers):
    assert spelled(tuple(numbers)) == tuple(repr(number).encode() for number in numbers)


def test_numbers_of_every_size_are_spelled_as_repr_does():
    """One at a time, so that none hides behind another that is spelled the slow way."""
    chance = random.Random(6)
    bits = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(5000)]
    edges = [
        sign * digit * 10.0**power for power in range(-330, 309) for sign in (1, -1) for digit in (1, 1.5)
    ]
    near = [math.nextafter(edge, way) for edge in edges for way in (0, math.inf)]
    daily = [round(1.79e9 + chance.random() * 1e6, 6) for _ in range(3000)]
    daily += [significant(chance.uniform(-1, 1) * 10.0 ** chance.randint(-6, 9)) for _ in range(5000)]
    for number in bits + edges + near + daily:
        assert spelled((number,)) == (repr(number).encode(),)


def test_a_core_that_spells_otherwise_is_not_used(monkeypatch):
    monkeypatch.setattr(
        digits, "_to_json", lambda numbers: b"[" + b",".join(b"%.2f" % n for n in numbers) + b"]"
    )
    assert not digits._proven()
    monkeypatch.setattr(digits, "_PROVEN", False)
    assert spelled((1.5, 0.1)) == (b"1.5", b"0.1")


def parted(run):
    """Return a run's texts again."""
    decoder, text, found, at = json.JSONDecoder(), run.text.decode(), [], 0
    while at < len(text):
        end = decoder.raw_decode(text, at)[1]
        found.append(text[at:end])
        at = end + 1
    assert run.last - run.first + 1 == len(found)
    return found


async def everything(store, lane=READINGS, records=7, size=1 << 17, most=3):
    """Return (number, text) of all that `batches` gives, having looked at how it is cut."""
    found, seq = [], 0
    while some := await store.batches(lane, seq, records, size, most):
        for run in some:
            assert run.first > seq
            own = parted(run)
            assert len(own) <= records
            assert len(run.text) <= size or len(own) == 1
            found += zip(range(run.first, run.last + 1), own, strict=True)
            seq = run.last
    return found


CUTS = st.tuples(st.integers(1, 40), st.one_of(st.integers(1, 4000), st.just(1 << 17)), st.integers(1, 9))


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, min_size=9, max_size=30), CUTS)
def test_batches_say_what_every_record_says(records, cut):
    """Each is written three times, so that its form is met, made, and used again; then boots change."""

    async def main(path):
        async with opened(path) as store:
            for record in records * 3:
                with contextlib.suppress(StoreError):
                    store.add(record)
            await store.record(reading())
            told = [(one.seq, one.body) for one in await store.after(READINGS, 0, 1000)]
            assert await everything(store, READINGS, *cut) == told

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(main(Path(home) / "s.db"))


def ordinary(number, boot="b"):
    values = {Quantity.TEMPERATURE: number / 8, Quantity.HUMIDITY: significant(number / 7)}
    if number % 3:
        values[Quantity.PM2_5] = -0.0 if number % 5 else 1e-7
    return Reading(
        f"air{number % 4}", Instant(1.79e9 + number / 3, number / 3, boot, Quality.UNKNOWN), values
    )


def test_an_ordinary_backlog_takes_the_short_way(tmp_path, monkeypatch):
    """Else the test above would compare the long way with itself."""
    told = [encode(ordinary(number)) for number in range(1, 401)]

    async def main():
        async with opened(tmp_path / "s.db") as store:
            for number in range(1, 401):
                store.add(ordinary(number))
            await store.record(event())
            monkeypatch.setattr("gateway.store.form.spelled", None)  # the long way
            some = await store.batches(READINGS, 40, 100, 1 << 17, 9)
            assert [(run.first, run.last) for run in some] == [(41, 140), (141, 240), (241, 340), (341, 400)]
            assert [text for run in some for text in parted(run)] == told[40:]
            smaller = await store.batches(READINGS, 40, 100, 4000, 99)
            assert [text for run in smaller for text in parted(run)] == told[40:]
            assert all(2500 < len(run.text) <= 4000 for run in smaller[:-1])

    asyncio.run(main())


def test_holes_boots_and_both_lanes(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for number in range(1, 91):
                store.add(ordinary(number, "first" if number < 50 else "second"))
                store.add(event(number))
            await store.record(event(91))
            for first, last in ((1, 5), (20, 20), (60, 75), (90, 90)):
                await store.drop(READINGS, first, last, "asked for")
            for lane in Lane:
                told = [(one.seq, one.body) for one in await store.after(lane, 0, 1000)]
                assert await everything(store, lane, 25) == told
            assert len(told) == 95

    asyncio.run(main())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE telemetry SET body = zeroblob(length(body)) WHERE seq = 130",
        "UPDATE telemetry SET body = x'01' || substr(body, 2) WHERE seq = 130",
        "UPDATE telemetry SET body = substr(body, 1, length(body) - 1) || x'FF' WHERE seq = 130",
        "UPDATE telemetry SET body = body || x'00' WHERE seq = 130",
        "UPDATE telemetry SET body = substr(body, 1, 8) WHERE seq = 130",
        "UPDATE telemetry SET time = time + 1 WHERE seq = 130",
        "UPDATE telemetry SET time = 'x' WHERE seq = 130",
        "UPDATE telemetry SET form = 99 WHERE seq = 130",
        "UPDATE telemetry SET stamp = 'x' WHERE seq = 130",
        "UPDATE telemetry SET form = (SELECT form FROM telemetry WHERE seq = 133) WHERE seq = 130",
        "UPDATE telemetry SET form = NULL WHERE seq = 130",
    ],
)
def test_an_altered_row_is_left_out_announced_and_nothing_else(tmp_path, statement):
    """Among rows that all take the short way: the first ones of a form are kept as text, and do not."""
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for number in range(200):
                store.add(full(value=float(number)) if number % 2 else ordinary(number))
            await store.record(event())
            told = {one.seq: one.body for one in await store.after(READINGS, 0, 300)}
        altered(path, statement)
        async with opened(path) as store:
            found = dict(await everything(store, READINGS, 50))
            del told[130]
            assert found == told
            assert store.counts()[READINGS].dropped == {"damaged": 1}
            gap = json.loads((await store.after(Lane.EVENTS, 1, 9))[0].body)
            assert (gap["kind"], gap["first"], gap["last"], gap["reason"]) == ("gap", 130, 130, "damaged")

    asyncio.run(main())


def test_only_damaged_rows_are_no_end(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for number in range(60):
                store.add(full(value=float(number)))
            await store.record(event())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            stranger.execute("UPDATE telemetry SET body = x'00' WHERE seq <= 50")
        async with opened(path) as store:
            some = await store.batches(READINGS, 0, 5, 1 << 17, 2)
            assert [(run.first, run.last) for run in some] == [(51, 55), (56, 60)]
            assert store.counts()[READINGS].dropped == {"damaged": 50}

    asyncio.run(main())
