"""Each part's sample configuration and README tell the truth about its driver."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.device import UNITS
from gateway import config
from gateway.app.check import plan
from tests.conftest import VirtualClock

ROOT = Path(drivers.__file__).parent
PARTS = sorted(drivers.names())


def folder(name: str) -> Path:
    return ROOT / drivers.names()[name] / name


def tables(name: str) -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((folder(name) / "sample.toml").read_text())


def samples(name: str) -> list[config.Device]:
    """Return the devices of a sample that are of this part; beside them it may show what they need."""
    devices = [config.Device.model_validate(table) for table in tables(name).get("device", [])]
    return [device for device in devices if device.driver == name]


def around(name: str) -> str:
    """Return what the sample of a part leaves out: a pole, and the bus or converter that it names."""
    found = tables(name)
    named = {each.get("bus") for kind in ("device", "pins", "adc") for each in found.get(kind, [])}
    missing = named - {None} - {bus["id"] for bus in found.get("bus", [])}
    adcs = {each["adc"] for each in found.get("device", []) if "adc" in each}
    buses = missing | ({"of_the_adc"} if adcs else set())
    return "".join(
        [
            '[gateway]\nid = "pole"\n[store]\npath = "pole.db"\n',
            *(f'[[bus]]\nid = "{bus}"\npath = "emulated:street"\n' for bus in sorted(buses)),
            *(f'[[adc]]\nid = "{adc}"\ndriver = "ads1115"\nbus = "of_the_adc"\n' for adc in sorted(adcs)),
        ]
    )


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", text))


def test_every_folder_is_a_driver():
    """A part that lacks its chip or its driver would be found by nobody, and so tested by nobody."""
    folders = {each.parent.name for each in ROOT.glob("*/*/README.md")}
    assert folders == set(PARTS) == {each.parent.name for each in ROOT.glob("*/*/sample.toml")}


@pytest.mark.parametrize("name", PARTS)
def test_sample(name: str, tmp_path: Path):
    """The sample is of this part, and the check of a whole pole finds nothing wrong with it."""
    for package in drivers.load(name).needs:
        pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")
    path = tmp_path / "pole.toml"
    path.write_text(around(name) + (folder(name) / "sample.toml").read_text())
    checked = plan(path)
    used = {each.config.driver for each in checked.devices.values()}
    used |= {each.part.name for each in (*checked.wiring.pins.values(), *checked.wiring.adcs.values())}
    assert name in used | {bus.mux for bus in checked.config.bus}


@pytest.mark.parametrize("name", PARTS)
def test_readme_names_everything(name: str, clock: VirtualClock):
    """Every quantity with its unit, every option, the addresses and the source are in the README."""
    text, part = (folder(name) / "README.md").read_text(), drivers.load(name)
    options = [field.name for field in fields(part.options)]
    assert set(options) <= quoted(text)
    assert {f"{address:#04x}" for address in part.addresses[:1]} <= quoted(text)
    assert "Source: " in text
    for device in samples(name):
        if part.on == "wrapper":
            continue
        at = next(x for x in (device.address, device.line, device.channel, *part.addresses) if x is not None)
        driver = part.driver(None, at, clock, part.options(**device.options))
        assert {str(quantity) for quantity in driver.quantities} <= quoted(text)
        for quantity in driver.quantities:
            rows = [line for line in text.splitlines() if f"`{quantity}`" in line]
            assert any(UNITS[quantity] in row for row in rows), f"{quantity} is not in {UNITS[quantity]}"


@pytest.mark.parametrize("name", PARTS)
def test_addresses(name: str):
    """The default comes first, each once, all 7 bits wide."""
    addresses = drivers.load(name).addresses
    assert len(set(addresses)) == len(addresses)
    assert all(0x08 <= address <= 0x77 for address in addresses)
