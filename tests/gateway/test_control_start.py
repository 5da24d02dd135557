"""Start, stop and what is between them: nothing moves that nothing supervises."""

import asyncio

import pytest

from gateway.control import Control
from gateway.reading import Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, Rig, instant, running, stuck


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
