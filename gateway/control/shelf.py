"""Rules whose announcements a person does not want to hear for a while. What they switch, they switch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.clock import Instant
from gateway.control import shape
from gateway.control.until import Until

LONGEST = 7 * 86400.0  # [s] that an alarm may be shelved for


@dataclass(frozen=True, slots=True)
class Shelved:
    """Who shelved a rule's announcements, why, by which order, and until when."""

    who: str
    reason: str
    order: str
    until: Until

    def __str__(self) -> str:
        return f"{self.who} has shelved its announcements until {self.until}, because {self.reason}"


class Shelf:
    """What is shelved, by rule."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self._all: dict[str, Shelved] = {}

    def put(self, rule: str, shelved: Shelved) -> None:
        """Shelve *rule*."""
        self._all[rule] = shelved

    def take(self, rule: str) -> None:
        """Hear *rule* again."""
        del self._all[rule]

    def get(self, rule: str) -> Shelved | None:
        """Return who shelved *rule*, if its time is not over."""
        shelved = self._all.get(rule)
        return shelved if shelved and shelved.until.left(self._now()) > 0 else None

    def review(self) -> list[tuple[str, Shelved]]:
        """Forget, and return, what is over."""
        over = [(rule, shelved) for rule, shelved in self._all.items() if self.get(rule) is None]
        for rule, _ in over:
            del self._all[rule]
        return over

    def save(self) -> dict[str, Any]:
        """Return what must outlive a restart."""
        return {
            rule: {"who": s.who, "reason": s.reason, "order": s.order, "until": shape.pair(s.until)}
            for rule, s in self._all.items()
        }

    def restore(self, saved: object, kept: Instant) -> Callable[[], None]:
        """Return what takes over what `save` gave at *kept*. Raises ValueError, before anything changes."""
        at = self._now()
        found = {rule: _shelved(each, kept, at) for rule, each in shape.table(saved).items()}
        return lambda: self._all.update(found)


def _shelved(saved: object, kept: Instant, at: Instant) -> Shelved:
    parts = shape.table(saved, "who", "reason", "order", "until")
    end = shape.until(parts["until"], kept, at)
    if end.left(at) > LONGEST:
        raise ValueError("what was kept shelves a rule for too long")
    who, reason, order = (shape.text(parts[key]) for key in ("who", "reason", "order"))
    return Shelved(who, reason, order, end)
