"""The clock of a boot is synchronised: what was recorded before gets its right time, and says so."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Quantity
from gateway.app.audit import export
from gateway.app.timekeeper import Timekeeper
from gateway.clock import Instant, LoopClock, Now, Quality
from gateway.correction import STEPS, SYNCHRONIZED, Corrections
from gateway.reading import Event, Lane, Reading, reading_of
from gateway.store import Archive, Store
from gateway.store.player import play
from tests.gateway.store_rig import decision, settings, texts

TRUE = 1_795_374_000.0  # the right time [s, Unix] at the boot of the machine
WRONG, RIGHT = Quality.UNSYNCHRONIZED, Quality.SYNCHRONIZED


@dataclass
class Machine:
    """A computer whose clock starts in the past, and the memory of a store."""

    wrong: float = 0.0  # the wall clock at the boot [s, Unix]
    mono: float = 0.0
    quality: Quality = WRONG
    boot: str = "boot-1"
    told: list[Event] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = Now(lambda: self.wrong + self.mono, lambda: self.mono, lambda: self.quality, self.boot)
        self.keeper = self.daemon()

    def daemon(self) -> Timekeeper:
        keeper = Timekeeper("pole-1", LoopClock(), self.now, self, self.told.append)
        asyncio.run(keeper.recall())
        return keeper

    async def remembered(self) -> dict[str, str]:
        return self.kept

    def remember(self, name: str, text: str) -> None:
        self.kept[name] = text

    def replay(self, since: float) -> Any:
        raise NotImplementedError

    def live(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.mono += 1.0
            self.keeper.look()

    def synchronise(self) -> None:
        self.wrong, self.quality = TRUE, RIGHT

    def record(self, device: str = "air", lag: float = 0.0) -> dict[str, Any]:
        at = self.now()
        at = Instant(at.time - lag, at.mono, at.boot, at.clock)
        return Reading(device, at, {Quantity.TEMPERATURE: self.mono}).body()

    def corrections(self) -> Corrections:
        found = Corrections()
        for event in self.told:
            found.take(json.loads(json.dumps(event.body())))
        return found


@pytest.mark.parametrize("start", [0.0, 978_307_200.0, TRUE - 600.0, TRUE - 0.5, TRUE + 3e8])
def test_what_was_recorded_before_gets_its_right_time_and_says_so(start):
    pole = Machine(start)
    pole.live(3)
    early = pole.record()
    pole.live(3)
    derived = pole.record("minutes", lag=2.5)
    pole.synchronise()
    late = pole.record()  # the kernel has not been asked again yet
    pole.live(3)
    after, corrections = pole.record(), pole.corrections()
    for record, true in ((early, 3.0), (derived, 3.5), (late, 6.0)):
        right = corrections.corrected(record)
        assert right["time"] == pytest.approx(TRUE + true, abs=0.001)
        assert right["clock"] == "corrected"
        assert record["clock"] == "unsynchronized"
        assert {**record, "time": right["time"], "clock": "corrected"} == right
        assert reading_of(right).at.clock is Quality.CORRECTED
    assert corrections.corrected(after) is after
    assert after["clock"] == "synchronized"
    assert pole.keeper.correction == pytest.approx(TRUE - start)


def test_it_is_said_once_in_a_boot_whatever_becomes_of_the_clock_later():
    pole = Machine()
    pole.live(5)
    pole.synchronise()
    pole.live(5)
    pole.quality = WRONG  # the time server is away for a day
    pole.live(5)
    strayed = pole.record()
    pole.quality, pole.wrong = RIGHT, TRUE + 3600.0
    pole.live(5)
    assert len(pole.told) == 1
    assert pole.corrections().corrected(strayed) is strayed, "its clock had been right an instant before"


def test_the_first_event_of_a_boot_counts():
    pole = Machine()
    pole.live(5)
    early = pole.record()
    pole.synchronise()
    pole.live(5)
    corrections = pole.corrections()
    again = json.loads(json.dumps(pole.told[0].body()))
    again["data"]["offset"] += 3600.0
    assert not corrections.take(again)
    assert corrections.corrected(early)["time"] == pytest.approx(TRUE + 5)


def test_a_clock_that_was_right_from_the_start_is_nothing_to_speak_of():
    pole = Machine(TRUE, quality=RIGHT)
    pole.live(5)
    pole.quality = WRONG
    pole.live(5)
    pole.keeper = pole.daemon()
    pole.quality = RIGHT
    pole.live(5)
    assert pole.told == []
    assert pole.keeper.correction is None


def test_a_clock_that_was_set_by_hand_first_is_known_at_every_moment():
    pole = Machine()
    pole.live(4)
    first = pole.record()
    pole.wrong = TRUE - 7200.0
    pole.live(4)
    second = pole.record("minutes", lag=2.0)
    pole.synchronise()
    pole.live(6)
    corrections = pole.corrections()
    assert corrections.corrected(first)["time"] == pytest.approx(TRUE + 4)
    assert corrections.corrected(second)["time"] == pytest.approx(TRUE + 6)


def test_a_daemon_that_was_away_when_it_happened_says_so_when_it_is_back():
    pole = Machine()
    pole.live(4)
    early = pole.record()
    pole.synchronise()
    pole.mono += 100.0
    pole.keeper = pole.daemon()
    pole.live(1)
    assert [event.type for event in pole.told] == [SYNCHRONIZED]
    assert pole.corrections().corrected(early)["time"] == pytest.approx(TRUE + 4)
    pole.keeper = pole.daemon()
    pole.live(3)
    assert len(pole.told) == 1
    assert pole.keeper.correction == pytest.approx(TRUE)


def test_another_boot_is_none_of_its_business():
    pole = Machine()
    pole.live(4)
    foreign = pole.record()
    again = Machine(boot="boot-2", kept=pole.kept)
    again.live(4)
    again.synchronise()
    again.live(6)
    assert again.corrections().corrected(foreign) is foreign
    assert again.told[0].at.boot == "boot-2"


def test_a_clock_of_which_nothing_is_known_is_left_alone():
    pole = Machine(quality=Quality.UNKNOWN)
    pole.live(5)
    pole.wrong = TRUE
    pole.live(5)
    assert pole.told == []


@pytest.mark.parametrize(
    "data",
    [
        None, {}, {"offset": 1.0}, {"offset": "1", "before": [[1.0, 2.0]]}, {"offset": 1.0, "before": []},
        {"offset": True, "before": [[1.0, 2.0]]}, {"offset": 1.0, "before": [[1.0]]},
        {"offset": 1.0, "before": [[2.0, 1.0], [1.0, 1.0]]}, {"offset": float("nan"), "before": [[1.0, 2.0]]},
        {"offset": 1.0, "before": [[1.0, 1e300]]}, {"offset": 1.0, "before": [[n, 0.0] for n in range(99)]},
    ],
)  # fmt: skip
def test_what_is_no_correction_is_passed_over(data):
    corrections = Corrections()
    event = {"kind": "event", "type": SYNCHRONIZED, "boot": "boot-1", "data": data}
    assert not corrections.take(event)
    assert not corrections
    record = {"time": 1.0, "mono": 1.0, "boot": "boot-1", "clock": "unsynchronized"}
    assert corrections.corrected(record) is record


def test_records_that_are_none_are_given_back():
    pole = Machine()
    pole.live(4)
    pole.synchronise()
    pole.live(6)
    for broken in ({"time": "x"}, {"mono": None}, {"boot": 7}, {"time": float("nan")}):
        record = {**pole.record(), "clock": "unsynchronized", "boot": "boot-1", "mono": 1.0, **broken}
        assert pole.corrections().corrected(record) is record


def test_a_clock_that_never_stands_still_is_remembered_so_far():
    pole = Machine()
    for _ in range(2 * STEPS):
        pole.wrong += 10.0
        pole.live(1)
    pole.synchronise()
    pole.live(6)
    assert len(pole.told[0].data["before"]) == STEPS
    assert pole.corrections()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store that a pole wrote which began in 1970 and was synchronised after five seconds."""
    pole = Machine()

    async def write() -> None:
        store = await Store.open(settings(tmp_path / "pole.db"), "pole-1", LoopClock(), pole.now)
        for second in range(10):
            at = pole.now()
            store.add(Reading("air", at, {Quantity.TEMPERATURE: float(second)}))
            store.add(Event("lamppost.test", "pole-1", at, {"second": second}))
            if second == 5:
                pole.synchronise()
            pole.live(1)
            while pole.told:
                store.add(pole.told.pop())
        await store.record(decision())
        await store.close()

    asyncio.run(write())
    return tmp_path / "pole.db"


def test_the_tools_give_the_right_times_and_find_by_them(file, capsys):
    archive = Archive(file)
    for lane, named in ((Lane.TELEMETRY, "reading"), (Lane.EVENTS, "event")):
        found = [each.body for each in archive.records(lane, TRUE + 2, TRUE + 8)]
        found = [body for body in found if body["kind"] == named and body.get("type") != SYNCHRONIZED]
        assert [body["time"] - TRUE for body in found] == pytest.approx([2, 3, 4, 5, 6, 7, 8], abs=0.001)
        assert [body["clock"] for body in found] == ["corrected"] * 4 + ["synchronized"] * 3
        assert list(archive.records(lane, 0.0, 100.0)) == []
    played = [each for part in play(file, ["air"], TRUE + 2, TRUE + 8) for each in part.readings]
    assert [each.at.time - TRUE for each in played] == pytest.approx([2, 3, 4, 5, 6, 7, 8], abs=0.001)
    assert played[0].at.clock is Quality.CORRECTED
    export(file, Lane.TELEMETRY)
    exported = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [body["time"] - TRUE for body in exported] == pytest.approx(range(10), abs=0.001)
    assert exported[0]["clock"] == "corrected"


def test_what_is_stored_stays_to_the_letter_and_can_be_had(file, capsys):
    export(file, Lane.TELEMETRY, as_stored=True)
    assert capsys.readouterr().out.splitlines() == texts(file, Lane.TELEMETRY)
    assert json.loads(texts(file, Lane.TELEMETRY)[0])["time"] == 0.0
    export(file, Lane.EVENTS)
    (written,) = [text for text in texts(file, Lane.EVENTS) if '"kind":"decision"' in text]
    assert written in capsys.readouterr().out.splitlines()
