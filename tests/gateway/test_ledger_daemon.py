"""The ledger of a gateway that runs: its checkpoints in other hands, its proofs by HTTP, its key."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from gateway import cli
from gateway.ledger import tree
from gateway.ledger.checkpoint import opened
from gateway.ledger.note import Verifier
from tests.brokers import Broker, free_port
from tests.gateway.daemon_rig import STREET, Process, until

COUNT = 11
RULES = "".join(
    f"""
[[rule]]
id = "watch-{number}"
says = "Say that the ground is watched."
owner = "Tests <tests@city.example>"
expires = 2099-12-31
mode = "shadow"
when = "ground.age < duration('1h')"
do = [{{ event = "test.told", subject = "ground" }}]
[[rule.test]]
given = {{ "ground.age" = "1s" }}
expect = true
"""
    for number in range(COUNT)
)
MORE = '\n[rules]\nfiles = ["rules.toml"]\n'
QUICK = STREET + '\n[ledger]\nkey = "the.key"\nevery = "300ms"\n'

Start = Callable[..., Process]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon that decides COUNT things at once."""
    started: list[Process] = []
    (tmp_path / "rules.toml").write_text(RULES)

    def start(broker: int = 0, text: str = QUICK) -> Process:
        started.append(Process(tmp_path, broker or free_port(), MORE, text).start())
        return started[-1]

    yield start
    for each in started:
        each.kill()


def other_rules(folder: Path) -> None:
    """Have the next daemon decide anew: a rule that fires goes on firing over a restart."""
    (folder / "rules.toml").write_text(RULES.replace("watch-", "again-"))


def signed(process: Process, size: int = COUNT) -> dict:
    """Return `/ledger` once a checkpoint covers so many records."""
    return until(lambda: (found := process.get("/ledger")) and (found["signed"] or 0) >= size and found)


def events(path: Path, type: str) -> list[dict]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM events ORDER BY seq")]
    return [each["data"] for each in bodies if each.get("type") == type]


def retained(port: int, topic: str) -> dict:
    """Return what a subscriber who comes later hears."""
    heard: list[bytes] = []
    there = threading.Event()

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        assert message.retain
        heard.append(message.payload)
        there.set()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert there.wait(10)
    client.disconnect()
    client.loop_stop()
    return json.loads(heard[-1])


@pytest.mark.slow
def test_a_checkpoint_is_at_the_broker_for_whoever_comes_later(daemon: Start, broker: Broker) -> None:
    process = daemon(broker.port)
    told = signed(process)
    until(lambda: retained(broker.port, "lamppost/pole/checkpoint")["size"] == COUNT)
    found = retained(broker.port, "lamppost/pole/checkpoint")
    assert (found["gateway"], found["checkpoint"], found["key"]) == ("pole", told["checkpoint"], told["key"])
    epoch = process.get("/status")["epoch"]
    assert found["origin"] == f"lamppost/pole/{epoch}"
    checkpoint = opened(found["checkpoint"], [Verifier.parse(found["key"])])
    assert (checkpoint.size, checkpoint.root.hex()) == (COUNT, told["root"])
    assert process.stop()[0] == 0
    store = process.folder / "pole.db"
    assert [each["size"] for each in events(store, "lamppost.ledger.checkpoint")][-1] == COUNT
    (process.folder / "kept").write_text(json.dumps(found))
    assert cli.main(["verify", str(store), "--checkpoint", str(process.folder / "kept")]) == 0


def test_every_decision_is_proven_by_http(daemon: Start) -> None:
    process = daemon()
    told = signed(process)
    root = opened(told["checkpoint"], [Verifier.parse(told["key"])]).root
    leaves = {}
    for each in process.get("/decisions")["decisions"]:
        one = process.get(f"/decisions/{each['id']}")
        assert one["leaf"] == tree.leaf(one["record"]["text"].encode()).hex()
        assert one["record"]["holds"] is True
        assert json.loads(one["record"]["text"])["prev"] == each["prev"]
        proof = process.get(f"/ledger/proof/{each['seq']}")
        assert proof["leaf"] == one["leaf"]
        steps = [bytes.fromhex(step) for step in proof["proof"]]
        leaf = leaves[each["seq"]] = bytes.fromhex(proof["leaf"])
        assert tree.verify_inclusion(leaf, each["seq"] - 1, proof["size"], steps, root)
    assert tree.root([leaves[seq] for seq in sorted(leaves)]) == root
    for old in range(COUNT + 1):
        found = process.get(f"/ledger/consistency?old={old}&new={COUNT}")
        steps = [bytes.fromhex(step) for step in found["proof"]]
        old_root = tree.root([leaves[seq] for seq in sorted(leaves)][:old])
        assert tree.verify_consistency(old, COUNT, steps, old_root, root)
    assert process.get(f"/ledger/proof/{COUNT + 1}") is None
    page = process.get("/decisions?limit=4")["decisions"]
    older = process.get(f"/decisions?limit=4&before={page[-1]['event']}")["decisions"]
    assert [each["seq"] for each in page + older] == [*range(COUNT, COUNT - 8, -1)]


@pytest.mark.slow
def test_the_end_is_signed_and_the_key_is_for_nobody_else(daemon: Start, tmp_path: Path) -> None:
    hourly = QUICK.replace("300ms", "1h")
    process = daemon(text=hourly)
    until(lambda: (process.get("/status") or {"ledger": {"size": 0}})["ledger"]["size"] == COUNT)
    until(lambda: (process.get("/ledger") or {})["signed"] is not None)
    status, seconds = process.stop()
    assert (status, seconds < 5) == (0, True)
    told = events(tmp_path / "pole.db", "lamppost.ledger.checkpoint")
    assert told[-1]["size"] == COUNT
    assert (tmp_path / "the.key").stat().st_mode & 0o777 == 0o600
    assert cli.main(["verify", str(tmp_path / "pole.db"), "--key", told[-1]["key"]]) == 0


@pytest.mark.slow
def test_a_store_that_was_put_back_is_not_signed_and_that_is_said(daemon: Start, tmp_path: Path) -> None:
    process = daemon()
    signed(process)
    process.stop()
    store, earlier = tmp_path / "pole.db", tmp_path / "earlier.db"
    shutil.copy(store, earlier)
    other_rules(tmp_path)
    process = daemon()
    later = signed(process, 2 * COUNT)
    process.stop()
    shutil.copy(earlier, store)
    (tmp_path / "rules.toml").write_text(RULES.partition('[[rule]]\nid = "watch-1')[0])
    process = daemon()
    found = until(lambda: (told := process.get("/ledger")) and told["problem"] and told)
    assert f"{2 * COUNT} records were signed, and the ledger has fewer" in found["problem"]
    assert found["signed"] == COUNT
    until(lambda: events(store, "lamppost.ledger.unsigned"))
    process.stop()
    note = tmp_path / "later"
    note.write_text(later["checkpoint"])
    assert cli.main(["verify", str(store), "--checkpoint", str(note), "--key", later["key"]]) == 1


@pytest.mark.slow
def test_a_key_made_although_a_ledger_exists_is_announced(daemon: Start, tmp_path: Path) -> None:
    process = daemon()
    old = signed(process)["key"]
    process.stop()
    (tmp_path / "the.key").unlink()
    other_rules(tmp_path)
    process = daemon()
    new = signed(process, 2 * COUNT)["key"]
    process.stop()
    (told,) = events(tmp_path / "pole.db", "lamppost.ledger.key")
    assert told["key"] == new != old
    assert cli.main(["verify", str(tmp_path / "pole.db"), "--key", old, "--key", new]) == 0
    assert cli.main(["verify", str(tmp_path / "pole.db"), "--key", old]) == 1


@pytest.mark.slow
def test_a_gateway_without_a_key_runs_and_says_so(daemon: Start, tmp_path: Path) -> None:
    (tmp_path / "the.key").mkdir()
    process = daemon()
    found = until(lambda: (told := process.get("/ledger")) and told["problem"] and told)
    assert "is not a plain file" in found["problem"]
    assert process.get("/ledger/proof/1") is None
    assert process.get("/readyz")["ready"] is True
    assert process.stop()[0] == 0
