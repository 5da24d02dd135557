"""kill -9 at any moment: what was accepted is there, in order, and numbered without a hole."""

import contextlib
import json
import random
import selectors
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from gateway.reading import Lane
from tests.gateway.store_rig import texts

ROOT = Path(__file__).parents[2]


def live_and_die(path, seconds):
    """Run the writer for about *seconds* after its first sign of life; return what it said was accepted."""
    command = [sys.executable, "-m", "tests.gateway.store_writer", path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(20), "the writer never got to write"
        time.sleep(seconds)
        process.kill()
        said, _ = process.communicate()
    accepted = dict.fromkeys(Lane, 0)
    for line in said.decode().split("\n")[:-1]:
        lane, seq = line.split()
        accepted[Lane(lane)] = int(seq)
    return accepted


def check(path, accepted):
    """Look into the dead store's file: every accepted record is there, dense, in order, or delivered."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for lane in Lane:
            numbers = [seq for (seq,) in connection.execute(f"SELECT seq FROM {lane} ORDER BY seq")]
            rows = list(zip(numbers, texts(path, lane), strict=True))
            cursor = connection.execute("SELECT cursor FROM lane WHERE name = ?", (lane,)).fetchone()[0]
            first = rows[0][0] if rows else cursor + 1
            assert first <= cursor + 1
            assert [seq for seq, _ in rows] == list(range(first, first + len(rows)))
            assert first + len(rows) - 1 >= accepted[lane]
            for seq, body in rows:
                record = json.loads(body)
                number = record["data"]["number"] if lane is Lane.EVENTS else record["values"]["temperature"]
                assert number == seq


def kill(path, times, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    best = dict.fromkeys(Lane, 0)
    for _ in range(times):
        accepted = live_and_die(path, chance.uniform(0, 0.12))
        assert all(accepted[lane] >= best[lane] or accepted[lane] == 0 for lane in Lane)
        best = {lane: max(best[lane], accepted[lane]) for lane in Lane}
        check(path, best)
    assert best[Lane.TELEMETRY] > 5 * times
    assert best[Lane.EVENTS] > times


def test_nothing_accepted_is_lost_by_killing(tmp_path):
    """A few times; `make test-faults` does it often."""
    kill(tmp_path / "s.db", 6, seed=42)
