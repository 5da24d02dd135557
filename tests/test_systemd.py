"""The unit and what belongs to it: valid, hardened, and in step with the daemon.

systemd's own tools judge where they are installed; elsewhere the same files are read as text.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNIT = SYSTEMD / "lamppost.service"
EXPOSURE = 15
"""The greatest exposure that `systemd-analyze security` may find, in tenths."""

# What keeps a taken-over daemon from the rest of the machine; each must be there as written.
WALLS = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "MemoryDenyWriteExecute": "yes",
    "LockPersonality": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "DevicePolicy": "closed",
    "UMask": "0077",
}

Settings = dict[str, list[str]]


def settings(text: str) -> Settings:
    """Return every setting of a unit file with all its values, in order."""
    found: Settings = {}
    for key, value in re.findall(r"^([A-Z]\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(key, []).append(value.strip())
    return found


@pytest.fixture
def unit() -> Settings:
    return settings(UNIT.read_text())


def test_the_daemon_speaks_with_systemd(unit: Settings) -> None:
    assert unit["Type"] == ["notify"]
    assert unit["ExecStart"] == ["/opt/lamppost/bin/lamppost run --config /etc/lamppost/lamppost.toml"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["WatchdogSec"] == ["30s"]


def test_it_always_comes_back(unit: Settings) -> None:
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]


def test_stopping_has_more_time_than_the_daemon_needs(unit: Settings) -> None:
    """The daemon promises under 5 s: outputs safe, last commit done."""
    assert float(unit["TimeoutStopSec"][0].removesuffix("s")) > 5


def test_only_i2c_and_gpio_can_be_touched(unit: Settings) -> None:
    assert unit["DeviceAllow"] == ["char-i2c rw", "char-gpiochip rw"]


def test_lgpio_has_a_folder_that_it_may_write(unit: Settings) -> None:
    """At its import it makes a FIFO in its working directory, and ProtectSystem=strict leaves few."""
    assert "LG_WD=%t/lamppost" in " ".join(unit["Environment"]).split()
    assert unit["RuntimeDirectory"] == ["lamppost"]


def test_the_store_has_its_folder(unit: Settings) -> None:
    assert unit["StateDirectory"] == ["lamppost"]


def test_a_password_that_is_not_there_does_not_stop_the_start(unit: Settings) -> None:
    """A path would make it required; a name alone is looked up in the credential stores."""
    assert unit["LoadCredential"] == ["lamppost-mqtt-password", "lamppost-people"]


def test_boot_id_and_revision_can_be_read(unit: Settings) -> None:
    """Records carry the boot id of /proc/sys, which ProcSubset=pid would hide."""
    assert unit["ProcSubset"] == ["all"]


@pytest.mark.parametrize(("key", "value"), WALLS.items())
def test_each_wall_stands(unit: Settings, key: str, value: str) -> None:
    assert unit.get(key) == [value]


def test_user_and_groups_are_the_ones_that_sysusers_makes(unit: Settings) -> None:
    lines = [line.split() for line in (SYSTEMD / "lamppost.sysusers").read_text().splitlines()]
    users = {line[1] for line in lines if line[:1] == ["u"]}
    groups = {line[1] for line in lines if line[:1] == ["g"]}
    members = {line[2] for line in lines if line[:1] == ["m"]}
    assert unit["User"] == unit["Group"] == ["lamppost"]
    assert users == {"lamppost"}
    assert set(unit["SupplementaryGroups"][0].split()) == groups == members


def test_udev_gives_the_wires_to_those_groups() -> None:
    rules = (SYSTEMD / "70-lamppost.rules").read_text()
    assert re.search(r'^SUBSYSTEM=="i2c-dev",.* GROUP="i2c", MODE="0660"$', rules, re.MULTILINE)
    assert re.search(r'^SUBSYSTEM=="gpio",.* GROUP="gpio", MODE="0660"$', rules, re.MULTILINE)


def test_every_line_is_a_setting_a_section_or_a_comment() -> None:
    strays = [line for line in UNIT.read_text().splitlines() if not re.match(r"[A-Z]\w+=|\[\w+\]$|#|$", line)]
    assert strays == []


if shutil.which("systemd-analyze"):

    def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
        """Run systemd-analyze, which needs no running systemd for this."""
        command = ["systemd-analyze", "--no-pager", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    @pytest.fixture
    def installed(tmp_path: Path) -> Callable[[str], str]:
        """Return a copy of the unit whose program exists, which verify looks for."""

        def write(text: str) -> str:
            copy = tmp_path / "lamppost.service"
            copy.write_text(text.replace("/opt/lamppost/bin/lamppost", "/bin/true"))
            return str(copy)

        return write

    def test_systemd_accepts_the_unit(installed: Callable[[str], str]) -> None:
        result = analyze("verify", "--man=no", installed(UNIT.read_text()))
        assert (result.returncode, result.stdout, "lamppost" in result.stderr) == (0, "", False), (
            result.stderr
        )

    def test_systemd_would_say_so_if_it_did_not(installed: Callable[[str], str]) -> None:
        result = analyze("verify", "--man=no", installed(UNIT.read_text() + "\nRestart=forever\n"))
        assert "lamppost.service" in result.stderr

    def exposed(path: str) -> int:
        limit = f"--threshold={EXPOSURE}"
        return analyze("security", "--offline=true", limit, path).returncode

    def test_systemd_finds_little_exposed() -> None:
        assert exposed(str(UNIT)) == 0

    @pytest.mark.parametrize("wall", ["SystemCallFilter=@system-service", "CapabilityBoundingSet="])
    def test_a_fallen_wall_exceeds_the_limit(installed: Callable[[str], str], wall: str) -> None:
        text = UNIT.read_text()
        assert f"\n{wall}\n" in text
        assert exposed(installed(text.replace(f"\n{wall}\n", "\n"))) != 0


if shutil.which("systemd-sysusers"):

    def test_sysusers_accepts_the_file(tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        command = ["systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "lamppost.sysusers")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        made = (tmp_path / "etc/passwd").read_text() if result.returncode == 0 else ""
        assert "lamppost:" in made, result.stderr
