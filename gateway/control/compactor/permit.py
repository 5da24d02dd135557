"""What is against a stroke: before it begins, and before a fault is cleared."""

from dataclasses import dataclass, replace

from gateway.control.compactor.fullness import Fullness
from gateway.control.compactor.seen import Seen, Settings, amperes, number, unknown
from gateway.control.compactor.watch import Watch
from gateway.control.guard import Guard, Verdict, shown


@dataclass(frozen=True, slots=True)
class Permit:
    """Gives every reason at once. *seen* is never older than the settings allow."""

    settings: Settings
    guard: Guard
    watch: Watch
    fullness: Fullness

    def to_begin(self, now: float, seen: Seen, trouble: str | None, by_hand: bool) -> Verdict:
        """Return what is against a stroke of a press that is out of order for *trouble*, or in order (None).

        That the bin is full is a reason, but not for a person.
        """
        reasons, kinds = self._unfit(now, seen)
        home, battery, floor = seen.home, seen.battery, self.settings.floor
        if trouble is not None:
            reasons.append(f"it is out of order: {trouble}")
            kinds.append("fault")
        if home.value is False:
            reasons.append(f"the plate is not at home ({home.name} = false)")
            kinds.append("home")
        volts = number(battery)
        if floor is not None and volts is not None and battery is not None and not volts >= floor:
            reasons.append(f"{battery.name} is {shown(volts)}, and must be {floor:g} to begin")
            kinds.append("battery")
        if self.fullness and not by_hand:
            reasons.append(str(self.fullness))
            kinds.append("full")
        return joined(self.guard.may_turn_on(now), reasons, kinds, seen)

    def to_clear(self, now: float, seen: Seen, faulty: bool) -> Verdict:
        """Return what is against clearing a fault and bringing the plate home, by a person's word."""
        reasons, kinds = self._unfit(now, seen)
        if not faulty:
            reasons.append("it is in order")
            kinds.append("order")
        verdict = self.guard.may_turn_on(max(now, self.guard.ready))  # time alone is not against it
        return joined(verdict, reasons, kinds, seen)

    def to_go_on(self, now: float, seen: Seen) -> Verdict:
        """Return what is against going on with what has begun."""
        reasons = unknown(seen.watched)
        return joined(self.guard.must_turn_off(now), reasons, ["unknown"] if reasons else [], seen)

    def _unfit(self, now: float, seen: Seen) -> tuple[list[str], list[str]]:
        """Return the reasons, and their kinds, that are against any movement of a press that stands."""
        watched = (*seen.watched, *([seen.battery] if seen.battery else []))
        reasons = unknown(watched)
        kinds = [f"{each.name} unknown" for each in watched if each.value is None]
        if seen.both_ends:
            reasons.append("no plate is at both ends")
            kinds.append("ends")
        if not self.watch.calm(now, seen):
            reasons.append("its motor has only just been let go, or is not known to stand")
            kinds.append("rest")
        elif (current := amperes(seen)) is not None and current > self.settings.idle:
            reasons.append(f"{current:.1f} A flow although nothing drives the motor")
            kinds.append("current")
        return reasons, kinds


def joined(verdict: Verdict, reasons: list[str], kinds: list[str], seen: Seen) -> Verdict:
    """Return *verdict* with more reasons, and with all that was seen."""
    return replace(
        verdict,
        reasons=(*verdict.reasons, *reasons),
        kinds=verdict.kinds | frozenset(kinds),
        inputs=tuple(dict.fromkeys((*verdict.inputs, *seen.verdict.inputs))),
    )
