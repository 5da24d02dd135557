"""Rules over time, against a model that looks at everything at every tick."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Grant, Mode, Reading, SwitchOn, Transition
from gateway.rules import Engine, Expression, Phase, Rule, condition, vocabulary

TYPES = vocabulary(
    {
        "bin": [Quantity.FILL],
        "lid": [Quantity.CLOSED],
        "river": [Quantity.STAGE],
    }
)
STALE = {"bin": 3.0, "lid": 3.0, "river": 3.0}
NOON = datetime(2030, 6, 1, 12, tzinfo=UTC).timestamp()


@dataclass
class Street:
    """Time, and readings from devices."""

    now: float = 1000.0
    wall: float = NOON - 1000.0

    def instant(self) -> Instant:
        return Instant(self.wall + self.now, self.now, "boot", Quality.SYNCHRONIZED)

    def reading(self, device: str, values: Mapping[Quantity, float | Missing]) -> Reading:
        known = {q: v for q, v in values.items() if not isinstance(v, Missing)}
        missing = {q: v for q, v in values.items() if isinstance(v, Missing)}
        return Reading(device, self.instant(), known, missing)

    def fill(self, value: float | Missing) -> Reading:
        return self.reading("bin", {Quantity.FILL: value})

    def lid(self, value: float | Missing) -> Reading:
        return self.reading("lid", {Quantity.CLOSED: value})


def rule(
    when: str, clear: str | None = None, wait: float = 0.0, name: str = "press", hold: float = 0.0
) -> Rule:
    return Rule(
        id=name,
        version=3,
        says="Presses.",
        owner="Waste",
        expires=date(2030, 12, 31),
        when=condition(when, TYPES),
        commands=(SwitchOn("compactor", 3.0),),
        clear=None if clear is None else condition(clear, TYPES),
        wait=wait,
        hold=hold,
        mode=Mode.OFF,
        digest="d1",
    )


@pytest.fixture
def street() -> Street:
    return Street()


def engine_of(street: Street, *rules: Rule) -> Engine:
    return Engine(rules, STALE, street.instant)


def fired(engine: Engine) -> list[tuple[str, bool]]:
    return [(transition.rule, transition.firing) for transition in engine.step()]


def phase(engine: Engine) -> str:
    return str(engine.status()[0]["phase"])


def test_a_rule_without_wait_fires_at_once_and_ends_when_known_false(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0"))
    engine.note(street.fill(79.9))
    assert fired(engine) == []
    engine.note(street.fill(80.0))
    assert fired(engine) == [("press", True)]
    engine.note(street.fill(85.0))
    assert fired(engine) == []
    engine.note(street.fill(79.0))
    assert fired(engine) == [("press", False)]


def test_a_transition_tells_everything_that_led_to_it(street: Street) -> None:
    wanted = rule("bin.fill >= 80.0 && lid.closed", clear="bin.fill < 60.0")
    engine = engine_of(street, wanted)
    engine.note(street.lid(1.0))
    street.now += 1.25
    engine.note(street.fill(85.0))
    (transition,) = engine.step()
    assert transition == Transition(
        at=street.instant(),
        rule="press",
        version=3,
        digest="d1",
        mode=Mode.OFF,
        firing=True,
        commands=wanted.commands,
        inputs=transition.inputs,
        conditions=transition.conditions,
    )
    assert [(i.name, i.value, i.age, i.reason) for i in transition.inputs] == [
        ("bin.fill", 85.0, 0.0, ""),
        ("lid.closed", True, 1.25, ""),
    ]
    assert [(c.text, c.truth) for c in transition.conditions] == [
        ("bin.fill >= 80.0 && lid.closed", True),
        ("bin.fill < 60.0", False),
    ]


def test_a_wait_must_be_fulfilled_without_a_break(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=2.0))
    engine.note(street.fill(85.0))
    assert (fired(engine), phase(engine), engine.due()) == ([], "pending", 1002.0)
    street.now = 1001.9
    engine.note(street.fill(70.0))
    engine.note(street.fill(85.0))  # the dip between two steps counts
    street.now = 1002.0
    assert fired(engine) == []
    street.now = 1003.9
    assert fired(engine) == [("press", True)]


def test_unknown_cancels_a_wait_and_leaves_firing(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=1.0))
    engine.note(street.fill(85.0))
    engine.note(street.fill(Missing.NO_TARGET))
    assert phase(engine) == "inactive"
    engine.note(street.fill(85.0))
    street.now += 1
    assert fired(engine) == [("press", True)]
    engine.note(street.fill(Missing.NO_TARGET))
    assert (fired(engine), phase(engine)) == ([], "firing")
    assert engine.status()[0]["blind"] == "bin.fill is not known: no-target"
    engine.note(street.fill(10.0))
    assert fired(engine) == [("press", False)]


def test_a_value_goes_stale_by_time_alone(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=60.0))
    engine.note(street.fill(85.0))
    assert phase(engine) == "pending"
    due = engine.due()
    assert due == pytest.approx(1003.0)
    street.now = due
    engine.step()
    assert phase(engine) == "inactive"
    street.now = 1014.0
    told = engine.lookup("bin.fill")
    assert (told.value, told.age) == (None, 14.0)
    assert told.reason == "last seen 14 s ago, limit 3 s"


def test_a_gap_that_nobody_stepped_through_still_cancels_the_wait(street: Street) -> None:
    """The loop was late: between two readings the first had gone stale. That is not 'held for 4 s'."""
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=4.0))
    engine.note(street.fill(85.0))
    street.now += 3.5
    engine.note(street.fill(85.0))
    street.now += 1.0
    assert (fired(engine), phase(engine)) == ([], "pending")


def test_a_late_step_does_not_fire_on_what_has_gone_stale(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=2.0))
    engine.note(street.fill(85.0))
    street.now += 100
    assert (fired(engine), phase(engine)) == ([], "inactive")


def test_clear_is_the_only_end_and_must_be_known(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", clear="bin.fill < 60.0"))
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]
    for value in (70.0, Missing.FAULT, 60.0):
        engine.note(street.fill(value))
        assert fired(engine) == []
    engine.note(street.fill(59.0))
    assert fired(engine) == [("press", False)]


def test_nothing_begins_while_clear_holds(street: Street) -> None:
    """Else a rule whose two conditions overlap would fire and end at every reading."""
    engine = engine_of(street, rule("bin.fill >= 80.0", clear="bin.fill >= 90.0"))
    for _ in range(3):
        engine.note(street.fill(95.0))
    assert fired(engine) == []
    engine.note(street.fill(85.0))
    engine.note(street.fill(95.0))
    assert fired(engine) == [("press", True), ("press", False)]


def test_age_counts_from_the_last_value_and_needs_no_reading_to_pass(street: Street) -> None:
    engine = engine_of(street, rule('lid.age > duration("10s")'))
    engine.step()
    assert engine.lookup("lid.age").reason == "never seen"
    engine.note(street.lid(1.0))
    street.now += 4
    engine.note(street.lid(Missing.BUS_ERROR))  # it spoke, but said nothing
    assert engine.lookup("lid.age").value == 4.0
    street.now = 1010.0
    assert fired(engine) == []
    due = engine.due()
    assert due == pytest.approx(1010.0)
    street.now = due
    assert fired(engine) == [("press", True)]
    engine.note(street.lid(1.0))
    assert fired(engine) == [("press", False)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "not a finite number"),
        (math.inf, "not a finite number"),
        (2.0, "neither 0 nor 1, but 2"),
        (0.5, "neither 0 nor 1, but 0.5"),
    ],
)
def test_what_is_no_truth_is_not_known(street: Street, value: float, reason: str) -> None:
    engine = engine_of(street, rule("lid.closed"))
    engine.note(street.lid(value))
    told = engine.lookup("lid.closed")
    assert (told.value, told.reason) == (None, reason)
    assert fired(engine) == []


def test_what_has_no_limit_of_age_is_never_known(street: Street) -> None:
    engine = Engine([rule("bin.fill > 1.0")], {}, street.instant)
    engine.note(street.fill(85.0))
    assert fired(engine) == []
    assert engine.lookup("bin.fill").reason == "no limit of age is configured"


def test_lookup_of_what_never_came(street: Street) -> None:
    told = engine_of(street).lookup("bin.fill")
    assert (told.value, told.age, told.reason) == (None, None, "never seen")


def test_a_permissive_is_told_with_what_it_looked_at(street: Street) -> None:
    engine = engine_of(street)
    permissive = condition("lid.closed && bin.fill < 99.0", TYPES)
    assert engine.expression_truth(permissive)[0] is None
    engine.note(street.lid(0.0))
    truth, inputs = engine.expression_truth(permissive)
    assert truth is False
    assert [(i.name, i.value) for i in inputs] == [("lid.closed", False), ("bin.fill", None)]
    engine.note(street.lid(1.0))
    engine.note(street.fill(50.0))
    assert engine.expression_truth(permissive)[0] is True
    street.now += 3.1
    assert engine.expression_truth(permissive)[0] is None


def test_a_constant_condition_fires_without_any_reading(street: Street) -> None:
    engine = engine_of(street, rule("true", wait=5.0))
    assert engine.due() == 0.0
    assert fired(engine) == []
    assert engine.due() == 1005.0
    street.now = 1005.0
    assert fired(engine) == [("press", True)]


def test_an_expired_rule_ends_by_time_alone_and_is_shown(street: Street) -> None:
    engine = engine_of(street, replace(rule("bin.fill >= 80.0"), expires=date(2030, 6, 1)))
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]
    street.now += 3.5  # the fill is stale: only the last day is left to wait for
    engine.step()
    due = engine.due()
    assert due == pytest.approx(1063.5)  # when its blindness is to be told
    street.now = due
    engine.step()
    due = engine.due()
    assert due == pytest.approx(1000.0 + 12 * 3600)
    street.now = due
    assert fired(engine) == [("press", False)]
    assert (phase(engine), engine.due()) == ("expired", None)
    engine.note(street.fill(85.0))
    assert fired(engine) == []
    street.wall -= 86400  # the clock was wrong and is set right: the day is not over
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]


def test_status_shows_phase_and_time_in_it(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=10.0))
    engine.note(street.fill(85.0))
    street.now += 2.5
    assert engine.status() == [
        {
            "id": "press",
            "says": "Presses.",
            "owner": "Waste",
            "version": 3,
            "mode": "off",
            "phase": "pending",
            "since": 2.5,
            "expires": "2030-12-31",
            "blind": "",
            "grant": None,
        }
    ]


def test_a_rule_holds_on_for_as_long_as_it_says(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", hold=2.0))
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]
    street.now += 0.5
    engine.note(street.fill(10.0))
    assert (fired(engine), phase(engine), engine.due()) == ([], "firing", 1002.0)
    street.now = 1002.0
    assert fired(engine) == [("press", False)]


def test_holding_on_is_over_once_and_ends_nothing_by_itself(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0", clear="bin.fill < 60.0", hold=1.0))
    engine.note(street.fill(85.0))
    street.now += 1.5
    engine.note(street.fill(70.0))
    assert phase(engine) == "firing"
    street.now += 0.5
    engine.note(street.fill(59.0))
    assert fired(engine) == [("press", True), ("press", False)]


def test_a_last_day_ends_also_what_holds_on(street: Street) -> None:
    held = replace(rule("bin.fill >= 80.0", hold=86400.0), expires=date(2030, 6, 1))
    engine = engine_of(street, held)
    engine.note(street.fill(85.0))
    street.now += 12 * 3600
    assert fired(engine) == [("press", True), ("press", False)]


def test_a_transition_carries_the_grant_and_how_long_people_have(street: Street) -> None:
    grant = Grant("J. Meyer", "night", NOON + 86400.0)
    engine = engine_of(street, replace(rule("bin.fill >= 80.0"), grant=grant, ask=5.0, veto=6.0))
    engine.note(street.fill(85.0))
    (transition,) = engine.step()
    assert (transition.grant, transition.ask, transition.veto) == (grant, 5.0, 6.0)
    assert engine.status()[0]["grant"] == {"by": "J. Meyer", "reason": "night", "until": NOON + 86400.0}


@pytest.mark.parametrize("clock", Quality)
@pytest.mark.parametrize(("days", "long"), [(366.9, False), (367.1, True)])
def test_too_long_a_grant_is_none_by_a_clock_to_be_believed(clock: Quality, days: float, long: bool) -> None:
    """A pole that starts before its clock is set must not lose its flood pump's grant."""
    grant = Grant("J. Meyer", "for good", NOON + days * 86400.0)
    engine = Engine([replace(rule("true"), grant=grant)], STALE, lambda: Instant(NOON, 1000.0, "boot", clock))
    (transition,) = engine.step()
    assert (transition.grant is None) is (long and clock is Quality.SYNCHRONIZED)


def test_a_renewed_grant_disturbs_nothing_and_is_the_one_that_counts(street: Street) -> None:
    old, new = Grant("J. Meyer", "night", NOON), Grant("A. Okafor", "night", NOON + 60.0)
    engine = engine_of(street, replace(rule("bin.fill >= 80.0", hold=9.0), grant=old))
    engine.note(street.fill(85.0))
    engine.step()
    street.now += 2.0
    engine.reload([replace(rule("bin.fill >= 80.0", hold=9.0), grant=new)])
    assert engine.step() == []
    assert engine.status()[0]["since"] == 2.0
    assert [t.grant for t in engine.firing()] == [new]


def test_firing_tells_what_fires_without_ending_or_beginning_it(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0"), rule("lid.closed", name="other"))
    assert engine.firing() == []
    engine.note(street.fill(85.0))
    (begun,) = engine.step()
    assert engine.firing() == [begun]
    assert engine.step() == []


def test_reload_keeps_what_says_the_same(street: Street) -> None:
    """Also when the file's digest is new, because another rule in it changed."""
    engine = engine_of(street, rule("bin.fill >= 80.0", wait=2.0), rule("lid.closed", name="other"))
    engine.note(street.fill(85.0))
    street.now += 1.5
    engine.reload(
        [replace(rule("bin.fill >= 80.0", wait=2.0), digest="d2"), rule("!lid.closed", name="other")]
    )
    street.now += 0.5
    (transition,) = engine.step()
    assert (transition.rule, transition.firing, transition.digest) == ("press", True, "d2")


def test_reload_does_not_disturb_what_fires(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0"))
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]
    engine.reload([rule("bin.fill >= 80.0")])
    assert (fired(engine), phase(engine)) == ([], "firing")


def test_reload_ends_what_is_gone_or_altered_under_its_old_name(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0"), rule("bin.fill >= 70.0", name="other"))
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True), ("other", True)]
    engine.reload([replace(rule("bin.fill >= 70.0", name="other"), mode=Mode.SHADOW, digest="d2")])
    ended = engine.step()
    assert [(t.rule, t.firing, t.digest, t.mode) for t in ended] == [
        ("press", False, "d1", Mode.OFF),
        ("other", False, "d1", Mode.OFF),
        ("other", True, "d2", Mode.SHADOW),
    ]


def test_reload_takes_new_limits_of_age(street: Street) -> None:
    engine = engine_of(street, rule("bin.fill >= 80.0"))
    engine.note(street.fill(85.0))
    street.now += 2.0
    engine.reload([rule("bin.fill >= 80.0")], {"bin": 1.0})
    assert engine.lookup("bin.fill").value is None


def test_two_rules_of_one_id_are_refused(street: Street) -> None:
    with pytest.raises(ValueError, match="same id"):
        engine_of(street, rule("lid.closed"), rule("!lid.closed"))


# --- against a model that knows nothing of due times, and looks at everything at every tick of 0.25 s ---

CONDITIONS = [
    "bin.fill >= 50.0",
    "bin.fill >= 50.0 && lid.closed",
    "bin.fill >= 50.0 || lid.closed",
    "lid.age > duration('2500ms')",
    "lid.age <= duration('1s') && bin.fill < 50.0",
    "bin.age - lid.age >= duration('1s')",
    "bin.age + lid.age > duration('4s') || bin.fill > 90.0",
]
TICK = 0.25


@dataclass
class Model:
    """The semantics of docs/rules.md in the plainest form."""

    wanted: Rule
    seen: dict[str, tuple[float, float | None]]
    spoke: dict[str, float]
    phase: Phase = Phase.INACTIVE
    since: float = 0.0

    def truth(self, expression: Expression, now: float) -> bool | None:
        def lookup(name: str) -> float | None:
            device = name.split(".")[0]
            if name.endswith(".age"):
                return round((now - self.spoke[device]) * 1e9) if device in self.spoke else None
            at, value = self.seen.get(name, (-99.0, None))
            return None if now - at > STALE[device] else value

        value = expression.evaluate(lookup)
        return None if value is None else bool(value)

    def tick(self, now: float) -> bool | None:
        when = self.truth(self.wanted.when, now)
        clear = self.truth(self.wanted.clear, now) if self.wanted.clear else None
        ends = clear is True if self.wanted.clear else when is False
        if self.phase is Phase.FIRING:
            ends = ends and now - self.since >= self.wanted.hold - 1e-10
            if ends:
                self.phase = Phase.INACTIVE
            return False if ends else None
        if when is not True or clear is True:
            self.phase = Phase.INACTIVE
            return None
        if self.phase is Phase.INACTIVE:
            self.phase, self.since = Phase.PENDING, now
        if now - self.since < self.wanted.wait - 1e-10:  # what floats lose between ticks a nanosecond apart
            return None
        self.phase, self.since = Phase.FIRING, now
        return True


NOTES = st.one_of(
    st.tuples(st.just("bin.fill"), st.sampled_from([10.0, 60.0, 95.0, None])),
    st.tuples(st.just("lid.closed"), st.sampled_from([0.0, 1.0, None])),
)


@settings(max_examples=300)
@given(
    st.sampled_from(CONDITIONS),
    st.one_of(st.none(), st.sampled_from(CONDITIONS)),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 0.75, 3.5]),
    st.lists(st.tuples(st.integers(0, 8), NOTES), max_size=12),
)
def test_the_engine_woken_only_when_due_does_what_the_model_does(
    when: str,
    clear: str | None,
    wait: float,
    hold: float,
    notes: list[tuple[int, tuple[str, float | None]]],
) -> None:
    """What becomes true after a moment (`>`) comes at the next tick to the model, at once to the engine."""
    street = Street(now=0.0)
    wanted = rule(when, clear, wait, hold=hold)
    engine, model = engine_of(street, wanted), Model(wanted, {}, {})
    happened: list[tuple[float, bool]] = []
    expected: list[tuple[float, bool]] = []

    def until(end: float) -> None:
        """Wake the engine at its due times before *end*, and no other."""
        while (due := engine.due()) is not None and due < end:
            street.now = max(due, street.now)
            happened.extend((street.now, t.firing) for t in engine.step())
            assert (engine.due() or end) > street.now
        street.now = end

    def watch(start: float, end: float) -> None:
        """Look at the model at every tick, and just after it, from *start* on before *end*."""
        for i in range(round((end - start) / TICK)):
            for now in (start + i * TICK, start + i * TICK + 1e-9):
                changed = model.tick(now)
                if changed is not None:
                    expected.append((now, changed))

    time = 0.0
    for pause, (name, value) in [*notes, (12, ("", None))]:
        end = time + pause * 2 * TICK
        watch(time, end)
        until(end)
        time = end
        if not name:
            break
        device, quantity = name.split(".")
        reading = street.reading(device, {Quantity(quantity): Missing.FAULT if value is None else value})
        pending_until_now = model.tick(time)
        expected += [(time, pending_until_now)] if pending_until_now is not None else []
        model.seen[name] = (time, value if quantity == "fill" or value is None else bool(value))
        if value is not None:
            model.spoke[device] = time
        changed = model.tick(time)
        expected += [(time, changed)] if changed is not None else []
        engine.note(reading)
        happened.extend((time, t.firing) for t in engine.step())
    assert [firing for _, firing in happened] == [firing for _, firing in expected]
    assert [at for at, _ in happened] == pytest.approx([at for at, _ in expected], abs=1e-6)
