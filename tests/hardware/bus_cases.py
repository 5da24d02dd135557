"""The cases of the bus."""

import errno
import time
from typing import Any

import pytest

from drivers.air.sps30 import Driver as Sps30
from drivers.bin.ina226 import Driver as Ina226
from drivers.bin.mlx90640 import Driver as Mlx90640
from drivers.bin.vl53l1x import Driver as Vl53l1x
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import ChecksumError, Quantity
from drivers.flood.mb7040 import Driver as Mb7040
from drivers.linux import LinuxI2C
from drivers.weather.bme280 import Driver as Bme280
from tests.hardware.case import case
from tests.hardware.wires import Wires

Q = Quantity


@case
async def a_frame_of_sixty_bytes(wires: Wires) -> None:
    """SPS30: a command, a wait, and a result of twenty words, each with its checksum."""
    await wires.cue("set", 0x69, "pm2_5", 37.25)
    part = Sps30(wires.bus, 0x69, wires.clock)
    await part.start()
    await wires.clock.sleep(0.05)  # the part executes the start, in the board's time
    wires.clock.ahead = 60.0  # and has settled, in the driver's
    values = await part.measure()
    assert values[Q.PM2_5] == 37.25
    assert values[Q.PM10] == pytest.approx(10.9, abs=1e-3)
    await part.stop()


@case
async def a_register_with_an_index_of_sixteen_bits(wires: Wires) -> None:
    """VL53L1X: two bytes of index, a repeated start, blocks of up to ninety bytes."""
    await wires.cue("set", 0x29, "distance", 1.234)
    part = Vl53l1x(wires.bus, 0x29, wires.clock)
    await part.start()
    assert (await part.measure())[Q.DISTANCE] == pytest.approx(1.234, abs=0.0011)
    await part.stop()


@case
async def a_part_without_registers(wires: Wires) -> None:
    """MaxBotix: one byte out, a wait, two bytes in, and nothing else."""
    await wires.cue("set", 0x70, "distance", 3.21)
    part = Mb7040(wires.bus, 0x70, wires.clock)
    await part.start()
    assert (await part.measure())[Q.DISTANCE] == pytest.approx(3.21, abs=0.0051)


@case
async def a_part_that_does_not_listen_now(wires: Wires) -> None:
    """It does not acknowledge while it ranges, and does so again after that."""
    await wires.cue("set", 0x70, "distance", 7.0)  # its sound is on the way for long
    refused = None
    for _ in range(10):  # a machine that is held up between the two asks too late
        await wires.bus.transfer(0x70, b"\x51")
        try:
            await wires.bus.transfer(0x70, b"", 2)
        except NoAcknowledge as error:
            refused = error
            break
    assert refused is not None, "it answers while it ranges"
    assert refused.errno == errno.EREMOTEIO
    await wires.clock.sleep(0.12)
    assert len(await wires.bus.transfer(0x70, b"", 2)) == 2


@case
async def a_compensation_by_forty_words(wires: Wires) -> None:
    """BME280: its calibration in two bursts, and three quantities that hang together."""
    for quantity, value in (("temperature", -7.3), ("humidity", 61.0), ("pressure", 987.6)):
        await wires.cue("set", 0x76, quantity, value)
    part = Bme280(wires.bus, 0x76, wires.clock)
    await part.start()
    values = await part.measure()
    assert values[Q.TEMPERATURE] == pytest.approx(-7.3, abs=0.02)
    assert values[Q.HUMIDITY] == pytest.approx(61.0, abs=0.1)
    assert values[Q.PRESSURE] == pytest.approx(987.6, abs=0.1)


@case
async def a_read_of_more_than_a_kilobyte(wires: Wires) -> None:
    """MLX90640: 1664 bytes of calibration in one read, and a picture of 768 surfaces."""
    await wires.cue("set", 0x33, "surface_temperature", 84.0)
    part = Mlx90640(wires.bus, 0x33, wires.clock)
    await part.start()
    assert (await part.measure())[Q.SURFACE_TEMPERATURE] == pytest.approx(84.0, abs=1.0)


@case
async def nobody_answers(wires: Wires) -> None:
    """An address without a part: NoAcknowledge, with the errno that a Pi's controller gives."""
    for write, read in ((b"", 1), (b"\x00", 0), (b"\x00", 2)):
        with pytest.raises(NoAcknowledge, match="0x55") as absent:
            await wires.bus.transfer(0x55, write, read)
        assert absent.value.errno == errno.EREMOTEIO


@case
async def unplugged_and_back(wires: Wires) -> None:
    """A part that goes is told at once, and is itself again when it is back."""
    part = Ina226(wires.bus, 0x40, wires.clock)
    await wires.cue("set", 0x40, "voltage", 12.5)
    await part.start()
    assert (await part.measure())[Q.VOLTAGE] == pytest.approx(12.5, abs=0.01)
    await wires.cue("plug", 0x40, False)
    with pytest.raises(NoAcknowledge):
        await part.measure()
    await wires.cue("plug", 0x40, True)
    await part.start()
    assert (await part.measure())[Q.VOLTAGE] == pytest.approx(12.5, abs=0.01)


@case
async def a_transfer_that_hangs(wires: Wires) -> None:
    """A transfer that does not come back costs its caller the timeout, the next ones nothing, and passes."""
    bus = LinuxI2C(wires.path, timeout=0.2)
    try:
        await wires.cue("stall", 1.0)
        began = wires.clock.monotonic()
        for _ in range(3):
            with pytest.raises(BusTimeout, match="hangs"):
                await bus.transfer(0x70, b"", 2)
        assert wires.clock.monotonic() - began < 0.8
        await wires.clock.sleep(1.0)
        assert len(await bus.transfer(0x70, b"", 2)) == 2
    finally:
        await bus.close()


@case
async def a_bit_turned_over(wires: Wires) -> None:
    """A part whose answers arrive with a wrong bit: its checksum tells."""
    part = Sps30(wires.bus, 0x69, wires.clock)
    await part.start()
    await wires.cue("lie", 0x69, 1)
    try:
        with pytest.raises(ChecksumError):
            await part.measure()
    finally:
        await wires.cue("plug", 0x69, True)


@case
async def a_bus_that_is_not_there(wires: Wires) -> None:
    """The error says what to do, and does not keep the other bus from working."""
    bus = LinuxI2C("/dev/i2c-77")
    try:
        with pytest.raises(BusError, match="turn I2C on"):
            await bus.transfer(0x76, b"\xd0", 1)
    finally:
        await bus.close()
    assert await wires.bus.transfer(0x76, b"\xd0", 1) == b"\x60"


@case
async def many_in_a_row(wires: Wires) -> dict[str, Any]:
    """The same answer a thousand times; and what a transfer costs here."""
    count = 1000
    began, spent = time.monotonic(), time.process_time()
    for _ in range(count):
        assert await wires.bus.transfer(0x76, b"\xd0", 1) == b"\x60"
    took, used = time.monotonic() - began, time.process_time() - spent
    return {"transfers_per_second": round(count / took), "cpu_us_per_transfer": round(used / count * 1e6)}


async def a_controller_that_gives_up(wires: Wires) -> None:
    """ETIMEDOUT becomes BusTimeout, and the next transfer is carried. Virtio has no such answer."""
    await wires.cue("fault", "timeout")
    with pytest.raises(BusTimeout) as stuck:
        await wires.bus.transfer(0x76, b"\xd0", 1)
    assert stuck.value.errno == errno.ETIMEDOUT
    assert await wires.bus.transfer(0x76, b"\xd0", 1) == b"\x60"
