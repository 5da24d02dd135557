"""The driver of docs/writing-a-driver.md, taken from the page, runs through the sweep like any other."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from gateway.app.check import plan
from tests.conftest import VirtualClock
from tests.drivers import test_probe, test_sweep

PAGE = Path(__file__).parent.parent.parent / "docs" / "writing-a-driver.md"
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
T = Quantity.TEMPERATURE
SWEEP = [
    *(test_sweep.test_all_at_once, test_sweep.test_a_change_shows, test_sweep.test_every_address),
    *(test_sweep.test_absent, test_sweep.test_stop_can_be_repeated_and_taken_back),
    *(test_sweep.test_power_lost_and_back, test_sweep.test_power_lost_at_any_moment),
    *(test_sweep.test_garbage_is_survived, test_probe.test_a_running_part_takes_no_harm_from_any_probe),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put what the page says into a folder beside the drivers, as if it had always been there."""
    place = tmp_path / "drivers" / "weather" / "tmp117"
    place.mkdir(parents=True)
    for name, text in BLOCK.findall(PAGE.read_text()):
        (place / name).write_text(text)
    known = drivers.names() | {"tmp117": "weather"}
    monkeypatch.setattr(drivers, "names", lambda: known)
    monkeypatch.setattr(drivers, "__path__", [*drivers.__path__, str(place.parent.parent)])
    yield place
    for name in [each for each in sys.modules if each.startswith("drivers.weather.tmp117")]:
        del sys.modules[name]
    drivers.load.cache_clear()


def part() -> Any:
    return sys.modules[drivers.load("tmp117").driver.__module__]


@pytest.mark.parametrize("test", SWEEP, ids=lambda test: test.__name__)
def test_the_sweep(test: Any, clock: VirtualClock):
    test("tmp117", clock)


def test_the_rest_of_the_sweep(clock: VirtualClock):
    test_sweep.test_across_its_span("tmp117", T, clock)
    for byte in (0x00, 0xFF):
        test_sweep.test_the_line_sticks_while_it_runs("tmp117", byte, VirtualClock())
    for error in (test_probe.NoAcknowledge, test_probe.BusError):
        test_sweep.test_any_transfer_may_fail("tmp117", error, VirtualClock())


@pytest.mark.parametrize("address", [0x48, 0x49, 0x4A, 0x4B])
def test_the_probe(address: int, clock: VirtualClock):
    test_probe.test_it_recognises_its_own_part("tmp117", address, clock)
    for other in ("dbm", "ads1115"):
        if address in drivers.load(other).addresses:
            test_probe.test_it_is_not_taken_in_by_another_part("tmp117", other, address, VirtualClock())
            test_probe.test_it_is_not_taken_in_by_another_part(other, "tmp117", address, VirtualClock())
    for bus in test_probe.NOTHINGS:
        test_probe.test_it_is_not_taken_in_by_nothing("tmp117", bus, clock)


@pytest.mark.parametrize(("code", "celsius"), [(0xF380, -25.0), (0xFFFF, -0.0078125), (0x0C80, 25.0)])
def test_the_worked_examples_of_the_page(code: int, celsius: float):
    assert part().decode(code) == celsius
    assert part().decode(0x8000) is Missing.NOT_READY
    assert part().decode(0x7FFF) is Missing.OUT_OF_RANGE


def test_what_the_page_says_of_faults(clock: VirtualClock):
    rig = test_sweep.Rig("tmp117", clock)
    rig.chip.identity = 0x0190
    with pytest.raises(WrongDevice, match="0x0190"):
        asyncio.run(rig.driver.start())
    rig.chip.identity = 0x1117  # another revision
    asyncio.run(rig.driver.start())
    rig.chip.hung = True
    with pytest.raises(DeviceError, match="does not convert"):
        asyncio.run(rig.driver.measure())


def test_the_sample_of_the_page(folder: Path):
    head = '[gateway]\nid = "x"\n[store]\npath = "x.db"\n[[bus]]\nid = "i2c1"\npath = "/dev/i2c-1"\n'
    file = folder / "pole.toml"
    file.write_text(head + (folder / "sample.toml").read_text())
    assert plan(file).devices["air_temperature"].address == 0x49
    file.write_text(file.read_text().replace("average = 8", "average = 7"))
    with pytest.raises(ValueError, match="average must be one of 1, 8, 32, 64"):
        plan(file)


def test_the_code_of_the_page_keeps_the_rules(folder: Path):
    """Its length, its imports, and that the chip knows nothing of the driver."""
    driver, chip = (folder / "__init__.py").read_text(), (folder / "chip.py").read_text()
    assert max(map(len, [*driver.splitlines(), *chip.splitlines()])) <= 110
    assert set(re.findall(r"^from (\S+)", driver, re.MULTILINE)) == {
        *("dataclasses", "drivers.bus", "drivers.device"),
    }
    assert "tmp117" not in "".join(re.findall(r"^(?:from|import) .*", chip, re.MULTILINE))
