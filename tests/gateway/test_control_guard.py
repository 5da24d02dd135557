"""What the guard forbids a switch, ends and gives back, and how often that is told."""

import asyncio

import pytest

from gateway.reading import Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, STROKE, running


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


def test_a_second_rule_does_not_stretch_max_on(virtual):
    async def test(rig):
        await rig.fire(rule="flood")
        await asyncio.sleep(9)
        await rig.fire(rule="fire")
        await asyncio.sleep(30)

    rig = virtual(running(test))
    (on, _), (off, _) = rig.moves(SIREN)[1:3]
    assert off - on == pytest.approx(10.0, abs=1e-5)


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
