"""The wall clock jumps under the real daemon: no rule is mistimed, and every record says when it was.

libfaketime (Debian: faketime) shows the daemon another wall clock; its monotonic clock is the machine's own.
"""

import json
import statistics
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.reading import Lane
from gateway.store import Archive
from tests.brokers import free_port
from tests.faults.rows import Tally
from tests.gateway.daemon_rig import STREET, Process, until
from tests.gateway.store_rig import rows

pytestmark = pytest.mark.waits

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
HOLD = 8.0  # [s] for which the rule's condition must hold
BUSY = 30.0  # [s] that a machine with much else to do may take for what is due; the clock is out by an hour
RULE = """\
[[rule]]
id = "slow"
says = "When there has been a temperature for eight seconds, say so."
owner = "Tests <tests@city.example>"
expires = 2036-12-31
when = "weather.temperature > -100.0"
for = "8s"
do = [{ event = "test.slow", subject = "weather" }]

[[rule.test]]
given = { "weather.temperature" = 5.0 }
expect = true
"""
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC).timestamp() - time.time()
JUMPS = {
    "from 2001 to now": (LONG_AGO, 0.0),
    "back an hour": (0.0, -3600.0),
    "on a day": (0.0, 86_400.0),
}


class Shown:
    """What the wall clock shows: the right time and *offset* [s]."""

    def __init__(self, file: Path, offset: float) -> None:
        self._file = file
        self.set(offset)

    def set(self, offset: float) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.0f}\n")
        fresh.rename(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


def records(path: Path, lane: Lane) -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in Archive(path).texts(lane)]


def accepted(pole: Process) -> int:
    """Return how many readings were, or 0 while the daemon does not answer."""
    status = pole.get("/status")
    return int(status["store"]["lanes"]["telemetry"]["accepted"]) if status else 0


def shows(pole: Process) -> float:
    """Return the daemon's own wall time [s, Unix], or 0 while it does not answer."""
    status = pole.get("/status")
    return float(status["time"]) if status else 0.0


def fired(path: Path) -> list[float]:
    """Return when the rule would have acted, on the monotonic clock [s]."""
    found = records(path, Lane.EVENTS)
    return [one["mono"] for one in found if one["kind"] == "decision" and one["rule"] == "slow"]


@pytest.mark.faults("the wall clock of the real daemon set: from 2001 to now, back an hour, on a day")
@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_is_set_moves_no_timer(tmp_path: Path, jump: str, tally: Tally) -> None:
    if not LIBRARIES:
        pytest.skip("this machine has no libfaketime: apt install faketime")
    before, after = JUMPS[jump]
    shown = Shown(tmp_path / "shown", before)
    (tmp_path / "slow.toml").write_text(RULE)
    street = STREET.replace('"50ms"', '"500ms"')  # a reading is not old before 1.5 s, on a busy machine
    pole = Process(tmp_path, free_port(), '\n[rules]\nfiles = ["slow.toml"]\n', street)
    path = tmp_path / "pole.db"
    try:
        pole.start(**shown.environment)
        until(lambda: accepted(pole) > 2, BUSY)
        jumped = time.monotonic()
        shown.set(after)
        until(lambda: abs(shows(pole) - time.time() - after) < 30, BUSY)
        until(lambda: fired(path), BUSY)
        for lane in pole.lanes().values():
            assert lane["accepted"] == lane["delivered"] + lane["held"] + sum(lane["dropped"].values())
        assert pole.stop()[0] == 0
    finally:
        pole.kill()
    taken = [one for one in records(path, Lane.TELEMETRY) if one["device"] == "weather"]
    late = max(other["mono"] - one["mono"] for one, other in pairwise(taken))
    (when,) = fired(path)
    tally(times=1, records=sum(seq for (seq,) in rows(path, "SELECT high FROM lane")))
    assert late < BUSY, "sampling went on"
    assert taken[0]["mono"] < jumped < taken[-1]["mono"]
    assert taken[0]["mono"] + HOLD - 0.2 < when
    assert jumped < when < jumped + BUSY
    right = statistics.median(time.time() - time.monotonic() for _ in range(9))
    offsets = [one["time"] - one["mono"] - right for one in taken]
    shown_then = [min(before, after, key=lambda shown, was=was: abs(was - shown)) for was in offsets]
    assert all(abs(was - shown) < 1.5 for was, shown in zip(offsets, shown_then, strict=True))
    assert shown_then[0] == before
    assert shown_then[-1] == after
    changes = [one["mono"] for one, was in zip(taken, shown_then, strict=True) if was == before]
    assert jumped - 1.0 < changes[-1] < jumped + BUSY
    assert len(changes) == shown_then.index(after), "it changed once"
