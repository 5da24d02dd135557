"""The records that flow through the gateway, and their one shape as JSON.

A record in the log is `{"kind": ..., "time": ..., "mono": ..., "boot": ..., "clock": ..., ...}`: wall time
[s, Unix], monotonic time [s], the boot that it counts from, and whether the kernel trusted its wall clock.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality

SIGNIFICANT = 9
"""Digits of a value that are kept: more than any part resolves, fewer than binary fractions need."""


class Lane(StrEnum):
    """A numbered log of its own, with its own delivery: `log/<lane>`."""

    TELEMETRY = "telemetry"  # readings; committed in groups
    EVENTS = "events"  # events, decisions and gaps; each committed at once, delivered first


class Flag(IntEnum):
    """The quality of one value, as QARTOD numbers it (UNESCO 2013, IOC Manuals and Guides 54).

    The numbers are names: their order means nothing. A value without a flag is NOT_EVALUATED.
    """

    PASS = 1  # passed the tests that were made
    NOT_EVALUATED = 2  # no test was made, or nothing is known
    SUSPECT = 3  # suspect, or of high interest
    FAIL = 4  # failed a test: not to be used
    MISSING = 9  # there is no value


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device gave at one moment. A quantity is in *values* or, with the reason, in *missing*.

    *flags* has the quality of the values that were tested, *labels* words for values that have some (the
    name of a flood stage, an index's band and version).
    """

    device: str
    at: Instant
    values: Mapping[Quantity, float]
    missing: Mapping[Quantity, Missing] = field(default_factory=dict)
    flags: Mapping[Quantity, Flag] = field(default_factory=dict)
    labels: Mapping[Quantity, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        shape = {"kind": "reading", **_stamp(self.at), "device": self.device, "values": self.values}
        for name in ("missing", "flags", "labels"):
            if more := getattr(self, name):
                shape[name] = more
        return shape


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

    ASKED = "asked"  # a person may approve it, or veto it
    APPROVED = "approved"  # a person did
    VETOED = "vetoed"  # a person did
    LAPSED = "lapsed"  # nobody answered in time, or what was granted or lent is over
    OVERRIDDEN = "overridden"  # a person took the actuator by hand, or gave it back
    COMMANDED = "commanded"  # a person's other order (a mode, a reset, a shelf) was carried out

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
    who: str = ""  # the person; "" is the gateway itself
    order: str = ""  # the id of the person's order
    effect: Mapping[str, Any] | None = None  # what was read back after the actuator was told
    id: str = field(default_factory=lambda: new_id())

    def body(self) -> dict[str, Any]:
        """Return the record as it is stored and published."""
        more = {"who": self.who, "order": self.order, "effect": self.effect}
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
            **{key: value for key, value in more.items() if value},
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
    """Who decides."""

    SHADOW = "shadow"  # nothing moves, what would have been done is recorded: a pilot
    IN = "in"  # human in the loop: asks, and silence means no
    ON = "on"  # human on the loop: announces, waits for a veto, then acts; silence means yes
    OFF = "off"  # human off the loop: acts at once


@dataclass(frozen=True, slots=True)
class Grant:
    """A named person's permission for a mode above `in`, for a reason, *until* a time [s, Unix]."""

    by: str
    reason: str
    until: float


class OrderKind(StrEnum):
    """What a person may ask of the gateway."""

    APPROVE = "approve"  # a pending ask
    VETO = "veto"  # a pending ask, or one whose veto window runs
    OVERRIDE = "override"  # an actuator into a state by hand, for a time
    RELEASE = "release"  # it again
    RESET = "reset"  # a latched fault
    MODE = "mode"  # a rule's mode, for a time
    COMPACT = "compact"  # one stroke
    SHELVE = "shelve"  # a rule's announcements, for a time
    UNSHELVE = "unshelve"
    REPLAY = "replay"  # a range of a lane, to be sent once more


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks the gateway to do: carried out at most once, and not after *not_after* [s, Unix].

    *target* is the id of a pending ask, an actuator or a rule, or a lane; *value* the state, mode or range;
    *until* [s, Unix] the end of what is given for a time; *channel* how it came (mqtt, http).
    """

    id: str
    kind: OrderKind
    target: str
    issuer: str
    reason: str
    not_after: float
    channel: str
    value: str | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order, in a sentence."""

    order: str
    accepted: bool
    said: str
    time: float


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
    grant: Grant | None = None  # of the rule's file
    ask: float = 600.0  # [s] that an ask stands
    veto: float = 60.0  # [s] that a veto has


Record: TypeAlias = Reading | Event | Decision | Gap


def reading_of(body: Mapping[str, Any]) -> Reading:
    """Return the reading that *body* is the shape of, as the store gives it back. Raises ValueError."""
    at = Instant(body["time"], body["mono"], body["boot"], Quality(body["clock"]))
    values = {Quantity(name): float(value) for name, value in body["values"].items()}
    missing = {Quantity(name): Missing(why) for name, why in body.get("missing", {}).items()}
    flags = {Quantity(name): Flag(flag) for name, flag in body.get("flags", {}).items()}
    labels = {Quantity(name): str(text) for name, text in body.get("labels", {}).items()}
    return Reading(body["device"], at, values, missing, flags, labels)


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
