"""A journal that is slow or broken: nothing moves unrecorded, and nothing is kept moving by it."""

import asyncio

import pytest

from gateway.reading import Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, running


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
