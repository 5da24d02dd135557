"""PCA9685: duties, the prescale that is taken only asleep, and outputs that stay off."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bin.ina219.chip import Emulated as Ina219
from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.board.pca9685 import ADDRESSES, Driver, Options, decode, encode, prescale, probe
from drivers.board.pca9685.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import Actuator, DeviceError, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C

ON = Quantity.ON


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x40: chip})


def output(bus, clock, channel=0, **options):
    return Driver(bus, 0x40, clock, Options(channel=channel, **options))


@pytest.mark.parametrize(("frequency", "value"), [(200, 0x1E), (24, 253), (1526, 3), (1000, 5), (50, 121)])
def test_prescale(frequency, value):
    """The datasheet's example: 200 Hz is 30. The table's ends are 24 and 1526 Hz."""
    assert prescale(frequency) == value


@pytest.mark.parametrize(
    ("duty", "raw"),
    [
        (0.0, "00000010"),
        (1.0, "00100000"),
        (0.5, "00000008"),
        (0.25, "00000004"),
        (1 / 4096, "00000100"),
        (4095 / 4096, "0000ff0f"),
        (1e-9, "00000100"),
        (1 - 1e-9, "00100000"),
    ],
)
def test_duties(duty, raw):
    """0 and 1 have bits of their own, so that off is dark and on has no gap."""
    assert encode(duty) == bytes.fromhex(raw)
    assert decode(bytes.fromhex(raw)) == pytest.approx(duty, abs=1 / 4096)


@given(st.floats(0, 1))
def test_every_duty_comes_back_and_none_above_zero_is_off(duty):
    found = decode(encode(duty))
    assert abs(found - duty) <= 1 / 4096
    assert (found > 0) is (duty > 0)


@pytest.mark.parametrize(
    ("raw", "duty"),
    [("00100010", 0.0), ("000c0004", 0.5), ("00000000", 0.0), ("ff0f0000", 1 / 4096)],
)
def test_what_others_may_have_written(raw, duty):
    """Full off wins; an output that goes off before it goes on is on over the end of the period."""
    assert decode(bytes.fromhex(raw)) == duty


def test_it_is_an_actuator_that_can_be_measured(bus, clock):
    part = output(bus, clock)
    assert isinstance(part, Actuator)
    assert part.quantities == {ON}


@pytest.mark.parametrize("channel", [0, 7, 15])
@pytest.mark.parametrize("duty", [0.0, 0.001, 0.3, 0.5, 0.999, 1.0])
def test_the_world_sees_the_duty_on_its_own_output_alone(chip, bus, clock, channel, duty):
    part = output(bus, clock, channel)

    async def main():
        await part.start()
        await part.apply(duty)
        return await part.measure()

    assert asyncio.run(main()) == {ON: float(duty > 0)}
    assert chip.duty(channel) == pytest.approx(duty, abs=1 / 4096)
    assert all(chip.duty(other) == 0 for other in range(16) if other != channel)
    assert chip.early == 0


@pytest.mark.parametrize("frequency", [24, 50, 200, 400, 1526])
def test_the_frequency_is_set_although_the_part_takes_it_only_asleep(chip, bus, clock, frequency):
    first = output(bus, clock, 1, frequency=300.0)
    asyncio.run(first.start())
    assert not chip.asleep
    asyncio.run(output(bus, clock, 2, frequency=frequency).start())
    assert chip.frequency == pytest.approx(frequency, rel=0.1)


def test_a_start_does_not_disturb_the_other_outputs(chip, bus, clock):
    """They agree on the frequency, so the part need not sleep; and where it must, they are started again."""

    async def main():
        first, second, third = (output(bus, clock, n, frequency=f) for n, f in ((0, 200), (1, 200), (2, 60)))
        await first.start()
        await first.apply(0.75)
        await second.start()
        before = chip.duty(0)
        await third.start()
        await third.stop()
        return before, chip.duty(0)

    assert asyncio.run(main()) == (0.75, 0.75)


def test_an_output_that_was_on_is_off_before_the_part_wakes(chip, bus, clock):
    """A daemon that was killed left it on, at full; a frequency of another life."""
    chip.transfer(b"\x00\x20", 0)
    chip.transfer(b"\x06\x00\x10\x00\x00", 0)
    clock.now += 1
    assert chip.duty(0) == 1.0
    seen = []
    bus.before = lambda: seen.append((chip.asleep, chip.duty(0)))
    asyncio.run(output(bus, clock, frequency=1000).start())
    off = next(at for at, (_, duty) in enumerate(seen) if duty == 0)
    assert not any(asleep for asleep, _ in seen[:off])
    assert all(duty == 0 for _, duty in seen[off:])
    assert chip.duty(0) == 0


def test_the_all_call_address_is_given_up(chip, bus, clock):
    assert chip.all_call
    asyncio.run(output(bus, clock).start())
    assert not chip.all_call
    assert 0x70 not in ADDRESSES


@pytest.mark.parametrize("value", [-0.001, 1.001, float("nan"), float("inf"), 255])
def test_another_duty_is_refused_and_moves_nothing(chip, bus, clock, value):
    part = output(bus, clock)

    async def main():
        await part.start()
        await part.apply(0.5)
        with pytest.raises(DeviceError, match="0 to 1"):
            await part.apply(value)

    asyncio.run(main())
    assert chip.duty(0) == 0.5


def test_power_lost_is_told_and_the_next_order_heals_it(chip, bus, clock):
    part = output(bus, clock, 4, frequency=500)

    async def main():
        await part.start()
        await part.apply(1.0)
        chip.power_cycle()
        with pytest.raises(DeviceError, match="was power lost"):
            await part.measure()
        assert chip.duty(4) == 0
        await part.apply(0.5)
        return await part.measure()

    assert asyncio.run(main()) == {ON: 1.0}
    assert chip.duty(4) == 0.5
    assert chip.frequency == pytest.approx(500, rel=0.05)
    assert not chip.all_call


@pytest.mark.parametrize("turn", range(8))
def test_power_lost_before_any_transfer_of_an_order(chip, bus, clock, turn):
    """Either the order is carried out, or it raises: never a lamp that is thought to burn."""
    part = output(bus, clock)
    asyncio.run(part.start())
    seen = 0

    def before():
        nonlocal seen
        seen += 1
        if seen == turn + 1:
            chip.power_cycle()

    bus.before = before
    try:
        asyncio.run(part.apply(1.0))
    except DeviceError:
        assert chip.duty(0) == 0
    else:
        assert chip.duty(0) == 1.0
    assert seen >= turn


@pytest.mark.parametrize("register", [0x02, 0x03, 0x04, 0x05])
def test_another_identity_is_refused(chip, bus, clock, register):
    chip.registers[register] ^= 0x10
    with pytest.raises(WrongDevice, match="e2 e4 e8 e0"):
        asyncio.run(output(bus, clock).start())


def test_an_output_that_does_not_hold_what_it_was_told(chip, bus, clock):
    part = output(bus, clock)
    carried = bus.transfer

    async def forgetful(address, write=b"", read=0):
        answer = await carried(address, write, read)
        return bytes([*answer[:3], 0x10]) if read == 4 else answer

    async def main():
        await part.start()
        bus.transfer = forgetful
        await part.apply(0.5)

    with pytest.raises(DeviceError, match="was told"):
        asyncio.run(main())


def test_two_frequencies_on_one_part_are_told(bus, clock):
    first, second = output(bus, clock, 0, frequency=50), output(bus, clock, 1, frequency=200)

    async def main():
        await first.start()
        await second.start()
        with pytest.raises(DeviceError, match="another frequency"):
            await first.measure()

    asyncio.run(main())


def test_stop_turns_off_whatever_state_the_part_is_in(chip, bus, clock):
    part = output(bus, clock, 3)

    async def main():
        await part.start()
        await part.apply(1.0)
        chip.registers[0] &= ~0x20  # no auto-increment, as after a reset by another program
        await part.stop()

    asyncio.run(main())
    assert chip.duty(3) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"channel": 16},
        {"channel": -1},
        {"frequency": 23.9},
        {"frequency": 1527.0},
        {"frequency": float("nan")},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"channel must|frequency must"):
        Options(**options)


def test_open_drain(chip, bus, clock):
    asyncio.run(output(bus, clock, open_drain=True).start())
    assert chip.registers[1] & 0x04 == 0


def test_probe(chip, bus, clock):
    before = dict(chip.registers)
    assert "e2 e4 e8 e0" in asyncio.run(probe(bus, 0x40, clock))
    assert chip.registers == before
    chip.registers[0x05] = 0
    for other in (
        bus,
        EmulatedI2C({}),
        EmulatedI2C({0x40: Ina219(clock)}),
        EmulatedI2C({0x40: Ina226(clock)}),
    ):
        assert asyncio.run(probe(other, 0x40, clock)) is None


def test_an_absent_part(clock):
    with pytest.raises(NoAcknowledge):
        asyncio.run(output(EmulatedI2C({}), clock).start())


def test_the_chip_alone(chip, clock):
    """After a reset: asleep, all-call, all outputs off, 200 Hz; without auto-increment a burst stays put."""
    assert chip.transfer(b"\x00", 3) == b"\x11\x11\x11"
    chip.transfer(b"\x00\x30", 0)
    assert chip.transfer(b"\x00", 10) == bytes.fromhex("3004e2e4e8e000000010")
    assert chip.transfer(b"\x45", 2) == b"\x10\x30"
    assert chip.transfer(b"\xfa", 5) == bytes.fromhex("000000001e")
    chip.transfer(b"\xfe\x79", 0)
    chip.transfer(b"\x00\x20", 0)
    chip.transfer(b"\xfe\x03", 0)  # blocked: it is awake
    assert chip.frequency == pytest.approx(50, rel=0.01)
    chip.transfer(b"\x06\x00\x00\x00\x08", 0)
    assert (chip.early, chip.duty(0)) == (4, 0.5)
    chip.transfer(b"\x00\x30", 0)
    assert chip.duty(0) == 0
    chip.transfer(b"\x00\x20", 0)
    assert chip.transfer(b"\x00", 1) == b"\xa0"
    chip.transfer(b"\x00\xa0", 0)  # too soon for the oscillator
    assert chip.duty(0) == 0
    clock.now += 0.001
    chip.transfer(b"\x00\xa0", 0)
    assert chip.duty(0) == 0.5
    chip.transfer(b"\xfd\x10", 0)
    assert chip.duty(0) == 0
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x46", 1)
    for wire in (b"\x07\x20", b"\x01\x80"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
    chip.welded[2] = 1.0
    assert chip.duty(2) == 1.0
    with pytest.raises(ValueError):
        chip.set(ON, 1.0)
