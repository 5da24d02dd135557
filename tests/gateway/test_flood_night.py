"""Flood night: the broker is gone for six hours, and pump and siren act by themselves throughout.

Storm after storm raises the emulated river. Nobody can be reached, so nobody could send a veto: what is
granted to act without people (`off`) acts, what waits for a veto (`on`) asks and does nothing. An operator on
the spot takes the siren by hand for a while, and it goes back to its rule without being told.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Quantity
from drivers.street import CYCLE
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.app.pole import Pole
from gateway.clock import LoopClock, Now, Quality
from gateway.control import Desk
from gateway.health import Health
from gateway.ledger import explain
from gateway.reading import Decision, Order, OrderKind, Outcome, Reading, Record
from tests.conftest import VirtualLoop

HOURS = 6.0
HAND = (2.0 * 3600, 2.5 * 3600)
"""From when to when the operator has the siren."""

START = float(int(time.time()))
DAY = datetime.fromtimestamp(START, UTC).date()
UNTIL, EXPIRES = DAY + timedelta(days=100), DAY + timedelta(days=200)

POLE = """
[gateway]
id = "weir"
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
driver = "mb7040"
bus = "i2c"
interval = "1s"
[[derive]]
id = "river"
kind = "stage"
from = "range.distance"
reference = 5.0
"""
SWITCH = """
[[device]]
id = "{0}"
driver = "switch"
line = {1}
interval = "10s"
[device.guard]
max_on = "2m"
min_off = "2s"
act_unrecorded = true
"""
RULE = """
[[rule]]
id = "{0}"
says = "When the river stands high, the {0} runs until it has fallen."
owner = "Flood office <floods@city.example>"
expires = {3}
mode = "{1}"
grant = {{ by = "M. Byrne", reason = "nobody is at the weir at night", until = {2} }}
when = "river.stage >= 1.8"
clear = "river.stage < 1.5"
do = [{{ switch = "{0}" }}]
[[rule.test]]
given = {{ "river.stage" = 2.0 }}
expect = true
"""


@dataclass
class Book:
    """What was recorded and measured, with the second at which it was."""

    records: list[tuple[float, Record]] = field(default_factory=list)
    stages: list[tuple[float, float]] = field(default_factory=list)
    on: list[tuple[float, str, bool]] = field(default_factory=list)

    async def record(self, record: Record) -> None:
        self.add(record)

    def add(self, record: Record) -> None:
        self.records.append((asyncio.get_running_loop().time(), record))

    def publish(self, reading: Reading) -> None:
        now = asyncio.get_running_loop().time()
        if Quantity.STAGE in reading.values:
            self.stages.append((now, reading.values[Quantity.STAGE]))
        if Quantity.ON in reading.values:
            self.on.append((now, reading.device, bool(reading.values[Quantity.ON])))

    async def remembered(self) -> dict[str, str]:
        return {}

    def remember(self, name: str, text: str) -> None:
        """The night has no restart."""

    async def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        for bodies in ():
            yield bodies

    def decisions(self, actuator: str, outcome: Outcome) -> list[tuple[float, Decision]]:
        found = [(at, each) for at, each in self.records if isinstance(each, Decision)]
        return [(at, each) for at, each in found if each.actuator == actuator and each.outcome is outcome]


async def _live(folder: Path) -> Book:
    switches = [("siren", 23), ("pump", 25), ("gate", 24)]
    modes = [("siren", "off"), ("pump", "off"), ("gate", "on")]
    (folder / "pole.toml").write_text(POLE + "".join(SWITCH.format(*each) for each in switches))
    (folder / "rules.toml").write_text("".join(RULE.format(*each, UNTIL, EXPIRES) for each in modes))
    book, loop, clock = Book(), asyncio.get_running_loop(), LoopClock()
    now = Now(lambda: START + loop.time(), loop.time, lambda: Quality.SYNCHRONIZED)
    pole = Pole(
        plan(folder / "pole.toml"), Hardware(clock), book, clock, now, Health(clock),
        book.publish, book.add, book, reachable=lambda: False,
    )  # fmt: skip
    await pole.start()
    desk = Desk(pole.control)
    await asyncio.sleep(HAND[0] - loop.time())
    order = Order(
        "flood-0001", OrderKind.OVERRIDE, "siren", "r.byrne", "the neighbours are awake and warned",
        now().time + 60, "http", "off", START + HAND[1],
    )  # fmt: skip
    answer = await desk.submit(order)
    assert answer.accepted, answer.said
    await asyncio.sleep(HOURS * 3600 - loop.time())
    assert not pole.broken.done()
    await pole.stop()
    return book


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Book:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_live(tmp_path_factory.mktemp("weir")))


def storms() -> list[tuple[float, float]]:
    """Return from when to when each storm may keep the river high."""
    return [(n * CYCLE, (n + 1) * CYCLE) for n in range(int(HOURS * 3600 / CYCLE))]


@pytest.mark.slow
def test_the_pump_runs_in_every_storm_of_six_hours_without_a_broker(night: Book) -> None:
    began = [at for at, _ in night.decisions("pump", Outcome.ACTED)]
    assert len(storms()) == 360
    for low, high in storms():
        assert sum(low <= at < high for at in began) == 1, f"the storm of {low:.0f} s"


@pytest.mark.slow
def test_the_siren_too_but_while_the_operator_has_it(night: Book) -> None:
    began = [at for at, _ in night.decisions("siren", Outcome.ACTED)]
    for low, high in storms():
        by_hand = HAND[0] <= low and high <= HAND[1]
        count = sum(low <= at < high for at in began)
        if by_hand:
            assert count == 0
        elif not low <= HAND[0] < high and not low <= HAND[1] < high:
            assert count == 1, f"the storm of {low:.0f} s"
    heard = [at for at, name, on in night.on if name == "siren" and on]
    assert heard
    assert not any(HAND[0] + 15 < at < HAND[1] for at in heard)


@pytest.mark.slow
def test_the_override_ends_by_itself_and_says_so(night: Book) -> None:
    ended = [at for at, _ in night.decisions("siren", Outcome.LAPSED)]
    assert len(ended) == 1
    assert ended[0] == pytest.approx(HAND[1], abs=15.0)


@pytest.mark.slow
def test_what_waits_for_a_veto_that_nobody_can_send_does_nothing(night: Book) -> None:
    assert night.decisions("gate", Outcome.ASKED)
    assert night.decisions("gate", Outcome.ACTED) == []
    assert not any(on for _, name, on in night.on if name == "gate")


@pytest.mark.slow
def test_every_decision_says_why(night: Book) -> None:
    bodies = [each.body() for _, each in night.records if isinstance(each, Decision)]
    assert len(bodies) > 700
    assert all(len(explain(body)) > 20 for body in bodies)
