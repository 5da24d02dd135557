"""HX711: the examples, its own chip, and what a program that is held up must not believe."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bin.hx711 import Driver, Look, Options, decode, signed
from drivers.bin.hx711.chip import Emulated
from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedPins
from tests.drivers.test_vectors import of

W = Quantity.WEIGHT
SCK, DT = 5, 6


class Rig:
    """A part on a header of its own, its driver, and a program that may be held up.

    *delays* come before the next uses of the header, one by one [s].
    """

    def __init__(self, clock, board=10, **options):
        self.clock = clock
        self.pins = EmulatedPins(clock)
        self.chip = Emulated(self.pins, SCK, DT, board)
        self.driver = Driver(self.pins, SCK, clock, Options(**{"data": DT, **options}))
        self.delays = []
        self.delay = lambda: self.delays.pop(0) if self.delays else 2e-6
        inner = self.pins.before

        def before():
            clock.now += self.delay()
            inner()

        self.pins.before = before

    async def started(self):
        await self.driver.start()
        return (await self.driver.measure())[W]

    def pulses(self):
        """Return how many pulses the clock has made."""
        levels = [high for line, what, high in self.pins.log if (line, what) == (SCK, "level")]
        return levels.count(True)


@pytest.mark.parametrize("vector", of("HX711"), ids=lambda vector: vector["id"])
def test_examples(vector, clock):
    rig = Rig(clock, factor=1.0, capacity=9e5, average=1)
    rig.chip.held = int(vector["device"]["bits_msb_first"], 2)
    assert asyncio.run(rig.started()) == vector["expected"]["raw"]["value"]


@pytest.mark.parametrize(("name", "pulses"), of("HX711")[0]["device"]["pulses"].items())
def test_each_input_has_its_pulses(clock, name, pulses):
    rig = Rig(clock, input=name)
    asyncio.run(rig.driver.start())
    before = rig.pulses()
    asyncio.run(rig.driver._shift(Look(None, 0.0)))
    assert rig.pulses() - before == pulses


@pytest.mark.parametrize(
    ("bits", "counts"),
    [(0, 0), (0x7FFFFF, 8388607), (0x800000, -8388608), (0xFFFFFF, -1), (0xFDB13E, -151234)],
)
def test_counts_are_signed(bits, counts):
    assert signed(bits) == counts


@given(st.lists(st.integers(-8388607, 8388606), min_size=1, max_size=9), st.floats(1e3, 1e6))
def test_a_weight_is_that_of_the_middle_or_missing(counts, factor):
    value = decode(counts, Options(factor=factor))
    if isinstance(value, float):
        assert min(counts) - 1e-3 <= value * factor <= max(counts) + 1e-3
        assert abs(value) <= 100


@pytest.mark.parametrize("counts", [0x7FFFFF, -0x800000])
def test_a_rail_is_out_of_range(counts):
    assert decode([counts], Options(factor=1e3, capacity=1e5)) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize("kilograms", [101.0, -101.0])
def test_a_weight_beyond_the_capacity_is_out_of_range(kilograms):
    assert decode([round(kilograms * 1000)], Options(factor=1000.0)) is Missing.OUT_OF_RANGE


def test_one_disturbed_conversion_of_five_does_not_matter():
    assert decode([100, 101, 4_000_000, 99, 100], Options(factor=100.0)) == 1.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"data": -1}, "data"),
        ({"zero": 1e7}, "zero"),
        ({"factor": 0.0}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"capacity": -5.0}, "capacity"),
        ({"average": 0}, "average"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_clock_and_data_are_two_lines(clock):
    with pytest.raises(ValueError, match="both clock and data"):
        Driver(EmulatedPins(clock), 6, clock, Options(data=6))


@pytest.mark.parametrize("kilograms", [-5.0, 0.0, 0.25, 33.3, 95.0])
@pytest.mark.parametrize("rate", [10, 80])
def test_across_its_span(clock, rate, kilograms):
    rig = Rig(clock, rate, rate=rate)
    rig.chip.set(W, kilograms)
    assert asyncio.run(rig.started()) == pytest.approx(kilograms, abs=0.001)
    assert rig.chip.resets == 1  # that of the start


@pytest.mark.parametrize(("name", "gain"), [("A64", 64), ("B32", 32)])
def test_another_input_has_its_own_factor(clock, name, gain):
    """The first conversion after a reset is of A128: taken for another gain, it would weigh double."""
    rig = Rig(clock, input=name, factor=85899.0 * gain / 128)
    rig.chip.set(W, 20.0)
    assert asyncio.run(rig.started()) == pytest.approx(20.0, abs=0.001)


def test_zero_and_factor_are_the_cells(clock):
    rig = Rig(clock, zero=-40_000, factor=-85899.0)
    rig.chip.tare = -40_000
    rig.chip.set(W, 12.5)
    assert asyncio.run(rig.started()) == pytest.approx(-12.5, abs=0.001)


def test_each_measurement_is_of_its_own_time(clock):
    """What waits in the part after minutes is of the time before."""
    rig = Rig(clock, average=1)

    async def main():
        await rig.started()
        clock.now += 600
        await rig.pins.read(DT)
        rig.chip.set(W, 30.0)
        return (await rig.driver.measure())[W]

    assert asyncio.run(main()) == pytest.approx(30.0, abs=0.001)


def test_the_clock_is_low_while_the_program_waits(clock):
    """High, it would power the part down."""
    rig = Rig(clock)
    asyncio.run(rig.started())
    assert rig.pins.levels[SCK] is False


@pytest.mark.parametrize("pulse", range(25))
def test_a_program_held_up_in_any_pulse_gives_no_wrong_weight(clock, pulse):
    """The clock is high for 100 us in pulse number *pulse* of one conversion: the rest reads as ones."""
    rig = Rig(clock, average=1)
    rig.chip.set(W, 20.0)

    async def main():
        await rig.driver.start()
        reads = 0
        seen = []
        inner = rig.pins.write
        count = 0

        async def write(line, high):
            nonlocal count, reads
            if line == SCK and not high:
                if count % 25 == pulse and count // 25 == 2:
                    clock.now += 100e-6
                count += 1
            await inner(line, high)

        rig.pins.write = write
        seen.append((await rig.driver.measure())[W])
        return seen

    assert asyncio.run(main()) == [pytest.approx(20.0, abs=0.001)]
    assert rig.chip.resets == 2


@pytest.mark.parametrize("rate", [10, 80])
@pytest.mark.parametrize("seed", range(6))
def test_a_busy_computer_costs_measurements_but_gives_no_wrong_weight(clock, rate, seed):
    """Every use of the header may take from 2 us to 2 ms: what comes is the weight, or an error."""
    random = Random(f"hx711 {rate} {seed}")
    share = random.choice([0.001, 0.003, 0.01, 0.03])
    rig = Rig(clock, rate, rate=rate)
    rig.delay = lambda: random.uniform(6e-5, 2e-3) if random.random() < share else random.uniform(2e-6, 2e-5)
    seen, lost = 0, 0
    for turn in range(30):
        rig.chip.set(W, wanted := random.uniform(0.0, 90.0))
        try:
            if turn % 10 == 0:
                asyncio.run(rig.driver.start())
            value = asyncio.run(rig.driver.measure())[W]
        except DeviceError:
            lost += 1
            continue
        seen += 1
        assert value == pytest.approx(wanted, abs=0.001), f"seed {seed}, turn {turn}"
    assert seen + lost == 30
    assert seen or share > 0.005


@pytest.mark.parametrize("rate", [10, 80])
@pytest.mark.parametrize("seed", range(5))
def test_a_conversion_that_falls_into_a_read_is_not_mixed_with_it(clock, rate, seed):
    """Held up between two pulses, which does not reset the part, until the next weight is in its register."""
    random = Random(f"hx711 torn {rate} {seed}")
    rig = Rig(clock, rate, rate=rate, average=1)
    both = (11.11, 66.6)

    def delay():
        rig.chip.set(W, random.choice(both))
        low = not rig.pins.levels.get(SCK, True)
        return random.uniform(0.3, 1.1) / rate if low and random.random() < 0.02 else 2e-6

    rig.delay = delay
    seen = 0
    for _ in range(40):
        try:
            value = asyncio.run(rig.started())
        except DeviceError:
            continue
        seen += 1
        assert min(abs(value - each) for each in both) < 0.001, f"seed {seed}: {value}"
    assert seen > 5


def test_too_many_interruptions_are_an_error(clock):
    rig = Rig(clock)

    async def main():
        await rig.driver.start()
        rig.delay = lambda: 70e-6
        with pytest.raises(DeviceError, match="interrupted"):
            await rig.driver.measure()

    asyncio.run(main())
    assert clock.now < 20


@pytest.mark.parametrize(("board", "configured"), [(80, 10), (10, 80)])
def test_a_board_with_another_rate_is_told(clock, board, configured):
    """With the wrong rate a reset could not be told from a conversion."""
    rig = Rig(clock, board, rate=configured)
    with pytest.raises(DeviceError):
        asyncio.run(rig.started())


def test_a_reset_of_a_fast_board_is_not_taken_for_a_slow_one(clock):
    """Four periods of 12.5 ms are half of one of 100 ms: neither early nor late must pass."""
    rig = Rig(clock, 80, rate=10, average=1)
    random = Random("rates")
    rig.delay = lambda: 70e-6 if random.random() < 0.02 else 2e-6
    rig.chip.set(W, 20.0)
    for _ in range(30):
        with pytest.raises(DeviceError):
            asyncio.run(rig.started())


def test_a_data_line_that_stays_high_is_an_error_and_not_minus_one(clock):
    """Released drivers give -1 for a part without power: 24 bits of a pulled-up line."""
    rig = Rig(clock)

    async def main():
        await rig.started()
        rig.chip.stuck = True
        began = clock.now
        with pytest.raises(DeviceError, match="no conversion"):
            await rig.driver.measure()
        return clock.now - began

    assert asyncio.run(main()) < 1.0


def test_a_data_line_that_stays_low_is_an_error_and_not_zero(clock):
    rig = Rig(clock)

    async def main():
        await rig.started()
        rig.chip.stuck = False
        with pytest.raises(DeviceError):
            await rig.driver.measure()

    asyncio.run(main())


def test_a_part_without_power_is_an_error_at_the_start(clock):
    rig = Rig(clock)
    rig.chip.dead = True
    with pytest.raises(DeviceError, match="no conversion"):
        asyncio.run(rig.driver.start())


def test_a_wire_that_breaks_in_the_middle_of_a_read(clock):
    """From then on the bits are ones, and the last of them may be a plausible weight."""
    rig = Rig(clock, average=1)
    rig.chip.set(W, 20.0)

    async def main():
        await rig.driver.start()
        await rig.driver.measure()
        inner, count = rig.pins.read, 0

        async def read(line):
            nonlocal count
            count += 1
            if rig.pulses() >= cut:
                rig.chip.stuck = True
            return await inner(line)

        cut = rig.pulses() + 25 * 2 + 12
        rig.pins.read = read
        with pytest.raises(DeviceError, match="no conversion"):
            await rig.driver.measure()

    asyncio.run(main())


def test_an_unplugged_cell_is_out_of_range_for_as_long_as_it_is(clock):
    rig = Rig(clock)
    rig.chip.unplugged = True

    async def main():
        await rig.driver.start()
        return {(await rig.driver.measure())[W] for _ in range(5)}

    assert asyncio.run(main()) == {Missing.OUT_OF_RANGE}


def test_a_frozen_converter_is_a_fault(clock):
    rig = Rig(clock)
    rig.chip.frozen = True
    rig.chip.set(W, 3.3)

    async def main():
        await rig.driver.start()
        for _ in range(3):
            await rig.driver.measure()
        with pytest.raises(DeviceError, match="frozen"):
            await rig.driver.measure()

    asyncio.run(main())


def test_a_brown_out_is_waited_out(clock):
    """The part converts again by itself, at the gain after power-on; no weight comes from in between."""
    rig = Rig(clock, input="A64", factor=85899.0 / 2)
    rig.chip.set(W, 10.0)

    async def main():
        await rig.started()
        rig.chip.power_cycle()
        return (await rig.driver.measure())[W]

    assert asyncio.run(main()) == pytest.approx(10.0, abs=0.001)


def test_stop_powers_it_down_and_start_wakes_it(clock):
    rig = Rig(clock)
    rig.chip.set(W, 7.0)

    async def main():
        await rig.started()
        await rig.driver.stop()
        await rig.driver.stop()
        clock.now += 1
        await rig.pins.read(DT)
        asleep = rig.chip._asleep
        return asleep, await rig.started()

    assert asyncio.run(main()) == (True, pytest.approx(7.0, abs=0.001))


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 60"):
        asyncio.run(Driver(EmulatedPins(clock), 60, clock).start())


def test_the_chip_gives_the_datasheets_counts_and_levels(clock):
    """The chip alone: 20 mV is full scale at 5 V and a gain of 128; 25 pulses, and the line is high again."""
    rig = Rig(clock)
    rig.chip.held = 0x123456

    async def main():
        clock.now += 0.41
        assert not await rig.pins.read(DT)
        bits = []
        for _ in range(25):
            await rig.pins.write(SCK, True)
            bits.append(await rig.pins.read(DT))
            await rig.pins.write(SCK, False)
        return bits, await rig.pins.read(DT)

    bits, after = asyncio.run(main())
    assert int("".join(str(int(bit)) for bit in bits[:24]), 2) == 0x123456
    assert (bits[24], after) == (True, True)


def test_the_chip_refuses_a_28th_pulse(clock):
    rig = Rig(clock)

    async def main():
        clock.now += 0.41
        await rig.pins.read(DT)
        for _ in range(28):
            await rig.pins.write(SCK, True)
            await rig.pins.write(SCK, False)
        await rig.pins.read(DT)

    with pytest.raises(BusError, match="27 pulses"):
        asyncio.run(main())
