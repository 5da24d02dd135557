"""Control from end to end on emulated pins: decisions first, then motion, then the guard."""

import asyncio
import logging

import pytest

from gateway.control import Control
from gateway.reading import Announce, Condition, Mode, Outcome, SwitchOn, encode
from tests.gateway.control_rig import MOTOR, SIREN, Rig, instant, running, stuck

STROKE = SwitchOn("motor", 4.0)


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


def test_never_on_longer_than_max_on_and_not_again_until_the_rule_fires_anew(virtual):
    async def test(rig):
        await rig.fire()
        await asyncio.sleep(100)
        assert "must end first" in rig.control.status()[0]["blocked"][0]
        await rig.end()
        await rig.fire()
        assert rig.on(SIREN)

    rig = virtual(running(test))
    (on, _), (off, _) = rig.moves(SIREN)[1:3]
    assert off - on == pytest.approx(10.0, abs=1e-5)
    assert rig.outcomes()[:3] == [Outcome.ACTED, Outcome.TRIPPED, Outcome.ACTED]
    assert rig.decisions()[1].reasons == ("it has been on for 10 s, the longest that it may be",)


@pytest.mark.parametrize("state", [False, None])
def test_a_permissive_that_is_lost_trips_and_does_not_start_again_by_itself(virtual, state):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        await asyncio.sleep(1)
        rig.set_lid(state)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert not rig.on(MOTOR)
        rig.set_lid(True)
        await asyncio.sleep(30)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ACTED, Outcome.TRIPPED]
    assert rig.decisions()[1].reasons[0].startswith("lid.closed is ")
    assert rig.decisions()[1].inputs[-1].name == "lid.closed"
    assert len(rig.moves(MOTOR)) == 3


def test_a_permissive_that_only_grew_old_is_noticed_without_a_reading(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        rig.lid = None  # and nobody calls look()
        await asyncio.sleep(0.101)
        assert not rig.on(MOTOR)

    virtual(running(test))


@pytest.mark.parametrize("command", [SwitchOn("motor"), STROKE])
def test_what_was_refused_is_done_once_the_guard_permits_it_and_told_once(virtual, command):
    async def test(rig):
        rig.set_lid(None)
        await rig.fire(command)
        for _ in range(50):
            rig.set_lid(None)
            await asyncio.sleep(1)
        rig.set_lid(True)
        await asyncio.sleep(0.001)
        assert rig.on(MOTOR)

    rig = virtual(running(test))
    assert rig.outcomes()[:2] == [Outcome.REFUSED, Outcome.ACTED]
    assert rig.decisions()[0].reasons == ("lid.closed is not known: last seen 14 s ago, limit 5 s",)


def test_a_flapping_refusal_is_told_at_most_every_five_seconds(virtual):
    async def test(rig):
        rig.set_lid(False)
        await rig.fire(SwitchOn("motor"))
        for turn in range(1000):
            rig.set_lid(None if turn % 2 else False)
            await asyncio.sleep(0.01)

    rig = virtual(running(test))
    assert len(rig.decisions(Outcome.REFUSED)) == 2


def test_a_request_that_ends_while_it_is_refused_is_forgotten(virtual):
    async def test(rig):
        rig.set_lid(False)
        await rig.fire(STROKE)
        await rig.end(STROKE)
        rig.set_lid(True)
        await asyncio.sleep(10)

    assert len(virtual(running(test)).moves(MOTOR)) == 1


def test_rests_after_the_start_and_after_each_time_on(virtual):
    async def test(rig):
        await rig.fire()
        assert not rig.on(SIREN)
        await asyncio.sleep(30.02)
        assert rig.on(SIREN)
        await rig.end()
        await rig.fire()
        assert not rig.on(SIREN)
        await asyncio.sleep(30.02)
        assert rig.on(SIREN)

    rig = virtual(running(test, min_off=30.0))
    reasons = [d.reasons[0] for d in rig.decisions(Outcome.REFUSED)]
    assert [reason.endswith("must rest for 30 s") for reason in reasons] == [True, True]
    times = [time for time, _ in rig.moves(SIREN)]
    assert times[1] - times[0] >= 30.0
    assert times[3] - times[2] >= 30.0


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


def test_a_second_rule_does_not_stretch_max_on(virtual):
    async def test(rig):
        await rig.fire(rule="flood")
        await asyncio.sleep(9)
        await rig.fire(rule="fire")
        await asyncio.sleep(30)

    rig = virtual(running(test))
    (on, _), (off, _) = rig.moves(SIREN)[1:3]
    assert off - on == pytest.approx(10.0, abs=1e-5)


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


# Events.


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


# A journal that is slow or broken.


def test_what_cannot_be_recorded_is_not_done(virtual):
    async def test(rig):
        rig.journal.fail = True
        await rig.fire(SwitchOn("motor"))
        await asyncio.sleep(2.5)
        assert len(rig.moves(MOTOR)) == 1
        rig.journal.fail = False
        await asyncio.sleep(8)
        assert rig.on(MOTOR)  # the rule still fires, so it is tried again

    rig = virtual(running(test))
    refused = rig.decisions(Outcome.REFUSED)
    assert refused[0].reasons[0] == "the decision could not be recorded: the disk is full"
    assert refused[0].reasons[1].endswith("was not carried out")


def test_a_journal_slower_than_a_second_is_no_journal(virtual):
    async def test(rig):
        rig.journal.delay = 1.5
        await rig.fire()
        assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.1)
        await rig.end()
        await asyncio.sleep(9)

    rig = virtual(running(test))
    assert len(rig.moves(SIREN)) == 1
    assert rig.decisions()[0].reasons[0] == "the decision could not be recorded: no answer within 1 s"


@pytest.mark.parametrize("fail", [True, False])
def test_a_switch_may_be_told_to_act_unrecorded(virtual, fail):
    async def test(rig):
        rig.journal.fail, rig.journal.delay = fail, 5.0
        await rig.fire()
        assert rig.on(SIREN)
        rig.journal.fail, rig.journal.delay = False, 0.0
        await asyncio.sleep(7)

    rig = virtual(running(test, act_unrecorded=True))
    (acted,) = rig.decisions(Outcome.ACTED)
    assert acted.reasons[-1].startswith("recorded after the switch had moved: ")


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_a_broken_journal_does_not_keep_a_motor_running(virtual, delay):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        rig.journal.fail, rig.journal.delay = True, delay
        began = asyncio.get_running_loop().time()
        rig.set_lid(False)
        await asyncio.sleep(0.3)
        assert rig.moves(MOTOR)[-1][0] - began <= 0.25 + 1e-6
        assert not rig.on(MOTOR)
        rig.journal.fail, rig.journal.delay = False, 0.0
        await asyncio.sleep(20)

    rig = virtual(running(test))
    (tripped,) = rig.decisions(Outcome.TRIPPED)
    assert tripped.reasons[-1].startswith("recorded after the switch had moved: ")


def test_a_slow_journal_does_not_stretch_max_on(virtual):
    async def test(rig):
        await rig.fire()
        rig.journal.delay = 3.0
        await asyncio.sleep(30)

    rig = virtual(running(test))
    (on, _), (off, _) = rig.moves(SIREN)[1:3]
    assert off - on <= 10.0 + 1e-5


def test_a_slow_journal_does_not_stretch_a_max_on_shorter_than_its_patience(virtual):
    async def test(rig):
        rig.journal.delay = 0.5
        await rig.fire()
        await asyncio.sleep(2)

    rig = virtual(running(test, max_on=0.1))
    (on, _), (off, _) = rig.moves(SIREN)[1:3]
    assert off - on <= 0.1 + 1e-5


def test_a_failing_journal_is_tried_ever_more_rarely(virtual):
    async def test(rig):
        rig.journal.fail = True
        await rig.fire()
        await asyncio.sleep(100)
        assert rig.journal.tries < 25

    virtual(running(test))


def test_a_new_request_does_not_wait_for_the_retry_of_an_old_one(virtual):
    async def test(rig):
        rig.journal.fail = True
        await rig.fire()
        await asyncio.sleep(16)  # the next retry is 15 s away
        rig.journal.fail = False
        await rig.fire(rule="other")
        assert rig.on(SIREN)

    virtual(running(test))


def test_a_permissive_that_is_lost_whenever_a_decision_is_recorded_makes_no_storm(virtual):
    async def test(rig):
        async def record(record):
            rig.lid = False
            return await keep(record)

        keep, rig.journal.record = rig.journal.record, record
        rig.set_lid(False)
        await rig.fire(SwitchOn("motor"))
        for _ in range(2000):
            rig.set_lid(True)
            await asyncio.sleep(0.02)

    rig = virtual(running(test))
    assert rig.moves(MOTOR) == [(0.0, False)]
    assert 3 <= len(rig.decisions(Outcome.ACTED)) <= 7  # after 1, 2, 4 ... s


def test_a_stroke_is_cut_short_also_in_its_last_moments(virtual):
    async def test(rig):
        await rig.fire(STROKE)
        await asyncio.sleep(3.8)  # its end is recorded already
        rig.set_lid(False)
        await asyncio.sleep(0.001)
        assert not rig.on(MOTOR)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ACTED, Outcome.RELEASED, Outcome.TRIPPED]
    assert rig.decisions()[-1].reasons == ("lid.closed is false",)


def test_the_guard_is_asked_again_after_the_decision_was_recorded(virtual):
    async def test(rig):
        rig.journal.delay = 0.5
        fired = asyncio.create_task(rig.fire(SwitchOn("motor")))
        await asyncio.sleep(0.2)
        rig.set_lid(False)
        await fired
        assert len(rig.moves(MOTOR)) == 1

    rig = virtual(running(test))
    acted, refused = rig.decisions()[:2]
    assert (acted.outcome, refused.outcome) == (Outcome.ACTED, Outcome.REFUSED)
    assert refused.reasons == ("lid.closed is false", f"decision {acted.id} was not carried out")


def test_a_rule_that_ends_while_its_decision_is_recorded_moves_nothing(virtual):
    async def test(rig):
        rig.journal.delay = 0.5
        fired = asyncio.create_task(rig.fire())
        await asyncio.sleep(0.2)
        await rig.end()
        await fired

    rig = virtual(running(test))
    assert len(rig.moves(SIREN)) == 1
    assert rig.decisions()[1].reasons[0] == "rule flood ended while it was recorded"


# An actuator that does not answer.


def test_a_switch_that_cannot_go_on_is_told_tried_again_and_never_left_in_between(virtual):
    async def test(rig):
        with stuck(rig.wires, SIREN, True):
            await rig.fire()
            await asyncio.sleep(2.5)
        await asyncio.sleep(5)
        assert rig.on(SIREN)

    rig = virtual(running(test))
    failed = rig.decisions(Outcome.FAILED)[0]
    assert failed.command == "siren on"
    assert failed.reasons == ("it could not be switched on: the line is stuck", "it was switched off again")
    assert 3 <= len(rig.decisions(Outcome.ACTED)) <= 4  # after 1, 2, 4 ... s


def test_a_stroke_that_failed_is_not_repeated(virtual):
    async def test(rig):
        with stuck(rig.wires, MOTOR, True):
            await rig.fire(STROKE)
        await asyncio.sleep(100)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ACTED, Outcome.FAILED]
    assert len(rig.moves(MOTOR)) == 1


def test_a_switch_that_cannot_go_off_is_tried_until_it_can_and_told_once(virtual, caplog):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        with stuck(rig.wires, MOTOR, False):
            rig.set_lid(False)
            await asyncio.sleep(60)
            assert rig.on(MOTOR)
            assert rig.control.status()[1]["blocked"] == [
                "it is not known to be off: the line is stuck",
                *cut,
            ]
        await asyncio.sleep(0.6)
        assert not rig.on(MOTOR)

    cut = ["rule flood must end first, for it was cut short: lid.closed is false"]
    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ACTED, Outcome.TRIPPED, Outcome.FAILED, Outcome.RELEASED]
    assert rig.decisions()[-1].reasons == ("it is known to be off again, after: the line is stuck",)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_an_order_off_that_hangs_is_repeated_twice_a_second_at_most_and_within_three(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        rig.wires.hang = {(MOTOR, False)}
        rig.set_lid(False)
        await asyncio.sleep(1.6)  # the first try was given up, the second is under way
        rig.wires.hang = set()
        await asyncio.sleep(3)
        assert not rig.on(MOTOR)

    virtual(running(test))


def test_an_actuator_that_refuses_is_not_tried_in_a_storm(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        with stuck(rig.wires, MOTOR, False):
            rig.set_lid(False)
            for _ in range(1000):
                rig.control.look()
                await asyncio.sleep(0.01)
        assert rig.changed.count("motor") <= 25

    virtual(running(test))


def test_an_order_on_that_was_interrupted_is_not_taken_for_done(virtual):
    async def test(rig):
        await asyncio.sleep(1.5)  # so that it is the call that acts, not the supervision
        rig.wires.hang = {(SIREN, True)}
        fired = asyncio.create_task(rig.fire())
        await asyncio.sleep(0.5)
        fired.cancel()
        rig.wires.hang = set()
        await asyncio.sleep(0.1)
        assert rig.on(SIREN)  # off first, then on by a decision of its own

    rig = virtual(running(test))
    reasons = [d.reasons[0] for d in rig.decisions()]
    assert "it is known to be off again, after: an order to go on was interrupted" in reasons
    assert len(rig.decisions(Outcome.ACTED)) == 2
    assert not any("already" in reason for reason in reasons)


def test_nothing_goes_on_that_is_not_known_to_be_off(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        with stuck(rig.wires, MOTOR, False):
            rig.set_lid(False)
            await asyncio.sleep(1)
            rig.set_lid(True)
            await rig.fire(SwitchOn("motor"), rule="other")
            await asyncio.sleep(1)
            assert rig.decisions()[-1].reasons == ("it is not known to be off: the line is stuck",)
        await asyncio.sleep(1)

    rig = virtual(running(test))
    assert rig.outcomes()[-1] is Outcome.RELEASED  # the stop; `other` had it after the line was free
    assert Outcome.REFUSED in rig.outcomes()


def test_an_order_that_hangs_is_given_up_and_the_switch_sent_back(virtual):
    async def test(rig):
        rig.wires.hang = {(SIREN, True)}
        await rig.fire()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0, abs=0.01)

    rig = virtual(running(test))
    assert rig.decisions(Outcome.FAILED)[0].reasons[0] == "it could not be switched on: no answer within 1 s"


def test_an_order_to_go_on_that_gets_through_late_is_undone(virtual):
    """A thread cannot be cancelled: what was given up may still happen."""

    async def test(rig):
        async def deaf_write(line, high):
            if high:
                late = asyncio.create_task(late_write(line, high))
                for _ in range(20):
                    try:
                        await asyncio.shield(late)
                    except asyncio.CancelledError:
                        continue
            else:
                await write(line, high)

        async def late_write(line, high):
            await asyncio.sleep(3)
            await write(line, high)

        write, rig.wires.write = rig.wires.write, deaf_write
        await rig.fire(STROKE)
        assert not rig.on(MOTOR)
        assert "has not returned" in rig.control.status()[1]["blocked"][0]
        await asyncio.sleep(3)
        assert any(on for _, on in rig.moves(MOTOR))
        assert not rig.on(MOTOR)

    rig = virtual(running(test))
    (on, _), (off, _) = rig.moves(MOTOR)[1:3]
    assert off - on <= 0.6


def test_a_hung_switch_does_not_delay_another(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        rig.wires.hang = {(SIREN, False)}
        rig.set_lid(False)
        began = asyncio.get_running_loop().time()
        await rig.end(SwitchOn("siren"), SwitchOn("motor"))
        assert rig.moves(MOTOR)[-1] == (began, False)
        rig.wires.hang = set()

    virtual(running(test))


# Start, stop and what is between them.


def test_a_switch_that_does_not_start_is_tried_again_and_the_others_start(virtual, caplog):
    async def main():
        rig = Rig()
        with stuck(rig.wires, SIREN, True, False):
            await rig.control.start()
            assert rig.moves(MOTOR) == [(0.0, False)]
            supervisor = asyncio.create_task(rig.control.run())
            await rig.fire()
            await asyncio.sleep(3)
            assert rig.control.status()[0]["on"]  # for all that is known
            assert not rig.decisions(Outcome.ACTED)
        await asyncio.sleep(1)
        assert rig.on(SIREN)
        supervisor.cancel()
        await asyncio.wait({supervisor})
        assert not rig.on(SIREN)

    virtual(main())
    assert caplog.messages[0] == "siren is not known to be off: the line is stuck"


def test_stop_switches_all_off_also_when_one_cannot_be(virtual, caplog):
    async def main():
        rig = Rig()
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        rig.wires.refuse = {(SIREN, False)}
        await rig.control.stop()
        assert not rig.on(MOTOR)
        await rig.fire(SwitchOn("motor"), rule="late")
        assert not rig.on(MOTOR)
        supervisor.cancel()
        await asyncio.wait({supervisor})
        return rig

    rig = virtual(main())
    reasons = [d.reasons[0] for d in rig.decisions()]
    assert reasons.count("the gateway is stopping") == 3  # two released, the late one refused
    assert "it could not be stopped: the line is stuck" in reasons
    assert "siren is not known to be off: the line is stuck" in caplog.messages


@pytest.mark.parametrize("hung_for", [0.0, 10.0, 11.3, 12.0])  # max_on is 10 s
def test_stop_is_quick_even_when_nothing_answers(virtual, hung_for):
    async def main():
        rig = Rig()
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        rig.journal.delay = 1e6
        rig.wires.hang = {(line, level) for line in (SIREN, MOTOR) for level in (True, False)}
        await asyncio.sleep(hung_for)
        began = asyncio.get_running_loop().time()
        supervisor.cancel()
        await asyncio.wait({supervisor})
        assert asyncio.get_running_loop().time() - began < 4.0

    virtual(main())


def test_nothing_goes_on_while_nothing_supervises_it(virtual):
    async def main():
        rig = Rig()
        await rig.fire()
        await rig.control.start()
        await rig.fire()
        await rig.control.stop()
        return rig

    assert virtual(main()).moves(SIREN) == [(0.0, False)]


def test_nothing_goes_on_once_its_supervision_has_ended(virtual):
    async def main():
        rig = Rig()
        await rig.control.start()
        supervision = asyncio.create_task(rig.control._outputs["siren"].run())
        await asyncio.sleep(1)
        supervision.cancel()
        await asyncio.wait({supervision})
        await rig.fire()
        assert not rig.on(SIREN)
        await rig.control.stop()

    virtual(main())


def test_a_defect_in_a_permissive_stops_control_with_everything_off(virtual):
    async def main():
        rig = Rig()
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        assert rig.on(MOTOR)
        rig.broken = True
        with pytest.raises(BaseExceptionGroup):
            await supervisor
        assert not rig.on(MOTOR)
        assert not rig.on(SIREN)

    virtual(main())


def test_a_defect_while_stopping_leaves_nothing_on(virtual):
    async def main():
        rig = Rig()
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        rig.timeless = True
        rig.wires.hang = {(SIREN, False)}
        with pytest.raises(BaseExceptionGroup, match="safe state"):
            await rig.control.stop()
        assert not rig.on(MOTOR)
        rig.wires.hang = set()
        supervisor.cancel()
        await asyncio.wait({supervisor})
        assert not rig.on(SIREN)

    virtual(main())


def test_does_not_beat_while_a_supervision_hangs(virtual):
    async def test(rig):
        await asyncio.sleep(2.5)
        async with rig.control._outputs["motor"]._lock:
            await asyncio.sleep(30)
            assert 10 <= rig.beats < 15

    virtual(running(test))


def test_beats_while_it_supervises(virtual):
    async def test(rig):
        await asyncio.sleep(10.5)
        assert rig.beats == 10

    virtual(running(test))


def test_a_pole_without_switches_beats_too(virtual):
    async def main():
        rig = Rig()
        control = Control({}, rig.journal, instant, rig.pins.clock, {}, beat=rig._beat)
        await control.start()
        supervisor = asyncio.create_task(control.run())
        await asyncio.sleep(3.5)
        assert rig.beats == 3
        supervisor.cancel()
        await asyncio.wait({supervisor})

    virtual(main())


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
