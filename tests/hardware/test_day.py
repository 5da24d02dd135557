"""A day with a reading each second, and a storm: in the rig's own time, through a real kernel's devices."""

import os

import pytest

from tests.hardware.test_kernel import run

DAY = int(os.environ.get("LAMPPOST_DAY", "86400"))  # s
STORM = 120  # s: lgpio looks at its lines a thousand times a second, which takes a guest long


@pytest.mark.timeout(3600)
def test_a_day_of_readings_loses_nothing(guest, tmp_path, report):
    """Every second has its reading in the store, on time, with the value that the river had just then."""
    _, told = run(guest, tmp_path, f"tests.hardware.inside live {DAY} river", travelling=True, patience=3500)
    for name in ("booted", "kernel", "tips", "movements", "worst_distance_mm", "ended"):
        told.pop(name)
    report(**told, times_as_fast=round(told["virtual_seconds"] / told["wall_seconds"]))
    assert told["one_second_readings"] >= DAY
    assert told["virtual_seconds"] >= DAY


@pytest.mark.timeout(900)
def test_a_storm_loses_no_edge(guest, tmp_path, report):
    """Every tip is counted once and every movement of the lid is seen, bounce and all."""
    parts = "river rain lid bin"
    _, told = run(
        guest, tmp_path, f"tests.hardware.inside live {STORM} {parts}", travelling=True, patience=800
    )
    for name in ("booted", "kernel", "ended"):
        told.pop(name)
    report(**told)
    assert told["tips"] >= STORM / 4.5
    assert told["movements"] >= STORM / 12
