"""Transfers as JSON lines: recorded from a bench, played back to the same driver in a test.

A recording begins with a line that says what it is of ("recording": 1, driver, address, options, source: what
it was recorded from, a part of an emulated bus or a real one). After that there is a line for each transfer,
with the time of its end; one before each call of the driver (start, measure, stop), and one after, with what
came of it.
"""

import json
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers.bus import I2C, BusError, BusTimeout, NoAcknowledge
from drivers.device import Clock, DeviceError, Sensor, Values

FORMAT = 1
ERRORS: Mapping[str, type[BusError]] = {each.__name__: each for each in (NoAcknowledge, BusTimeout, BusError)}

Call = Literal["start", "measure", "stop"]

Write = Callable[[Mapping[str, Any]], None]
"""Takes one line of a recording."""


class Recorder:
    """An I2C that wraps an I2C and hands every transfer to *write*."""

    def __init__(self, bus: I2C, clock: Clock, write: Write) -> None:
        self._bus = bus
        self._clock = clock
        self._write = write
        self._began = clock.monotonic()

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer and write it down, also where it fails; see drivers.bus.I2C."""
        line: dict[str, Any] = {"address": address, "write": write.hex(), "read": read}
        try:
            answer = await self._bus.transfer(address, write, read)
        except BusError as error:
            self._note(line | {"error": _kind(error), "said": str(error)})
            raise
        self._note(line | {"answer": answer.hex()})
        return answer

    async def call(self, name: Call, driver: Sensor) -> Values:
        """Let *driver* start, measure or stop, and write down what comes of it."""
        self._note({"call": name})
        try:
            values = await called(name, driver)
        except (BusError, DeviceError, CancelledError) as error:
            self._note({"failed": type(error).__name__})
            raise
        self._note({"gave": told(values)})
        return values

    def _note(self, line: dict[str, Any]) -> None:
        self._write({"at": round(self._clock.monotonic() - self._began, 6)} | line)


async def called(name: Call, driver: Sensor) -> Values:
    """Call *driver*; return what it measured, or nothing."""
    if name == "measure":
        return await driver.measure()
    await (driver.start() if name == "start" else driver.stop())
    return {}


def told(values: Values) -> dict[str, float | str]:
    """Return *values* as a recording has them: numbers, and the reasons why there is none."""
    return {str(quantity): value for quantity, value in sorted(values.items())}


def heading(driver: str, address: int, options: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the first line of a recording of *driver* at *address*."""
    return {
        "recording": FORMAT,
        "driver": driver,
        "address": address,
        "options": dict(options),
        "source": source,
    }


@dataclass
class Replay:
    """A recording as an I2C and a Clock: it answers as it did then, when it did then.

    Raises ValueError for lines that are no recording. `transfer` raises AssertionError when a driver asks for
    something else than what was recorded: it is not the driver that was recorded, or its logic has changed.
    """

    head: Mapping[str, Any]
    lines: deque[dict[str, Any]]
    now: float = 0.0
    _done: int = field(default=1)

    @classmethod
    def parse(cls, text: Iterable[str]) -> "Replay":
        """Read a recording."""
        head, *lines = [json.loads(line) for line in text if line.strip()] or [{}]
        if not isinstance(head, dict) or head.get("recording") != FORMAT:
            raise ValueError(f'the first line of a recording says "recording": {FORMAT}')
        if any(not isinstance(line, dict) or not isinstance(line.get("at"), int | float) for line in lines):
            raise ValueError("every further line of a recording is an object with a time, at")
        return cls(head, deque(lines))

    def monotonic(self) -> float:
        """Seconds since the recording began."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Answer as was recorded; see drivers.bus.I2C."""
        line = self._next("write")
        asked = {"address": address, "write": bytes(write).hex(), "read": read}
        told = {name: line[name] for name in asked}
        assert asked == told, f"line {self._done}: asked for {asked}, recorded was {told}"
        if "error" in line:
            raise ERRORS[line["error"]](line["said"])
        return bytes.fromhex(line["answer"])

    async def play(self, driver: Sensor) -> AsyncIterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Call *driver* as it was called then; yield what came of each call, then and now.

        It ends before a call that was given up half-way, as at a deadline.
        """
        while self._whole():
            name = self._next("call")["call"]
            found: dict[str, Any]
            try:
                found = {"gave": told(await called(name, driver))}
            except (BusError, DeviceError) as error:
                found = {"failed": type(error).__name__}
            then = self._next("gave", "failed")
            yield {each: then[each] for each in ("gave", "failed") if each in then}, found

    def _whole(self) -> bool:
        """Whether there is another call, and its end."""
        ends = (line for line in self.lines if "gave" in line or "failed" in line)
        return (end := next(ends, None)) is not None and end.get("failed") != CancelledError.__name__

    def _next(self, *kinds: str) -> dict[str, Any]:
        assert self.lines, "the recording is over, and the driver goes on"
        line = self.lines.popleft()
        self._done += 1
        assert any(kind in line for kind in kinds), f"line {self._done} is {line}, not one with {kinds[0]}"
        self.now = max(self.now, float(line["at"]))
        return line


def _kind(error: BusError) -> str:
    return next(name for name, kind in ERRORS.items() if isinstance(error, kind))
