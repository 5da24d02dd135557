"""Festival night: a bin from empty to full, through strokes, faults, a power cut and a lorry.

The drivers, the rules, the modes, the control, the press and the collection are the real ones; the parts and
the time are emulated. At the end the ledger is verified, and every decision says why.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.barrel import Barrel
from drivers.device import Quantity
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.app.pole import Pole
from gateway.clock import LoopClock, Now, Quality
from gateway.control import Desk
from gateway.control.compactor.compactor import PERIOD
from gateway.control.compactor.state import Phase
from gateway.health import Health
from gateway.ledger.chain import Head
from gateway.ledger.linker import Linker
from gateway.ledger.verify import verify
from gateway.ledger.words import explain
from gateway.reading import Answer, Decision, Event, Order, OrderKind, Reading, Record
from tests.conftest import VirtualLoop

START = float(int(time.time()))
TODAY = datetime.fromtimestamp(START, UTC).date()

POLE = """
[gateway]
id = "festival"
place = { name = "Festival meadow, gate 2", latitude = 53.38, longitude = -6.59, zone = "Europe/Dublin" }
[store]
path = "night.db"
[header]
chip = "emulated:street"
[rules]
files = ["rules.toml"]
[[bus]]
id = "i2c"
path = "emulated:street"

[[device]]
id = "range"
driver = "vl53l1x"
bus = "i2c"
interval = "1s"
[[device]]
id = "motor"
driver = "ina226"
bus = "i2c"
interval = "500ms"
[[device]]
id = "eye"
driver = "contact"
line = 5
interval = "2s"
options = { quantity = "active" }
[[device]]
id = "door"
driver = "contact"
line = 6
interval = "1s"
[[device]]
id = "estop"
driver = "contact"
line = 7
interval = "1s"
[[device]]
id = "home"
driver = "contact"
line = 8
interval = "1s"
[[device]]
id = "far"
driver = "contact"
line = 9
interval = "1s"
[[device]]
id = "buzzer"
driver = "switch"
line = 24
interval = "10s"
[[device]]
id = "press"
driver = "compactor"
line = 20
interval = "10s"
options = { reverse = 21 }
[device.guard]
max_on = "40s"
min_off = "1m"
per_hour = 20
permissives = ["door.closed", "estop.closed"]

[[derive]]
id = "bin"
kind = "fill"
from = "range.distance"
empty = 1.10
full = 0.20
[[derive]]
id = "trend"
kind = "filling"
from = "bin.fill"
fall = 30.0
below = 10.0
every = "1m"
span = "10m"

[[compactor]]
device = "press"
home = "home.closed"
far = "far.closed"
current = "motor.current"
battery = "motor.voltage"
floor = 11.5
fill = "bin.fill"
buzzer = "buzzer"
limit = 6.0
measure = "30s"

[[collection]]
bin = "bin"
fill = "bin.fill"
trend = "trend"
compactor = "press"
lapse = "1h"
"""

RULES = f"""
[[rule]]
id = "press_it"
says = "When the eye has been blocked for ten seconds and the bin is 80 % full, press the rubbish once."
owner = "Waste department <waste@city.example>"
expires = {TODAY + timedelta(days=300)}
when = "eye.active && bin.fill >= 80.0 && !press.on"
for = "10s"
mode = "off"
grant = {{ by = "J. Meyer", reason = "tested in spring", until = {TODAY + timedelta(days=200)} }}
do = [{{ switch = "press" }}]
[[rule.test]]
given = {{ "eye.active" = true, "bin.fill" = 85.0, "press.on" = false }}
expect = true
[[rule.test]]
given = {{ "eye.active" = false, "bin.fill" = 85.0, "press.on" = false }}
expect = false
"""


@dataclass
class Book:
    """A journal, a memory and a ledger, which outlive a power cut."""

    records: list[tuple[float, Record]] = field(default_factory=list)
    readings: dict[tuple[str, Quantity], list[tuple[float, float]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    ledger: list[str] = field(default_factory=list)
    head: Head = field(default_factory=Head)

    async def record(self, record: Record) -> None:
        await asyncio.sleep(0.004)
        self.add(record)

    def add(self, record: Record) -> None:
        self.records.append((asyncio.get_running_loop().time(), record))
        if isinstance(record, Decision):
            body = json.loads(Linker().text(record.body()))
            link, self.head = self.head.link(body)
            self.ledger.append(link.text)

    def publish(self, reading: Reading) -> None:
        now = asyncio.get_running_loop().time()
        for quantity, value in reading.values.items():
            self.readings.setdefault((reading.device, quantity), []).append((now, value))

    async def remembered(self) -> Mapping[str, str]:
        return dict(self.texts)

    def remember(self, name: str, text: str) -> None:
        self.texts[name] = text

    async def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        for bodies in ():
            yield bodies

    def decisions(self) -> list[Decision]:
        return [each for _, each in self.records if isinstance(each, Decision)]

    def events(self, kind: str = "") -> list[Event]:
        return [each for _, each in self.records if isinstance(each, Event) and kind in each.type]


class Meadow:
    """The pole at the festival, the people around it, and the person who looks after it."""

    def __init__(self, folder: Path) -> None:
        (folder / "pole.toml").write_text(POLE)
        (folder / "rules.toml").write_text(RULES)
        self.plan = plan(folder / "pole.toml")
        self.clock = LoopClock()
        loop = asyncio.get_running_loop()
        self.now = Now(
            wall=lambda: START + loop.time(), monotonic=loop.time, quality=lambda: Quality.SYNCHRONIZED
        )
        self.hardware = Hardware(self.clock)
        self.book = Book()
        self.rate = 0.0  # [% a minute] that people throw in
        self.ordered = 0

    async def switch_on(self) -> None:
        """Boot; what is on the street stays as it is."""
        self.pole = Pole(
            self.plan, self.hardware, self.book, self.clock, self.now, Health(self.clock),
            self.book.publish, self.book.add, self.book,
        )  # fmt: skip
        self.press = self.pole.control.compactors["press"]
        self.desk = Desk(self.pole.control)
        await self.pole.start()

    async def power_cut(self, seconds: float) -> None:
        """Nobody says goodbye: lines float, tasks are gone, what the book has is what it has."""
        kept = dict(self.book.texts)
        assert self.hardware.street
        self.hardware.street.pins.release()
        recorded, self.book.record = self.book.record, _nothing  # type: ignore[method-assign]
        self.book.add, added = lambda record: None, self.book.add  # type: ignore[method-assign]
        await self.pole.stop()
        self.book.record, self.book.add = recorded, added  # type: ignore[method-assign]
        self.book.texts = kept
        await asyncio.sleep(seconds)
        await self.switch_on()

    @property
    def barrel(self) -> Barrel:
        assert self.hardware.street
        assert self.hardware.street.scene.barrel
        return self.hardware.street.scene.barrel

    @property
    def phase(self) -> Phase:
        return self.press.machine.phase

    async def people(self) -> None:
        """Throw rubbish in, for ever."""
        while True:
            await asyncio.sleep(5.0)
            self.barrel.drop(self.rate / 12.0)

    async def until(self, *phases: Phase, limit: float = 4000.0) -> None:
        async with asyncio.timeout(limit):
            while self.phase not in phases:
                await asyncio.sleep(0.05)

    async def order(self, kind: OrderKind, reason: str) -> Answer:
        self.ordered += 1
        not_after = self.now().time + 60.0
        return await self.desk.submit(
            Order(f"festival-{self.ordered:03}", kind, "press", "r.byrne", reason, not_after, "http")
        )


async def _nothing(record: Record) -> None:
    """What is recorded after the power is gone."""


async def night(folder: Path) -> Book:
    """Live through the night."""
    meadow = Meadow(folder)
    await meadow.switch_on()
    barrel, book = meadow.barrel, meadow.book
    people = asyncio.create_task(meadow.people())
    meadow.rate = 6.0

    # It fills, and is pressed.
    await meadow.until(Phase.PRESSING)
    before = barrel.fill
    await meadow.until(Phase.IDLE)
    assert barrel.fill < before / 2

    # Somebody opens the door in mid-stroke. It stops, and stays so until the person on duty has looked.
    await meadow.until(Phase.PRESSING)
    await asyncio.sleep(1.0)
    barrel.door_closed, opened = False, meadow.clock.monotonic()
    await meadow.until(Phase.FAULT)
    assert meadow.clock.monotonic() - opened < 0.3 + PERIOD, (
        "the contact's debounce, the street's step, a period"
    )
    assert barrel.drive == 0
    await asyncio.sleep(5.0)
    refused = await meadow.order(OrderKind.RESET, "let me try")
    assert not refused.accepted
    barrel.door_closed = True
    await asyncio.sleep(60.0)
    assert meadow.phase is Phase.FAULT
    assert (await meadow.order(OrderKind.RESET, "a child had opened it; it is shut")).accepted
    await meadow.until(Phase.IDLE)
    await meadow.until(Phase.PRESSING)
    await meadow.until(Phase.IDLE)

    # The relay welds: current flows while nothing drives. The fuse is pulled, the relay replaced.
    await asyncio.sleep(30.0)
    barrel.plate.welded, barrel.jammed = -1, True
    await meadow.until(Phase.FAULT, limit=5.0)
    barrel.plate.welded, barrel.jammed = 0, False
    await asyncio.sleep(10.0)
    assert (await meadow.order(OrderKind.RESET, "the relay is a new one")).accepted
    await meadow.until(Phase.IDLE)

    # The power fails in mid-stroke, and comes back.
    await meadow.until(Phase.PRESSING)
    await asyncio.sleep(2.0)
    await meadow.power_cut(120.0)
    await asyncio.sleep(60.0)
    assert meadow.phase is Phase.FAULT
    assert barrel.drive == 0
    assert (await meadow.order(OrderKind.RESET, "nothing is caught under it")).accepted
    await meadow.until(Phase.IDLE)

    # The headliner is over: it fills faster than it can be pressed, until nothing helps.
    meadow.rate = 20.0
    async with asyncio.timeout(4000.0):
        while not book.events("collection.requested"):
            await asyncio.sleep(1.0)
    await asyncio.sleep(300.0)
    assert meadow.press.machine.full or meadow.press.exhausted()

    # Another start of the gateway asks for nothing again; and the lorry comes.
    await meadow.pole.stop()
    await meadow.switch_on()
    await asyncio.sleep(120.0)
    meadow.rate = 0.0
    barrel.empty()
    async with asyncio.timeout(600.0):
        while not book.events("collection.withdrawn"):
            await asyncio.sleep(1.0)
    people.cancel()
    assert not meadow.pole.broken.done(), meadow.pole.broken.result()
    await meadow.pole.stop()
    assert meadow.hardware.street
    pins = meadow.hardware.street.pins
    assert not any(pins.levels[line] for line in (20, 21, 24))
    assert not barrel.plate.burnt  # type: ignore[attr-defined]
    assert barrel.plate.turnaround >= 1.0 - 1e-3  # type: ignore[attr-defined]
    return book


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """One night."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(night(tmp_path_factory.mktemp("festival")))


def test_it_was_pressed_refused_stopped_repaired_and_collected(book):
    kinds = [each.type.removeprefix("lamppost.") for each in book.events() if "device" not in each.type]
    assert kinds.count("compactor.stroke") >= 4
    assert kinds.count("compactor.fault") == 3
    assert kinds.count("compactor.cleared") == 3
    assert kinds.count("collection.requested") == 1
    assert kinds[-1] == "collection.withdrawn"
    faults = [each.data["reasons"][0] for each in book.events("compactor.fault")]
    assert faults[0] == "door.closed is false"
    assert "a relay or a transistor is welded" in faults[1]
    assert faults[2] == "the power or the program was lost in the middle of a stroke"


def test_the_request_says_all_that_a_round_needs_and_is_taken_back(book):
    (request,), (withdrawn,) = book.events("collection.requested"), book.events("collection.withdrawn")
    assert request.subject == withdrawn.subject == "bin"
    assert request.data["request"] == withdrawn.data["request"]
    assert request.data["fill"] >= 80.0
    assert request.data["place"]["name"] == "Festival meadow, gate 2"
    assert request.data["lapses"] == round(request.at.time + 3600)
    assert "full" in request.data["reason"]


def test_every_movement_was_recorded_before_it_was_seen(book):
    moved = [at for at, on in book.readings["press", Quantity.ON] if on]
    assert moved
    told = [at for at, each in book.records if isinstance(each, Decision) and each.outcome == "acted"]
    assert all(any(at - 45.0 <= each <= at for each in told) for at in moved)


def test_the_ledger_is_whole_and_any_change_to_it_is_found(book):
    verdict = verify(book.ledger)
    assert verdict.ok, str(verdict)
    assert verdict.count == len(book.decisions()) > 20
    altered = [*book.ledger]
    altered[7] = altered[7].replace("press", "siren", 1)
    removed = book.ledger[:7] + book.ledger[8:]
    inserted = book.ledger[:7] + book.ledger[6:]
    for forged in (altered, removed, inserted):
        found = verify(forged)
        assert not found.ok
        assert found.first in (7, 8, 9)


def test_every_decision_explains_itself(book):
    for decision in book.decisions():
        body = json.loads(Linker().text(decision.body()))
        words = explain(body)
        assert decision.reasons
        assert words.startswith(("Switched ", "Did not ", "The guard ", "Announced ", "r.byrne ordered: "))
        assert all(reason in words for reason in decision.reasons)
        assert "None" not in words
    said = [explain(each.body()) for each in book.decisions()]
    assert any(each.startswith("Switched press on for one stroke: rule press_it fires") for each in said)
    assert any(each.startswith("The guard switched press off: door.closed is false.") for each in said)
    assert any(each.startswith("Switched press home: it was out of order: ") for each in said)
