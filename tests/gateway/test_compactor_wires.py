"""The wires to a press by themselves: what is told to motor and buzzer, and what is known of them after."""

import asyncio

from drivers.bus import BusError
from gateway.clock import LoopClock
from gateway.control.compactor.state import Kind, Phase
from gateway.control.compactor.wires import Wires
from tests.gateway.press_rig import Bench


class Motor:
    """Takes orders, or fails, or does not let itself be cancelled."""

    def __init__(self) -> None:
        self.told: list[float | str] = []
        self.fails = self.deaf = False

    async def start(self) -> None:
        self.told.append("start")

    async def stop(self) -> None:
        self.told.append("stop")

    async def apply(self, value: float) -> None:
        self.told.append(value)
        if value and self.fails:
            raise BusError("no answer")
        end = asyncio.get_running_loop().time() + (30.0 if value and self.deaf else 0.0)
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue


def rig(against: str = "") -> tuple[Bench, Motor, Wires]:
    """Return a bench that is about to press, with a motor that stands."""
    bench, motor = Bench().ready(), Motor()
    wires = Wires(motor, None, bench.machine, LoopClock(), lambda: against, lambda: None)
    bench.stroke().until(Phase.PRESSING)
    return bench, motor, wires


def test_what_is_against_it_at_the_last_moment_keeps_the_motor_still(virtual):
    async def main():
        bench, motor, wires = rig("the door has just been opened")
        wires.told = 0
        (note,) = await wires.follow()
        assert motor.told == []
        assert note.reasons == ("the door has just been opened",)
        assert wires.told == 0
        assert bench.machine.phase is Phase.FAULT

    virtual(main())


def test_a_motor_that_failed_is_told_to_stand_in_the_same_breath(virtual):
    async def main():
        bench, motor, wires = rig()
        wires.told, motor.fails = 0, True
        await wires.follow()
        assert motor.told == [1.0, 0.0]
        assert wires.told == 0
        assert Kind.WIRES in bench.machine.faults

    virtual(main())


def test_an_order_that_may_still_get_through_leaves_the_motor_in_doubt(virtual):
    async def main():
        bench, motor, wires = rig()
        wires.told, motor.deaf = 0, True
        await wires.follow()
        assert motor.told == [1.0, 0.0]
        assert wires.told is None
        assert bench.machine.guard.on
        await asyncio.sleep(31.0)
        await wires.follow()
        assert motor.told[-1] == "start", "it is told to stand again, after the late order"
        assert wires.told == 0
        assert not bench.machine.guard.on

    virtual(main())
