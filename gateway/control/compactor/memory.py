"""What a press keeps over a restart: whether a stroke was under way, what is latched, and its budget."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.clock import Instant, Quality
from gateway.control import shape
from gateway.control.compactor.machine import Machine
from gateway.control.guard import HOUR
from gateway.control.until import slept

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
    """Return what must be kept, as JSON can hold it. Strokes are kept by their age [s] at that moment."""
    ages = machine.guard.started(at.mono) if machine.guard.limits.per_hour is not None else []
    moment = {"time": at.time, "mono": at.mono, "boot": at.boot, "clock": at.clock}
    return {"machine": machine.save(), "at": moment, "ages": [round(age, 1) for age in ages]}


def recall(name: str, kept: object, machine: Machine, at: Instant) -> None:
    """Take up what was kept. What cannot be read puts the press out of order, until a person resets it."""
    if kept is None:
        return
    try:
        parts = shape.table(kept, "machine")
        ages = _ages(parts, at)
        machine.restore(parts["machine"])
    except (ValueError, OverflowError) as error:
        _log.error("%s is out of order until a person resets it: %s", name, error)
        machine.forget()
        machine.guard.spend(at.mono)
        return
    if not machine.guard.started(at.mono):  # else whoever made the guard has done so
        machine.guard.resume([age for age in ages if age < HOUR], at.mono)


def _ages(parts: Mapping[str, Any], at: Instant) -> list[float]:
    """Return how long ago [s] the strokes were. A clock that nobody trusts costs budget, and gives none."""
    if "ages" not in parts:  # as older versions kept them: by wall time
        trusted = at.clock is Quality.SYNCHRONIZED
        starts = shape.numbers(shape.table(parts, "starts")["starts"])
        return [max(0.0, at.time - each - 0.05) if trusted else 0.0 for each in starts]
    gone = slept(shape.moment(shape.table(parts, "at")["at"]), at) or 0.0
    return [max(0.0, age + gone - 0.05) for age in shape.numbers(parts["ages"])]
