"""Requests for a collection: one for each filling, taken back when it is over."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Instant, Quality
from gateway.control.collection import REQUESTED, WITHDRAWN, Bin, Collection, Terms
from gateway.control.rounds import Rounds, rounds
from gateway.reading import Decision, Event, Input, encode
from tests.gateway.test_compactor import JSON

HOUR = 3600.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()  # a Friday
PLACE = {"name": "Quay 3", "latitude": 52.0, "longitude": None}


class City:
    """A bin with a trend, as it would be measured, and what it asked for."""

    def __init__(self, trend: bool = True, **terms) -> None:
        self.terms = Terms(**terms)
        self.trend = trend
        self.time, self.mono, self.boot, self.clock = NOON, 500.0, "one", Quality.SYNCHRONIZED
        self.fill: float | None = 10.0
        self.emptied: float | None = NOON - 5 * HOUR
        self.soonest = self.likely = self.weight = None
        self.fire: bool | None = False
        self.exhausted = ""
        self.records: list[Decision | Event] = []
        self.begin()

    def begin(self) -> None:
        self.collection = Collection("quai-12", "bin", self.terms, PLACE)

    def at(self) -> Instant:
        return Instant(self.time, self.mono, self.boot, self.clock)

    def seen(self) -> Bin:
        def known(name, value, age=1.0):
            return Input(name, value, age, "" if value is not None else "not-ready")

        since = None if self.emptied is None else self.time - 1.0 - self.emptied
        return Bin(
            known("bin.fill", self.fill),
            known("trend.time_to_full_min", self.soonest) if self.trend else None,
            known("trend.time_to_full", self.likely) if self.trend else None,
            known("trend.since_emptied", since) if self.trend else None,
            known("scale.weight", self.weight),
            known("fire.active", self.fire),
            self.exhausted,
        )

    def step(self, seconds: float = 60.0, **changes) -> list[Event]:
        """Change the world, let time pass, and return the events."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.time += seconds
        self.mono += seconds
        found = self.collection.step(self.at(), self.seen())
        for record in found:
            encode(record)
        self.records += found
        return [each for each in found if isinstance(each, Event)]

    def restart(self, forget: bool = False, boot: str = "one") -> None:
        kept, old = json.loads(json.dumps(self.collection.save())), self.boot
        self.begin()
        if boot != self.boot:
            self.boot, self.mono = boot, 5.0
        if not forget:
            self.collection.restore(kept, old, self.at())

    def empty(self) -> list[Event]:
        """A lorry comes; the trend tells."""
        return self.step(120.0, fill=2.0, emptied=self.time + 100.0)


def test_a_bin_that_is_full_after_pressing_asks_once():
    city = City()
    assert city.step(fill=79.9, exhausted="it is full after pressing") == []
    (event,) = city.step(fill=80.0)
    assert (event.type, event.subject) == (REQUESTED, "bin")
    assert event.data == {
        "request": event.data["request"],
        "repeat": 0,
        "reason": "it is 80 % full, and it is full after pressing",
        "priority": "normal",
        "fill": 80.0,
        "weight": None,
        "full_at": None,
        "lapses": round(city.time + 86400),
        "place": {"name": "Quay 3", "latitude": 52.0},
    }
    for fill in (60.0, 85.0, 79.0, 90.0):
        assert city.step(fill=fill) == [], "never twice for one filling"


def test_every_event_follows_a_decision_that_explains_it():
    city = City()
    city.step(fill=90.0, exhausted="it is full after pressing")
    decision, event = city.records
    assert decision.command == f"announce {REQUESTED} of bin"
    assert decision.reasons == (event.data["reason"],)
    assert Input("bin.fill", 90.0, 1.0) in decision.inputs


def test_while_pressing_may_help_it_waits_but_not_for_ever():
    city = City(patience=900.0)
    assert city.step(fill=90.0) == []
    assert city.step(840.0) == []
    (event,) = city.step(60.0)
    assert event.data["reason"] == "it is 90 % full, for 15 min"


def test_a_fill_that_drops_in_between_begins_the_patience_anew():
    city = City(patience=900.0)
    for _ in range(5):
        assert city.step(600.0, fill=90.0) == []
        assert city.step(60.0, fill=50.0) == []


@pytest.mark.parametrize(
    ("soonest", "likely", "asks"),
    [
        (10 * HOUR, 30 * HOUR, True),
        (None, 10 * HOUR, True),
        (70 * HOUR, None, False),
        (70 * HOUR, 10 * HOUR, False),
        (None, None, False),
    ],
)
def test_one_that_will_be_full_before_the_next_round_asks_now(soonest, likely, asks):
    """The next round is on Monday morning, 66 hours ahead; the soonest time counts where there is one."""
    city = City(rounds=rounds(["mon 06:00"]))
    events = city.step(fill=50.0, soonest=soonest, likely=likely)
    assert bool(events) is asks
    if asks:
        assert events[0].data["reason"] == "it will be full before the next round"
        assert events[0].data["full_at"] == round(city.time - 1.0 + (soonest or likely))


@pytest.mark.parametrize("change", [{"fill": 39.0}, {"clock": Quality.UNSYNCHRONIZED}, {"fill": None}])
def test_a_prediction_alone_does_not_count(change):
    """Not of a bin that is nearly empty, not by a clock that does not know which day it is."""
    city = City(rounds=rounds(["mon 06:00"]))
    assert city.step(**{"fill": 50.0, "soonest": HOUR, **change}) == []


def test_without_rounds_a_prediction_asks_for_nothing():
    assert City().step(fill=70.0, soonest=60.0) == []


def test_weight_asks_as_well():
    city = City(heavy=27.0)
    assert city.step(weight=26.9) == []
    (event,) = city.step(weight=27.0)
    assert event.data["priority"] == "high"
    assert event.data["weight"] == 27.0
    assert event.data["reason"] == "it weighs 27 kg, and 27 is the most that may be lifted"


def test_weight_says_nothing_while_a_request_stands():
    city = City(heavy=27.0)
    assert len(city.step(fill=85.0, exhausted="it is full after pressing")) == 1
    assert city.step(weight=30.0) == []
    assert city.step(fill=99.0) == []


def test_fire_makes_a_request_that_stands_more_urgent_once():
    city = City()
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    (second,) = city.step(fire=True)
    assert second.data["request"] == first.data["request"]
    assert (first.data["repeat"], second.data["repeat"]) == (0, 1)
    assert (first.data["priority"], second.data["priority"]) == ("normal", "high")
    assert second.data["reason"] == "it has burnt"
    assert first.id != second.id
    assert city.step() == []
    assert city.step(fire=False) == []


@pytest.mark.parametrize("change", [{"fill": None}, {"fire": None}, {"weight": None}])
def test_what_is_not_known_asks_for_nothing(change):
    assert City(heavy=10.0).step(**change) == []


def test_a_request_that_lapses_is_repeated_under_its_id():
    city = City(lapse=HOUR)
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    assert city.step(HOUR - 1) == []
    (again,) = city.step(1.0)
    assert (again.data["request"], again.data["repeat"]) == (first.data["request"], 1)
    (third,) = city.step(HOUR, fill=50.0, exhausted="")
    assert third.data["reason"] == "it was asked for, and was not emptied"
    assert third.data["repeat"] == 2


def test_an_emptying_withdraws_it_and_the_next_filling_asks_anew():
    city = City()
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    (withdrawn,) = city.empty()
    assert withdrawn.type == WITHDRAWN
    assert withdrawn.data == {
        "request": first.data["request"],
        "reason": "it was emptied",
        "fill": 2.0,
        "place": {"name": "Quay 3", "latitude": 52.0},
    }
    city.exhausted = ""
    assert city.step(HOUR) == []
    (second,) = city.step(fill=90.0, exhausted="it is full after pressing")
    assert second.data["request"] != first.data["request"]


def test_an_emptying_that_nobody_asked_for_says_nothing():
    city = City()
    city.step()
    assert city.empty() == []


def test_without_a_trend_two_low_readings_are_an_emptying():
    city = City(trend=False)
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    assert city.step(fill=5.0) == [], "one may be a hand before the sensor"
    assert city.step(fill=85.0) == []
    assert city.step(fill=5.0) == []
    same = replace(city.seen(), fill=Input("bin.fill", 5.0, 61.0))
    city.time, city.mono = city.time + 60, city.mono + 60
    assert city.collection.step(city.at(), same) == [], "nor is one reading that is seen twice"
    (withdrawn,) = city.step()
    assert withdrawn.data["request"] == first.data["request"]
    (second,) = city.step(fill=90.0)
    assert second.data["request"] != first.data["request"]


def test_a_trend_that_sees_its_first_emptying_withdraws():
    city = City()
    city.emptied = None
    city.step(fill=85.0, exhausted="it is full after pressing")
    (withdrawn,) = city.empty()
    assert withdrawn.type == WITHDRAWN


@pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR, 300.0, -300.0])
def test_a_clock_that_is_set_is_no_emptying(jump):
    """First only this clock moves, for the trend spoke before; then the trend follows."""
    city = City()
    city.step(fill=85.0, exhausted="it is full after pressing")
    seen = city.seen()
    city.time += jump
    assert [
        e for e in city.collection.step(city.at(), seen) if isinstance(e, Event) and e.type == WITHDRAWN
    ] == []
    assert [e.type for e in city.step() if e.type == WITHDRAWN] == []


def test_an_emptying_by_a_clock_that_nobody_trusts_waits():
    city = City()
    city.step(fill=85.0, exhausted="it is full after pressing")
    city.clock = Quality.UNSYNCHRONIZED
    assert city.empty() == []
    city.clock = Quality.SYNCHRONIZED
    (withdrawn,) = city.step()
    assert withdrawn.type == WITHDRAWN


# Restarts


@pytest.mark.parametrize("boot", ["one", "two"])
def test_a_restart_asks_for_nothing_again(boot):
    city = City(lapse=10 * HOUR)
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    city.step(HOUR)
    city.restart(boot=boot)
    assert city.step() == []
    (again,) = city.step(9 * HOUR)
    assert (again.data["request"], again.data["repeat"]) == (first.data["request"], 1)
    city.restart(boot="three")
    (withdrawn,) = city.empty()
    assert withdrawn.data["request"] == first.data["request"]


def test_the_next_filling_has_another_id_after_a_restart_too():
    city = City(trend=False)
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    city.step(fill=5.0)
    city.step()
    city.restart()
    (second,) = city.step(fill=85.0)
    assert second.data["request"] != first.data["request"]


def test_a_request_does_not_stand_longer_than_it_may_because_of_what_was_kept():
    city = City(lapse=HOUR)
    city.step(fill=85.0, exhausted="it is full after pressing")
    kept = city.collection.save()
    kept["request"][3] = [city.time + 1e6, city.mono + 1e6]
    city.collection.restore(kept, "one", city.at())
    assert len(city.step(HOUR)) == 1


def test_a_restart_that_has_forgotten_gives_the_same_id():
    """So whoever is asked can tell, also when the state was lost."""
    city = City()
    (first,) = city.step(fill=85.0, exhausted="it is full after pressing")
    city.restart(forget=True)
    (again,) = city.step()
    assert again.data["request"] == first.data["request"]
    assert again.id == first.id


@given(
    JSON
    | st.fixed_dictionaries(
        {"emptied": JSON, "filling": JSON, "request": JSON | st.lists(JSON, min_size=4, max_size=4)}
    )
)
def test_what_was_never_kept_changes_nothing(kept):
    city = City()
    city.step(fill=85.0, exhausted="it is full after pressing")
    before = city.collection.save()
    try:
        city.collection.restore(kept, "one", city.at())
    except ValueError:
        assert city.collection.save() == before
        return
    city.step()


@pytest.mark.parametrize("seed", range(12))
def test_never_twice_for_one_filling_whatever_happens(seed):
    """Months of a bin with restarts: fillings and requests match, and every request ends."""
    random, city = Random(f"bin {seed}"), City(lapse=12 * HOUR, rounds=rounds(["daily 06:00"]), heavy=25.0)
    stands: str | None = None
    seen: set[str] = set()
    for number in range(3000):
        events = city.empty() if random.random() < 0.01 else city.step(
            random.choice([60.0, 600.0, HOUR]),
            fill=random.choice([city.fill, None, min(100.0, (city.fill or 50.0) + random.uniform(0, 8))]),
            soonest=random.choice([None, random.uniform(0, 90 * HOUR)]),
            weight=random.choice([None, 10.0, 26.0]),
            fire=random.choice([None, False, False, False, True]),
            exhausted=random.choice(["", "it is full after pressing"]),
        )  # fmt: skip
        if random.random() < 0.05:
            city.restart(boot=random.choice([city.boot, f"boot {number}"]))
        for event in events:
            request = event.data["request"]
            if event.type == WITHDRAWN:
                assert request == stands
                stands = None
            elif event.data["repeat"]:
                assert request == stands
            else:
                assert stands is None
                assert request not in seen
                seen.add(request)
                stands = request
    assert len(seen) > 5
    ids = [each.id for each in city.records]
    assert len(ids) == len(set(ids)), "every record has an id of its own"


# Rounds


def test_rounds_are_by_local_time():
    paris = rounds(["mon 06:00", "thu 22:30"], "Europe/Paris")
    monday = datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp()  # 06:00 in winter
    assert paris.after(NOON) == monday
    assert paris.after(monday) == datetime(2026, 11, 26, 21, 30, tzinfo=UTC).timestamp()
    summer = datetime(2026, 7, 17, 12, tzinfo=UTC).timestamp()
    assert paris.after(summer) == datetime(2026, 7, 20, 4, tzinfo=UTC).timestamp()


def test_a_round_a_week_ahead_is_found():
    weekly = rounds(["fri 12:00"])
    assert weekly.after(NOON) == NOON + 7 * 86400
    assert weekly.after(NOON - 1) == NOON
    assert rounds(["daily 05:30"]).after(NOON) == NOON + 17.5 * HOUR
    assert Rounds(()).after(NOON) is None


@pytest.mark.parametrize("text", ["", "monday 06:00", "mon 24:00", "mon 6:00", "mon 06:60", "06:00"])
def test_a_round_that_is_none_is_told(text):
    with pytest.raises(ValueError, match="a round is a day and a time"):
        rounds([text])
