"""The same result again and again, and what load cells make of it."""

import pytest

import drivers
from drivers.device import DeviceError, Missing
from drivers.frozen import Frozen
from drivers.load_cell import RAIL, Life, at_rail, check_cell, weight


def test_the_last_of_too_many_equal_ones_and_all_after_it_are_errors():
    frozen = Frozen(4, "vectors", "the sensing element")
    for _ in range(3):
        frozen.check((1, 2, 3))
    for count in (4, 5):
        with pytest.raises(
            DeviceError, match=f"{count} equal vectors in a row: the sensing element is frozen"
        ):
            frozen.check((1, 2, 3))
    frozen.check((1, 2, 4))


def test_equal_ones_must_be_in_a_row():
    frozen = Frozen(3, "vectors", "the sensing element")
    for result in (1, 1, 2, 2, 1, 1, 2, 2):
        frozen.check(result)


@pytest.mark.parametrize("counts", [RAIL, -RAIL, -RAIL - 1])
def test_at_a_rail_there_is_no_noise(counts: int):
    life = Life(3)
    for _ in range(9):
        life.check(counts)
    for _ in range(2):
        life.check(5)
    with pytest.raises(DeviceError, match="3 equal conversions in a row: the converter is frozen"):
        life.check(5)


@pytest.mark.parametrize(
    ("counts", "rail"), [(RAIL, True), (RAIL - 1, False), (-RAIL, False), (-RAIL - 1, True)]
)
def test_the_rails(counts: int, rail: bool):
    assert at_rail(counts) is rail


@pytest.mark.parametrize("part", ["hx711", "nau7802"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"zero": RAIL + 1.0}, "24 bits"),
        ({"zero": float("nan")}, "24 bits"),
        ({"factor": 0.0}, "factor"),
        ({"factor": float("inf")}, "factor"),
        ({"capacity": 0.0}, "capacity"),
        ({"capacity": 1e6}, "capacity"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_by_both(part: str, options: dict[str, float], says: str):
    with pytest.raises(ValueError, match=says):
        drivers.load(part).options(**options)


@pytest.mark.parametrize("part", ["hx711", "nau7802"])
def test_more_than_the_capacity_is_no_weight(part: str):
    cell = drivers.load(part).options(zero=100.0, factor=-10.0, capacity=5.0)
    check_cell(cell)
    assert weight(60, cell) == 4.0
    assert weight(150, cell) == -5.0
    assert weight(151, cell) is weight(49, cell) is Missing.OUT_OF_RANGE
