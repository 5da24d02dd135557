"""Every kind of alarm, with what raises it, leaves it as it is, and ends it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.device import Missing
from gateway.derive import Design
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, reading

T = 1_770_000_000.0
STEP = 30.0
GONE = Missing.TIMEOUT


@dataclass(frozen=True)
class Case:
    """An alarm: its table, and values of its inputs that raise it, leave it as it is, and end it."""

    text: str
    inputs: tuple[str, ...]
    bad: tuple[float, ...]
    well: tuple[float, ...]
    quantity: str = "active"
    between: tuple[float, ...] | None = None
    latched: bool = False

    @property
    def design(self) -> Design:
        return designed(self.text, dict.fromkeys(self.inputs, STEP))

    def heard(
        self, values: Sequence[float | Missing], start: float, count: int, flag: Flag | None = None
    ) -> list[Reading]:
        """Return *count* readings of each input."""
        found = []
        for n in range(count):
            for name, value in reversed(list(zip(self.inputs, values, strict=True))):
                device, _, quantity = name.partition(".")
                found.append(reading(device, start + STEP * n, flag, **{quantity: value}))
        return found

    def gone(self, start: float, count: int) -> list[Reading]:
        return self.heard([GONE] * len(self.inputs), start, count)

    def raised(self, said: Reading) -> bool:
        return said.values[self.quantity] > 0.0


def table(kind: str, source: str, **keys: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"from": source, **keys}.items()]
    return "\n".join(["[[derive]]", 'id = "made"', f'kind = "{kind}"', *lines])


STAGES = table("stage_alarm", "river.stage", action=1.5, minor=2.0)
DIFFER = table("disagreement", "one.stage", beside="two.stage", after=120)
MOVED = table("step", "slope.movement", short=2, long=4)
HEAPED = table("overflow", "bin.distance", full=0.2, eye="eye.active")
HEAT = "bin.surface_temperature"
CASES = {
    "stage_alarm": Case(STAGES, ("river.stage",), (2.5,), (1.0,), "flood_stage", (1.97,)),
    "disagreement": Case(DIFFER, ("one.stage", "two.stage"), (2.0, 1.0), (1.0, 1.0)),
    "fire": Case(table("fire", HEAT), (HEAT,), (90.0,), (20.0,), between=(50.0,)),
    "tipped": Case(table("tipped", "bin.tilt"), ("bin.tilt",), (80.0,), (1.0,)),
    "overflow": Case(HEAPED, ("bin.distance", "eye.active"), (0.1, 1.0), (0.9, 0.0)),
    "drift": Case(table("drift", "slope.movement"), ("slope.movement",), (3.0,), (0.0,), latched=True),
    "step": Case(MOVED, ("slope.movement",), (9.0,), (0.0,)),
}  # fmt: skip
