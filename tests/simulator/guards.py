"""Judges the pins themselves, by its own model of the guards: what was on, how long, by whose word."""

import json
from collections.abc import Callable
from typing import Any

from drivers.device import Quantity
from gateway.reading import Reading
from tests.simulator.chips import LINES, Parts
from tests.simulator.disk import Disk
from tests.simulator.seams import REVIEW
from tests.simulator.setting import BOUNDS, LID_STALE
from tests.simulator.world import World

SLACK = 0.01
"""Seconds that timers and an order's way to the pin may add."""

RECORD_OFF = 0.25
"""Seconds that recording a decision may delay a switch on its way off."""

HOUR = 3600.0

_NEWEST = "SELECT body FROM events WHERE kind = 'decision' ORDER BY seq DESC"


class Pins:
    """Sees every change of a level. *approved* says whether a person's order was accepted."""

    def __init__(
        self, world: World, parts: Parts, disk: Disk, per_hour: int, approved: Callable[[str], bool]
    ) -> None:
        self._world, self._parts, self._disk, self._approved = world, parts, disk, approved
        self._per_hour = per_hour
        self.on_since: dict[str, float] = {}
        self.moves = 0
        self._off_since: dict[str, float] = {}
        self._starts: dict[str, list[float]] = {name: [] for name in LINES.values()}
        self._carried_out: set[str] = set()
        self._lid: tuple[float, bool] | None = None  # when it was last looked at, and whether it was closed
        parts.pins.changed = self._changed

    def seen(self, reading: Reading) -> None:
        """Take note of what the gateway knows of the lid, which is all that it can go by."""
        if reading.device != "lid":
            return
        closed = reading.values.get(Quantity.CLOSED) == 1.0
        self._lid = seen = (self._world.now, closed)
        wait = (LID_STALE if closed else 0.0) + REVIEW + RECORD_OFF + SLACK
        self._world.after(wait, lambda: self._must_be_off_for_the_lid(seen))

    def forget(self) -> None:
        """A new process knows nothing."""
        self._lid = None

    def power_lost(self) -> None:
        """The process is gone, and every line falls."""
        self._parts.pins.release()
        for name in [*self.on_since]:
            self._judge_off(name)  # a line that floats has the level of one that is on, and no load has power

    def _changed(self, line: int, high: bool) -> None:
        if line not in LINES:
            return
        name, on = LINES[line], high and line in self._parts.pins.outputs
        if on and name not in self.on_since:
            self._judge_on(name)
        elif not on and name in self.on_since:
            self._judge_off(name)

    def _judge_on(self, name: str) -> None:
        now, bounds = self._world.now, BOUNDS[name]
        self._world.note(f"{name} on")
        self.moves += 1
        self._expect(self._world.alive, f"{name} went on without a process")
        rested = now - self._off_since.get(name, -HOUR)
        self._expect(rested >= bounds.min_off - SLACK, f"{name} went on after {rested:.3f} s off")
        starts = [start for start in self._starts[name] if now - start < HOUR - SLACK]
        self._expect(len(starts) < self._per_hour, f"{name} went on {len(starts) + 1} times within an hour")
        self._starts[name] = [*starts, now]
        self._expect(not self.on_since, f"{name} went on while {[*self.on_since]} was")
        if bounds.lid:
            self._expect(self._lid_known(), f"{name} went on, and the lid is not known to be closed")
        self._judge_word(name)
        self.on_since[name] = now
        self._world.after(bounds.max_on + SLACK, lambda: self._must_be_off(name, now))

    def _judge_off(self, name: str) -> None:
        since = self.on_since.pop(name)
        lasted = self._world.now - since
        self._world.note(f"{name} off after {lasted:.3f} s")
        self._expect(lasted <= BOUNDS[name].max_on + SLACK, f"{name} was on for {lasted:.3f} s")
        self._off_since[name] = self._world.now

    def _judge_word(self, name: str) -> None:
        """Somebody answers for it, and that was durable before it moved."""
        acted = self._acted(name)
        self._expect(acted is not None, f"{name} went on without a durable decision")
        assert acted is not None
        self._expect(acted["id"] not in self._carried_out, f"{name} went on twice by decision {acted['id']}")
        self._carried_out.add(acted["id"])
        by_itself = acted["mode"] in ("on", "off") and not acted.get("order")
        person = bool(acted.get("order")) and self._approved(acted["order"])
        self._expect(by_itself or person, f"{name} went on, and nobody answers for it: {acted}")

    def _acted(self, name: str) -> dict[str, Any] | None:
        """Return the last durable decision of this boot to switch *name* on, if that is to act.

        The last one taken: what was only noted may be written down behind what was decided after it.
        """
        found = [json.loads(body) for (body,) in self._disk.ask(_NEWEST)]
        on = [each for each in found if each["actuator"] == name and each["command"].startswith(f"{name} on")]
        taken = [each for each in on if each["boot"] == on[0]["boot"]]
        last = max(taken, key=lambda each: each["mono"], default=None)
        return last if last is not None and last["outcome"] == "acted" else None

    def _must_be_off(self, name: str, since: float) -> None:
        self._expect(self.on_since.get(name) != since, f"{name} is on for longer than it may be")

    def _lid_known(self) -> bool:
        return self._lid is not None and self._lid[1] and self._world.now - self._lid[0] <= LID_STALE + SLACK

    def _must_be_off_for_the_lid(self, seen: tuple[float, bool]) -> None:
        for name in self.on_since:
            if BOUNDS[name].lid:
                self._expect(self._lid != seen, f"{name} stays on, and the lid is not known to be closed")

    def _expect(self, holds: bool, what: str) -> None:
        self._world.expect(holds, what)
