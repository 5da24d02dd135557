"""What must hold of the drivers on real devices, whichever kernel or shim is behind them.

Each case runs beside the devices: in a process with the shim, or inside the real kernel. It moves the world
by cues to the board, checks with `assert`, and returns figures for the report.
"""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from drivers.air.sps30 import Driver as Sps30
from drivers.bin.ina226 import Driver as Ina226
from drivers.bin.mlx90640 import Driver as Mlx90640
from drivers.bin.vl53l1x import Driver as Vl53l1x
from drivers.board.contact import Driver as Contact
from drivers.board.switch import Driver as Switch
from drivers.board.switch import Options as SwitchOptions
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import ChecksumError, Quantity
from drivers.flood.hcsr04 import Driver as Hcsr04
from drivers.flood.hcsr04 import Options as Hcsr04Options
from drivers.flood.hcsr04 import speed_of_sound
from drivers.flood.mb7040 import Driver as Mb7040
from drivers.header import HeaderPins
from drivers.linux import LinuxI2C
from drivers.weather.bme280 import Driver as Bme280
from drivers.weather.rain_gauge import Driver as RainGauge
from tests.hardware.board import ECHO, LID, RAIN, SIREN, TRIGGER
from tests.hardware.wires import Wires

Case = Callable[[Wires], Awaitable[dict[str, Any] | None]]
CASES: dict[str, Case] = {}
COSTS = ("transfers_per_second", "cpu_us_per_transfer")
"""The figures of `many_in_a_row`."""
Q = Quantity


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


# -- the bus


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
    await wires.bus.transfer(0x70, b"\x51")
    with pytest.raises(NoAcknowledge) as refused:
        await wires.bus.transfer(0x70, b"", 2)
    assert refused.value.errno == errno.EREMOTEIO
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


# -- the header


@case
async def a_contact_that_bounces(wires: Wires) -> None:
    """The lid moves with bounce: told once, at once, and measured as it came to rest."""
    part = Contact(wires.pins, LID, wires.clock)
    await part.start()
    assert (await part.measure())[Q.CLOSED] == 0.0
    told = []

    async def listen() -> None:
        async with aclosing(part.changes()) as changes:  # type: ignore[type-var]
            async for _ in changes:
                told.append(wires.clock.monotonic())  # noqa: PERF401 - the times, as they come

    listener = asyncio.create_task(listen())
    await wires.clock.sleep(0.05)
    for closed in (1.0, 0.0):
        await wires.cue("move", closed, [0.002, 0.004, 0.003], 0.0)
        await wires.clock.sleep(0.2)
        assert (await part.measure())[Q.CLOSED] == closed
    listener.cancel()
    assert len(told) == 2


@case
async def a_contact_that_is_asked_while_it_bounces(wires: Wires) -> None:
    """For a moment it shows the level that it comes from: that is no measurement."""
    part = Contact(wires.pins, LID, wires.clock)
    await part.start()
    for closed in (1.0, 0.0):
        await wires.cue("move", closed, [0.008, 0.02], 0.0)
        await wires.clock.sleep(0.015)
        assert (await part.measure())[Q.CLOSED] == closed


@case
async def a_relay_that_must_not_click(wires: Wires) -> None:
    """The level comes before the direction, and nothing but what was asked happens on the line."""
    options = SwitchOptions(active_high=False)
    before = len(await wires.cue("log", SIREN))
    part = Switch(wires.pins, SIREN, wires.clock, options)
    await part.start()
    for value in (1, 0, 1):
        await part.apply(value)
        assert (await part.measure())[Q.ON] == value
    await part.stop()
    log = (await wires.cue("log", SIREN))[before:]
    outputs = [number for number, (what, _) in enumerate(log) if what == "output"]
    assert len(outputs) == 1
    assert log[outputs[0] - 1 : outputs[0] + 1] == [["level", True], ["output", True]]
    assert [high for what, high in log if what == "level"] == [True, False, True, False, True]


@case
async def rain_while_the_loop_is_busy(wires: Wires) -> None:
    """No tip is lost, and none is counted twice, while the loop hears nothing."""
    part = RainGauge(wires.pins, RAIN, wires.clock)
    await part.start()
    before = (await wires.cue("count"))["tips"]
    await wires.cue("tip", 4, 0.25, 0.05)
    await asyncio.to_thread(time.sleep, 0.02)
    time.sleep(0.8)
    await wires.clock.sleep(1.0)
    values = await part.measure()
    assert (await wires.cue("count"))["tips"] - before == 4
    assert values[Q.COUNT] == 4.0
    await part.stop()


@case
async def a_line_that_is_taken(wires: Wires) -> None:
    """A line that another program holds: the error names it; when it is free it is ours."""
    other = HeaderPins(wires.chip)
    await other.write(5, True)
    with pytest.raises(BusError, match="line 5 of"):
        await wires.pins.write(5, False)
    assert ["level", False] not in await wires.cue("log", 5)
    await other.close()
    await wires.pins.write(6, True)


@case
async def a_header_that_is_not_there(wires: Wires) -> None:
    """The error names the chip that was asked for."""
    with pytest.raises(BusError, match="/dev/gpiochip77"):
        await HeaderPins("/dev/gpiochip77").read(4)


@case
async def killed_with_a_relay_on(wires: Wires) -> None:
    """The kernel lets go of the line of a process that is killed: the relay falls off."""
    command = [sys.executable, "-m", "tests.hardware.subject", wires.path, wires.chip, "--hold", str(SIREN)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert (await asyncio.to_thread(holder.stdout.readline)).strip() == "held"
        assert (await wires.cue("log", SIREN))[-1] == ["output", False]
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    for _ in range(100):
        if (await wires.cue("log", SIREN))[-1] == ["input", True]:
            return
        await wires.clock.sleep(0.02)
    raise AssertionError(f"the line is still driven: {(await wires.cue('log', SIREN))[-3:]}")


async def a_pulse_by_its_edges(wires: Wires) -> dict[str, Any]:
    """HC-SR04: the width of the echo by the times of its edges, compared with what the board really did.

    For where edges get their times at the source: the shim, and a guest in the rig's time.
    """
    part = Hcsr04(wires.pins, TRIGGER, wires.clock, Hcsr04Options(echo=ECHO))
    await part.start()
    worst = 0.0
    for distance in (0.3, 1.0, 2.0):
        await wires.cue("range", distance)
        for _ in range(20):  # a board that is late stretches its pulse, at the worst beyond what counts
            measured = (await part.measure())[Q.DISTANCE]
            if isinstance(measured, float):
                break
        assert isinstance(measured, float), measured
        width = await wires.cue("pulse")
        really = width * speed_of_sound(20.0) / 2
        assert abs(measured - really) < 0.005, f"{measured} m measured, {really} m by the board"
        worst = max(worst, abs(measured - really))
    await part.stop()
    return {"worst_error_mm": round(worst * 1000, 2)}


async def a_controller_that_gives_up(wires: Wires) -> None:
    """ETIMEDOUT becomes BusTimeout, and the next transfer is carried. Virtio has no such answer."""
    await wires.cue("fault", "timeout")
    with pytest.raises(BusTimeout) as stuck:
        await wires.bus.transfer(0x76, b"\xd0", 1)
    assert stuck.value.errno == errno.ETIMEDOUT
    assert await wires.bus.transfer(0x76, b"\xd0", 1) == b"\x60"


EXACT: dict[str, Case] = {"a_pulse_by_its_edges": a_pulse_by_its_edges}
SHIM_ONLY: dict[str, Case] = {"a_controller_that_gives_up": a_controller_that_gives_up}
