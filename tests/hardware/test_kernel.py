"""The drivers on a real kernel's i2c-dev and gpiochip, whose controllers are the board's."""

import os
import time

import pytest

from tests.hardware.cases import CASES, COSTS, EXACT
from tests.hardware.conftest import PROGRESS
from tests.hardware.rig import GuestError, GuestRig, boot
from tests.hardware.stock import STOCK

pytestmark = pytest.mark.timeout(400)


def run(guest, folder, program, *parameters, travelling, becomes="look", patience=300.0, setup=None):
    """Boot a guest for *program*; return what it told, by case, and everything else it told as one."""
    kernel, _, root = guest
    rig = GuestRig(folder, travelling)
    cases, rest = {}, {}
    began = time.monotonic()
    try:
        if setup:
            setup(rig)
        for told in boot(kernel, root, becomes, program, *rig.parameters, *parameters, patience=patience):
            if "hour" in told:
                _progress(told.pop("hour"), began)
            if "booted" in told:
                rest["boot_seconds"] = round(time.monotonic() - began, 2)
            if "case" in told:
                cases[told["case"]] = told
            else:
                rest |= told
    finally:
        rig.close()
    return cases, rest | {"wall_seconds": round(time.monotonic() - began, 1)}


def _progress(hour, began):
    """Say how far the guest's day has come, where somebody follows."""
    path = os.environ.get(PROGRESS)
    if path:
        with open(path, "a") as file:
            print(f"{hour} h of the day have passed in {time.monotonic() - began:.0f} s", file=file)


def failed(cases):
    return {name: told["why"] for name, told in cases.items() if not told["held"]}


def test_the_drivers_hold_on_a_real_kernel(guest, tmp_path, report):
    """In the machine's own time: what it costs is in the report."""
    cases, rest = run(guest, tmp_path, "tests.hardware.inside cases", travelling=False)
    many = cases["many_in_a_row"]
    report(**{name: rest[name] for name in ("kernel", "boot_seconds", "wall_seconds")})
    report(**{name: many.get(name) for name in COSTS})
    assert failed(cases) == {}
    assert set(cases) == set(CASES)


def test_the_drivers_hold_in_the_rigs_time(guest, tmp_path, report):
    """The same, with every edge and every answer at its exact moment."""
    names = " ".join(CASES | EXACT)
    cases, rest = run(guest, tmp_path, f"tests.hardware.inside cases {names}", travelling=True)
    report(
        virtual_seconds=rest["ended"],
        wall_seconds=rest["wall_seconds"],
        worst_error_mm=cases["a_pulse_by_its_edges"].get("worst_error_mm"),
    )
    assert failed(cases) == {}
    assert set(cases) == set(CASES | EXACT)


def test_the_kernels_own_stand_ins(guest, tmp_path, report):
    """i2c-stub and gpio-sim, where nothing that answers is ours."""
    modules = f"LAMPPOST_MODULES={guest[1].parent}"
    cases, rest = run(guest, tmp_path, "tests.hardware.inside stock", modules, travelling=False)
    report(wall_seconds=rest["wall_seconds"])
    assert failed(cases) == {}
    assert set(cases) == set(STOCK)


def test_a_wrong_answer_of_the_board_is_noticed(guest, tmp_path):
    """A planted one: the rig must fail when it should."""
    names = ["a_part_without_registers", "a_frame_of_sixty_bytes", "nobody_answers"]

    def lie(rig):
        rig.cue("lie", 0x70, 1)
        rig.cue("lie", 0x69, 5)

    cases, _ = run(
        guest, tmp_path, f"tests.hardware.inside cases {' '.join(names)}", travelling=True, setup=lie
    )
    assert sorted(failed(cases)) == ["a_frame_of_sixty_bytes", "a_part_without_registers"]
    assert "ChecksumError" in failed(cases)["a_frame_of_sixty_bytes"]


def test_a_guest_that_does_not_end_well_is_an_error(guest, tmp_path):
    """Its exit status says nothing: neither of a program that fails, nor of one that hangs."""
    with pytest.raises(GuestError, match="no_such_module"):
        run(guest, tmp_path, "tests.hardware.no_such_module", travelling=True)
    (tmp_path / "again").mkdir()
    with pytest.raises(GuestError, match="takes too long"):
        run(guest, tmp_path / "again", "asyncio", travelling=False, patience=0.2)
