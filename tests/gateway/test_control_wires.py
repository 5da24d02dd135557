"""An actuator that does not answer: told, tried again, and never left in between."""

import asyncio
import logging

import pytest

from gateway.reading import Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, STROKE, running, stuck


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
