"""Worked examples from datasheets, other drivers and real parts, against every driver that we have.

Each file in `tests/vectors` holds the state to preload into a target, and what must come out. A new file, or
a new example of a part that is known, needs no code: see `tests/drivers/vectors.py`.
"""

import asyncio
from typing import Any

import pytest

import drivers
from drivers.bus import BusError, NoAcknowledge
from drivers.device import UNITS, ChecksumError, DeviceError, Missing
from tests.drivers.vectors import (
    BESIDE,
    SCALES,
    Commands,
    OneTarget,
    Recipe,
    Registers,
    Vector,
    play,
    read,
    recipe,
)

__all__ = ["Commands", "OneTarget", "Registers", "of"]

VECTORS = read()

WAITING: dict[str, str] = {}
"""Parts that no driver plays yet, each with the reason."""

NO_PART = {"Sensirion CRC-8", "SMBus PEC"}
"""Examples that are of no part."""


def of(*parts: str) -> list[Vector]:
    return [vector for vector in VECTORS if vector["part"] in parts]


def kind(*kinds: str) -> list[Vector]:
    return [vector for vector in VECTORS if vector["kind"] in kinds and vector["part"] not in WAITING]


def test_every_part_is_accounted_for():
    """An example of a part without a driver is a hole that is named, or there is none."""
    unknown = {vector["part"] for vector in VECTORS if not recipe(vector["part"])}
    assert unknown == WAITING.keys() | NO_PART
    assert {vector["kind"] for vector in VECTORS} == {"measure", "config", "algorithm", "fault"}
    assert len(VECTORS) >= 87


def test_every_recipe_has_a_driver_and_an_example():
    parts = {vector["part"] for vector in VECTORS}
    known = {part: recipe(part) for part in parts}
    assert all(each.driver in drivers.names() for each in known.values() if each)


@pytest.mark.parametrize("vector", kind("measure", "config", "algorithm"), ids=lambda vector: vector["id"])
def test_measure(vector: Vector):
    """What comes out is what is expected; null is a quantity that is missing."""
    found, known = play(vector), recipe(vector["part"]) or Recipe("")
    names = [name for name in vector["expected"] if name in found or name not in BESIDE | known.beside]
    assert names
    for name in names:
        check(name, found[name], vector["expected"][name])


def scale(name: str, unit: str) -> float:
    """Return what a value in *unit* must be multiplied by to be in ours."""
    return 1.0 if UNITS.get(name) == unit else SCALES.get(unit, 1.0)


def check(name: str, found: Any, expected: dict[str, Any]) -> None:
    """Compare one value: exactly where it is no number, else within the tolerance, in our unit."""
    wanted = expected["value"]
    if wanted is None:
        assert isinstance(found, Missing), f"{name} is {found}"
        return
    if isinstance(wanted, bool | str | dict) or (isinstance(wanted, list) and not expected.get("tol")):
        assert found == wanted, name
        return
    factor = scale(name, expected["unit"])
    near = [each * factor for each in wanted] if isinstance(wanted, list) else wanted * factor
    assert not isinstance(found, Missing), f"{name} is {found}"
    assert found == pytest.approx(near, abs=expected["tol"] * factor + 1e-9), name


@pytest.mark.parametrize("vector", kind("fault"), ids=lambda vector: vector["id"])
def test_fault(vector: Vector):
    """A fault is never a number: the frame is refused, or its quantities are missing."""
    outcome, known = vector["expected"]["outcome"], recipe(vector["part"])
    assert known
    if outcome in {"crc_error", "prom_crc_error"}:
        with pytest.raises(ChecksumError):
            play(vector)
        return
    assert outcome in {"not_measured", "invalid", "no_target", "out_of_range", "overflow"}
    try:
        found = play(vector)
    except (BusError, DeviceError):
        assert outcome not in {"no_target", "out_of_range"}
        return
    values = {name: found[name] for name in (known.fault or found)}
    assert all(isinstance(value, Missing) for value in values.values()), values
    named = {"no_target": Missing.NO_TARGET, "out_of_range": Missing.OUT_OF_RANGE}
    assert outcome not in named or set(values.values()) == {named[outcome]}


def test_a_new_example_needs_no_code():
    """A part that is known by its driver's name, with quantities by theirs."""
    vector = {
        "id": "new-sht4x",
        "part": "SHT4x",
        "kind": "measure",
        "i2c_address": "0x44",
        "device": {"model": "cmd8", "responses": {"fd": ["6666935d70de"], "89": ["12343756787d"]}},
        "expected": {"temperature": {"value": 25.0, "unit": "degC", "tol": 0.01}},
    }
    test_measure(vector)
    vector["expected"]["temperature"]["value"] = 26.0
    with pytest.raises(AssertionError):
        test_measure(vector)


def test_a_target_is_strict():
    """A plain target is not more patient than a part: nobody answers at another address."""
    bus = OneTarget(0x44, Commands({"responses": {}}, wide=1).transfer)
    with pytest.raises(NoAcknowledge):
        asyncio.run(bus.transfer(0x45, b"\xfd"))
    with pytest.raises(NoAcknowledge):
        asyncio.run(bus.transfer(0x44, read=1))
