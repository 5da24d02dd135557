"""The guard alone: limits, permissives, reasons."""

import math

import pytest

from gateway.control.guard import Guard, Limits, Permissive
from gateway.reading import Condition, Input


def lid(truth, *inputs, text="lid.closed"):
    return Permissive(text, lambda: (truth, inputs))


def guard(*permissives, max_on=10.0, min_off=5.0, off_at=0.0):
    made = Guard(Limits(False, max_on, min_off, permissives))
    made.turned_off(off_at)
    return made


def test_is_not_known_to_be_off_before_it_was_switched_off():
    made = Guard(Limits(False, 10.0))
    assert made.on
    assert made.may_turn_on(1e9).reasons == ("it is on already, or not known to be off",)


@pytest.mark.parametrize(("now", "permitted"), [(0.0, False), (4.999, False), (5.0, True), (500.0, True)])
def test_must_rest_after_the_start(now, permitted):
    assert (not guard().may_turn_on(now).reasons) is permitted


def test_says_how_long_it_must_rest():
    assert guard().may_turn_on(2.0).reasons == ("it has been off for 2.0 s and must rest for 5 s",)


def test_a_countdown_is_one_kind_of_reason():
    made = guard()
    assert made.may_turn_on(1.0).kinds == made.may_turn_on(2.0).kinds == {"min_off"}


@pytest.mark.parametrize(("now", "must"), [(20.0, False), (29.999, False), (30.0, True), (99.0, True)])
def test_must_go_off_after_the_longest_time_on(now, must):
    made = guard()
    made.turned_on(20.0)
    assert bool(made.must_turn_off(now).reasons) is must
    assert made.deadline == 30.0


def test_says_that_it_was_on_for_too_long():
    made = guard()
    made.turned_on(20.0)
    assert made.must_turn_off(31.0).reasons == ("it has been on for 10 s, the longest that it may be",)


def test_rests_again_after_every_time_on():
    made = guard()
    made.turned_on(20.0)
    assert made.may_turn_on(22.0).reasons
    made.turned_off(25.0)
    assert made.may_turn_on(29.9).reasons
    assert not made.may_turn_on(30.0).reasons
    assert made.cycles == 1


@pytest.mark.parametrize(
    ("truth", "seen", "reasons"),
    [
        (True, Input("lid.closed", True, 1.0), ()),
        (False, Input("lid.closed", False, 1.0), ("lid.closed is false",)),
        (
            None,
            Input("lid.closed", None, 14.0, "last seen 14 s ago, limit 5 s"),
            ("lid.closed is not known: last seen 14 s ago, limit 5 s",),
        ),
        (None, Input("lid.closed", None, 14.0), ("lid.closed is not known: last seen 14 s ago",)),
        (None, Input("lid.closed", None, None), ("lid.closed is not known: never seen",)),
        (1, Input("lid.closed", True, 1.0), ("lid.closed is false",)),  # true-ish is not true
    ],
)
def test_a_permissive_must_be_known_true(truth, seen, reasons):
    made = guard(lid(truth, seen))
    assert made.may_turn_on(9.0).reasons == reasons
    made.turned_on(9.0)
    assert made.must_turn_off(9.0).reasons == reasons


def test_says_what_made_a_permissive_false():
    text = "lid.closed && battery.voltage > 11.0"
    seen = (Input("lid.closed", True, 1.0), Input("battery.voltage", 10.5, 2.0))
    verdict = guard(lid(False, *seen, text=text)).may_turn_on(9.0)
    assert verdict.reasons == (f"{text} is false (lid.closed = true, battery.voltage = 10.5)",)
    assert verdict.inputs == seen
    assert verdict.conditions == (Condition(text, False),)


def test_an_unknown_permissive_without_unknown_inputs_is_told_too():
    seen = Input("battery.voltage", 0.0, 1.0)
    verdict = guard(lid(None, seen, text="1.0 / battery.voltage > 2.0")).may_turn_on(9.0)
    assert verdict.reasons == ("1.0 / battery.voltage > 2.0 is not known to be true",)


def test_gives_every_reason_at_once():
    verdict = guard(lid(False), lid(None, text="door.closed")).may_turn_on(1.0)
    assert len(verdict.reasons) == 3
    assert verdict.kinds == {"min_off", "lid.closed: False", "door.closed: None"}


@pytest.mark.parametrize("max_on", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_longest_time_on_that_limits_nothing(max_on):
    with pytest.raises(ValueError, match="max_on must be a time above 0 s"):
        Limits(False, max_on)


@pytest.mark.parametrize("min_off", [-1.0, math.inf, math.nan])
def test_refuses_a_shortest_time_off_that_cannot_pass(min_off):
    with pytest.raises(ValueError, match="min_off must be 0 s or more"):
        Limits(False, 1.0, min_off)


def test_refuses_a_safe_state_of_on_and_says_what_to_do():
    with pytest.raises(ValueError, match="normally closed contact"):
        Limits(True, 1.0)


def test_goes_on_only_so_often_within_an_hour():
    made = Guard(Limits(False, 10.0, per_hour=2))
    for start in (0.0, 100.0):
        made.turned_on(start)
        made.turned_off(start + 5)
    assert made.may_turn_on(3599.0).reasons == (
        "it has gone on 2 times within an hour, the most that it may",
    )
    assert made.ready == 3600.0
    assert not made.may_turn_on(3600.0).reasons


def test_what_another_guard_counted_counts():
    before, after = Guard(Limits(False, 10.0, per_hour=2)), Guard(Limits(False, 10.0, per_hour=2))
    before.turned_on(0.0)
    before.intend(50.0)  # and then it crashed
    after.resume(before.started(60.0), 1000.0)
    after.turned_off(1000.0)
    assert after.may_turn_on(1001.0).kinds == {"per_hour"}
    assert not after.may_turn_on(1000.0 + 3540.0).reasons


@pytest.mark.parametrize(("age", "old"), [(5.0, False), (5.1, True), (float("nan"), True), (None, False)])
def test_looks_at_nothing_older_than_it_may(age, old):
    seen = Input("lid.closed", True, age)
    made = Guard(Limits(False, 10.0, permissives=(lid(True, seen),), max_age=5.0))
    made.turned_off(0.0)
    assert bool(made.may_turn_on(1.0).reasons) is old
    assert bool(Guard(made.limits).must_turn_off(1.0).kinds - {"max_on"}) is old
    bare = Guard(Limits(False, 10.0, max_age=5.0))
    bare.turned_off(0.0)
    assert bool(bare.may_turn_on(1.0, (seen,)).reasons) is old


def test_excludes_what_is_on_or_not_known_to_be_off():
    one, other = guard(off_at=-100.0), Guard(Limits(False, 10.0))
    one.exclude("pump", other)
    assert one.may_turn_on(1.0).reasons == ("pump is on, or not known to be off",)
    other.turned_off(0.0)
    assert not one.may_turn_on(1.0).reasons
    other.turned_on(1.0)
    one.turned_on(0.5)
    assert one.must_turn_off(1.0).kinds == {"excludes pump"}


@pytest.mark.parametrize(
    "limits", [{"per_hour": 0}, {"per_hour": 601}, {"max_age": 0.0}, {"lease": math.inf}]
)
def test_refuses_limits_that_limit_nothing(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(False, 1.0, **limits)
