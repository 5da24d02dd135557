"""kill -9 of the writing process at any moment, and what a consumer has to say of it."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.reading import Lane
from tests.faults.rows import Tally, size
from tests.gateway.store_rig import texts

ROOT = Path(__file__).parents[2]
PARTS = size(4, 10)  # for two processors and more
TIMES = size(100, 1000) // PARTS
LINES = 600  # of the longest life: some half a second, and minutes on its own clock


class Consumer:
    """Hears what the victim says: what was accepted, and what arrived, in which order, how often."""

    def __init__(self) -> None:
        self.accepted = dict.fromkeys(Lane, 0)
        self.arrived = {lane: set[int]() for lane in Lane}
        self.last = dict.fromkeys(Lane, 0)
        self.received = self.disorder = self.wrong = 0

    def hear(self, word: str, *rest: str) -> None:
        if word == "accepted":
            lane, seq = Lane(rest[0]), int(rest[1])
            self.accepted[lane] = max(self.accepted[lane], seq)
        elif word == "sent":
            lane = Lane(rest[0])
            for seq, number in enumerate(map(int, rest[2:]), int(rest[1])):
                self._take(lane, seq, number)

    def _take(self, lane: Lane, seq: int, number: int) -> None:
        self.received += 1
        self.wrong += number != seq
        if seq not in self.arrived[lane]:
            self.disorder += seq != self.last[lane] + 1
            self.last[lane] = seq
            self.arrived[lane].add(seq)

    @property
    def duplicates(self) -> int:
        return self.received - sum(map(len, self.arrived.values()))

    @property
    def lost(self) -> int:
        return sum(len({*range(1, self.accepted[lane] + 1)} - self.arrived[lane]) for lane in Lane)


class Victim:
    """The process that forks those who die, and what they say."""

    def __init__(self, process: subprocess.Popen[str], consumer: Consumer) -> None:
        self._process = process
        self._consumer = consumer
        self._pid = 0

    def live(self, lines: int | None, moment: float = 0.0) -> int:
        """Have it live, kill it *moment* [s] after so many *lines* (None: let it drain); return its end."""
        assert self._process.stdin is not None
        print("drain" if lines is None else "live", file=self._process.stdin, flush=True)
        assert self._hear() == "alive"
        pid = self._pid
        for _ in range(lines or 0):
            assert self._hear() != "dead", "it died before it was killed"
        time.sleep(moment)
        if lines is not None:
            os.kill(pid, signal.SIGKILL)
        while (word := self._hear()) != "dead":
            assert word
        return self._pid

    def _hear(self) -> str:
        assert self._process.stdout is not None
        word, *rest = self._process.stdout.readline().split()
        if word in ("alive", "dead"):
            self._pid = int(rest[0])
        self._consumer.hear(word, *rest)
        return word


@contextmanager
def victim(path: Path, consumer: Consumer) -> Iterator[Victim]:
    command = [sys.executable, "-m", "tests.faults.victim", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        yield Victim(process, consumer)
        assert process.stdin is not None
        process.stdin.close()


def check(path: Path, copy: Path, accepted: dict[Lane, int]) -> None:
    """Look into a copy of the dead store's files: what was accepted is there, dense, or was delivered."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path.parent, copy)
    with closing(sqlite3.connect(copy / path.name)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for lane in Lane:
            numbers = [seq for (seq,) in connection.execute(f"SELECT seq FROM {lane} ORDER BY seq")]
            high, cursor = connection.execute(
                "SELECT high, cursor FROM lane WHERE name = ?", (lane,)
            ).fetchone()
            first = numbers[0] if numbers else max(high, cursor) + 1
            assert first <= cursor + 1
            assert numbers == list(range(first, first + len(numbers)))
            assert first + len(numbers) - 1 >= accepted[lane]
            for seq, body in zip(numbers, texts(copy / path.name, lane), strict=True):
                record = json.loads(body)
                assert seq == (
                    record["data"]["number"] if lane is Lane.EVENTS else record["values"]["temperature"]
                )


@pytest.mark.faults("kill -9 of the writing process at a random moment", TIMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_accepted_is_lost_by_killing(home: Path, part: int, tally: Tally) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, consumer = random.Random(seed), Consumer()
    path = home / "it" / "s.db"
    with victim(path, consumer) as mortal:
        for _ in range(TIMES):
            end = mortal.live(chance.randrange(LINES), chance.uniform(0, 0.003))
            assert end == -signal.SIGKILL
            check(path, home / "copy", consumer.accepted)
            tally(times=1)
        assert mortal.live(None) == 0
    records = sum(consumer.accepted.values())
    tally(records=records, lost=consumer.lost, disorder=consumer.disorder, duplicates=consumer.duplicates)
    assert records > 100 * TIMES
    assert (consumer.lost, consumer.disorder, consumer.wrong) == (0, 0, 0)
    assert consumer.duplicates < 0.02 * records
