"""The sampler, in virtual time, on sensors that misbehave in every way that the protocol allows."""

import asyncio
from dataclasses import dataclass, field
from random import Random

import pytest

from drivers.bus import NoAcknowledge
from drivers.device import ChecksumError, Missing, Quantity, Values
from gateway.clock import LoopClock, Now, Quality
from gateway.derive.quality import Screen, Span
from gateway.reading import Event, Flag, Reading, encode
from gateway.sampler import Device, Sampler, State

T = Quantity.TEMPERATURE


@dataclass
class Thermometer:
    """Gives its own count; can be told to take time, to fail, to be absent or to hang."""

    takes: float = 0.0
    faults: dict[int, Exception] = field(default_factory=dict)
    absent: bool = False
    hangs: bool = False
    starts: int = 0
    stops: int = 0
    measured: list[float] = field(default_factory=list)
    quantities: frozenset[Quantity] = frozenset({T})

    async def start(self) -> None:
        self.starts += 1
        if self.absent:
            raise NoAcknowledge("no target answers at 0x44")

    async def measure(self) -> Values:
        self.measured.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.takes)
        if self.absent:
            raise NoAcknowledge("no target answers at 0x44")
        if fault := self.faults.get(len(self.measured)):
            raise fault
        return {T: float(len(self.measured))}

    async def stop(self) -> None:
        self.stops += 1


@dataclass
class Bench:
    """A sampler with everything that it said."""

    sensor: Thermometer
    interval: float = 1.0
    deadline: float = 0.5
    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    beats: int = 0
    screens: dict[Quantity, Screen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        now = Now(wall=lambda: 1e9 + loop.time(), monotonic=loop.time, quality=lambda: Quality.UNKNOWN)
        self.sampler = Sampler(
            Device("air", self.sensor, self.interval, self.deadline, {}, self.screens),
            LoopClock(),
            now,
            self.readings.append,
            self.events.append,
            self._beat,
            Random(1),
        )

    def _beat(self) -> None:
        self.beats += 1

    def total(self, quantity: Quantity) -> float:
        """Return the sum of all readings of *quantity*."""
        return sum(each.values.get(quantity, 0.0) for each in self.readings)

    async def run(self, seconds: float) -> "Bench":
        task = asyncio.create_task(self.sampler.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self


def test_devices_that_begin_together_do_not_measure_together_for_ever(virtual):
    """After the first measurement comes the second a share of the interval later, then the interval rules."""

    async def main() -> tuple[list[float], int]:
        bench = Bench(Thermometer())
        bench.sampler.device.share = 0.25
        task = asyncio.create_task(bench.sampler.run())
        await asyncio.sleep(3.5)
        task.cancel()
        began = bench.sensor.measured[0]
        return [round(moment - began, 6) for moment in bench.sensor.measured], bench.sampler.missed

    assert virtual(main()) == ([0.0, 0.25, 1.25, 2.25, 3.25], 0)


def test_the_schedule_does_not_drift_however_long_a_measurement_takes(virtual):
    async def main():
        bench = await Bench(Thermometer(takes=0.3)).run(1000.5)
        assert bench.sensor.measured == pytest.approx([float(t) for t in range(1001)], abs=1e-6)
        assert bench.sampler.missed == 0

    virtual(main())


def test_turns_that_a_slow_measurement_ran_over_are_counted_not_made_up_for(virtual):
    async def main():
        bench = await Bench(Thermometer(takes=2.5), deadline=3.0).run(30.2)
        assert bench.sensor.measured == pytest.approx([0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30], abs=1e-6)
        assert bench.sampler.missed == 20

    virtual(main())


def test_one_failed_measurement_is_a_reading_with_its_reason_and_the_device_is_not_lost(virtual, caplog):
    async def main():
        bench = await Bench(Thermometer(faults={3: ChecksumError("crc")})).run(10.5)
        assert [r.missing.get(T) for r in bench.readings][:4] == [None, None, Missing.DEVICE_ERROR, None]
        assert bench.events == []
        assert bench.sensor.starts == 2
        assert caplog.messages == []

    virtual(main())


def test_lost_and_back_are_said_once_each(virtual, caplog):
    async def main():
        sensor = Thermometer(absent=True)
        asyncio.get_running_loop().call_later(300, setattr, sensor, "absent", False)
        bench = await Bench(sensor).run(400)
        assert [e.type for e in bench.events] == ["lamppost.device.lost", "lamppost.device.back"]
        assert caplog.messages[0] == "air is lost: no target answers at 0x44"
        assert caplog.messages[1].startswith("air is back after 3")
        assert len(caplog.messages) == 2
        assert bench.sampler.state is State.RUNNING

    virtual(main())


def test_a_lost_device_is_tried_again_with_growing_pauses(virtual):
    async def main():
        bench = await Bench(Thermometer(absent=True)).run(3600)
        assert 60 <= bench.sensor.starts <= 90, "about once a minute after the first attempts"

    virtual(main())


def test_a_device_that_starts_but_never_measures_is_lost_after_three(virtual):
    async def main():
        faults = {n: ChecksumError("crc") for n in range(1, 100)}
        bench = await Bench(Thermometer(faults=faults)).run(10)
        assert [e.type for e in bench.events] == ["lamppost.device.lost"]
        assert len([r for r in bench.readings if r.missing]) >= 3

    virtual(main())


def test_a_device_that_starts_and_never_measures_is_not_hammered(virtual):
    async def main():
        faults = {n: ChecksumError("crc") for n in range(1, 10000)}
        bench = await Bench(Thermometer(faults=faults)).run(3600)
        assert len(bench.sensor.measured) <= 90

    virtual(main())


def test_a_device_that_hangs_is_given_up_at_its_deadline(virtual):
    async def main():
        bench = await Bench(Thermometer(hangs=True)).run(4)
        assert bench.readings[0].missing == {T: Missing.TIMEOUT}
        assert "did not answer within 0.5 s" in bench.sampler.reason
        assert bench.beats > 4

    virtual(main())


def test_a_poke_measures_at_once_and_leaves_the_schedule_alone(virtual):
    async def main():
        bench = Bench(Thermometer(), interval=10.0)
        asyncio.get_running_loop().call_later(3, bench.sampler.poke)
        await bench.run(30.5)
        assert bench.sensor.measured == pytest.approx([0, 3, 10, 20, 30], abs=1e-6)

    virtual(main())


def test_a_turn_that_a_poked_measurement_runs_into_is_not_missed(virtual):
    async def main():
        bench = Bench(Thermometer(takes=0.3), interval=10.0)
        asyncio.get_running_loop().call_later(9.9, bench.sampler.poke)
        await bench.run(25)
        assert bench.sensor.measured == pytest.approx([0, 9.9, 20], abs=1e-6)
        assert bench.sampler.missed == 0

    virtual(main())


def test_stopping_leaves_the_device_inert(virtual):
    async def main():
        assert (await Bench(Thermometer()).run(2)).sensor.stops == 1

    virtual(main())


def test_a_value_that_is_no_number_is_missing(virtual):
    class Broken(Thermometer):
        async def measure(self) -> Values:
            return {T: float("nan")}

    async def main():
        bench = await Bench(Broken()).run(0.5)
        assert bench.readings[0].values == {}
        assert bench.readings[0].missing == {T: Missing.OUT_OF_RANGE}

    virtual(main())


def test_a_watched_device_is_measured_when_it_says_so(virtual):
    class Lid(Thermometer):
        async def changes(self):
            await asyncio.sleep(2.25)
            yield
            await asyncio.Event().wait()

    async def main():
        bench = await Bench(Lid(), interval=10.0).run(11)
        assert bench.sensor.measured == pytest.approx([0, 2.25, 10], abs=1e-6)

    virtual(main())


def test_a_value_carries_the_flag_of_its_tests_into_its_record(virtual):
    async def main():
        screens = {T: Screen(Span(0.0, 4.0), Span(0.0, 2.0))}
        bench = await Bench(Thermometer(faults={2: ChecksumError("bad")}), screens=screens).run(6.5)
        said = [(each.values.get(T), each.flags.get(T)) for each in bench.readings]
        assert said[:3] == [(1.0, Flag.PASS), (None, None), (3.0, Flag.SUSPECT)]
        assert said[-1] == (7.0, Flag.FAIL)
        assert '"flags":{"temperature":4}' in encode(bench.readings[-1])

    virtual(main())
