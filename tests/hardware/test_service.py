"""systemd runs the real unit in a guest, its wires the board's: confined, killed, hung and stopped."""

import pytest

from tests.hardware.test_kernel import run


@pytest.fixture(scope="module")
def told(guest, tmp_path_factory):
    """What the witness beside the unit saw, in the rig's time: the watchdog's half minute costs nothing."""
    folder = tmp_path_factory.mktemp("service")
    _, told = run(guest, folder, "tests.hardware.witness", travelling=True, becomes="serve", patience=800)
    return told


pytestmark = pytest.mark.timeout(900)


def test_the_unit_starts_and_says_that_it_is_ready(told, report):
    report(up_with_systemd_after=told["boot_seconds"], wall_seconds=told["wall_seconds"])
    assert told["Type"] == "notify"
    assert told["NotifyAccess"] == "main"
    assert told["WatchdogUSec"] == "30s"
    assert "devices running" in told["StatusText"]


def test_the_unit_is_confined(told):
    """As the kernel itself says, of the process as it runs."""
    box = told["sandbox"]
    assert box["seccomp"] == 2
    assert box["no_new_privileges"] == 1
    assert box["capabilities"] == 0
    assert box["user"] != 0
    assert box["user_namespace"]
    assert box["read_only"] == ["/", "/etc", "/usr"]
    assert box["writable"] == ["/var/lib/lamppost"]


def test_the_unit_may_open_its_wires_and_nothing_else(told):
    tried = told["sandbox"]["devices"]
    assert tried.pop("/dev/i2c-0") == ""
    assert tried.pop("/dev/gpiochip0") == ""
    assert set(tried.values()) == {"Permission denied"}


def test_a_user_of_the_moment_reaches_the_bus(told):
    """DynamicUser= with the group i2c is enough to read a part."""
    assert told["dynamic"]["read"] == 0x60, told["dynamic"]["said"]
    assert told["dynamic"]["user"] >= 61184  # where systemd takes such users from


def test_outputs_are_safe_before_anything_else(told):
    """The level comes first: the relay does not click."""
    assert told["first"] == [["level", True], ["output", True]]


def test_a_kill_makes_outputs_safe(told):
    """SIGKILL with the siren on: the kernel lets go of its line, and the next daemon starts it safe."""
    assert told["siren_after"] <= 3
    assert told["released_after"] <= 0.2
    assert told["restarted_after"] <= 10
    assert told["after_kill"] == [["input", True], ["level", True], ["output", True]]


def test_a_loop_that_hangs_is_restarted_by_the_watchdog(told, report):
    report(watchdog_restart_after=told["watchdog_after"])
    assert 20 <= told["watchdog_after"] <= 90
    assert any("Watchdog timeout" in line for line in told["watchdog_said"])


def test_a_clean_end_leaves_outputs_safe(told):
    assert told["stopped"] == {"ActiveState": "inactive", "Result": "success"}
    assert told["line_at_the_end"][1] is True
    assert told["at_the_end"][0] == ["level", True]
