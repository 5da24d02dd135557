"""`lamppost score`: proposals of a rule against what people did, counted as a person would."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from drivers.device import Quantity
from gateway.app.score.acts import Act, targets
from gateway.app.score.pairs import paired
from gateway.app.streams import MADE_FROM, described
from gateway.cli import main
from gateway.clock import Instant, LoopClock, Quality
from gateway.config import Derive
from gateway.derive import Source, design
from gateway.reading import Decision, Outcome, Reading
from gateway.store import Store
from gateway.toml import Document
from tests.gateway.store_rig import NOW, settings

START = 1_790_812_800.0
HOUR = 3600.0
COLLECT = "announce lamppost.collection.requested of bin"


def at(hours: float) -> Instant:
    return Instant(START + hours * HOUR, hours * HOUR, "b", Quality.SYNCHRONIZED)


def decision(
    hours: float, outcome: Outcome, command: str = "siren on", rule: str = "flood", who: str = ""
) -> Decision:
    actuator = "siren" if "siren" in command else ""
    return Decision(at(hours), rule, 1, "d", "shadow", command, actuator, outcome, ("why",), who=who)


def write(path: Path, records: Iterable[Decision], readings: Iterable[Reading] = ()) -> Path:
    async def fill() -> None:
        store = await Store.open(settings(path), "pole-1", LoopClock(), NOW)
        known = {Source("bin", Quantity.FILL): 60.0}
        table = Derive.model_validate({"id": "trend", "kind": "filling", "from": "bin.fill"})
        made = design(table, known, Document("pole.toml", {}, "", {}), ("derive", 0), "")
        store.remember(MADE_FROM, json.dumps(described((made,), "Europe/Dublin")))
        for reading in readings:
            store.add(reading)
        for record in records:
            await store.record(record)
        await store.close()

    asyncio.run(fill())
    return path


def emptied(hours: float, ago: float) -> Reading:
    return Reading("trend", at(hours), {Quantity.SINCE_EMPTIED: ago * HOUR})


def scored(
    capsys: pytest.CaptureFixture[str], store: Path, *more: str, rule: str = "flood"
) -> dict[str, object]:
    assert main(["score", "--store", str(store), "--rule", rule, "--json", *more]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def counts(found: dict[str, object]) -> tuple[object, ...]:
    return tuple(found[each] for each in ("agreed", "missed", "extra", "open"))


def test_each_proposal_agrees_with_the_nearest_act_within_the_window(tmp_path, capsys):
    store = write(
        tmp_path / "pole.db",
        [
            decision(1.0, Outcome.SHADOWED),
            decision(1.5, Outcome.OVERRIDDEN, "override siren on", "", "ann"),  # agreed
            decision(6.0, Outcome.SHADOWED, "siren off"),  # an end is no proposal
            decision(10.0, Outcome.SHADOWED),  # extra
            decision(20.0, Outcome.OVERRIDDEN, "override siren on", "", "ann"),  # missed
            decision(20.2, Outcome.OVERRIDDEN, "override siren on"),  # by nobody
            decision(20.5, Outcome.OVERRIDDEN, "release siren", "", "ann"),  # nothing is set going
            decision(30.0, Outcome.SHADOWED),  # open
            decision(31.0, Outcome.ACTED, "pump on", "rain"),
        ],
    )
    found = scored(capsys, store, "--window", "2h")
    assert counts(found) == (1, 1, 1, 1)
    assert (found["agreement"], found["found"], found["lead"]) == (0.5, 0.5, 1800.0)


def test_the_window_and_the_end_date_decide(tmp_path, capsys):
    records = [
        decision(1.0, Outcome.SHADOWED),
        decision(4.0, Outcome.OVERRIDDEN, "override siren on", "", "ann"),
    ]
    store = write(tmp_path / "pole.db", [*records, decision(50.0, Outcome.SHADOWED)])
    assert counts(scored(capsys, store, "--window", "4h", "--until", "2026-10-02")) == (1, 0, 0, 0)
    found = scored(capsys, store, "--window", "2h", "--until", "2026-10-02")
    assert counts(found) == (0, 1, 1, 0)
    assert found["until"] == START + 86400


def test_approvals_and_vetoes_are_what_people_say(tmp_path, capsys):
    store = write(
        tmp_path / "pole.db",
        [
            decision(1.0, Outcome.ASKED, "siren on, announce lamppost.flood.warning of river"),
            decision(1.1, Outcome.APPROVED, "siren on, announce lamppost.flood.warning of river", who="ann"),
            decision(9.0, Outcome.ASKED),
            decision(9.1, Outcome.VETOED, who="bob"),
            decision(99.0, Outcome.ACTED, rule="other"),
        ],
    )
    found = scored(capsys, store)
    assert counts(found) == (2, 0, 1, 0), "the siren and the warning were both approved"
    assert found["vetoed"] == 1


def test_a_collection_agrees_with_the_emptying_that_the_stream_saw(tmp_path, capsys):
    asked = [decision(h, Outcome.SHADOWED, COLLECT, "collect") for h in (10.0, 40.0)]
    seen = [emptied(11.5, 0.5), emptied(12.0, 1.0), emptied(70.0, 1.0), emptied(80.0, 11.0)]
    store = write(tmp_path / "pole.db", [*asked, decision(99.0, Outcome.ACTED)], seen)
    found = scored(capsys, store, "--window", "2h", rule="collect")
    assert counts(found) == (1, 1, 1, 0), "two readings of one emptying are one"


def test_a_file_of_actions_counts_too(tmp_path, capsys):
    asked = [decision(10.0, Outcome.SHADOWED, COLLECT, "collect"), decision(99.0, Outcome.ACTED)]
    store = write(tmp_path / "pole.db", asked)
    actions = tmp_path / "actions.csv"
    actions.write_text("time,target,action\n2026-10-01T11:30,bin,emptied\n2026-10-01T11:30,park,mown\n")
    found = scored(capsys, store, "--actions", str(actions), rule="collect")
    assert counts(found) == (1, 0, 0, 0)
    assert found["lead"] == 1800.0, "a time without an offset is that of the pole's zone: Dublin's"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when,what\n", "missing: action, target, time"),
        ("time,target,action\nyesterday,bin,emptied\n", 'actions.csv:2: "yesterday" is no time'),
    ],
)
def test_a_file_of_actions_that_is_wrong_is_refused(tmp_path, capsys, text, words):
    store = write(tmp_path / "pole.db", [decision(10.0, Outcome.SHADOWED)])
    (tmp_path / "actions.csv").write_text(text)
    command = ["score", "--store", str(store), "--rule", "flood", "--actions", str(tmp_path / "actions.csv")]
    assert main(command) == 2
    assert words in capsys.readouterr().err


def test_a_rule_that_never_decided_is_said_to_be_none(tmp_path, capsys):
    store = write(tmp_path / "pole.db", [decision(10.0, Outcome.SHADOWED)])
    assert main(["score", "--store", str(store), "--rule", "fload"]) == 2
    assert 'no rule "fload" decided anything in this store; there are: flood' in capsys.readouterr().err


def test_people_see_counts_shares_and_pairs(tmp_path, capsys):
    acts = [
        decision(1.5, Outcome.OVERRIDDEN, "override siren on", "", "ann"),
        decision(40.0, Outcome.SHADOWED),
    ]
    store = write(tmp_path / "pole.db", [decision(1.0, Outcome.SHADOWED), *acts])
    assert main(["score", "--store", str(store), "--rule", "flood"]) == 0
    out = capsys.readouterr().out
    for words in (
        "within 2 h",
        "agreed",
        "30 min sooner",
        "override siren on (ann)",
        "2026-10-01 02:00 siren on",
    ):
        assert words in out


def test_one_act_agrees_with_one_proposal_only():
    ours = [Act(0.0, "bin", ""), Act(10.0, "bin", "")]
    theirs = [Act(9.0, "bin", ""), Act(11.0, "lid", "")]
    verdicts = {(p.verdict, p.time) for p in paired(ours, theirs, 60.0, 1e6)}
    assert verdicts == {("agreed", 9.0), ("extra", 0.0), ("missed", 11.0)}


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("lock on for 4s, compactor on for 3s", ["lock", "compactor"]),
        ("announce lamppost.flood.warning of river", ["river"]),
        ("override pump on", ["pump"]),
        ("compact press", ["press"]),
        ("press off", []),
        ("mode off for flood", []),
    ],
)
def test_what_a_command_is_about(command, found):
    assert targets(command, "press" if "press" in command else "") == found
