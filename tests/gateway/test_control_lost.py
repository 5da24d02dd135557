"""A switch that went off by itself: safe, said, and asked for anew."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from drivers.board.pca9685 import Driver
from drivers.board.pca9685.chip import Emulated
from drivers.bus import BusTimeout
from drivers.device import Missing, Quantity
from drivers.emulated import EmulatedI2C
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.app.pole import Pole, _off
from gateway.clock import LoopClock, Now, Quality
from gateway.control import Limits, Switch
from gateway.health import Health
from gateway.reading import Outcome, Reading
from tests.gateway.control_rig import SIREN, Rig, instant, running
from tests.gateway.test_street import Journal, Memory, Night


class Dimmed(Rig):
    """A rig whose siren is a PCA9685's first output."""

    def _switch(self, line: int, limits: Limits, act_unrecorded: bool = False) -> Switch:
        if line != SIREN:
            return super()._switch(line, limits, act_unrecorded)
        clock = LoopClock()
        self.chip = Emulated(clock)
        self.bus = EmulatedI2C({0x40: self.chip})
        self.part = Driver(self.bus, 0x40, clock)
        return Switch(self.part, limits, act_unrecorded, self.part.measure)


def lived(virtual: Any, test: Any, monkeypatch: pytest.MonkeyPatch, kind: type[Rig] = Dimmed) -> Any:
    monkeypatch.setattr("tests.gateway.control_rig.Rig", kind)
    return virtual(running(test, max_on=100.0))


def test_a_part_that_lost_power_is_driven_on_again(virtual, monkeypatch):
    async def test(rig):
        await rig.fire()
        assert (await rig.part.measure())[Quantity.ON] == 1.0
        rig.chip.power_cycle()
        rig.control.doubt("siren")
        await asyncio.sleep(1.0)
        assert (await rig.part.measure())[Quantity.ON] == 0.0  # configured anew, and known to be off
        assert not rig.control.status()[0]["on"]
        await asyncio.sleep(10.0)
        assert (await rig.part.measure())[Quantity.ON] == 1.0
        await rig.end()
        assert (await rig.part.measure())[Quantity.ON] == 0.0

    rig = lived(virtual, test, monkeypatch)
    assert rig.outcomes() == [
        Outcome.ACTED, Outcome.FAILED, Outcome.RELEASED, Outcome.ACTED, Outcome.RELEASED,
    ]  # fmt: skip
    _, failed, released, *_ = rig.decisions()
    assert "went off by itself" in failed.reasons[0]
    assert "was power lost" in failed.reasons[0]
    assert "known to be off again" in released.reasons[0]


def test_a_doubt_without_reason_changes_nothing(virtual, monkeypatch):
    """A reading from just before it went on, and a bus that does not answer, are no proof."""

    async def test(rig):
        rig.control.doubt("siren")
        await rig.fire()
        rig.control.doubt("siren")
        await asyncio.sleep(0.5)
        rig.bus.faults.append(BusTimeout("stuck"))
        rig.control.doubt("siren")
        await asyncio.sleep(20.0)
        assert (await rig.part.measure())[Quantity.ON] == 1.0

    rig = lived(virtual, test, monkeypatch)
    assert rig.outcomes() == [Outcome.ACTED, Outcome.RELEASED]  # the end of the test takes it off


def test_a_line_that_is_shorted_is_not_tried_more_often_than_every_ten_seconds(virtual, monkeypatch):
    async def test(rig):
        await rig.fire()
        for _ in range(65):
            rig.pins.levels[SIREN] = False
            rig.control.doubt("siren")
            await asyncio.sleep(1.0)

    rig = lived(virtual, test, monkeypatch, Rig)
    assert len(rig.decisions(Outcome.FAILED)) in (6, 7)


@pytest.mark.parametrize(
    ("values", "missing", "off"),
    [
        ({Quantity.ON: 0.0}, {}, True),
        ({}, {Quantity.ON: Missing.DEVICE_ERROR}, True),
        ({Quantity.ON: 1.0}, {}, False),
        ({}, {Quantity.ON: Missing.BUS_ERROR}, False),
        ({Quantity.DISTANCE: 0.0}, {}, False),
    ],
)
def test_which_readings_cast_doubt(virtual, values, missing, off):
    async def main():
        return _off(Reading("siren", instant(), values, missing))

    assert virtual(main()) is off


POLE = """\
[gateway]
id = "pole-17"
[store]
path = "pole.db"
[rules]
files = ["rules.toml"]
[header]
chip = "emulated:street"
[[bus]]
id = "main"
path = "emulated:street"
[[device]]
id = "river"
driver = "mb7040"
bus = "main"
interval = "1s"
[[device]]
id = "lamp"
driver = "pca9685"
bus = "main"
interval = "2s"
guard = { max_on = "1h" }
"""
RULES = """\
[[rule]]
id = "light"
says = "While the river is seen, light the lamp."
owner = "The test"
expires = 2035-12-31
when = "river.distance < 100.0"
mode = "off"
grant = { by = "The test", reason = "nobody is there", until = UNTIL }
do = [{ switch = "lamp" }]
test = [{ given = { "river.distance" = 1.0 }, expect = true }]
"""


def test_a_poles_lamp_that_lost_power_is_lit_again(tmp_path, virtual):
    """From the sampler's reading to the order: nobody but the pole itself says that there is any doubt."""
    (tmp_path / "pole.toml").write_text(POLE)
    soon = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400))
    (tmp_path / "rules.toml").write_text(RULES.replace("UNTIL", soon))

    async def main():
        loop, clock, night = asyncio.get_running_loop(), LoopClock(), Night()
        hardware = Hardware(clock)
        now = Now(wall=lambda: 1.7e9 + loop.time(), monotonic=loop.time, quality=lambda: Quality.SYNCHRONIZED)
        made = plan(tmp_path / "pole.toml")
        made = replace(made, rules=tuple(file.renewed(1.7e9 + 86400.0) for file in made.rules))
        listening = (lambda reading: None, lambda event: None)
        memory = Memory()
        pole = Pole(made, hardware, Journal(night, memory), clock, now, Health(clock), *listening, memory)
        await pole.start()
        await asyncio.sleep(10.0)
        (before,) = pole.switches()
        hardware.street.bus("main").chips[0x40].power_cycle()
        await asyncio.sleep(5.0)
        (lost,) = pole.switches()
        await asyncio.sleep(15.0)
        (after,) = pole.switches()
        await pole.stop()
        return [each["on"] for each in (before, lost, after)], night.decisions("lamp on", Outcome.ACTED)

    states, lit = virtual(main())
    assert states == [True, False, True]
    assert len(lit) == 2
