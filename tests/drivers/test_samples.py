"""Each part's sample configuration and README tell the truth about its driver."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import drivers
from drivers.device import UNITS
from gateway import config, toml
from tests.conftest import VirtualClock

ROOT = Path(drivers.__file__).parent
PARTS = sorted(drivers.names())


def folder(name: str) -> Path:
    return ROOT / drivers.names()[name] / name


def samples(name: str) -> list[config.Device]:
    tables = tomllib.loads((folder(name) / "sample.toml").read_text())
    assert list(tables) == ["device"]
    return [config.Device.model_validate(table) for table in tables["device"]]


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", text))


def test_every_folder_is_a_driver():
    """A part that lacks its chip or its driver would be found by nobody, and so tested by nobody."""
    folders = {each.parent.name for each in ROOT.glob("*/*/README.md")}
    assert folders == set(PARTS) == {each.parent.name for each in ROOT.glob("*/*/sample.toml")}


@pytest.mark.parametrize("name", PARTS)
def test_sample(name: str, tmp_path: Path):
    """The sample is a device of this driver, at an address that it can have, with options that it takes."""
    part = drivers.load(name)
    document = toml.parse((folder(name) / "sample.toml").read_text(), "sample.toml")
    for index, device in enumerate(samples(name)):
        assert device.driver == name
        assert (device.address in part.addresses) if part.addresses else (device.line is not None)
        options = config.options(part.options, device.options, document, ("device", index, "options"))
        assert isinstance(options, part.options)


@pytest.mark.parametrize("name", PARTS)
def test_readme_names_everything(name: str, clock: VirtualClock):
    """Every quantity with its unit, every option, the addresses and the source are in the README."""
    text, part = (folder(name) / "README.md").read_text(), drivers.load(name)
    options = [field.name for field in fields(part.options)]
    assert set(options) <= quoted(text)
    assert {f"{address:#04x}" for address in part.addresses[:1]} <= quoted(text)
    assert "Source: " in text
    for device in samples(name):
        driver = part.driver(None, device.address or device.line, clock, part.options(**device.options))
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
