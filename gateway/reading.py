"""The records that flow through the gateway, and their one shape as JSON.

A record in the log is `{"kind": ..., "time": ..., "mono": ..., "boot": ..., "clock": ..., ...}`: wall time
[s, Unix], monotonic time [s], the boot that it counts from, and whether the kernel trusted its wall clock.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality

SIGNIFICANT = 9
"""Digits of a value that are kept: more than any part resolves, fewer than binary fractions need."""


class Lane(StrEnum):
    """A numbered log of its own, with its own delivery: `log/<lane>`."""

    TELEMETRY = "telemetry"  # readings; committed in groups
    EVENTS = "events"  # events, decisions and gaps; each committed at once, delivered first


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device gave at one moment. A quantity is in *values* or, with the reason, in *missing*."""

    device: str
    at: Instant
    values: Mapping[Quantity, float]
    missing: Mapping[Quantity, Missing] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        shape = {"kind": "reading", **_stamp(self.at), "device": self.device, "values": self.values}
        return {**shape, "missing": self.missing} if self.missing else shape


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for other services. Carries the CloudEvents 1.0 attributes.

    *type* is a dotted name (`lamppost.collection.requested`), *subject* what it is about (a device or a
    place), *data* the payload.
    """

    type: str
    subject: str
    at: Instant
    data: Mapping[str, Any]
    id: str = field(default_factory=lambda: new_id())

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        attributes = {"specversion": "1.0", "id": self.id, "type": self.type, "subject": self.subject}
        return {"kind": "event", **_stamp(self.at), **attributes, "data": self.data}


class Outcome(StrEnum):
    """What became of a decision."""

    ACTED = "acted"  # the actuator was told to move (or the event was sent)
    SHADOWED = "shadowed"  # nothing moved: this is what would have been done
    REFUSED = "refused"  # a guard forbade it
    RELEASED = "released"  # the rule ended or its time was up: back to the safe state
    TRIPPED = "tripped"  # a guard took the actuator back to its safe state
    FAILED = "failed"  # the actuator could not be driven, or the effect read back is not what was asked


@dataclass(frozen=True, slots=True)
class Input:
    """One name that a condition looked at: its value, or None with the reason, and its age [s]."""

    name: str
    value: float | bool | None
    age: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as written, and its truth: true, false or unknown (None)."""

    text: str
    truth: bool | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A moment at which an actuator changed or could have, and why. Recorded before anything moves."""

    at: Instant
    rule: str
    version: int
    digest: str  # SHA-256 of the rule file
    mode: str
    command: str  # in words that a rule file uses: "compactor on for 4s"
    actuator: str  # "" where the command is an event
    outcome: Outcome
    reasons: tuple[str, ...]
    inputs: tuple[Input, ...] = ()
    conditions: tuple[Condition, ...] = ()
    id: str = field(default_factory=lambda: new_id())

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        return {
            "kind": "decision",
            **_stamp(self.at),
            "id": self.id,
            "rule": self.rule,
            "version": self.version,
            "digest": self.digest,
            "mode": self.mode,
            "command": self.command,
            "actuator": self.actuator,
            "outcome": self.outcome,
            "reasons": self.reasons,
            "inputs": [
                _slim({"name": i.name, "value": i.value, "age": i.age, "reason": i.reason or None})
                for i in self.inputs
            ],
            "conditions": [{"text": c.text, "truth": c.truth} for c in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """Records *first* to *last* of *lane* that will never be delivered, and why."""

    at: Instant
    lane: Lane
    first: int
    last: int
    reason: str

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        return {
            "kind": "gap",
            **_stamp(self.at),
            "lane": self.lane,
            "first": self.first,
            "last": self.last,
            "reason": self.reason,
        }


class Mode(StrEnum):
    """Who decides. `shadow`: nothing moves, what would have been done is recorded. `off`: acts at once."""

    SHADOW = "shadow"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """Ask for *actuator* to be on while the rule fires, or for *during* seconds from when it begins to."""

    actuator: str
    during: float | None = None

    def __str__(self) -> str:
        return f"{self.actuator} on" + (f" for {self.during:g}s" if self.during is not None else "")


@dataclass(frozen=True, slots=True)
class Announce:
    """Ask for an event of *type* about *subject* when the rule begins to fire.

    *include* names the inputs whose values go into the data, under the keys given (`{"fill": "bin.fill"}`).
    """

    type: str
    subject: str
    data: Mapping[str, Any]
    include: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"announce {self.type} of {self.subject}"


Command: TypeAlias = SwitchOn | Announce


@dataclass(frozen=True, slots=True)
class Transition:
    """A rule began to fire (*firing*) or ended. What the rules hand to the control."""

    at: Instant
    rule: str
    version: int
    digest: str
    mode: Mode
    firing: bool
    commands: tuple[Command, ...]
    inputs: tuple[Input, ...]
    conditions: tuple[Condition, ...]


Record: TypeAlias = Reading | Event | Decision | Gap


def reading_of(body: Mapping[str, Any]) -> Reading:
    """Return the reading that *body* is the shape of, as the store gives it back. Raises ValueError."""
    at = Instant(body["time"], body["mono"], body["boot"], Quality(body["clock"]))
    values = {Quantity(name): float(value) for name, value in body["values"].items()}
    missing = {Quantity(name): Missing(why) for name, why in body.get("missing", {}).items()}
    return Reading(body["device"], at, values, missing)


def encode(record: Record) -> str:
    """Return the record's JSON text, the same in the store and on the wire. Refuses NaN and infinity."""
    return json.dumps(record.body(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def lane_of(record: Record) -> Lane:
    """Return the lane that the record belongs to."""
    return Lane.TELEMETRY if isinstance(record, Reading) else Lane.EVENTS


def significant(value: float) -> float:
    """Round to SIGNIFICANT digits, so that rules, store and subscribers all see the same short number."""
    return float(f"{value:.{SIGNIFICANT}g}")


def new_id() -> str:
    """Return a new identifier: 32 hexadecimal digits, random."""
    return uuid.uuid4().hex


def _stamp(at: Instant) -> dict[str, Any]:
    return {"time": round(at.time, 6), "mono": round(at.mono, 6), "boot": at.boot, "clock": at.clock}


def _slim(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shape.items() if value is not None or key == "value"}
