"""The cases of the header."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from typing import Any

import pytest

from drivers.board.contact import Driver as Contact
from drivers.board.contact import Options as ContactOptions
from drivers.board.switch import Driver as Switch
from drivers.board.switch import Options as SwitchOptions
from drivers.bus import BusError
from drivers.device import Quantity
from drivers.flood.hcsr04 import Driver as Hcsr04
from drivers.flood.hcsr04 import Options as Hcsr04Options
from drivers.flood.hcsr04 import speed_of_sound
from drivers.header import HeaderPins
from drivers.weather.rain_gauge import Driver as RainGauge
from tests.hardware.board import ECHO, LID, RAIN, SIREN, TRIGGER
from tests.hardware.case import case
from tests.hardware.wires import Wires

Q = Quantity
PATIENT = ContactOptions(debounce=0.12)
"""Longer than a loaded machine holds up the board between two bounces."""


@case
async def a_contact_that_bounces(wires: Wires) -> None:
    """The lid moves with bounce: told once, at once, and measured as it came to rest."""
    part = Contact(wires.pins, LID, wires.clock, PATIENT)
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
        await wires.clock.sleep(0.3)
        assert (await part.measure())[Q.CLOSED] == closed
    listener.cancel()
    assert len(told) == 2


@case
async def a_contact_that_is_asked_while_it_bounces(wires: Wires) -> None:
    """For a moment it shows the level that it comes from: that is no measurement."""
    part = Contact(wires.pins, LID, wires.clock, PATIENT)
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
