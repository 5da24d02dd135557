"""A reading lies compact and comes back to the letter, whatever it holds; what is altered is not believed."""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Flag, Lane, Reading, encode, significant
from gateway.store import Archive, StoreError, form
from gateway.store.form import Press
from gateway.store.pending import row_of
from tests.gateway.store_rig import NOW, books_agree, event, opened, reading, rows, texts

READINGS = Lane.TELEMETRY


def run(main):
    return asyncio.run(main)


def full(device="air", value=18.42, **more):
    """A reading with something of everything."""
    values = {Quantity.TEMPERATURE: value, Quantity.HUMIDITY: 61.0, Quantity.PM2_5: 0.1}
    parts = {
        "missing": {Quantity.CO2: Missing.WARMING_UP},
        "flags": {Quantity.TEMPERATURE: Flag.PASS},
        "labels": {Quantity.PM2_5: "gut, 100 % \n"},
    }
    return Reading(device, NOW(), values, **{**parts, **more})


NAMES = st.one_of(
    st.sampled_from(list(Quantity)), st.text(max_size=8), st.sampled_from(["%r", "%", "\n", "\0"])
)
NUMBERS = st.one_of(
    st.floats(-1e4, 1e4).map(significant),
    st.floats(),
    st.sampled_from([0.0, -0.0, 5e-324, 1e22, 1e16, 123456.789, -1e308, 2.0**53]),
    st.integers(-(10**20), 10**20),
    st.booleans(),
)
TIMES = st.one_of(
    st.floats(0, 4e9), st.floats(), st.integers(-5, 2**60), st.sampled_from([0.0, -0.0, -1e-9, 1e15])
)
INSTANTS = st.builds(
    Instant, TIMES, TIMES, st.one_of(st.text(max_size=9), st.just("%s")), st.sampled_from(Quality)
)
RECORDS = st.builds(
    Reading,
    NAMES,
    INSTANTS,
    st.dictionaries(NAMES, NUMBERS, max_size=9),
    st.dictionaries(NAMES, st.one_of(st.sampled_from(Missing), st.text(max_size=5)), max_size=3),
    st.dictionaries(NAMES, st.one_of(st.sampled_from(Flag), st.booleans(), st.integers(0, 9)), max_size=3),
    st.dictionaries(NAMES, st.one_of(st.text(max_size=9), st.integers(), st.none()), max_size=3),
)


def spelled(record):
    try:
        return encode(record)
    except (ValueError, TypeError):
        return None


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_a_row_is_the_text_of_its_record_or_there_is_no_row(records):
    """Each is packed three times, so that its form is met, made, and used again."""
    press = Press()
    for record in records * 3:
        with contextlib.suppress(StoreError):
            assert row_of(record, None, press).text == spelled(record)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, min_size=9, max_size=30))
def test_every_record_comes_back_as_it_was_spelled(records):
    """Each is written three times, so that its form is met, made, and used again."""

    async def main(path):
        told = []
        async with opened(path) as store:
            for record in records * 3:
                with contextlib.suppress(StoreError):
                    store.add(record)
                    told.append(encode(record))
            told.append(encode(last := reading()))
            await store.record(last)
            assert [one.body for one in await store.after(READINGS, 0, 1000)] == told
        async with opened(path) as store:
            assert [one.body for one in await store.after(READINGS, 0, 1000)] == told
        assert texts(path, READINGS) == told

    with tempfile.TemporaryDirectory() as home:
        run(main(Path(home) / "s.db"))


def test_what_is_refused_is_refused_whether_or_not_its_form_is_known(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            for value in (1.0, 2.0, float("nan"), 3.0, float("-inf")):
                if value != value or value < 0:
                    with pytest.raises(StoreError, match="cannot be written as JSON"):
                        store.add(full(value=value))
                else:
                    store.add(full(value=value))
            broken = reading(at=Instant(1.0, 1.0, "\ud800", Quality.UNKNOWN))
            with pytest.raises(StoreError, match="cannot be written as JSON"):
                store.add(broken)
            assert await store.record(full()) == 4

    run(main())


def test_an_ordinary_reading_takes_its_numbers_and_little_more(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for number in range(4000):
                store.add(full(value=float(number)))
            await store.record(event())

    run(main())
    assert len(rows(path, "SELECT * FROM form")) == len(rows(path, "SELECT * FROM stamp")) == 1
    assert [*map(len, Press().pack(full()) or [])] == [], "the first of its form is kept as text"
    assert path.stat().st_size / 4000 < 66  # five doubles, a checksum, two numbers, and SQLite's own


def test_a_label_that_never_comes_again_makes_no_form(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            for number in range(300):
                store.add(full(labels={Quantity.PM2_5: f"never again {number}"}))
            await store.record(full())

    run(main())
    assert rows(path, "SELECT * FROM form") == []
    assert len(texts(path, READINGS)) == 301


def test_a_file_with_all_the_forms_that_it_may_have_takes_more_readings(tmp_path, monkeypatch):
    monkeypatch.setattr(form, "MOST", 3)
    path = tmp_path / "s.db"

    async def main():
        told = []
        async with opened(path) as store:
            for number in range(60):
                one = full(device=f"air{number % 6}")
                told.append(encode(one))
                await store.record(one)
            assert [one.body for one in await store.after(READINGS, 0, 99)] == told
            assert len(await store.recent(READINGS, 99, device="air0")) == 10
            assert len(await store.recent(READINGS, 99, device="air5")) == 10
            assert await store.recent(READINGS, 99, device="") == []

    run(main())
    assert len(rows(path, "SELECT * FROM form")) == 3


def test_a_commit_that_fails_takes_its_new_forms_back(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(full())
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
                stranger.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
                store.add(full())
                with pytest.raises(StoreError, match="no"):
                    await store.record(event())
                assert rows(path, "SELECT * FROM form") == []
                stranger.execute("DROP TRIGGER no")
            await store.record(full())
            assert len(await store.after(READINGS, 0, 9)) == 3
            books_agree(store, path, dict.fromkeys(Lane, 0))

    run(main())


def filled(path, number=50):
    async def main():
        async with opened(path) as store:
            for value in range(number):
                store.add(full(value=float(value)))
            await store.record(event())

    run(main())


def altered(path, statement):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount > 0


@pytest.mark.parametrize("place", [1, 8, 9, 17, 30, 33, 34])
def test_a_flipped_bit_in_the_numbers_is_seen(tmp_path, place):
    path = tmp_path / "s.db"
    filled(path)
    (was,) = rows(path, "SELECT body FROM telemetry WHERE seq = 7")[0]
    now = bytearray(was)
    now[place - 1] ^= 4
    altered(path, f"UPDATE telemetry SET body = x'{now.hex()}' WHERE seq = 7")

    async def main():
        async with opened(path) as store:
            assert 7 not in [one.seq for one in await store.after(READINGS, 0, 99)]
            assert store.counts()[READINGS].dropped == {"damaged": 1}

    run(main())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE telemetry SET time = time + 1 WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET body = x'' WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET body = 'text' WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET body = substr(body, 2) WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET form = 77 WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET stamp = NULL WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET form = 'x', stamp = 1.5 WHERE seq BETWEEN 5 AND 14",
        "UPDATE telemetry SET form = NULL WHERE seq BETWEEN 5 AND 14",
    ],
)
def test_rows_that_are_not_what_was_written_are_left_out_and_announced_together(tmp_path, damage):
    path = tmp_path / "s.db"
    filled(path)
    altered(path, damage)

    async def main():
        async with opened(path) as store:
            assert [one.seq for one in await store.after(READINGS, 0, 99)] == [*range(1, 5), *range(15, 51)]
            (gap,) = await store.recent(Lane.EVENTS, 9, kind="gap")
            assert (gap["first"], gap["last"]) == (5, 14)
            books_agree(store, path, dict.fromkeys(Lane, 0))

    run(main())
    assert [entry.seq for entry in Archive(path).records(READINGS, 0, 1e12)] == [*range(1, 5), *range(15, 51)]


@pytest.mark.parametrize("text", ["x'ff00'", "'\"device\":'", "replace(body, 'device', 'dev\"ce')", "''"])
def test_a_form_that_is_not_what_was_written_gives_no_record(tmp_path, text):
    path = tmp_path / "s.db"
    filled(path)
    altered(path, f"UPDATE form SET body = {text}")

    async def main():
        async with opened(path) as store:
            assert [one.seq for one in await store.after(READINGS, 0, 99)] == [1]
            assert await store.record(full()) == 51  # its form is made anew ...
            assert await store.record(full()) == 52
            assert [one.seq for one in await store.after(READINGS, 1, 99)] == [51, 52]  # ... and is another

    run(main())


def test_packing_is_the_same_as_spelling():
    """The row alone, without a file: what is packed is the text of the record."""
    press = Press()
    assert press.pack(full()) is None
    packed = row_of(one := full(), None, press)
    assert packed.packed is not None
    assert packed.text == encode(one)
    assert json.loads(packed.text) == one.body()


@pytest.mark.parametrize("order", [1, -1])
def test_what_python_takes_for_equal_has_forms_of_its_own(order):
    """1, 1.0 and true are one key to a dict and three spellings in JSON."""
    press = Press()
    for flag in [1, True, 1.0, Flag.PASS][::order] * 3:
        one = full(flags={Quantity.TEMPERATURE: flag})
        assert row_of(one, None, press).text == encode(one)
