"""A log that rots in its middle is told from one whose end was being written when the power went."""

import asyncio
import json
import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from gateway.reading import Lane
from gateway.store.frames import rotten
from tests.gateway.store_rig import crash_image, event, opened, texts

EVENTS = Lane.EVENTS
COUNT = 20  # transactions


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A store as a kill leaves it, with each of its events in its log as a transaction; its path."""

    async def main() -> Path:
        async with opened(tmp_path / "s.db") as store:
            await store._keeper._upkeep.checkpoint(fully=True)
            for number in range(COUNT):
                await store.record(event(number))
            return crash_image(tmp_path / "s.db", tmp_path / "image")

    return asyncio.run(main())


def frames(path: Path) -> list[tuple[int, int, bool]]:
    """Return where each frame of the log begins and ends, and whether it ends a transaction."""
    content = path.with_name("s.db-wal").read_bytes()
    (size,) = struct.unpack_from(">I", content, 8)
    starts = range(32, len(content), 24 + size)
    return [(at, at + 24 + size, struct.unpack_from(">I", content, at + 4)[0] > 0) for at in starts]


def spoil(path: Path, at: int) -> None:
    file = path.with_name("s.db-wal")
    content = bytearray(file.read_bytes())
    content[at] ^= 0x40
    file.write_bytes(content)


def reopened(path: Path) -> list[dict]:
    """Open the store, add an event, and return its events in their order."""

    async def main() -> None:
        async with opened(path) as store:
            await store.record(event(-1))

    asyncio.run(main())
    return [json.loads(text) for text in texts(path, EVENTS)]


@pytest.mark.parametrize("part", [1, 30, -1], ids=["the header of a frame", "a page", "its end"])
def test_what_was_accepted_and_cannot_be_read_is_said_and_no_number_given_again(log, part):
    ends = [last for _, last, commits in frames(log) if commits]
    assert len(ends) == COUNT
    first, last = ends[9], ends[10]  # the eleventh transaction begins there, and ends
    spoil(log, first + part if part >= 0 else last - 1)
    found = reopened(log)
    assert [one["data"]["number"] for one in found[:10]] == list(range(10)), "what is before it is saved"
    (told,) = [one["data"] for one in found if one["type"] == "lamppost.store.quarantined"]
    lost = int(told["reason"].split()[1])
    assert COUNT - 12 <= lost <= COUNT - 10
    assert "cannot be read any more" in told["reason"]
    with closing(sqlite3.connect(log)) as connection:
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    assert epoch != told["epoch"]


def test_a_transaction_that_the_power_has_cut_off_is_no_damage(log):
    """The last one may never have been accepted: nobody can tell. Nothing is known to be lost."""
    *_, (_, before, _) = [one for one in frames(log)[:-1] if one[2]]
    spoil(log, before + 30)
    assert rotten(log) == ""
    found = reopened(log)
    assert [one["data"]["number"] for one in found] == [*range(COUNT - 1), -1]


def test_what_is_left_of_transactions_that_were_refused_is_no_damage(log):
    """Where syncs fail again and again, their ends lie one behind the other, and none carries on another."""
    for first, _, commits in frames(log)[-12:]:
        if commits:
            spoil(log, first + 16)  # its checksum
    assert rotten(log) == ""


def test_a_log_whose_beginning_was_being_written_is_no_damage(log):
    """Then all of it had been moved into the file, and that was durable."""
    spoil(log, 12)
    assert rotten(log) == ""


@pytest.mark.parametrize("seed", range(4))
def test_a_log_that_ends_anywhere_is_no_damage(log, seed):
    file = log.with_name("s.db-wal")
    content, chance = file.read_bytes(), random.Random(seed)
    for _ in range(5):
        file.write_bytes(content[: chance.randrange(len(content) + 1)])
        log.with_name("s.db-shm").unlink(missing_ok=True)
        assert rotten(log) == ""


def test_frames_of_an_earlier_generation_are_none_of_this_one(log):
    """SQLite begins again at the front of the file, and leaves what is behind."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_size_limit = -1")
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('x', 'y')")
        image = crash_image(log, log.parent / "again")
    salts = {image.with_name("s.db-wal").read_bytes()[at + 8 : at + 16] for at, _, _ in frames(image)}
    assert len(salts) == 2
    assert rotten(image) == ""


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 600])
def test_a_log_of_anything_is_left_to_sqlite(log, length):
    log.with_name("s.db-wal").write_bytes(random.Random(length).randbytes(length))
    assert rotten(log) == ""


def test_a_schema_that_is_no_text_is_left_to_the_look_that_follows(log):
    """SQLite quotes it in its complaint, which is then no text either."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        spoilt = "sql = CAST(x'4352ff' AS TEXT)"
        connection.execute(f"UPDATE sqlite_schema SET {spoilt} WHERE name = 'events'")
        image = crash_image(log, log.parent / "again")
    assert rotten(image) == ""
