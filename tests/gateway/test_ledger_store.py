"""The ledger where it is kept: linked in the commit, whole after a kill, false wherever it was touched."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import cli
from gateway.ledger import tree
from gateway.ledger.chain import Head
from gateway.ledger.checkpoint import Checkpoint, sign
from gateway.ledger.linker import Linker
from gateway.ledger.note import Verifier
from gateway.ledger.signer import from_seed
from gateway.reading import Event, Lane
from gateway.store import Archive, Store, StoreError
from tests.gateway.store_rig import NOW, decision, event, failing_disk, reading, rows, settings

KEY = from_seed(bytes(range(32)))
EVENTS = Lane.EVENTS


@contextlib.asynccontextmanager
async def opened(path: Path, linker=None, **more):
    store = await Store.open(settings(path, **more), "pole-1", None, NOW, linker or Linker())
    try:
        yield store
    finally:
        await store.close()


def run(main):
    return asyncio.run(main)


async def decided(store, count):
    made = [decision() for _ in range(count)]
    await asyncio.gather(*(store.record(each) for each in made))
    return made


def origin(path):
    return f"lamppost/pole-1/{dict(rows(path, 'SELECT key, value FROM meta'))['epoch']}"


def signed(path, size=None, leaves=None):
    """Return a checkpoint over the first *size* records as they are in the file, and the public key."""
    leaves = leaves or [bytes(leaf) for (leaf,) in rows(path, "SELECT leaf FROM leaves ORDER BY seq")]
    size = len(leaves) if size is None else size
    text = sign(Checkpoint(origin(path), size, tree.root(leaves[:size])), KEY)
    return text, str(Verifier(origin(path), KEY.public))


def filled(path, count=8):
    """Make a store with *count* decisions among events, and return their ids."""

    async def main():
        async with opened(path) as store:
            ids = []
            for _ in range(count):
                store.add(event())
                ids += [each.id for each in await decided(store, 1)]
            return ids

    return run(main())


def tampered(path, *statements):
    """Change the file from outside, as somebody with an editor for SQLite would."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement, *values in statements:
            assert db.execute(statement, values).rowcount > 0, statement
        db.commit()


def verify(path, *more):
    return cli.main(["verify", str(path), *map(str, more)])


# In the commit


def test_each_decision_gets_its_number_and_its_predecessor_in_the_order_of_the_log(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            store.add(reading())
            store.add(event())
            made = await decided(store, 5)  # one commit
            store.add(event())
            made += await decided(store, 2)
            head = store.head
            found = [json.loads(each.body) for each in await store.after(EVENTS, 0, 99)]
            assert (await store.recent(EVENTS, 1, kind="decision"))[0]["event"] == 9
        return made, head, [each for each in found if each["kind"] == "decision"]

    made, head, found = run(main())
    assert [each["id"] for each in found] == [each.id for each in made]
    assert [each["seq"] for each in found] == [*range(1, 8)]
    again = Head()
    for one, each in zip(made, found, strict=True):
        link, again = again.link(json.loads(json.dumps(one.body())))
        assert link.body == each
    assert (again.size, again.root, again.last) == (head.size, head.root, head.last)
    assert verify(path) == 0


def test_what_is_published_has_the_hash_that_is_kept(tmp_path):
    path = tmp_path / "s.db"
    filled(path)
    kept = rows(path, "SELECT body, leaf FROM events JOIN leaves ON event = events.seq ORDER BY leaves.seq")
    assert len(kept) == 8
    assert all(tree.leaf(body.encode()) == leaf for body, leaf in kept)


def test_the_head_is_there_again_after_a_restart(tmp_path):
    path = tmp_path / "s.db"
    filled(path)
    filled(path, 3)
    assert verify(path) == 0
    assert [seq for (seq,) in rows(path, "SELECT seq FROM leaves")] == [*range(1, 12)]


@pytest.mark.parametrize(
    "state",
    ["", "[]", '{"size": 8}', "{", '{"size": 0, "nodes": [], "last": ""}', json.dumps(Head().state())],
)
def test_a_head_that_cannot_be_read_is_made_anew(tmp_path, state):
    path = tmp_path / "s.db"
    filled(path)
    tampered(path, ("UPDATE ledger SET state = ?", state))
    filled(path, 2)
    assert verify(path) == 0


def test_a_failed_commit_leaves_the_head_unchanged(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await decided(store, 3)
            before = store.head
            with failing_disk():
                with pytest.raises(StoreError):
                    await store.record(decision())
                assert store.head is before
            await decided(store, 2)
            assert store.head.size == 5

    run(main())
    assert verify(path) == 0


def test_a_store_without_a_linker_keeps_decisions_as_they_are(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        store = await Store.open(settings(path), "pole-1", None, NOW)
        await store.record(decision())
        assert store.head is None
        await store.close()

    run(main())
    assert rows(path, "SELECT count(*) FROM leaves") == [(0,)]
    assert verify(path) == 1  # nothing in an audited store may stand outside of the ledger


def test_a_word_that_is_no_text_stops_no_decision(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            await store.record(replace(decision(), reasons=("half of \ud83d a letter",)))
            with pytest.raises(StoreError, match="cannot be written as JSON"):
                await store.record(replace(decision(), effect={"on": float("nan")}))
            with pytest.raises(StoreError, match="cannot be written as JSON"):
                await store.record(replace(decision(), effect={"on": 1 << 60}))
            with pytest.raises(StoreError, match="at most 65536"):
                await store.record(replace(decision(), command="x" * 70_000))
            assert (await store.recent(EVENTS, 1))[0]["reasons"] == ["half of \ufffd a letter"]

    run(main())
    assert verify(path) == 0


@pytest.mark.parametrize(
    "seconds", [0.4, *(pytest.param(more, marks=pytest.mark.slow) for more in (0.7, 1.1))]
)
def test_a_kill_while_deciding_leaves_the_chain_whole(tmp_path, seconds):
    path, told = tmp_path / "s.db", set()
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.ledger_writer", str(path)], stdout=subprocess.PIPE
        )
        writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        told |= set(writer.stdout.read().decode().split("\n")[:-1])
        writer.wait()
        writer.stdout.close()
    there = {
        id for (id,) in rows(path, "SELECT json_extract(body, '$.id') FROM events WHERE kind='decision'")
    }
    assert told <= there
    assert len(told) > 20
    assert verify(path) == 0
    filled(path, 1)
    assert verify(path) == 0


def test_decisions_from_before_the_ledger_are_outside_of_it(tmp_path, capsys):
    path = tmp_path / "s.db"

    async def before():
        store = await Store.open(settings(path), "pole-1", None, NOW)
        await store.record(decision())
        await store.close()

    run(before())
    with contextlib.closing(sqlite3.connect(path)) as db:  # as version 2 left it
        db.executescript(
            "DROP TABLE ledger; DROP TABLE leaves; PRAGMA user_version = 2;"
            "UPDATE meta SET value = '2' WHERE key = 'schema'"
        )
    filled(path, 2)
    assert verify(path) == 0
    assert "nothing holds decisions up to event 1" in capsys.readouterr().out


def test_a_file_that_an_older_version_had_meanwhile_goes_on_with_its_ledger(tmp_path, capsys):
    path = tmp_path / "s.db"
    filled(path, 3)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE memory; PRAGMA user_version = 1; UPDATE meta SET value = '1' WHERE key = 'schema'"
        )
    filled(path, 2)
    assert verify(path) == 0
    assert "5 records" in capsys.readouterr().out


def test_a_new_epoch_begins_a_new_ledger_and_takes_along_what_was_not_delivered(tmp_path):
    path = tmp_path / "s.db"
    filled(path)
    old = {"epoch": origin(path).rsplit("/", 1)[1]}
    kept = [body for (body,) in rows(path, "SELECT body FROM events WHERE kind = 'decision' ORDER BY seq")]
    ((last,),) = rows(path, "SELECT last FROM ledger")
    path.with_name(path.name + ".damaged").touch()
    filled(path, 1)
    assert not origin(path).endswith(old["epoch"])
    assert verify(path) == 0
    found = [json.loads(body) for (body,) in rows(path, "SELECT body FROM events ORDER BY seq")]
    again = [each for each in found if "salvaged" in each]
    assert [each["seq"] for each in again] == [*range(1, 9)]
    for text, each in zip(kept, again, strict=True):
        was = each.pop("salvaged")
        assert was.pop("epoch") == old["epoch"]
        assert {**each, **was} == json.loads(text)
    (told,) = [each["data"] for each in found if each.get("type") == "lamppost.store.quarantined"]
    assert told["epoch"] == old["epoch"]
    assert told["ledger"] == {"size": 8, "last": last.hex()}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET size = 7",
        "UPDATE ledger SET last = x'00'",
        "DELETE FROM leaves WHERE seq = 8",
        "UPDATE leaves SET leaf = zeroblob(32) WHERE seq = 8",
        "DELETE FROM ledger",
    ],
)
def test_a_ledger_that_does_not_end_where_it_says_is_moved_aside(tmp_path, statement):
    path = tmp_path / "s.db"
    filled(path)
    before = origin(path)
    tampered(path, (statement,))
    filled(path, 1)
    assert origin(path) != before
    assert verify(path) == 0


def test_a_last_decision_that_was_altered_is_said_at_the_start(tmp_path):
    path = tmp_path / "s.db"
    filled(path)
    tampered(path, ("UPDATE events SET body = replace(body, 'acted', 'refused') WHERE seq = 16",))

    async def main():
        async with opened(path) as store:
            assert store.doubt == "decision 8 was altered since it was recorded"
            await decided(store, 2)

    run(main())
    assert verify(path) == 1  # the chain goes on from what was recorded, and says so for ever


# What `lamppost verify` finds

ALTERED = "UPDATE events SET body = replace(body, '\"acted\"', '\"refused\"') WHERE seq = 10"
"""Decision 5 is event 10."""


def relinked(path, first):
    """Write the history anew from record *first* on, with every hash, as somebody who knows all of it."""
    query = "SELECT leaves.seq, event, body FROM leaves JOIN events ON event = events.seq ORDER BY leaves.seq"
    head, found = Head(), rows(path, query)
    with contextlib.closing(sqlite3.connect(path)) as db:
        for seq, event_, body in found:
            shape = {key: each for key, each in json.loads(body).items() if key not in ("seq", "prev")}
            link, head = head.link(shape)
            assert seq >= first or link.text == body
            db.execute("UPDATE events SET body = ? WHERE seq = ?", (link.text, event_))
            db.execute("UPDATE leaves SET leaf = ? WHERE seq = ?", (link.leaf, seq))
        values = (head.size, head.last, json.dumps(head.state()))
        db.execute("UPDATE ledger SET size = ?, last = ?, state = ?", values)
        db.commit()


def test_an_altered_decision_is_found(tmp_path, capsys):
    path = tmp_path / "s.db"
    ids = filled(path)
    assert cli.main(["explain", ids[4], "--store", str(path)]) == 0
    tampered(path, (ALTERED,))
    assert verify(path) == 1
    said = capsys.readouterr().out
    assert "something is wrong. The first is record 5." in said
    assert "record 5 was altered: its hash is another than was kept" in said
    assert cli.main(["explain", ids[4], "--store", str(path)]) == 1
    assert "it was altered" in capsys.readouterr().out


def test_an_altered_decision_with_its_hash_altered_too_is_found_by_the_next(tmp_path, capsys):
    path = tmp_path / "s.db"
    ids = filled(path)
    tampered(path, (ALTERED,))
    ((body,),) = rows(path, "SELECT body FROM events WHERE seq = 10")
    tampered(path, ("UPDATE leaves SET leaf = ? WHERE seq = 5", tree.leaf(body.encode())))
    assert verify(path) == 1
    assert "The first is record 5." in capsys.readouterr().out
    assert cli.main(["explain", ids[4], "--store", str(path)]) == 1
    assert "the record after it names another" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["body", "both", "tail"])
def test_a_removed_decision_is_found(tmp_path, capsys, how):
    path = tmp_path / "s.db"
    filled(path)
    number = 8 if how == "tail" else 5
    tampered(path, (f"DELETE FROM events WHERE seq = {2 * number}",))
    if how != "body":
        tampered(path, (f"DELETE FROM leaves WHERE seq = {number}",))
    assert verify(path) == 1
    said = capsys.readouterr().out
    assert f"The first is record {number}." in said
    assert "removed" in said


@pytest.mark.parametrize("linked", [False, True])
def test_an_inserted_decision_is_found(tmp_path, capsys, linked):
    path = tmp_path / "s.db"
    filled(path)
    ((body,),) = rows(path, "SELECT body FROM events WHERE seq = 10")
    forged = body.replace('"acted"', '"refused"')
    tampered(path, ("INSERT INTO events VALUES (17, 1.0, 'decision', ?)", forged))
    if linked:
        leaf = tree.leaf(forged.replace('"seq":5', '"seq":9').encode())
        tampered(path, ("INSERT INTO leaves VALUES (9, ?, 17)", leaf))
    assert verify(path) == 1
    assert ("put in, as event 17" in capsys.readouterr().out) is not linked


def test_a_history_written_anew_is_found_by_a_checkpoint_that_somebody_kept(tmp_path, capsys):
    path, note = tmp_path / "s.db", tmp_path / "note"
    filled(path)
    text, key = signed(path, 6)
    note.write_text(text)
    assert verify(path, "--checkpoint", note, "--key", key) == 0
    tampered(path, (ALTERED,))
    relinked(path, 5)
    assert verify(path) == 0  # nothing in the file tells
    capsys.readouterr()
    assert verify(path, "--checkpoint", note, "--key", key) == 1
    assert "was rewritten, with every hash after it" in capsys.readouterr().out


def test_a_store_put_back_to_an_earlier_state_is_found_by_a_later_checkpoint(tmp_path, capsys):
    path, note = tmp_path / "s.db", tmp_path / "note"
    filled(path, 3)
    earlier = path.read_bytes()
    filled(path, 3)
    text, key = signed(path)
    note.write_text(json.dumps({"checkpoint": text, "key": key}))
    path.write_bytes(earlier)
    assert verify(path) == 0
    assert verify(path, "--checkpoint", note) == 1
    assert "records 4 to 6 are missing at the end: a checkpoint signed 6" in capsys.readouterr().out


def test_a_checkpoint_of_another_ledger_or_key_does_not_count(tmp_path, capsys):
    path, other = tmp_path / "s.db", tmp_path / "other.db"
    note = tmp_path / "note"
    filled(path)
    filled(other)
    text, key = signed(other)
    note.write_text(text)
    assert verify(path, "--checkpoint", note, "--key", key) == 1
    assert "is not one of lamppost/pole-1/" in capsys.readouterr().out
    note.write_text(signed(path)[0])
    assert verify(path, "--checkpoint", note, "--key", key) == 1
    assert "signed by no key that is trusted here" in capsys.readouterr().out


def test_trimming_leaves_the_ledger_verifiable(tmp_path, capsys):
    path, note = tmp_path / "s.db", tmp_path / "note"
    filled(path)

    async def main():
        async with opened(path, keep_events=0) as store:
            await store.delivered(EVENTS, 11)
            store._keeper._upkeep.trimmed -= 3600
            store.add(event())
            while rows(path, "SELECT count(*) FROM events WHERE seq <= 11") != [(0,)]:
                await asyncio.sleep(0.01)

    run(main())
    text, key = signed(path)
    note.write_text(text)
    assert verify(path, "--checkpoint", note, "--key", key) == 0
    assert "of 5 records only the hash is left" in capsys.readouterr().out
    export = tmp_path / "x.jsonl"
    assert cli.main(["export", "--store", str(path)]) == 0
    export.write_text(capsys.readouterr().out)
    assert verify(export, "--checkpoint", note, "--key", key) == 0
    tampered(path, ("UPDATE leaves SET leaf = zeroblob(32) WHERE seq = 2",))
    assert verify(path, "--checkpoint", note, "--key", key) == 1


# Exports, and what is no ledger


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_export_is_verified_with_the_checkpoints_in_it(tmp_path, capsys, wrapped):
    path, export = tmp_path / "s.db", tmp_path / "x.jsonl"
    filled(path)

    async def main():
        text, key = signed(path)
        data = {"size": 8, "checkpoint": text, "key": key}
        async with opened(path) as store:
            await store.record(Event("lamppost.ledger.checkpoint", "pole-1", NOW(), data))
            await decided(store, 1)

    run(main())
    assert verify(path) == 0
    assert "8 of them under a signed checkpoint" in capsys.readouterr().out
    cli.main(["export", "--store", str(path), "--lane", "events"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 18
    if wrapped:  # as `lamppost watch --json` has it
        lines = [json.dumps({"gateway": "pole-1", "seq": 1, "body": json.loads(each)}) for each in lines]
    export.write_text("\n".join(lines))
    assert verify(export) == 0
    said = capsys.readouterr().out
    assert "9 records, 8 of them under a signed checkpoint" in said
    assert "compare it with your own" in said
    export.write_text("\n".join(each.replace('"acted"', '"failed"', 1) for each in lines))
    assert verify(export) == 1
    export.write_text("\n".join([*lines[:4], "{not json", *lines[4:]]))
    assert verify(export) == 1


def test_what_is_no_ledger_is_refused_with_a_sentence(tmp_path, capsys):
    path = tmp_path / "s.db"
    filled(path)
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE diary (entry)")
        db.commit()
    for wrong in (["verify", str(tmp_path / "none")], ["verify", str(other)], ["verify", str(tmp_path)]):
        assert cli.main(wrong) == 2
    assert verify(path, "--key", "nonsense") == 2
    assert verify(path, "--checkpoint", tmp_path / "none") == 2
    assert cli.main(["explain", "0" * 32, "--store", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 6


@pytest.mark.slow
def test_a_day_of_decisions_is_verified_in_seconds(tmp_path, capsys):
    """One every five seconds, by a store that is in use meanwhile."""
    path, count = tmp_path / "s.db", 24 * 720

    async def main():
        async with opened(path) as store:
            for _ in range(0, count, 1440):
                await decided(store, 1440)
            began = time.monotonic()
            assert await asyncio.to_thread(verify, path) == 0
            assert time.monotonic() - began < 20

    run(main())
    assert f"{count} records" in capsys.readouterr().out


def test_the_progress_is_told_from_nothing_to_all(tmp_path):
    path = tmp_path / "s.db"
    filled(path)
    shares = [share for share, _ in Archive(path).ledger()]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
