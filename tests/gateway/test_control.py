"""Control from end to end on emulated pins: decisions first, then motion."""

import asyncio

import pytest

from gateway.reading import Announce, Condition, Mode, Outcome, SwitchOn, encode
from tests.gateway.control_rig import MOTOR, SIREN, STROKE, running


def test_a_rule_that_fires_switches_on_and_its_end_switches_off(virtual):
    async def test(rig):
        await rig.fire()
        assert rig.on(SIREN)
        await asyncio.sleep(3)
        assert rig.control.status()[0]["held_by"] == ["flood"]
        await rig.end()
        assert not rig.on(SIREN)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ACTED, Outcome.RELEASED]
    acted, released = rig.decisions()
    assert (acted.command, acted.actuator, acted.rule, acted.version, acted.digest, acted.mode) == (
        "siren on", "siren", "flood", 3, "d1", "off",
    )  # fmt: skip
    assert acted.conditions == (Condition("river.stage > 2.0", True),)
    assert released.command == "siren off"
    assert released.reasons == ("rule flood ended",)
    assert rig.changed.count("siren") >= 3  # the start, on, off


def test_the_decision_is_durable_before_the_switch_moves(virtual):
    async def test(rig):
        rig.journal.delay = 0.2
        await rig.fire()
        await rig.end()

    rig = virtual(running(test))
    what = [(kind, detail) for _, kind, detail in rig.log if kind == "record" or detail[0] == SIREN]
    on = what.index(("level", (SIREN, True)))
    assert what[on - 1] == ("record", rig.decisions(Outcome.ACTED)[0])
    off = what.index(("level", (SIREN, False)), on)
    assert what[off - 1] == ("record", rig.decisions(Outcome.RELEASED)[0])


def test_shadow_moves_nothing_and_says_what_the_guard_thinks(virtual):
    async def test(rig):
        rig.set_lid(False)
        for command in (SwitchOn("siren"), STROKE, Announce("lamppost.x", "river", {}), SwitchOn("pump")):
            await rig.fire(command, mode=Mode.SHADOW)
            await asyncio.sleep(1)
            await rig.end(command, mode=Mode.SHADOW)

    rig = virtual(running(test))
    assert rig.moves(SIREN) == [(0.0, False)]
    assert rig.moves(MOTOR) == [(0.0, False)]
    assert rig.events() == []
    told = [(d.outcome, d.command, d.reasons[-1]) for d in rig.decisions()]
    assert told == [
        (Outcome.SHADOWED, "siren on", "rule flood fires"),
        (Outcome.SHADOWED, "siren off", "rule flood ended"),
        (Outcome.SHADOWED, "motor on for 4s", "the guard would have refused: lid.closed is false"),
        (Outcome.SHADOWED, "announce lamppost.x of river", "rule flood fires"),
        (Outcome.SHADOWED, "pump on", "the guard would have refused: there is no switch pump"),
        (Outcome.SHADOWED, "pump off", "rule flood ended"),
    ]


def test_a_rule_that_was_taken_into_shadow_lets_go(virtual):
    async def test(rig):
        await rig.fire()
        await rig.end(mode=Mode.SHADOW)
        assert not rig.on(SIREN)

    virtual(running(test))


def test_a_stroke_lasts_its_time_whatever_its_rule_does(virtual):
    async def test(rig):
        await rig.fire(STROKE)
        await asyncio.sleep(1)
        await rig.end(STROKE)
        assert rig.on(MOTOR)
        await asyncio.sleep(20)

    rig = virtual(running(test))
    (_, _), (on, _), (off, _) = rig.moves(MOTOR)
    assert off - on == pytest.approx(4.0, abs=1e-5)
    assert rig.decisions()[-1].reasons == ("its 4 s are over",)


def test_a_stroke_is_made_once_while_its_rule_fires(virtual):
    async def test(rig):
        await rig.fire(STROKE)
        await asyncio.sleep(30)

    assert len(virtual(running(test)).moves(MOTOR)) == 3


def test_a_stroke_as_long_as_the_guard_allows_is_released_not_tripped(virtual):
    async def test(rig):
        await rig.fire(STROKE)
        await asyncio.sleep(30)

    assert virtual(running(test, max_on=4.0)).outcomes() == [Outcome.ACTED, Outcome.RELEASED]


def test_a_switch_is_on_while_any_rule_holds_it(virtual):
    async def test(rig):
        await rig.fire(rule="flood")
        await rig.fire(SwitchOn("siren", 2.0), rule="fire")
        assert rig.control.status()[0]["held_by"] == ["flood", "fire"]
        await rig.end(rule="flood")
        assert rig.on(SIREN)
        await asyncio.sleep(3)
        assert not rig.on(SIREN)

    rig = virtual(running(test))
    told = [(d.outcome, d.rule, d.reasons[-1]) for d in rig.decisions()]
    assert told == [
        (Outcome.ACTED, "flood", "rule flood fires, and the guard permits it"),
        (Outcome.ACTED, "fire", "rule fire fires, and it is on already"),
        (Outcome.RELEASED, "flood", "it stays on for fire"),
        (Outcome.RELEASED, "fire", "its 2 s are over"),
    ]
    assert len(rig.moves(SIREN)) == 3


def test_whoever_asks_while_a_stroke_ends_keeps_it_on(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("siren", 2.0), rule="fire")
        await asyncio.sleep(1.9)  # its release is being recorded
        asyncio.get_running_loop().create_task(rig.fire(rule="flood"))
        await asyncio.sleep(2)
        assert rig.on(SIREN)

    rig = virtual(running(test, min_off=0.0))
    assert len(rig.moves(SIREN)) == 3


def test_a_switch_that_nobody_has_is_refused(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("pump"))

    rig = virtual(running(test))
    assert rig.decisions()[0].reasons == ("there is no switch called pump",)
    assert rig.decisions()[0].outcome is Outcome.REFUSED


def test_an_announcement_is_a_decision_and_then_an_event(virtual):
    include = {"fill": "bin.fill", "weight": "bin.weight"}
    command = Announce("lamppost.collection.requested", "bin", {"priority": "high"}, include)

    async def test(rig):
        await rig.fire(command)
        await rig.end(command)

    rig = virtual(running(test))
    decision, event = rig.journal.records
    assert (decision.outcome, decision.actuator) == (Outcome.ACTED, "")
    assert decision.command == "announce lamppost.collection.requested of bin"
    assert (event.type, event.subject) == ("lamppost.collection.requested", "bin")
    place = {"name": "Quay 3", "latitude": 52.0}
    assert event.data == {"priority": "high", "fill": 85.0, "weight": None, "place": place}
    encode(event)


def test_status_says_what_a_switch_does_and_what_blocks_it(virtual):
    async def test(rig):
        await asyncio.sleep(2)
        rig.set_lid(False)
        await rig.fire()
        await asyncio.sleep(2)
        siren, motor = rig.control.status()
        assert siren == {
            "id": "siren", "on": True, "safe": False, "since": 2.0, "max_on": 10.0, "min_off": 0.0,
            "held_by": ["flood"], "blocked": [], "cycles": 1, "per_hour": None, "override": None,
        }  # fmt: skip
        assert (motor["on"], motor["since"], motor["blocked"]) == (False, 4.0, ["lid.closed is false"])

    virtual(running(test))
