"""Defects to plant in the real code, slips that somebody could make. The simulator must find every one."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from drivers import sensirion
from gateway.app import pole, received
from gateway.clock import Instant
from gateway.control import control, guard, memory, recorder, until
from gateway.mqtt import delivery, drain, lane
from gateway.mqtt.lane import Verdict
from gateway.reading import Record
from gateway.rules import engine
from gateway.store import file, keeper, ledger, pending, tables
from gateway.store.tally import Drop

Plant = Callable[[], tuple[Any, str, Any]]
"""Gives what is replaced: where, its name, and by what."""


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """Have the defect in the code for as long as this lasts."""
    where, name, defect = plant()
    before = where.__dict__[name]
    setattr(where, name, defect)
    try:
        yield
    finally:
        setattr(where, name, before)


def a_refusal_counts_as_delivered() -> tuple[Any, str, Any]:
    return delivery, "judge", lambda code, hold: Verdict.DONE


def the_cursor_moves_over_what_was_refused() -> tuple[Any, str, Any]:
    def advance(self: lane.Lane) -> None:
        oldest = next(iter(self._flight.values()))[0] if self._flight else self.sent + 1
        self.cursor = oldest - 1
        if self._refused is not None and not self._flight:
            self.rewind()
        self._skip()

    return lane.Lane, "_advance", advance


def the_window_is_not_the_brokers() -> tuple[Any, str, Any]:
    return drain.Drain, "room", property(lambda self: self._settings.window - len(self._link.waiting))


def a_new_session_goes_on_where_the_old_one_ended() -> tuple[Any, str, Any]:
    real = drain.Drain.begin

    def begin(self: drain.Drain) -> None:
        granted = self._link.granted
        self._link.granted = granted._replace(resumed=True)
        real(self)
        self._link.granted = granted

    return drain.Drain, "begin", begin


def a_record_that_is_always_refused_is_never_given_up() -> tuple[Any, str, Any]:
    return drain.Drain, "_put_aside", lambda self, lane, seq, why: None


def a_decision_is_recorded_after_the_pin() -> tuple[Any, str, Any]:
    async def durable(self: recorder.Recorder, record: Record, limit: float) -> str:
        recording = asyncio.ensure_future(self._journal.record(record))
        recording.add_done_callback(lambda done: done.cancelled() or done.exception())
        return ""

    return recorder.Recorder, "durable", durable


def a_gap_is_not_announced() -> tuple[Any, str, Any]:
    def forget(self: tables.Tables, drops: Any, highs: Any, at: Instant) -> None:
        for name, first, last, reason in drops:
            self.connection.execute(f"DELETE FROM {name} WHERE seq BETWEEN ? AND ?", (first, last))
            self.note(Drop(name, first, last, reason), at.time)

    return tables.Tables, "forget", forget


def what_waits_counts_as_durable() -> tuple[Any, str, Any]:
    def durable(self: keeper.Keeper, lane: Any) -> int:
        return self.tallies[lane].high + len(self._intake.pending[lane])

    return keeper.Keeper, "durable", durable


def a_failed_commit_forgets_its_rows() -> tuple[Any, str, Any]:
    return pending.Pending, "failed", pending.Pending.committed


def a_commit_is_made_twice() -> tuple[Any, str, Any]:
    """The rows of every commit are put back as after a failed one, once in a while."""
    count = 0

    def committed(self: pending.Pending) -> None:
        nonlocal count
        count += bool(self._taken.rows)
        if count % 20 == 19:
            self.failed()
        self._taken = pending.EMPTY

    return pending.Pending, "committed", committed


def the_log_is_not_synced() -> tuple[Any, str, Any]:
    pragmas = tuple(each.replace("= FULL", "= NORMAL") for each in file._PRAGMAS)
    return file, "_PRAGMAS", pragmas


def the_chain_goes_on_behind_an_aborted_commit() -> tuple[Any, str, Any]:
    return ledger.Ledger, "begin", lambda self: None


def the_first_rest_is_forgotten_at_a_start() -> tuple[Any, str, Any]:
    def turned_off(self: guard.Guard, now: float) -> None:
        self.on, self.since = False, now if self.cycles else -1e9

    return guard.Guard, "turned_off", turned_off


def a_guard_asks_its_permissives_only_once() -> tuple[Any, str, Any]:
    def must_turn_off(self: guard.Guard, now: float, asked: Any = ()) -> guard.Verdict:
        return guard.Verdict((self.longest,)) if now >= self.deadline else guard.NOTHING_AGAINST

    return guard.Guard, "must_turn_off", must_turn_off


def unknown_is_permitted() -> tuple[Any, str, Any]:
    def permissive(self: pole.Pole, expression: Any) -> guard.Permissive:
        def truth() -> tuple[bool, Any]:
            value, seen = self._engine.expression_truth(expression)
            return value is not False, seen

        return guard.Permissive(expression.text, truth)

    return pole.Pole, "_permissive", permissive


def a_switch_may_be_on_a_little_longer() -> tuple[Any, str, Any]:
    return guard.Guard, "deadline", property(lambda self: self.since + 1.05 * self.limits.max_on)


def the_hours_budget_begins_anew_at_a_start() -> tuple[Any, str, Any]:
    return memory.Memory, "_restore_starts", lambda self, name, ages, asleep, at: []


def an_override_never_ends() -> tuple[Any, str, Any]:
    return control.Control, "_end_lease", lambda self, output, at: False


def an_override_ends_by_the_wall_clock_alone() -> tuple[Any, str, Any]:
    return until.Until, "left", lambda self, at: self.time - at.time


def a_rule_that_fired_begins_anew_at_a_start() -> tuple[Any, str, Any]:
    return engine.Engine, "restore", lambda self, shape: None


def an_order_is_forgotten_at_a_start() -> tuple[Any, str, Any]:
    async def known(self: received.Received, now: float) -> list[str]:
        return []

    return received.Received, "known", known


def a_checksum_is_not_checked() -> tuple[Any, str, Any]:
    def checked(raw: bytes) -> list[int]:
        return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 3)]

    return sensirion, "checked", checked


PLANTS: dict[Plant, int] = {
    a_refusal_counts_as_delivered: 20,
    the_cursor_moves_over_what_was_refused: 20,
    the_window_is_not_the_brokers: 10,
    a_new_session_goes_on_where_the_old_one_ended: 250,
    a_record_that_is_always_refused_is_never_given_up: 30,
    a_decision_is_recorded_after_the_pin: 10,
    a_gap_is_not_announced: 30,
    what_waits_counts_as_durable: 10,
    a_failed_commit_forgets_its_rows: 100,
    a_commit_is_made_twice: 40,
    the_log_is_not_synced: 20,
    the_chain_goes_on_behind_an_aborted_commit: 100,
    the_first_rest_is_forgotten_at_a_start: 80,
    a_guard_asks_its_permissives_only_once: 150,
    unknown_is_permitted: 200,
    a_switch_may_be_on_a_little_longer: 40,
    the_hours_budget_begins_anew_at_a_start: 800,
    an_override_never_ends: 500,
    an_override_ends_by_the_wall_clock_alone: 500,
    a_rule_that_fired_begins_anew_at_a_start: 20,
    an_order_is_forgotten_at_a_start: 800,
    a_checksum_is_not_checked: 10,
}
"""Each defect, and the seeds within which it must be found."""
