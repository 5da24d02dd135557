"""The collector's file: every record once, what contradicts or is strange beside it, and what is missing."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli import main
from gateway.collect import file as files
from gateway.collect import report
from gateway.collect.account import Account, books
from gateway.collect.file import File, Unusable
from gateway.mqtt.compress import compressed
from gateway.mqtt.heard import Message, Records, Said, Stranger, read

EVENT = '{"kind":"event","time":5.5,"type":"lamppost.flood","subject":"river","data":{"note":"Ü ✓"}}'


def message(first: int, *texts: str, lane: str = "telemetry", epoch: str = "0badcafe") -> Message:
    head = f'{{"gateway":"pole7","epoch":"{epoch}","lane":"{lane}","first":{first}'
    payload = f'{head},"records":[{",".join(texts)}]}}'.encode()
    return Message(f"lamppost/pole7/log/{lane}", payload, False)


def readings(first: int, last: int, epoch: str = "0badcafe") -> Message:
    bodies = [f'{{"kind":"reading","time":{n},"device":"air","n":{n}}}' for n in range(first, last + 1)]
    return message(first, *bodies, epoch=epoch)


def gap(seq: int, first: int, last: int, why: str = "full") -> Message:
    body = {"kind": "gap", "lane": "telemetry", "first": first, "last": last, "reason": why}
    return message(seq, json.dumps(body), lane="events")


def status(accepted: int, held: int, epoch: str = "0badcafe", **dropped: int) -> Message:
    lane = {"accepted": accepted, "held": held, "dropped": dropped}
    lane["delivered"] = accepted - held - sum(dropped.values())
    shape = {"gateway": "pole7", "epoch": epoch, "time": 1e9, "store": {"lanes": {"telemetry": lane}}}
    return Message("lamppost/pole7/status", json.dumps(shape).encode(), True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "city.db"


def keep(path: Path, *messages: Message) -> files.Taken:
    file = File(path)
    try:
        return file.take(read("lamppost", each) for each in messages)
    finally:
        file.close()


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def of(path: Path, lane: str = "telemetry", epoch: str = "0badcafe") -> Account:
    (found,) = (
        each for each in books(path).accounts if (each.numbering.lane, each.numbering.epoch) == (lane, epoch)
    )
    return found


def test_a_record_is_kept_to_the_letter() -> None:
    spaced = ' {"kind": "event",  "b":1e-7, "a" : "\\u00fc"} '
    found = read("lamppost", message(3, EVENT, spaced, EVENT, lane="events"))
    assert isinstance(found, Records)
    assert found.texts == (EVENT, spaced.strip(), EVENT)


def test_a_compressed_batch_is_kept_as_if_it_were_plain(path: Path) -> None:
    sent = readings(1, 10)
    keep(path, sent._replace(payload=compressed(sent.payload)))
    assert keep(path, sent).again == 10
    assert books(path).complete


def test_what_comes_again_changes_nothing(path: Path) -> None:
    assert keep(path, readings(1, 10), readings(6, 12)).records == 12
    taken = keep(path, readings(1, 13))
    assert (taken.records, taken.again, taken.conflicts) == (1, 12, 0)
    assert rows(path, "SELECT seq, time, kind, name FROM records ORDER BY seq") == [
        (n, float(n), "reading", "air") for n in range(1, 14)
    ]
    assert rows(path, "SELECT name, number FROM count ORDER BY name") == [("again", 17), ("records", 13)]
    assert books(path).complete


def test_a_record_with_another_text_is_kept_beside_the_first(path: Path) -> None:
    keep(path, readings(1, 3))
    for _ in range(2):
        assert keep(path, message(2, '{"n":"forged"}')).conflicts == 1
    assert json.loads(rows(path, "SELECT body FROM record WHERE seq = 2")[0][0])["n"] == 2
    assert rows(path, "SELECT seq, body FROM conflict") == [(2, '{"n":"forged"}')]
    assert of(path).conflicts == (2,)
    assert not books(path).complete
    assert any("2 came with two texts" in line for line in report.words(books(path)))


def test_what_is_missing_is_said_with_its_reason(path: Path) -> None:
    keep(path, readings(1, 9), readings(15, 20), readings(31, 40), gap(1, 21, 28, "thinned: 28 is left"))
    assert [str(hole) for hole in of(path).holes] == [
        "missing 10 to 14: not explained",
        "missing 21 to 28: thinned: 28 is left",
        "missing 29 to 30: not explained",
    ]
    assert of(path).unexplained == 7
    keep(path, readings(10, 14), readings(29, 30))
    assert books(path).complete
    assert [*report.words(books(path))][1] == "  missing 21 to 28: thinned: 28 is left"


def test_a_collector_that_began_late_says_so_and_is_not_blamed(path: Path) -> None:
    keep(path, readings(101, 110))
    assert [str(hole) for hole in of(path).earlier] == ["missing 1 to 100: not explained"]
    assert books(path).complete


def test_a_new_epoch_of_a_gateway_that_was_followed_must_be_there_from_its_first(path: Path) -> None:
    keep(path, readings(101, 110), readings(4, 9, "00000002"))
    assert [str(hole) for hole in of(path, epoch="00000002").holes] == ["missing 1 to 3: not explained"]
    assert not books(path).complete


def test_what_the_gateway_counts_as_delivered_must_be_there_and_what_it_holds_need_not(path: Path) -> None:
    keep(path, readings(1, 100), status(120, 20))
    assert (of(path).late, books(path).complete) == ((), True)
    keep(path, status(150, 20))
    assert [str(hole) for hole in of(path).late] == ["missing 101 to 130: not explained"]
    keep(path, gap(1, 111, 125), status(150, 10, full=15))
    assert [str(hole) for hole in of(path).late] == [
        "missing 101 to 110: not explained",
        "missing 111 to 125: full",
        "missing 126 to 140: not explained",
    ]
    whole = "150 accepted = 125 delivered + 10 held + 15 dropped (15 full)"
    said = f"  the gateway said at 2001-09-09 01:46:40Z: {whole}"
    assert said in report.words(books(path))
    keep(path, status(9, 0, "00000002"))
    assert of(path).ledger is None, "another epoch has other numbers"


def test_a_lane_of_which_nothing_came_is_accounted_for_by_its_gaps(path: Path) -> None:
    keep(path, gap(1, 1, 50), status(60, 10))
    assert [str(hole) for hole in of(path).earlier] == ["missing 1 to 50: full"]
    assert books(path).complete


@pytest.mark.parametrize(
    "odd",
    [
        readings(1, 2)._replace(topic="lamppost/pole8/log/telemetry"),
        readings(1, 2)._replace(topic="elsewhere/pole7/log/telemetry"),
        readings(1, 2)._replace(topic="lamppost/pole7/state/air"),
        Message("lamppost/pole7/log/telemetry", b"\x1b[2J\xff", False),
        Message("lamppost/pole7/status", b'{"gateway":"pole8"}', True),
        Message("lamppost/pole7/log/telemetry", readings(1, 2).payload.decode().encode("utf-16"), False),
        message(1, '{"n":1}', '{"n":NaN}'),
        message(1, '{"n":1}]', '"records":[{"n":2}'),
    ],
)
def test_what_is_strange_is_refused_counted_and_kept_aside(path: Path, odd: Message) -> None:
    taken = keep(path, readings(1, 5), odd)
    assert (taken.records, taken.refused) == (5, 1)
    ((topic, why, payload),) = rows(path, "SELECT topic, why, payload FROM refused")
    assert (topic, payload) == (odd.topic, odd.payload)
    assert why
    assert rows(path, "SELECT number FROM count WHERE name = 'refused'") == [(1,)]
    assert [*report.words(books(path))][-2] == "1 message refused: see the table `refused`"


def test_what_is_kept_aside_does_not_fill_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ASIDE", 5)
    monkeypatch.setattr(files, "LANES", 3)
    keep(path, *(Message("x", b"\0" * 100_000, False) for _ in range(20)))
    assert rows(path, "SELECT count(*), max(length(payload)) FROM refused") == [(5, files.PART)]
    taken = keep(path, *(readings(1, 1, f"{n:08x}") for n in range(5)))
    assert (taken.records, taken.refused) == (3, 2)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("kind", "time", "device", "type", "rule", "lane", "first", "last", "reason")
odd_records = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything)) | st.fixed_dictionaries(
    {"kind": st.sampled_from(["reading", "event", "gap"]), "lane": st.text(), "first": st.integers(1, 9)},
    optional={"time": anything, "device": anything, "last": st.integers(1, 1 << 54), "reason": anything},
)


@given(st.lists(st.lists(odd_records, min_size=1, max_size=3) | st.binary(max_size=99), max_size=4))
@settings(max_examples=25)
def test_nothing_that_a_stranger_sends_stops_it(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("odd") / "city.db"
    sent = [
        Message("lamppost/pole7/status", each, True)
        if isinstance(each, bytes)
        else message(7, *map(json.dumps, each), lane="events")
        for each in payloads
    ]
    keep(path, *sent)
    assert all(line.isprintable() for line in report.words(books(path)))
    json.dumps(report.shape(books(path)))


def test_a_file_that_is_no_collectors_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    for use in (File, books):
        with pytest.raises(Unusable, match="no collector's"):
            use(path)
    assert path.read_bytes() == before
    path.write_bytes(b"no database" * 100)
    with pytest.raises(Unusable, match="cannot be used"):
        File(path)


def test_a_newer_file_and_one_in_use_are_refused(path: Path) -> None:
    file = File(path)
    with pytest.raises(Unusable, match="another process"):
        File(path)
    client = file.client
    file.close()
    file = File(path)
    assert file.client == client, "the broker knows the session by it"
    file.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(Unusable, match="newer"):
        File(path)


def test_a_disk_that_is_full_says_so_and_keeps_what_was_there(path: Path) -> None:
    file = File(path)
    file.take([read("lamppost", readings(1, 10))])
    file._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Unusable, match="full; nothing is lost"):
        file.take([read("lamppost", readings(11, 5000))])
    file.close()
    assert of(path).records == 10


def test_the_documented_queries_work(path: Path) -> None:
    keep(path, readings(1, 5), gap(1, 6, 9), message(2, EVENT, lane="events"))
    text = (Path(__file__).parents[2] / "docs/collector.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    queries = [query for query in block.split(";") if query.strip()]
    assert len(queries) == 3
    assert rows(path, queries[2]) == [("pole7", "telemetry", 6, 9, "full")]
    assert rows(path, queries[0].replace("weather", "air").replace("values.temperature", "n")) == [
        ("pole7", 5.0, 5)
    ]
    assert rows(path, queries[1]) == []


def test_the_report_is_a_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(path, readings(1, 5), readings(7, 9), status(9, 0))
    assert main(["collect", "--report", str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Not complete: 8 records, 1 missing without an explanation."
    )
    assert main(["collect", "--report", str(path), "--json"]) == 1
    shape = json.loads(capsys.readouterr().out)
    (one,) = shape["numberings"]
    assert one["holes"] == [{"first": 6, "last": 6, "why": "not explained"}]
    assert (one["gateway"], one["epoch"], one["lane"]) == ("pole7", "0badcafe", "telemetry")
    assert (shape["complete"], shape["missing"], one["gateway_says"]["delivered"]) == (False, 1, 9)
    keep(path, readings(6, 6))
    assert main(["collect", "--report", str(path)]) == 0
    assert main(["collect", "--report", str(path.with_name("none.db"))]) == 2
    assert "no collector's file" in capsys.readouterr().err


def test_what_a_gateway_says_of_itself_is_kept_as_it_last_said_it(path: Path) -> None:
    found = read("lamppost", status(5, 0))
    assert isinstance(found, Said)
    keep(path, status(4, 0), status(5, 0))
    assert rows(path, "SELECT gateway, face, body FROM said") == [("pole7", "status", found.text)]
    assert isinstance(read("lamppost", Message("lamppost/pole7/meta", b"[]", True)), Stranger)
