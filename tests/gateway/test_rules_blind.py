"""A rule that cannot know its condition is an alarm, told once, and taken back once."""

from dataclasses import replace
from datetime import date

import pytest

from drivers.device import Missing
from gateway.rules import Engine, Rule
from tests.gateway.test_rules_engine import Street, engine_of, rule
from tests.gateway.test_rules_restart import again, kept


@pytest.fixture
def street() -> Street:
    return Street()


def told(engine: Engine) -> list[tuple[str, str]]:
    engine.step()
    return [(notice.type.removeprefix("lamppost.rule."), notice.reason) for notice in engine.notices()]


PRESS = replace(rule("bin.fill >= 80.0", clear="lid.closed"), blind=10.0)
SILENT = ("blind", "bin.fill is not known: never seen")
KNOWN = ("seeing", "its condition is known again")


def blinded(street: Street, wanted: Rule = PRESS) -> Engine:
    engine = engine_of(street, wanted)
    assert told(engine) == []
    street.now += 10.0
    assert told(engine) == [SILENT]
    return engine


def test_blindness_that_lasts_is_told_in_time_and_once(street: Street) -> None:
    engine = engine_of(street, PRESS)
    engine.step()
    assert engine.due() == 1010.0
    street.now = 1009.999
    assert told(engine) == []
    street.now = 1010.0
    assert told(engine) == [SILENT]
    street.now = 1100.0
    engine.note(street.fill(Missing.FAULT))
    assert told(engine) == []
    assert (engine.due() or 0.0) > street.now
    engine.note(street.fill(10.0))
    assert told(engine) == [KNOWN]
    engine.note(street.fill(10.0))
    assert told(engine) == []


def test_a_short_blindness_is_not_told_and_each_is_counted_for_itself(street: Street) -> None:
    engine = engine_of(street, PRESS)
    for _ in range(3):
        engine.note(street.fill(Missing.FAULT))
        street.now += 9.0
        engine.note(street.fill(10.0))
    assert told(engine) == []
    street.now += 3.5
    engine.step()  # stale since 0.5 s
    street.now += 9.9
    assert told(engine) == []
    street.now += 0.1
    assert told(engine) == [("blind", "bin.fill is not known: last seen 14 s ago, limit 3 s")]


def test_while_it_fires_what_counts_is_whether_its_end_can_be_known(street: Street) -> None:
    engine = engine_of(street, PRESS)
    engine.note(street.fill(85.0))
    for _ in range(4):
        engine.note(street.fill(85.0))
        street.now += 2.5
    assert told(engine) == [("blind", "lid.closed is not known: never seen")]
    engine.note(street.lid(0.0))
    assert told(engine) == [KNOWN]


def test_a_notice_is_an_event_for_its_owner(street: Street) -> None:
    engine = engine_of(street, PRESS)
    engine.step()
    street.now += 10.0
    engine.step()
    (notice,) = engine.notices()
    event = notice.event()
    assert (event.type, event.subject, event.at) == ("lamppost.rule.blind", "press", street.instant())
    assert event.data == {"owner": "Waste", "reason": SILENT[1], "phase": "inactive"}


def test_an_alarm_that_was_told_is_not_told_again_after_a_restart_and_is_taken_back(street: Street) -> None:
    engine = blinded(street)
    revision = engine.revision
    engine = again(street, kept(engine), PRESS)
    street.now += 60.0
    assert told(engine) == []
    engine.note(street.fill(10.0))
    assert told(engine) == [KNOWN]
    assert kept(engine)["rules"] == {}
    assert revision > 1


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([replace(PRESS, version=4)], []),  # altered and still blind: the alarm stands
        ([replace(PRESS, when=rule("true").when, clear=None)], [KNOWN]),
        ([replace(PRESS, expires=date(2030, 5, 31))], [("seeing", "the rule has expired")]),
        ([], [("seeing", "there is no such rule any more")]),
    ],
)
def test_no_alarm_stays_up_for_a_rule_that_is_no_more(
    street: Street, restart: bool, after: list[Rule], said: list[tuple[str, str]]
) -> None:
    engine = blinded(street)
    if restart:
        engine = again(street, kept(engine), *after)
    else:
        engine.reload(after)
    assert told(engine) == said


def test_each_change_is_worth_saving(street: Street) -> None:
    engine = engine_of(street, PRESS)
    engine.step()
    before = engine.revision
    street.now += 10.0
    engine.step()
    between = engine.revision
    engine.note(street.fill(10.0))
    assert before < between < engine.revision
