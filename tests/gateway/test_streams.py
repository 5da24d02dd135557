"""Streams on a real store: what they say does not depend on when the daemon was restarted."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Missing, Quantity
from gateway.app.streams import PATIENCE, Streams
from gateway.clock import LoopClock, Now, Quality
from gateway.config import Derive
from gateway.derive import Design, Source
from gateway.derive.kind import Context, Input, Kind, Result, Taken
from gateway.reading import Event, Flag, Reading
from gateway.store import Store
from tests.gateway.store_rig import crash_image, settings
from tests.gateway.stream_rig import designed, known, same

LEVEL = Quantity.SOUND_LEVEL
START = 1.7e9 + 20.0  # [s, Unix], 20 s before the end of a minute
BOOT = "5f0c"


def run(main):
    """Run on a real loop: closing a store waits for its thread so many seconds, which must be real ones."""
    return asyncio.run(main)


@dataclass(frozen=True, slots=True)
class Nothing:
    """No settings."""


@dataclass(slots=True)
class Total:
    """Counts and sums every sample that it ever took: whatever is lost or doubled shows for good."""

    samples: int = 0
    total: float = 0.0

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        value = taken["value"]
        self.samples += 1
        self.total += 0.0 if isinstance(value, Missing) else value
        return (Result(time, {Quantity.COUNT: float(self.samples), Quantity.WEIGHT: self.total}),)

    def advance(self, time: float) -> Iterable[Result]:
        return ()

    def save(self) -> Any:
        return [self.samples, self.total]

    def restore(self, saved: Any) -> None:
        self.samples, self.total = int(saved[0]), float(saved[1])


def counted(name: str, of: str, every: float) -> Design:
    """Return a design whose state is saved, and never comes back from stored readings alone."""
    kind = Kind(
        Nothing,
        (Input("value", frozenset({LEVEL, Quantity.COUNT})),),
        lambda options, context: (Quantity.COUNT, Quantity.WEIGHT),
        lambda options, context: Total(),
        lasting=True,
    )
    device, _, quantity = of.partition(".")
    context = Context({"value": Source(device, Quantity(quantity))}, {"value": every})
    return Design(Derive.model_validate({"id": name, "kind": "total", "from": of}), kind, Nothing(), context)


def window(name: str, kind: str, of: str, interval: float, **keys: Any) -> Design:
    """Return a design out of a configuration's text, of an input with a reading each *interval* seconds."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    text = f'[[derive]]\nid = "{name}"\nkind = "{kind}"\nfrom = "{of}"\n' + "\n".join(lines)
    return designed(text, known(**{of.replace(".", "__"): interval}))


def of_a_pole(every: float = 2.0) -> tuple[Design, ...]:
    """Return streams of each sort: sliding, by periods, of another stream, and one that is remembered."""
    return (
        window(
            "sliding", "energy_mean", "noise.sound_level", every, over=10 * every, every=2 * every, share=0.5
        ),
        window("minutes", "max", "noise.sound_level", every, over=60, aligned="UTC", share=0.5),
        window("loudest", "max", "minutes.sound_level", 60.0, over=300, every=60, share=0.2),
        counted("ever", "noise.sound_level", every),
        counted("everything", "sliding.sound_level", 2 * every),
    )


@dataclass
class Pole:
    """A store and the streams on it, through any number of lives; time is as the test says."""

    path: Path
    designs: tuple[Design, ...]
    time: float = START
    booted: float = START - 100.0
    said: list[Reading] = field(default_factory=list)

    async def live(self) -> None:
        """Open the store and begin, as the daemon does: whatever is taken from now on waits at first."""
        self.now = Now(
            wall=lambda: self.time,
            monotonic=lambda: self.time - self.booted,
            quality=lambda: Quality.SYNCHRONIZED,
            boot=f"{BOOT}-{self.booted}",
        )
        self.store = await Store.open(settings(self.path, commit=3600), "pole", None, self.now)
        self.begin()

    def begin(self) -> None:
        self.time += 0.001  # a program takes longer than that between its last reading and its next start
        self.streams = Streams(self.designs, self.store, LoopClock(), self.now, self.say)
        self.task = asyncio.create_task(self.streams.run())

    def say(self, reading: Reading) -> None:
        self.said.append(reading)
        self.store.add(reading)

    async def caught_up(self) -> None:
        """Wait until the streams are up to date."""
        while self.streams._waiting is not None:
            assert not self.task.done(), self.task.result()
            await self.store.ping()

    def hear(self, level: float | Missing, flag: Flag | None = None) -> None:
        """Take one reading as the pole does: it is stored, then the streams have it."""
        at = self.now()
        if isinstance(level, Missing):
            reading = Reading("noise", at, {}, {LEVEL: level})
        else:
            reading = Reading("noise", at, {LEVEL: level}, {}, {LEVEL: flag} if flag else {})
        self.store.add(reading)
        self.streams.take(reading)

    async def end(self) -> None:
        """Stop in order."""
        await self.stop()
        await self.store.close()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.streams.remember()

    async def die(self) -> None:
        """End as by kill -9 after the last commit: go on with a copy of the files."""
        await self.store.record(Event("lamppost.test", "pole", self.now(), {}))
        copy = crash_image(self.path, self.path.parent / f"{self.path.parent.name}x")
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.store.close()
        self.path = copy


def level(second: float) -> float | Missing:
    """A street's level [dB], with a gap in it."""
    return Missing.BUS_ERROR if 130 <= second < 150 else 55.0 + (second * 7.0) % 23.0


def flag(second: float) -> Flag | None:
    """A street's quality: some seconds are suspect."""
    return Flag.SUSPECT if 30 <= second < 34 else Flag.PASS


Restart = Callable[[Pole], Any]


async def orderly(pole: Pole) -> None:
    await pole.end()
    await pole.live()
    await pole.caught_up()


async def killed(pole: Pole) -> None:
    await pole.die()
    await pole.live()
    await pole.caught_up()


async def killed_later(pole: Pole) -> None:
    """What was remembered is older than what was stored: readings bring it up to date."""
    pole.streams.remember()
    for second in (0.25, 0.5):
        pole.time += 0.25
        pole.hear(80.0 + second)
    await killed(pole)


async def later_not_at_all(pole: Pole) -> None:
    for second in (0.25, 0.5):
        pole.time += 0.25
        pole.hear(80.0 + second)


async def rebooted(pole: Pole) -> None:
    await pole.end()
    pole.booted = pole.time - 1.0
    await pole.live()
    await pole.caught_up()


async def reloaded(pole: Pole) -> None:
    """The store goes on, and what was added last is not durable when the new streams ask for it."""
    await pole.stop()
    pole.begin()
    await pole.caught_up()


async def life(
    pole: Pole, seconds: float, every: float, restarts: Mapping[float, Restart], ticks: bool = True
) -> list[Reading]:
    """Live through *seconds*, a reading *every* so many, a look at the time each; return what is said."""
    await pole.live()
    await pole.caught_up()
    for second in range(int(seconds)):
        pole.time = START + second
        if second % every == 0:
            pole.hear(level(second), flag(second))
        if ticks:
            pole.streams.advance()
        if restart := restarts.get(second):
            await restart(pole)
    await pole.end()
    return pole.said


def differences(one: Sequence[Reading], other: Sequence[Reading]) -> list[str]:
    """Return where two runs differ, by what was said; monotonic times are of different boots."""
    if len(one) != len(other):
        return [f"{len(one)} and {len(other)} readings", *map(str, (one[-1:], other[-1:]))]
    return [f"{a}\n{b}" for a, b in zip(one, other, strict=True) if not same(a, b)]


def lived(folder: Path, name: str, restarts: Mapping[float, Restart], every: float = 2.0) -> list[Reading]:
    pole = Pole(folder / name / "s.db", of_a_pole(every))
    return list(run(life(pole, 330, every, restarts)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What is said without a restart."""
    return lived(tmp_path_factory.mktemp("whole"), "whole", {})


@pytest.mark.parametrize("how", [orderly, rebooted, reloaded])
@pytest.mark.parametrize("when", [(1, 10, 19), (20, 22, 23, 81, 82), (139, 140, 200), (319, 321, 322)])
def test_a_restart_changes_nothing_that_is_said(tmp_path, undisturbed, how, when):
    """Also while a period ends, in the seconds that its last reading may take, in the middle of a gap."""
    assert len(undisturbed) > 150
    assert differences(undisturbed, lived(tmp_path, "parts", dict.fromkeys(when, how))) == []


def test_what_was_remembered_a_while_ago_is_brought_up_to_date_by_stored_readings(tmp_path):
    when = (20, 100, 101, 299)
    whole = lived(tmp_path, "whole", dict.fromkeys(when, later_not_at_all))
    assert differences(whole, lived(tmp_path, "parts", dict.fromkeys(when, killed_later))) == []


def test_a_period_that_ended_without_a_reading_is_said_once_though_the_daemon_restarts(tmp_path):
    """Its end was said as time passed; the reading that would have told comes after the restart."""
    when = (23, 24, 83, 84, 143)  # a minute ends at 20, 80, 140; readings come at 0, 30, 60 ...
    whole = lived(tmp_path, "whole", {}, every=30.0)
    assert [each.at.time - START for each in whole if each.device == "minutes"] == [
        20,
        80,
        140,
        200,
        260,
        320,
    ]
    assert differences(whole, lived(tmp_path, "parts", dict.fromkeys(when, orderly), every=30.0)) == []


def test_time_alone_ends_a_period_and_leaves_a_late_reading_its_chance(tmp_path):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await pole.live()
        await pole.caught_up()
        pole.hear(60.0)
        for pole.time in (START + 19.0, START + 20.0 + PATIENCE - 0.01):
            pole.streams.advance()
            assert [each for each in pole.said if each.device == "minutes"] == []
        pole.time = START + 20.0 + PATIENCE
        pole.streams.advance()
        pole.streams.advance()
        (said,) = [each for each in pole.said if each.device == "minutes"]
        assert said.at.time == START + 20.0
        await pole.end()

    run(main())


def test_readings_that_come_while_catching_up_wait_and_are_neither_lost_nor_doubled(tmp_path):
    """They are durable before the stored ones are asked for, so that they come both ways."""
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await pole.live()
        await pole.caught_up()
        for second in range(0, 2000, 2):
            pole.time = START + second
            pole.hear(60.0)
        await pole.end()
        before, said = ever(pole), len(pole.said)
        assert before == 1000
        await pole.live()
        for second in range(2000, 2040, 2):
            pole.time = START + second
            pole.hear(61.0)
        assert len(pole.said) == said, "nothing is said out of order"
        await pole.store.record(Event("lamppost.test", "pole", pole.now(), {}))
        await pole.caught_up()
        assert ever(pole) == 1020
        times = [each.at.time for each in pole.said if each.device == "ever"]
        assert times == [START + second for second in range(0, 2040, 2)]
        await pole.end()

    run(main())


def ever(pole: Pole) -> float:
    return [each for each in pole.said if each.device == "ever"][-1].values[Quantity.COUNT]


def test_what_a_reading_was_stored_as_last_is_the_streams_latest(tmp_path):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await life(pole, 90, 2.0, {})
        await pole.live()
        await pole.caught_up()
        shown = {
            each["id"]: each for each in pole.streams.status({"noise": {"id": "noise", "state": "starting"}})
        }
        latest = {each.device: each for each in pole.said}
        for name in ("sliding", "minutes"):
            assert shown[name]["latest"] == latest[name].body()
        await pole.end()

    run(main())


def test_changed_settings_begin_anew(tmp_path):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await life(pole, 60, 2.0, {})
        assert ever(pole) == 30
        pole.time += 400.0
        pole.designs = (counted("ever", "noise.sound_level", 2.0), counted("sum", "noise.sound_level", 2.0))
        await pole.live()
        await pole.caught_up()
        pole.hear(60.0)
        assert ever(pole) == 31, "the same settings go on"
        await pole.end()
        pole.designs = (counted("ever", "sliding.sound_level", 2.0), counted("sum", "noise.sound_level", 2.0))
        await pole.live()
        await pole.caught_up()
        pole.streams.take(Reading("sliding", pole.now(), {LEVEL: 1.0}))
        assert ever(pole) == 1
        await pole.end()

    run(main())


@pytest.mark.parametrize(
    "damage",
    [
        "no JSON",
        "[]",
        '{"settings": SETTINGS}',
        '{"settings": SETTINGS, "saved": {"newest": "x"}}',
        '{"settings": SETTINGS, "saved": {"newest": 1, "shift": 0, "state": ["x", []]}}',
    ],
)
def test_a_damaged_memory_begins_anew_with_one_warning(tmp_path, caplog, damage):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await life(pole, 60, 2.0, {})
        with contextlib.closing(sqlite3.connect(pole.path, isolation_level=None)) as connection:
            (text,) = connection.execute("SELECT body FROM memory WHERE name = 'stream/ever'").fetchone()
            broken = damage.replace("SETTINGS", json.dumps(json.loads(text)["settings"]))
            connection.execute("UPDATE memory SET body = ? WHERE name = 'stream/ever'", (broken,))
        caplog.clear()
        pole.time += 400.0
        await pole.live()
        await pole.caught_up()
        pole.hear(60.0)
        assert ever(pole) == 1
        everything = pole.streams._streams["everything"].save()
        assert everything["state"][0] > 1, "the others go on"
        await pole.end()

    run(main())
    (said,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "ever" in said.getMessage()


def test_a_record_in_the_store_that_is_no_reading_any_more_is_left_out(tmp_path):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await life(pole, 60, 2.0, {})
        with contextlib.closing(sqlite3.connect(pole.path, isolation_level=None)) as connection:
            for seq, (old, new) in enumerate([("device", "devjce"), ("boot", "bppt"), ("sound", "sund")], 1):
                change = "UPDATE telemetry SET body = replace(body, ?, ?) WHERE seq = ?"
                connection.execute(change, (f'"{old}', f'"{new}', seq))
            connection.execute("DELETE FROM memory")
        await pole.live()
        await pole.caught_up()
        pole.hear(60.0)
        assert not pole.task.done()
        await pole.end()

    run(main())


def test_what_cannot_be_remembered_is_said_once_and_measured_all_the_same(tmp_path, caplog):
    @dataclass(slots=True)
    class Large(Total):
        def save(self) -> Any:
            return ["x" * 70_000, self.samples]

    pole = Pole(tmp_path / "s.db", of_a_pole())
    ever = pole.designs[3]
    kind = Kind(Nothing, ever.kind.inputs, ever.kind.gives, lambda options, context: Large())
    pole.designs = (Design(ever.settings, kind, Nothing(), ever.context),)

    async def main():
        await pole.live()
        await pole.caught_up()
        for _ in range(3):
            pole.time += 1.0
            pole.hear(60.0)
            pole.streams.remember()
        await pole.end()

    run(main())
    (said,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert "stream/ever is not remembered" in said
    assert len(pole.said) == 3


def test_a_store_that_cannot_be_read_is_said_and_measuring_goes_on(tmp_path, caplog):
    pole = Pole(tmp_path / "s.db", of_a_pole())

    async def main():
        await life(pole, 60, 2.0, {})
        with contextlib.closing(sqlite3.connect(pole.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pole.now = Now(wall=lambda: pole.time, monotonic=lambda: 0.0, boot="x")
        pole.store = await Store.open(settings(pole.path, commit=3600), "pole", None, pole.now)
        size = pole.path.stat().st_size
        with pole.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        pole.said.clear()
        pole.begin()
        pole.hear(60.0)
        await pole.caught_up()
        assert [each.device for each in pole.said][:1] == ["sliding"]
        pole.task.cancel()
        await pole.store.close()

    run(main())
    assert any("before the restart cannot be had" in each.getMessage() for each in caplog.records)


def test_each_second_time_passes_and_each_minute_what_changed_is_written_down(virtual, tmp_path):
    pole = Pole(tmp_path / "s.db", of_a_pole())
    written: list[tuple[float, str]] = []

    async def main():
        loop = asyncio.get_running_loop()
        await pole.live()
        await pole.caught_up()
        began, remember = loop.time(), pole.store.remember

        def note(name: str, text: str) -> None:
            written.append((loop.time() - began, name))
            remember(name, text)

        pole.store.remember = note
        pole.now.wall = lambda: START + loop.time() - began
        pole.now.monotonic = lambda: pole.now.wall() - pole.booted
        pole.hear(60.0)
        await asyncio.sleep(21.0)
        assert [each for each in pole.said if each.device == "minutes"] == []
        await asyncio.sleep(2.1)
        assert [round(each.at.time, 6) for each in pole.said if each.device == "minutes"] == [START + 20.0]
        await asyncio.sleep(200.0)
        once = ["stream/ever", "stream/everything", "streams at"]
        assert [name for _, name in written] == once, "nothing has changed since"
        pole.hear(60.0)
        again = loop.time() - began
        await asyncio.sleep(62.0)
        assert [name for _, name in written[3:]] == once
        assert written[0][0] < 62.0
        assert again < written[3][0] < again + 62.0
        pole.task.cancel()
        await pole.store.close()

    virtual(main())


def test_an_alarm_that_is_seconds_old_outlasts_a_crash_and_an_outage(virtual, tmp_path):
    """Stored readings of so long ago are not asked for: what it knew has been written down by then."""
    text = '[[derive]]\nid = "loud"\nkind = "drift"\nfrom = "noise.sound_level"\n'
    text += "target = 60.0\nallowance = 1.0\ndecision = 2.0\n"
    pole = Pole(tmp_path / "a" / "s.db", (designed(text, known(noise__sound_level=2.0)),))

    async def main():
        loop = asyncio.get_running_loop()
        await pole.live()
        await pole.caught_up()
        began = loop.time()
        pole.now.wall = lambda: START + loop.time() - began
        pole.now.monotonic = lambda: pole.now.wall() - pole.booted
        pole.hear(90.0)
        await asyncio.sleep(2.5)
        known = (await pole.store.remembered())["stream/loud"]
        pole.hear(60.0)
        await asyncio.sleep(2.5)
        assert (await pole.store.remembered())["stream/loud"] == known, "from then on it is once a minute"
        await pole.die()
        pole.time = START + 10 * 86_400.0
        await pole.live()
        await pole.caught_up()
        pole.hear(Missing.TIMEOUT)
        assert pole.said[-1].values == {Quantity.ACTIVE: 1.0}
        await pole.end()

    virtual(main())
