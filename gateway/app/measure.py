"""`lamppost measure`: one part on one bus, its values with their units, and a recording if you want one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drivers
from drivers.bus import I2C, BusError
from drivers.device import UNITS, Actuator, DeviceError, Missing, Quantity, Sensor, Values
from drivers.replay import Recorder, heading
from drivers.street import Street
from drivers.wired import Way
from gateway import config as settings
from gateway import terminal, toml
from gateway.app.hardware import Hardware
from gateway.app.wiring import EMULATED
from gateway.clock import LoopClock
from gateway.problem import ConfigError, Problem

WELL, FAILED = 0, 1
EVERY = 1.0
"""Seconds from one measurement to the next."""

PATIENCE = 20.0
"""Seconds that a start or a measurement may take: the longest start is that of a part that heats first."""

_FAULTS = (BusError, DeviceError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    driver: str
    bus: str
    address: int | None = None
    options: Sequence[str] = ()
    seconds: float | None = None
    record: Path | None = None
    as_json: bool = False


@dataclass
class Tally:
    """What came so far: how many measurements worked and failed, and the values of those that worked."""

    worked: int = 0
    failed: int = 0
    values: dict[Quantity, list[float]] = field(default_factory=dict)
    missing: dict[Quantity, Missing] = field(default_factory=dict)

    def take(self, values: Values) -> None:
        """Count one measurement."""
        self.worked += 1
        for quantity, value in values.items():
            if isinstance(value, Missing):
                self.missing[quantity] = value
            else:
                self.values.setdefault(quantity, []).append(value)


def measure(asked: Asked) -> int:
    """Measure once, or for some seconds; 0 when the last measurement worked.

    Raises ConfigError for a driver, an address, options or a file that cannot be.
    """
    part, address, options, given = _checked(asked)
    with _recording(asked, heading(part.name, address, given, _source(asked.bus))) as write:
        return asyncio.run(_measure(asked, part, address, options, write))


def _checked(asked: Asked) -> tuple[drivers.Part, int, Any, Mapping[str, Any]]:
    names = drivers.names()
    if asked.driver not in names:
        hint = toml.did_you_mean(asked.driver, names) or f"; there are: {', '.join(names)}"
        raise _wrong(f'there is no driver "{asked.driver}"{hint}')
    part = drivers.load(asked.driver)
    if part.on != "i2c":
        on = {"pins": "on a line", "analog": "on a channel of a converter"}.get(part.on, "no sensor")
        raise _wrong(f"a {part.name} is {on}: this command reads sensors on an I2C bus")
    if issubclass(part.driver, Actuator):
        raise _wrong(f"a {part.name} acts: this command only measures")
    if part.absent:
        raise _wrong(f"an {part.name} needs {', '.join(part.absent)}: pip install 'lamppost[gas]'")
    address = part.addresses[0] if asked.address is None else asked.address
    if address not in part.addresses:
        can = ", ".join(f"{each:#04x}" for each in part.addresses[:8])
        raise _wrong(f"a {part.name} cannot be at {address:#04x}; it can be at {can}")
    document = toml.parse("\n".join(map(_line, asked.options)), "--option")
    return part, address, settings.options(part.options, document.data, document, ()), document.data


def _line(text: str) -> str:
    """Return `key=value` as a line of TOML; a value that is none is a text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise _wrong(f'"{text}" is no option: write it as key=value')
    with suppress(ConfigError):
        toml.parse(line := f"{key} = {value}", "--option")
        return line
    return f"{key} = {json.dumps(value)}"


def _wrong(said: str) -> ConfigError:
    return ConfigError([Problem("lamppost measure", 0, said)])


def _source(bus: str) -> str:
    return "an emulated part" if bus == EMULATED else f"a part on {bus}"


@contextmanager
def _recording(asked: Asked, head: Mapping[str, Any]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give what writes a line of the recording; where none is wanted, it writes nothing."""
    if asked.record is None:
        yield lambda line: None
        return
    try:
        file = asked.record.open("x")
    except FileExistsError as error:
        raise _wrong(f"{asked.record} is there already: give another name, or move it away") from error
    except OSError as error:
        raise _wrong(f"{asked.record} cannot be written: {error.strerror or error}") from error
    with file:
        print(json.dumps(head), file=file)
        yield lambda line: print(json.dumps(line), file=file)


async def _measure(
    asked: Asked, part: drivers.Part, address: int, options: Any, write: Callable[[Mapping[str, Any]], None]
) -> int:
    clock = LoopClock()
    hardware = Hardware(clock)
    recorder = Recorder(_bus(asked, hardware, part, address), clock, write)
    sensor: Sensor = part.driver(recorder, address, clock, options)
    tally = Tally()
    try:
        async for values in _turns(sensor, asked.seconds, recorder, tally):
            _say(asked, values)
    finally:
        with suppress(*_FAULTS):
            async with asyncio.timeout(PATIENCE):
                await recorder.call("stop", sensor)
        await hardware.close()
    if not asked.as_json and asked.seconds is not None and tally.worked:
        terminal.show(_summary(sensor, tally))
    return WELL if tally.worked and not tally.failed else FAILED


def _bus(asked: Asked, hardware: Hardware, part: drivers.Part, address: int) -> I2C:
    if asked.bus != EMULATED:
        return hardware.open(asked.bus)
    street = Street(hardware.clock)
    street.attach(part.domain, part.name, Way(EMULATED), address)
    return street.bus(EMULATED)


async def _turns(
    sensor: Sensor, seconds: float | None, recorder: Recorder, tally: Tally
) -> AsyncIterator[Values | Exception]:
    """Start, and yield each measurement, or why there is none; after a fault the part is started again."""
    clock = LoopClock()
    ends, due, started = clock.monotonic() + (seconds or 0.0), clock.monotonic(), False
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                if not started:
                    await recorder.call("start", sensor)
                    started = True
                values = await recorder.call("measure", sensor)
        except _FAULTS as error:
            started = False
            tally.failed += 1
            yield error
        else:
            tally.take(values)
            yield values
        due = max(due + EVERY, clock.monotonic())
        if due > ends or seconds is None:
            return
        await clock.sleep(due - clock.monotonic())


def _say(asked: Asked, values: Values | Exception) -> None:
    """Print one measurement: a table where there is only one, else a line."""
    if isinstance(values, Exception):
        said = str(values) or f"it did not answer within {PATIENCE:g} s"
        print(json.dumps({"failed": type(values).__name__, "said": said}) if asked.as_json else f"! {said}")
    elif asked.as_json:
        told = {str(quantity): value for quantity, value in sorted(values.items())}
        print(json.dumps({"values": told, "units": {name: UNITS[Quantity(name)] for name in told}}))
    elif asked.seconds is None:
        rows = [(str(quantity), _text(value), UNITS[quantity]) for quantity, value in sorted(values.items())]
        terminal.show(terminal.table(("quantity", "value", "unit"), rows))
        if {Missing.WARMING_UP, Missing.NOT_READY} & set(values.values()):
            terminal.show("Not all is there yet: with --for 30 it is measured for so many seconds.")
    else:
        terminal.show("  ".join(f"{q} {_text(value)} {UNITS[q]}" for q, value in sorted(values.items())))


def _summary(sensor: Sensor, tally: Tally) -> Any:
    rows = []
    for quantity in sorted(sensor.quantities):
        values = tally.values.get(quantity)
        told = (
            [_text(each) for each in (min(values), sum(values) / len(values), max(values))] if values else []
        )
        why = tally.missing.get(quantity, "")
        rows.append((str(quantity), *(told or ["-"] * 3), UNITS[quantity], str(len(values or ())), str(why)))
    columns = ("quantity", "lowest", "mean", "highest", "unit", "values", "missing because")
    return terminal.table(columns, rows, f"{tally.worked} measurements, {tally.failed} failed")


def _text(value: float | Missing) -> str:
    return f"({value})" if isinstance(value, Missing) else f"{value:.6g}"
