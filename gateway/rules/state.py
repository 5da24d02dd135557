"""Everything that changes about one rule, and how it is taken over from a reload or a restart."""

from dataclasses import dataclass, replace
from typing import Any

from gateway.clock import Instant, Quality
from gateway.reading import Grant
from gateway.rules.course import Course, Phase, Sight
from gateway.rules.evaluate import Crossing
from gateway.rules.grants import LONGEST
from gateway.rules.inputs import nanoseconds
from gateway.rules.memory import Memory
from gateway.rules.rule import Rule, fingerprint


@dataclass(slots=True)
class State:
    """A rule, its phase and its sight; *restored* [ns] when it went on from before a restart."""

    rule: Rule
    course: Course
    sight: Sight
    over: float
    names: tuple[str, ...]
    crossings: tuple[Crossing, ...]
    mark: str
    restored: int | None = None

    @property
    def memorable(self) -> bool:
        """Whether a restart must not forget it."""
        return self.sight.told or self.course.phase in (Phase.PENDING, Phase.FIRING)

    def status(self, now: int, blind: str) -> dict[str, Any]:
        """Return the rule as the status page shows it; *blind* says why its condition is not known."""
        rule, grant = self.rule, self.rule.grant
        return {
            "id": rule.id,
            "says": rule.says,
            "owner": rule.owner,
            "version": rule.version,
            "mode": rule.mode,
            "phase": self.course.phase,
            "since": round((now - self.course.since) / 1e9, 3),
            "expires": rule.expires.isoformat(),
            "blind": blind,
            "grant": grant and {"by": grant.by, "reason": grant.reason, "until": grant.until},
        }


def take_over(rule: Rule, old: State | None, now: int) -> State:
    """Return the state of *rule*: its equal's before, or a fresh one, in which only an alarm goes on."""
    fresh = State(
        rule,
        Course(nanoseconds(rule.wait), nanoseconds(rule.hold), now),
        Sight(nanoseconds(rule.blind)),
        rule.over,
        rule.names,
        tuple(crossing for part in rule.conditions for crossing in part.crossings),
        fingerprint(rule),
    )
    if old is None:
        return fresh
    if old.rule == rule:
        return replace(fresh, course=old.course, sight=old.sight, restored=old.restored)
    fresh.sight.told = old.sight.told
    return fresh


def memory(state: State) -> Memory:
    """Return what must not be forgotten of it."""
    return Memory(state.mark, state.course.phase, state.course.since, state.sight.told)


def recall(state: State, before: Memory, now: int) -> None:
    """Go on from before a restart where the rule is the same, and has not moved since."""
    state.sight.told = before.told
    course = state.course
    lasting = before.phase in (Phase.PENDING, Phase.FIRING)
    if before.mark == state.mark and lasting and course.phase is Phase.INACTIVE:
        course.phase, course.since = before.phase, before.since
        state.restored = now


def granted(rule: Rule, at: Instant) -> Grant | None:
    """Return the rule's grant, unless it reaches further ahead than any may, by a clock to be believed.

    Before the clock is set, at a start, it may say 1970: no reason to take a flood pump its grant.
    """
    grant = rule.grant
    if grant is None or at.clock is not Quality.SYNCHRONIZED:
        return grant
    return grant if grant.until - at.time <= LONGEST else None
