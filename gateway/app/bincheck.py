"""Whether the tables of presses and collections make sense with the devices that they name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from gateway import config as settings
from gateway.app.bins import TREND, terms_of
from gateway.rules import Expression, Type
from gateway.toml import did_you_mean

PRESS = "compactor"
"""The driver of a press."""

FRESH = 2.0
"""Readings of a press come this many times within their greatest age, or it would stop for want of one."""


class _Part(Protocol):
    @property
    def name(self) -> str: ...


class _Placed(Protocol):
    @property
    def config(self) -> settings.Device: ...
    @property
    def part(self) -> _Part: ...
    @property
    def options(self) -> Any: ...


class Wrong(NamedTuple):
    """What is wrong with the *key* of an entry of *table*; "" is the entry itself."""

    table: str
    entry: int
    key: str
    said: str


def buzzers(config: settings.Config) -> set[str]:
    """Return the devices that a compactor alone drives."""
    return {each.buzzer for each in config.compactor if each.buzzer is not None}


class BinCheck:
    """Finds every problem. *entries* of a table are counted as in the file: from `kept`."""

    def __init__(
        self,
        config: settings.Config,
        devices: Mapping[str, _Placed],
        types: Mapping[str, Type],
        permissives: Mapping[str, tuple[Expression, ...]],
    ) -> None:
        self._config = config
        self._devices = devices
        self._types = types
        self._permissives = permissives

    def run(self) -> Iterator[Wrong]:
        """Yield what is wrong."""
        for entry, table in enumerate(self._config.compactor):
            for key, said in self._press(table):
                yield Wrong("compactor", entry, key, said)
        for entry, asks in enumerate(self._config.collection):
            for key, said in self._collection(asks):
                yield Wrong("collection", entry, key, said)
        yield from self._twice()

    def _press(self, table: settings.Compactor) -> Iterator[tuple[str, str]]:
        device = self._devices.get(table.device)
        if device is None or device.part.name != PRESS:
            presses = [name for name, each in self._devices.items() if each.part.name == PRESS]
            hint = did_you_mean(table.device, presses) or f"; there are: {', '.join(presses) or 'none yet'}"
            yield "device", f'"{table.device}" is no device with the driver {PRESS}{hint}'
        else:
            yield from self._motor(table, device)
        for key in ("home", "far", "current", "battery", "fill"):
            if (name := getattr(table, key)) is not None:
                yield from self._named(key, name, Type.BOOL if key in ("home", "far") else Type.NUMBER)
                if key != "fill":
                    yield from self._fresh(key, name, table.max_age)
        if (table.floor is None) != (table.battery is None):
            yield "floor", "battery and floor go together: give both, or neither"
        yield from self._buzzer(table)
        from gateway.app.presses import settings_of

        try:
            settings_of(table)
        except ValueError as error:
            yield "", str(error)

    def _motor(self, table: settings.Compactor, device: _Placed) -> Iterator[tuple[str, str]]:
        guard, name = device.config.guard, table.device
        if device.options.dead_time > table.dead_time:
            said = f"the driver of {name} stands for {device.options.dead_time:g} s between two directions"
            yield "dead_time", f"{said}: dead_time must be as much"
        if guard is None:
            return
        if guard.act_unrecorded:
            yield "device", f"no press moves unrecorded: leave act_unrecorded out of the guard of {name}"
        if not guard.permissives:
            yield "device", f"{name} has no permissives in its guard: name the contact of its door at least"
        from gateway.app.presses import settings_of

        try:
            whole = settings_of(table).whole
        except ValueError:
            return
        if guard.max_on < whole:
            yield "device", f"a stroke may take {whole:g} s: the guard of {name} needs a max_on of as much"
        for expression in self._permissives.get(name, ()):
            for each in expression.names:
                yield from self._fresh("device", each, guard.max_age or table.max_age)

    def _buzzer(self, table: settings.Compactor) -> Iterator[tuple[str, str]]:
        if table.buzzer is None:
            return
        device = self._devices.get(table.buzzer)
        if device is None or device.part.name != "switch":
            yield "buzzer", f'"{table.buzzer}" is no device with the driver switch'
        elif device.config.guard is not None:
            yield "buzzer", f"{table.buzzer} is for its compactor alone: leave its [device.guard] out"

    def _collection(self, table: settings.Collection) -> Iterator[tuple[str, str]]:
        yield from self._named("fill", table.fill, Type.NUMBER)
        for key, kind in (("weight", Type.NUMBER), ("fire", Type.BOOL)):
            if (name := getattr(table, key)) is not None:
                yield from self._named(key, name, kind)
        if table.trend is not None and any(
            f"{table.trend}.{each}" not in self._types for each in TREND.values()
        ):
            yield "trend", f'"{table.trend}" is no stream of kind filling'
        presses = [each.device for each in self._config.compactor]
        if table.compactor is not None and table.compactor not in presses:
            yield "compactor", f'there is no [[compactor]] with the device "{table.compactor}"'
        if (table.heavy is None) != (table.weight is None):
            yield "heavy", "weight and heavy go together: give both, or neither"
        try:
            terms_of(table, None)
        except ValueError as error:
            yield "rounds", str(error)

    def _twice(self) -> Iterator[Wrong]:
        config = self._config
        named = [("compactor", "device", [each.device for each in config.compactor])]
        named += [("compactor", "buzzer", [each.buzzer or "" for each in config.compactor])]
        named += [("collection", "bin", [each.bin for each in config.collection])]
        for table, key, names in named:
            for entry, name in enumerate(names):
                if name and name in names[:entry]:
                    yield Wrong(table, entry, key, f"{name} has a [[{table}]] above")

    def _named(self, key: str, name: str, kind: Type) -> Iterator[tuple[str, str]]:
        found = self._types.get(name)
        if found is None:
            yield key, f'there is no reading "{name}"{did_you_mean(name, self._types)}'
        elif found is not kind:
            yield key, f"{name} is a {found}, and this must be a {kind}"

    def _fresh(self, key: str, name: str, age: float) -> Iterator[tuple[str, str]]:
        """Yield that a device is measured too seldom for something that moves."""
        device = self._devices.get(name.partition(".")[0])
        if device is not None and device.config.interval * FRESH > age:
            said = f"{name} is measured every {device.config.interval:g} s"
            yield key, f"{said}: a press, for which it may be {age:g} s old, needs it every {age / FRESH:g} s"


def unclaimed(config: settings.Config, devices: Iterable[tuple[str, str]]) -> set[str]:
    """Return the presses, among *devices* (id and driver), that no compactor runs."""
    claimed = {each.device for each in config.compactor}
    return {name for name, driver in devices if driver == PRESS and name not in claimed}
