"""The kernel's own stand-ins, i2c-stub and gpio-sim, inside the guest: none of our code answers there."""

import asyncio
import errno
import os
from contextlib import aclosing
from pathlib import Path

import pytest
from smbus2 import SMBus

from drivers.board.contact import Driver as Contact
from drivers.board.switch import Driver as Switch
from drivers.board.switch import Options as SwitchOptions
from drivers.bus import BusError, NoAcknowledge
from drivers.device import Quantity
from tests.hardware.cases import Case
from tests.hardware.wires import Wires

CONFIG = Path("/sys/kernel/config/gpio-sim")
CHIPS = Path("/sys/bus/gpio/devices")
LINES, LID, SIREN = 28, 17, 27


def chip(under: str) -> str:
    """Return the path of the GPIO chip whose device lies under one called so."""
    found = [each.name for each in CHIPS.glob("gpiochip*") if under in os.fspath(each.resolve())]
    if len(found) != 1:
        raise LookupError(f"{len(found)} GPIO chips belong to {under}")
    return f"/dev/{found[0]}"


def simulated() -> str:
    """Make a gpio-sim, once, and return its path."""
    device = CONFIG / "rig"
    if not device.exists():
        (device / "bank").mkdir(parents=True)
        (device / "bank/num_lines").write_text(str(LINES))
        (device / "live").write_text("1")
    return chip("gpio-sim")


def line(number: int) -> Path:
    """Return the folder of a simulated line: `pull` moves it, `value` shows it."""
    (found,) = Path("/sys/devices/platform").glob(f"gpio-sim.*/gpiochip*/sim_gpio{number}")
    return found


def move(number: int, high: bool) -> None:
    (line(number) / "pull").write_text("pull-up" if high else "pull-down")


async def a_bus_that_only_speaks_smbus(wires: Wires) -> None:
    """i2c-stub carries no plain transfers: the error says so, and is no absent part."""
    with SMBus(wires.path) as bus:
        bus.write_word_data(0x40, 5, 0xBEEF)
        assert bus.read_word_data(0x40, 5) == 0xBEEF
        with pytest.raises(OSError) as absent:
            bus.read_byte_data(0x41, 0)
        assert absent.value.errno == errno.ENODEV
    with pytest.raises(BusError, match="only SMBus") as refused:
        await wires.bus.transfer(0x40, b"\x05", 2)
    assert not isinstance(refused.value, NoAcknowledge)
    assert refused.value.errno == errno.EOPNOTSUPP


async def a_simulated_contact(wires: Wires) -> None:
    """gpio-sim moves the lid: seen, told once, and measured."""
    move(LID, True)
    part = Contact(wires.pins, LID, wires.clock)
    await part.start()
    assert (await part.measure())[Quantity.CLOSED] == 0.0
    told = []

    async def listen() -> None:
        async with aclosing(part.changes()) as changes:  # type: ignore[type-var]
            async for _ in changes:
                told.append(wires.clock.monotonic())  # noqa: PERF401 - the times, as they come

    listener = asyncio.create_task(listen())
    await wires.clock.sleep(0.1)
    for high in (False, True, False):
        move(LID, high)
        await wires.clock.sleep(0.005)
    await wires.clock.sleep(0.2)
    assert (await part.measure())[Quantity.CLOSED] == 1.0
    listener.cancel()
    assert len(told) == 1


async def a_simulated_relay(wires: Wires) -> None:
    """gpio-sim shows the line as the switch drives it."""
    part = Switch(wires.pins, SIREN, wires.clock, SwitchOptions(active_high=False))
    await part.start()
    seen = []
    for value in (1, 0, 1):
        await part.apply(value)
        seen.append((line(SIREN) / "value").read_text().strip())
    await part.stop()
    assert seen == ["0", "1", "0"]


STOCK: dict[str, Case] = {
    each.__name__: each for each in (a_bus_that_only_speaks_smbus, a_simulated_contact, a_simulated_relay)
}
