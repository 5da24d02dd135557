"""The drivers through unmodified smbus2 and gpiozero/lgpio, on devices that the preload shim gives."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hardware import preload
from tests.hardware.board import Board
from tests.hardware.cases import CASES, COSTS, EXACT, SHIM_ONLY
from tests.hardware.rig import ShimRig

EVERY = CASES | EXACT | SHIM_ONLY


def judge(rig: ShimRig, *names: str) -> dict[str, dict[str, Any]]:
    """Run cases in one process and return what each says."""
    run = rig.run("-m", "tests.hardware.subject", "/dev/i2c-1", "/dev/gpiochip0", *names)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return {told["case"]: told for told in map(json.loads, run.stdout.splitlines())}


@pytest.fixture
def rig(tmp_path) -> Iterator[ShimRig]:
    why = preload.hindrance()
    if why and not os.environ.get("CI"):  # in CI the tests fail and say so
        pytest.skip(f"this machine cannot, because {why}")
    rig = ShimRig(tmp_path)
    yield rig
    rig.close()


def test_the_drivers_hold_on_the_shim(rig, report):
    told = judge(rig, *EVERY)
    many = told["many_in_a_row"]
    report(cases=len(told), **{name: many[name] for name in COSTS if name in many})
    assert {name: case["why"] for name, case in told.items() if not case["held"]} == {}
    assert set(told) == set(EVERY)


# -- the rig must fail when it should


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "at", "name", "why"),
    [
        (0x69, 5, "a_frame_of_sixty_bytes", "ChecksumError"),
        (0x70, 1, "a_part_without_registers", "assert "),
        (0x29, 1, "a_register_with_an_index_of_sixteen_bits", "WrongDevice"),
        (0x76, 1, "a_compensation_by_forty_words", "assert "),
    ],
)
def test_a_bit_that_the_board_turns_over_fails_the_case(rig, address, at, name, why):
    """A planted wrong answer; where the part has no checksum, only the value can tell."""
    rig.cue("lie", address, at)
    told = judge(rig, name)[name]
    assert not told["held"]
    assert why in told["why"]


@pytest.mark.slow
def test_an_absent_part_fails_the_case(rig):
    rig.cue("plug", 0x29, False)
    told = judge(rig, "a_register_with_an_index_of_sixteen_bits")["a_register_with_an_index_of_sixteen_bits"]
    assert not told["held"]
    assert "NoAcknowledge" in told["why"]


@pytest.mark.slow
def test_a_relay_that_clicks_fails_the_case(rig, monkeypatch):
    """A header whose outputs start low, as gpiozero's own do: the log of the line shows it."""
    direct = Board.direct

    def clicking(board, line, output):
        wanted, board.latch[line] = board.latch[line], False
        direct(board, line, output)
        if output:
            board.drive(line, wanted)

    monkeypatch.setattr(Board, "direct", clicking)
    told = judge(rig, "a_relay_that_must_not_click")["a_relay_that_must_not_click"]
    assert not told["held"]
    assert "AssertionError" in told["why"]


@pytest.mark.slow
def test_a_tip_that_leaves_no_edge_fails_the_case(rig):
    rig.board.rain.bounce, rig.board.rain.lost = (), {0, 1}
    told = judge(rig, "rain_while_the_loop_is_busy")["rain_while_the_loop_is_busy"]
    assert not told["held"]
    assert "values[Q.COUNT] == 4.0" in told["why"]


@pytest.mark.slow
def test_without_a_board_there_are_no_devices(rig, tmp_path):
    """The shim must not fall back to the machine's own devices, nor pretend."""
    code = "import smbus2; smbus2.SMBus(1)"
    seen = preload.environment(str(tmp_path / "nobody"), tmp_path)
    run = subprocess.run([sys.executable, "-c", code], env=seen, capture_output=True, text=True, timeout=30)
    assert run.returncode == 1
    assert "No such device" in run.stderr


@pytest.mark.slow
def test_what_is_no_device_is_the_systems_own(rig):
    """open, ioctl and close of everything else pass through."""
    code = (
        "import fcntl,os,termios,array; r,w=os.pipe(); os.write(w,b'abc'); n=array.array('i',[0]); "
        "fcntl.ioctl(r,termios.FIONREAD,n); print(n[0], open('/proc/self/comm').read().strip() != '')"
    )
    assert rig.run("-c", code).stdout == "3 True\n"
