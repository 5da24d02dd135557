"""What looks at the unit from beside it, in a guest that systemd runs: `python -m tests.hardware.witness`."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smbus2 import SMBus, i2c_msg

from tests.hardware.board import CUE, CUE_LENGTH, SIREN
from tests.hardware.inside import tell, uptime

UNIT = "lamppost.service"
TRIED = ["/dev/i2c-0", "/dev/gpiochip0", "/dev/kmsg", "/dev/console", "/etc/lamppost/lamppost.toml"]


def cue(what: str, *arguments: Any) -> Any:
    """Have the board do or tell something."""
    answer = i2c_msg.read(CUE, CUE_LENGTH)
    with SMBus(0) as bus:
        bus.i2c_rdwr(i2c_msg.write(CUE, json.dumps([what, arguments]).encode()), answer)
    return json.loads(bytes(answer))


def shown(*names: str) -> dict[str, str]:
    """Return properties of the unit."""
    run = subprocess.run(
        ["systemctl", "show", UNIT, *(f"--property={name}" for name in names)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in run.stdout.splitlines())


def wait(what: str, until: Callable[[], Any], seconds: float, every: float = 0.1) -> float:
    """Look again *every* [s] until it is so, and return how long that took [s]. Raises TimeoutError."""
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} did not come within {seconds} s: {state()}")
        time.sleep(every)
    return round(time.monotonic() - began, 1)


def state() -> dict[str, str]:
    return shown("ActiveState", "SubState", "Result", "NRestarts", "MainPID", "StatusText")


def running(restarts: int) -> bool:
    """Whether the unit is up, so many restarts on: systemd calls it active only once it said READY=1."""
    now = state()
    return now["ActiveState"] == "active" and int(now["NRestarts"]) >= restarts


def pid() -> int:
    return int(shown("MainPID")["MainPID"])


def siren() -> list[bool]:
    """Return whether the siren's line is an output, and its level."""
    return list(cue("line", SIREN))


def on() -> bool:
    """Whether the siren sounds: its relay pulls where an output is low."""
    return siren() == [True, False]


def sandbox() -> dict[str, Any]:
    """Return what the kernel says of the daemon's confinement."""
    folder = Path(f"/proc/{pid()}")
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
    mounts = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
    modes = {fields[4]: fields[5].split(",") for fields in mounts}
    return {
        "seccomp": int(status["Seccomp"]),
        "no_new_privileges": int(status["NoNewPrivs"]),
        "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
        "user": folder.stat().st_uid,
        "read_only": [each for each in ("/", "/etc", "/usr") if "ro" in modes.get(each, modes["/"])],
        "writable": sorted(each for each in modes if each.startswith("/var/lib/") and "rw" in modes[each]),
        "user_namespace": os.readlink(folder / "ns/user") != os.readlink("/proc/1/ns/user"),
        "devices": devices(),
    }


def devices() -> dict[str, str]:
    """Return what a process confined like the daemon gets when it opens devices: "" for those it may open."""
    code = (
        "import os, json\n"
        "def tried(path):\n"
        "    try: os.close(os.open(path, os.O_RDWR))\n"
        "    except OSError as error: return os.strerror(error.errno)\n"
        "    return ''\n"
        f"print(json.dumps({{each: tried(each) for each in {TRIED}}}))"
    )
    unit = Path("/etc/systemd/system/lamppost.service").read_text()
    wanted = re.findall(
        r"^(?:Device|Protect|Private|Supplementary|Restrict|NoNew|SystemCall|User|Group)\w*=.*$", unit, re.M
    )
    options = [f"--property={each}" for each in wanted]
    run = subprocess.run(
        ["systemd-run", "--quiet", "--pipe", "--wait", *options, "/opt/lamppost/bin/python3", "-c", code],
        capture_output=True,
        text=True,
    )
    return dict(json.loads(run.stdout)) if run.returncode == 0 else {"failed": run.stderr[-500:]}


def dynamic() -> dict[str, Any]:
    """Read a part as a user who exists only meanwhile: what DynamicUser= would give."""
    code = (
        "import os; from smbus2 import SMBus, i2c_msg; r = i2c_msg.read(0x76, 1); b = SMBus(0); "
        "b.i2c_rdwr(i2c_msg.write(0x76, [0xD0]), r); print(os.getuid(), list(r)[0])"
    )
    options = ["DynamicUser=yes", "SupplementaryGroups=i2c", "DevicePolicy=closed", "DeviceAllow=char-i2c rw"]
    run = subprocess.run(
        [
            *("systemd-run", "--quiet", "--pipe", "--wait"),
            *(f"--property={each}" for each in options),
            *("/opt/lamppost/bin/python3", "-c", code),
        ],
        capture_output=True,
        text=True,
    )
    user, read = (run.stdout.split() or ["0", "0"])[:2]
    return {"user": int(user), "read": int(read), "said": run.stderr[-300:]}


def main() -> None:
    tell(booted=uptime())
    took = wait("the unit", lambda: running(0), 60)
    tell(ready=uptime(), after=took, **shown("Type", "NotifyAccess", "WatchdogUSec", "StatusText"))
    tell(sandbox=sandbox())
    tell(dynamic=dynamic())

    tell(
        safe_after=wait("the safe state", lambda: siren() == [True, True], 30),
        first=cue("log", SIREN)[:2],
    )

    # The water rises: the siren must sound, and fall silent when the daemon is killed.
    cue("set", 0x70, "distance", 1.5)
    tell(siren_after=wait("the siren", on, 30))
    before, killed, said = int(state()["NRestarts"]), pid(), len(cue("log", SIREN))
    os.kill(killed, signal.SIGKILL)
    tell(released_after=wait("the relay's release", lambda: ["input", True] in cue("log", SIREN)[said:], 5))
    tell(restarted_after=wait("a restart", lambda: running(before + 1), 60))
    wait("the siren", on, 30)
    tell(after_kill=cue("log", SIREN)[said:][:3])

    # A loop that hangs: SIGSTOP stops every thread. Only the watchdog can tell.
    before, hung = int(state()["NRestarts"]), pid()
    os.kill(hung, signal.SIGSTOP)
    back = wait("the watchdog's restart", lambda: running(before + 1) and pid() != hung, 180, every=2.0)
    tell(watchdog_after=back)
    journal = subprocess.run(
        ["journalctl", "--unit", UNIT, "--output=cat", "--no-pager"], capture_output=True, text=True
    ).stdout
    tell(watchdog_said=[line for line in journal.splitlines() if "atchdog" in line][-3:])

    # A clean end leaves everything safe, while the siren sounds.
    wait("the siren", on, 30)
    said = len(cue("log", SIREN))
    subprocess.run(["systemctl", "stop", UNIT], check=True)
    tell(stopped=shown("ActiveState", "Result"), line_at_the_end=siren(), at_the_end=cue("log", SIREN)[said:])
    tell(ended=uptime())


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        subprocess.run(
            ["journalctl", "--unit", UNIT, "--output=cat", "--no-pager", "--lines=40"], check=False
        )
        raise
