"""ADS1115: recorded codes, both faces of the part, channels that share it, and lost configurations."""

import asyncio
import json
from contextlib import suppress
from math import isclose
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.board.ads1115 import CHANNELS, FULL_SCALES, RATES, Channels, Driver, Options, decode, probe
from drivers.board.ads1115.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedAnalog, EmulatedI2C
from gateway.clock import LoopClock
from tests.drivers.test_ms58xx import Queue
from tests.drivers.test_sweep import Constant

V = Quantity.VOLTAGE
VECTORS = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "ADS1115"
]


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x48: chip})


class Memory:
    """Registers that hold what a vector says, and never convert."""

    def __init__(self, regs):
        self.words = {int(key, 16): bytes.fromhex(value) for key, value in regs.items()}

    async def transfer(self, address, write=b"", read=0):
        if len(write) == 3:
            self.words[write[0]] = write[1:]
        return self.words[write[0]][:read]


async def started(driver):
    await driver.start()
    return await driver.measure()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors(clock, vector):
    driver = Driver(Memory(vector["device"]["regs"]), 0x48, clock)
    expected = vector["expected"]["voltage"]
    assert asyncio.run(started(driver))[V] == pytest.approx(expected["value"], abs=expected["tol"])


@pytest.mark.parametrize(
    ("code", "full_scale", "volts"),
    [
        (0x0001, 2.048, 62.5e-6),
        (0xFFFF, 2.048, -62.5e-6),
        (0x7FFE, 4.096, 4.096 * 32766 / 32768),
        (0x8001, 0.256, -0.256 * 32767 / 32768),
        (0x7FFF, 4.096, 4.096),
        (0x8000, 4.096, -4.096),
    ],
)
def test_codes(code, full_scale, volts):
    """Table "Input Signal Versus Ideal Output Code"; what clips is full scale itself."""
    assert decode(code, full_scale) == pytest.approx(volts, rel=1e-12)


@given(st.integers(0, 0xFFFF), st.sampled_from(FULL_SCALES))
def test_only_what_clips_is_at_full_scale(code, full_scale):
    assert (abs(decode(code, full_scale)) == full_scale) == (code in (0x7FFF, 0x8000))
    assert (decode(code, full_scale) < 0) == bool(code & 0x8000)


def test_the_chip_alone_on_the_wires(chip, clock):
    """AIN1 against ground at 4.096 V, single-shot: 0xd383 written, then the result read."""
    chip.inputs[1] = 2.048
    assert chip.transfer(b"\x01", 2).hex() == "8583"
    chip.transfer(bytes.fromhex("01d383"), 0)
    assert chip.transfer(b"\x01", 2).hex() == "5383"
    assert chip.transfer(b"\x00", 2).hex() == "0000"
    clock.now += 0.0088
    assert chip.transfer(b"\x01", 2).hex() == "d383"
    assert chip.transfer(b"\x00", 2).hex() == "4000"


def test_the_chip_converts_on_and_on_in_continuous_mode(chip, clock):
    chip.transfer(bytes.fromhex("01c2e3"), 0)
    for volts, code in ((1.0, "1f40"), (-0.25, "f830")):
        chip.inputs[0] = volts
        clock.now += 0.01
        assert chip.transfer(b"\x00", 2).hex() == code


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("full_scale", FULL_SCALES)
@pytest.mark.parametrize("rate", [8, 128, 860])
def test_every_channel_at_every_range(chip, bus, clock, channel, full_scale, rate):
    """Each channel has its own inputs, in the order of the datasheet."""
    chip.inputs = [0.11, 0.055, 0.2, 0.03]
    pair = {4: (0, 1), 5: (0, 3), 6: (1, 3), 7: (2, 3)}.get(channel)
    wanted = chip.inputs[pair[0]] - chip.inputs[pair[1]] if pair else chip.inputs[channel]
    driver = Driver(bus, 0x48, clock, Options(channel=channel, full_scale=full_scale, rate=rate))
    assert asyncio.run(started(driver))[V] == pytest.approx(wanted, abs=0.51 * full_scale / 32768)


def test_the_divider(chip, bus, clock):
    chip.inputs[0] = 2.5
    driver = Driver(bus, 0x48, clock, Options(divider=5.0))
    assert asyncio.run(started(driver))[V] == pytest.approx(12.5, abs=0.0004)


@pytest.mark.parametrize("volts", [2.5, -0.3])
def test_clipping_is_out_of_range(chip, bus, clock, volts):
    """Of the sensor; who borrows the channel sees the full scale itself."""
    chip.inputs[0] = volts
    options = Options(full_scale=0.256)
    assert asyncio.run(started(Driver(bus, 0x48, clock, options))) == {V: Missing.OUT_OF_RANGE}
    volts = asyncio.run(Channels(bus, 0x48, clock, options).voltage(0))
    assert abs(volts) == 0.256


def test_an_input_never_reads_above_the_supply(chip, bus, clock):
    chip.inputs[0] = 9.0
    found = asyncio.run(started(Driver(bus, 0x48, clock, Options(full_scale=6.144))))[V]
    assert found == pytest.approx(5.3, abs=0.001)


@pytest.mark.parametrize("channel", [-1, 8, 100])
def test_a_channel_that_does_not_exist(bus, clock, channel):
    with pytest.raises(BusError, match="0 to 7"):
        asyncio.run(Channels(bus, 0x48, clock).voltage(channel))
    with pytest.raises(ValueError, match="AIN2 - AIN3"):
        Options(channel=channel)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"full_scale": 5.0}, "full_scale must be"),
        ({"full_scale": float("nan")}, "full_scale must be"),
        ({"rate": 100}, "rate must be"),
        ({"divider": 0.5}, "divider must be"),
        ({"divider": float("nan")}, "divider must be"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


@pytest.mark.parametrize(
    "volts", [-4.2, -4.096, -4.0959, -1.0, -0.0001, 0.0, 0.3, 2.5, 4.0957, 4.0958, 4.0959, 4.2, 7.0]
)
def test_emulated_channels_give_what_the_part_gives(chip, bus, clock, volts):
    """Between AIN0 and AIN3, so that the voltage may have either sign."""
    chip.supply = 20.0
    chip.inputs = [max(0.0, volts), 0.0, 0.0, max(0.0, -volts)]
    board = EmulatedAnalog(clock, volts={5: volts})
    lent = Channels(bus, 0x48, clock)
    assert board.full_scale == lent.full_scale
    assert asyncio.run(board.voltage(5)) == asyncio.run(lent.voltage(5))


def test_emulated_channels_wander_without_a_wire_and_fail_when_told(clock):
    async def main():
        board = EmulatedAnalog(clock)
        wandered = {await board.voltage(3) for _ in range(20)}
        board.faults.append(DeviceError("no conversion"))
        with pytest.raises(DeviceError, match="no conversion"):
            await board.voltage(3)
        with pytest.raises(BusError, match="no channel 8"):
            await board.voltage(8)
        return wandered, await EmulatedAnalog(clock).voltage(3), board.conversions

    wandered, again, conversions = asyncio.run(main())
    assert len(wandered) > 15
    assert again in wandered  # the same seed
    assert conversions == 22


def test_many_borrowers_never_mix_their_channels(virtual):
    """Ten tasks ask for channels at random: each gets its own input, and no conversion is disturbed."""

    async def main():
        clock = LoopClock()
        chip = Emulated(clock)
        chip.inputs = [0.1, 0.2, 0.3, 0.4]
        channels = Channels(EmulatedI2C({0x49: chip}), 0x49, clock)
        await channels.start()

        async def borrow(number):
            random = Random(number)
            for _ in range(20):
                channel = random.randrange(4)
                volts = await channels.voltage(channel)
                assert isclose(volts, chip.inputs[channel], abs_tol=0.0001)
                await clock.sleep(random.random() * 0.01)

        await asyncio.gather(*(borrow(number) for number in range(10)))

    virtual(main())


@pytest.mark.parametrize("queue", [0.0, 0.1])
def test_a_conversion_given_up_half_way_does_not_spoil_the_next(virtual, queue):
    """A deadline passes in the middle: the part still converts the old channel, deaf to a second start.

    Where others use the bus too, it began only after the *queue*.
    """

    async def main():
        clock = LoopClock()
        chip = Emulated(clock)
        chip.inputs = [1.0, 2.0, 3.0, 0.5]
        bus = Queue(EmulatedI2C({0x48: chip}))
        channels = Channels(bus, 0x48, clock, Options(rate=8))
        await channels.start()
        bus.queue = queue
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(queue + 0.01):
                await channels.voltage(1)
        bus.queue = 0.0
        return await channels.voltage(2)

    assert virtual(main()) == pytest.approx(3.0, abs=0.0001)


def test_the_os_bit_never_comes(chip, bus, clock):
    async def main():
        driver = Driver(bus, 0x48, clock)
        await started(driver)
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="never became idle"):
            await driver.measure()
        return clock.now - began

    assert asyncio.run(main()) < 0.03


def test_a_part_slower_than_it_may_be_is_waited_for(chip, bus, clock):
    """Half as slow again: the result is taken when it is there, not the one before it."""
    chip.slow = 1.65
    chip.inputs[0] = 1.5
    assert asyncio.run(started(Driver(bus, 0x48, clock)))[V] == pytest.approx(1.5, abs=0.0001)


@pytest.mark.parametrize("options", [Options(), Options(channel=4, full_scale=2.048, rate=128)])
def test_a_brown_out_at_any_moment_of_a_conversion_is_seen(chip, clock, options):
    """A part without its configuration gives 0: a plausible voltage. At the reset values, too."""
    seen = []
    for cut in range(2, 6):
        turn = 0

        def before(cut=cut):
            nonlocal turn
            turn += 1
            if turn == cut:
                chip.power_cycle()
                clock.now += 1

        chip.inputs = [1.0, 0.25, 0.0, 0.0]
        driver = Driver(EmulatedI2C({0x48: chip}), 0x48, clock, options)
        asyncio.run(driver.start())
        driver._channels._bus.before = before
        with suppress(DeviceError):
            seen.append(asyncio.run(driver.measure())[V])
    assert [value for value in seen if value == 0.0] == []
    assert len(seen) == 1  # the last turn is after the last transfer


@pytest.mark.parametrize("words", ["1234 5678", "0000 0000", "ffff ffff", "8000 0000", "31a2 5c00"])
def test_another_part_at_the_address_is_refused(chip, bus, clock, words):
    low, high = words.split()
    chip.registers[2], chip.registers[3] = int(low, 16), int(high, 16)
    with pytest.raises(WrongDevice, match=words):
        asyncio.run(Driver(bus, 0x48, clock).start())


def test_a_part_that_takes_no_configuration_is_refused(clock):
    """Registers that only look right, as of a part whose register 1 is read-only."""

    class Fixed(Memory):
        async def transfer(self, address, write=b"", read=0):
            return self.words[write[0]][:read]

    fixed = Fixed({"00": "0000", "01": "1234", "02": "8000", "03": "7fff"})
    with pytest.raises(DeviceError, match="reads 1234"):
        asyncio.run(Driver(fixed, 0x48, clock).start())


def test_stop_leaves_it_in_power_down(chip, bus, clock):
    async def main():
        driver = Driver(bus, 0x48, clock)
        await started(driver)
        await driver.stop()

    asyncio.run(main())
    assert chip.registers[1] & 0x0100


@pytest.mark.parametrize("wire", ["04", "0183", "00ffff", "01838300", "ff"])
def test_the_chip_refuses_what_the_part_does(chip, wire):
    with pytest.raises(BusError):
        chip.transfer(bytes.fromhex(wire), 0)


def test_the_chip_ignores_a_start_while_it_converts(chip, clock):
    chip.inputs = [1.0, 2.0, 0.0, 0.0]
    chip.transfer(bytes.fromhex("01c383"), 0)
    clock.now += 0.006
    chip.transfer(bytes.fromhex("01c383"), 0)
    clock.now += 0.003
    assert chip.transfer(b"\x01", 2).hex() == "c383"


def test_the_probe_knows_it_new_and_used(bus, clock):
    async def main():
        new = await probe(bus, 0x48, clock)
        await started(Driver(bus, 0x48, clock))
        return new, await probe(bus, 0x48, clock)

    assert asyncio.run(main()) == (
        "thresholds 0x8000 and 0x7fff, configuration 0x8583",
        "thresholds 0x8000 and 0x7fff, configuration 0xc387",
    )


def test_the_probe_changes_nothing(chip, bus, clock):
    before = dict(chip.registers)
    asyncio.run(probe(bus, 0x48, clock))
    assert chip.registers == before


@pytest.mark.parametrize("part", ["noise.dbm", "bin.ina226"])
def test_the_probe_refuses_its_neighbours(clock, part):
    """The parts that can be at the same addresses."""
    from importlib import import_module

    other = import_module(f"drivers.{part}.chip").Emulated(clock)
    clock.now += 10
    assert asyncio.run(probe(EmulatedI2C({0x48: other}), 0x48, clock)) is None


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_a_stuck_line(clock, byte):
    assert asyncio.run(probe(Constant(byte), 0x48, clock)) is None


@pytest.mark.parametrize("error", [NoAcknowledge, BusError])
def test_the_probe_of_nobody_is_none(clock, error):
    bus = EmulatedI2C({})
    bus.faults.append(error("nobody"))
    assert asyncio.run(probe(bus, 0x48, clock)) is None


def test_every_rate_is_waited_for(chip, clock):
    """At each rate, with the part at its slowest, the first look finds the result."""
    for rate in RATES:
        bus = EmulatedI2C({0x48: chip})
        driver = Driver(bus, 0x48, clock, Options(rate=rate))
        asyncio.run(driver.start())
        begun = bus.transfers
        asyncio.run(driver.measure())
        assert bus.transfers - begun == 4
