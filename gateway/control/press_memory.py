"""What a press keeps over a restart: whether a stroke was under way, what is latched, and its budget."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.clock import Instant, Quality
from gateway.control import shape
from gateway.control.guard import HOUR, Guard
from gateway.control.press import Machine

_log = logging.getLogger(__name__)


class Shelf(Protocol):
    """Where it is kept."""

    def recall(self) -> object:
        """Return what `keep` was given last, in this life or an earlier one; None for nothing."""
        ...

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep *state*: on the disk no later than the next decision that is recorded."""
        ...


class Nowhere:
    """Keeps nothing: for a press that is never restarted."""

    def recall(self) -> object:
        """Return that nothing was kept."""
        return None

    def keep(self, state: Mapping[str, Any]) -> None:
        """Forget it."""


def state(machine: Machine, at: Instant) -> dict[str, Any]:
    """Return what must be kept, as JSON can hold it. Strokes are kept by their wall time [s, Unix]."""
    ages = machine.guard.started(at.mono) if machine.guard.limits.per_hour is not None else []
    return {"machine": machine.save(), "starts": [round(at.time - age, 1) for age in ages]}


def recall(name: str, kept: object, machine: Machine, at: Instant) -> None:
    """Take up what was kept. What cannot be read puts the press out of order, until a person resets it."""
    if kept is None:
        return
    try:
        parts = shape.table(kept, "machine", "starts")
        starts = shape.numbers(parts["starts"])
        machine.restore(parts["machine"])
    except (ValueError, OverflowError) as error:
        _log.error("%s is out of order until a person resets it: %s", name, error)
        machine.forget()
        machine.guard.spend(at.mono)
        return
    resume(machine.guard, starts, at)


def resume(guard: Guard, starts: list[float], at: Instant) -> None:
    """Take over the strokes of the last hour. A clock that nobody trusts costs budget, and gives none."""
    if guard.started(at.mono):
        return  # whoever made the guard has done so
    trusted = at.clock is Quality.SYNCHRONIZED
    ages = [max(0.0, at.time - each - 0.05) if trusted else 0.0 for each in starts]
    guard.resume([age for age in ages if age < HOUR], at.mono)
