"""Retention by age believes no clock that nobody vouches for."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.device import Quantity
from gateway.clock import LoopClock, Now, Quality
from gateway.reading import Event, Lane, Reading
from gateway.store import Store
from gateway.store import thinning as thinning_module
from gateway.store import upkeep as upkeep_module
from tests.gateway.store_rig import rows, seqs, settings

DAY = 86_400.0
TODAY = 1_795_374_000.0
RIGHT, WRONG, UNKNOWN = Quality.SYNCHRONIZED, Quality.UNSYNCHRONIZED, Quality.UNKNOWN
READINGS, EVENTS = Lane.TELEMETRY, Lane.EVENTS


@dataclass
class Pole:
    """A store whose boots and clocks a test sets: *wall* [s, Unix] when the boot's clock stood at 0."""

    path: Path
    wall: float = TODAY
    mono: float = 100.0
    quality: Quality = RIGHT
    boot: str = "a"
    number: int = 0

    def __post_init__(self) -> None:
        self.now = Now(self._wall, lambda: self.mono, lambda: self.quality, self.boot, 0.0)

    def _wall(self) -> float:
        return self.wall + self.mono

    def reboot(self, wall: float, quality: Quality, boot: str = "b") -> None:
        self.wall, self.quality, self.mono, self.boot = wall, quality, 100.0, boot
        self.now = Now(self._wall, lambda: self.mono, lambda: self.quality, self.boot, 0.0)

    @contextlib.asynccontextmanager
    async def opened(self, **more):
        clock = Ahead(self)
        store = await Store.open(settings(self.path, **more), "pole-1", clock, self.now)
        try:
            yield store
        finally:
            await store.close()

    def measure(self, store: Store, count: int = 10) -> None:
        for _ in range(count):
            self.number += 1
            self.mono += 1.0
            store.add(Reading("air", self.now(), {Quantity.TEMPERATURE: float(self.number)}))

    async def settle(self, store: Store, deliver: bool = True) -> None:
        """Make all of it durable and delivered; then let the keeper look for what may go."""
        number = await store.record(Event("lamppost.test", "pole-1", self.now(), {}))
        if deliver:
            await store.delivered(READINGS, store.durable(READINGS))
            await store.delivered(EVENTS, number)
        self.mono += 61.0
        store._keeper._wake.set()
        for _ in range(4):
            await store.ping()
            await asyncio.sleep(0)


class Ahead(LoopClock):
    """The pole's own monotonic clock."""

    def __init__(self, pole: Pole) -> None:
        self.pole = pole

    def monotonic(self) -> float:
        return self.pole.mono


@pytest.fixture
def pole(tmp_path: Path) -> Pole:
    return Pole(tmp_path / "s.db")


def run(main):
    return asyncio.run(main)


@pytest.mark.parametrize("start", [0.0, 978_307_200.0, TODAY + 25 * 365 * DAY])
def test_readings_of_a_minute_ago_stay_when_the_clock_is_set_by_decades(pole, start):
    async def main():
        pole.wall, pole.quality = start, WRONG
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            pole.wall, pole.quality = TODAY, RIGHT
            pole.mono += 1000.0
            pole.measure(store)
            await pole.settle(store)
            assert len(seqs(pole.path, READINGS)) == 20
            pole.mono += DAY - 500.0
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == list(range(11, 21)), "the boot's own clock says which are old"

    run(main())


def test_a_boot_in_1970_deletes_nothing_of_before_and_the_next_day_all_of_it(pole):
    async def main():
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(0.0, WRONG)
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            assert len(seqs(pole.path, READINGS)) == 20
            pole.mono += DAY
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == []

    run(main())


@pytest.mark.parametrize("start", [0.0, TODAY + 30 * DAY])
def test_a_boot_that_nobody_could_date_is_kept_no_less_than_it_should(pole, start):
    """Boot a was never synchronised; b is, an hour later: what a says of the time counts for nothing."""

    async def main():
        pole.wall, pole.quality = start, WRONG
        async with pole.opened(keep=DAY, keep_events=2 * DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(TODAY, RIGHT)
        async with pole.opened(keep=DAY, keep_events=2 * DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            assert len(seqs(pole.path, READINGS)) == 20
            pole.mono += DAY
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == []
            assert len(seqs(pole.path, EVENTS)) == 3, "events stay for two days"
            pole.mono += DAY
            await pole.settle(store)
            assert len(seqs(pole.path, EVENTS)) < 3

    run(main())


def test_a_boot_is_longer_than_its_readings_are_old(pole):
    """Up for ten days, and never synchronised: a reading of a minute ago is a minute old."""

    async def main():
        pole.wall, pole.quality, pole.mono = 0.0, WRONG, 10 * DAY
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            assert len(seqs(pole.path, READINGS)) == 10

    run(main())


@pytest.mark.parametrize(("wall", "quality"), [(0.0, WRONG), (TODAY + 30 * DAY, RIGHT)])
def test_what_nobody_can_date_goes_when_the_boot_is_old_enough(pole, wall, quality):
    """Nothing comes after it that could tell; a time in the future is no date either."""

    async def main():
        pole.wall, pole.quality = wall, quality
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(TODAY, RIGHT)
        async with pole.opened(keep=DAY) as store:
            pole.mono = DAY - 100.0
            await pole.settle(store)
            assert len(seqs(pole.path, READINGS)) == 10
            pole.mono = DAY + 100.0
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == []

    run(main())


@pytest.mark.parametrize("quality", [RIGHT, UNKNOWN])
def test_what_trusted_clocks_say_of_earlier_boots_counts(pole, quality):
    async def main():
        pole.quality = quality
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(TODAY + 2 * DAY, quality)
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == list(range(11, 21))

    run(main())


def test_undated_readings_go_with_the_old_ones_behind_them(pole):
    async def main():
        pole.wall, pole.quality = 0.0, WRONG
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(TODAY, RIGHT)
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
        pole.reboot(TODAY + 2 * DAY, RIGHT, "c")
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == list(range(21, 31))

    run(main())


def test_a_reading_that_waits_for_too_long_is_given_up_where_that_is_asked(pole):
    async def main():
        async with pole.opened(keep=DAY, drop_after=3600.0) as store:
            pole.measure(store)
            await pole.settle(store, deliver=False)
            assert store.counts()[READINGS].held == 10
            assert store.status()["state"] == "writing"
            pole.mono += 3600.0
            pole.measure(store)
            await pole.settle(store, deliver=False)
            assert store.counts()[READINGS].dropped == {"expired": 10}
            assert store.counts()[READINGS].held == 10
            assert store.counts()[EVENTS].held == 3, "two of them, and the gap"
            assert store.status()["state"] == "dropping"
            assert seqs(pole.path, READINGS) == list(range(11, 21))

    run(main())


def test_readings_that_wait_become_means_where_that_is_asked(pole, monkeypatch):
    monkeypatch.setattr(thinning_module, "_PORTION", 100)
    monkeypatch.setattr(upkeep_module, "_MANY", 90)

    async def main():
        async with pole.opened(thin_after=3600.0) as store:
            pole.measure(store, 250)
            await pole.settle(store, deliver=False)
            assert store.counts()[READINGS].dropped == {}
            pole.mono += 3600.0
            for _ in range(3):
                await pole.settle(store, deliver=False)
            dropped = store.counts()[READINGS].dropped
            assert dropped.keys() == {"thinned"}
            assert 190 <= dropped["thinned"] < 200, "of two portions of a hundred; the rest is too little"
            assert store.counts()[READINGS].held == 250 - dropped["thinned"]
            assert store.status()["state"] == "thinning"
            bodies = [one.body for one in await store.after(READINGS, 0, 100)]
            assert '"mean of 1 min"' in bodies[0]

    run(main())


def test_rows_that_are_damaged_or_none_of_ours_are_as_old_as_the_boot(pole):
    async def main():
        async with pole.opened(keep=DAY) as store:
            pole.measure(store)
            await pole.settle(store)
            spoil = "UPDATE telemetry SET body = x'00' WHERE seq IN (2, 3)"
            await store._keeper._writer.call(lambda: store._keeper._log._connection.execute(spoil))
            pole.mono += DAY
            await pole.settle(store)
            assert seqs(pole.path, READINGS) == []

    run(main())


def test_the_file_stays_below_its_partition(pole, monkeypatch):
    """However large `max_size` is: a store that is alone on its partition never fills it."""
    real = os.statvfs(pole.path.parent)
    monkeypatch.setattr(os, "statvfs", lambda path: Small(real.f_frsize, (200 << 20) // real.f_frsize))

    async def main():
        async with pole.opened(max_size=1 << 40) as store:
            limit = store.status()["limit"]
            assert limit == 200 * (1 << 20) * 9 // 10 - (24 << 20)
            (pages,) = await store._keeper._writer.call(
                lambda: store._keeper._log._connection.execute("PRAGMA max_page_count").fetchone()
            )
            ((page,),) = rows(pole.path, "PRAGMA page_size")
            assert pages * page == limit

    run(main())


@dataclass
class Small:
    """What statvfs(3) says of a small partition."""

    f_frsize: int
    f_blocks: int
    f_bavail: int = 1 << 20
