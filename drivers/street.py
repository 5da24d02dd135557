"""The emulated street: emulated parts on a bus and a header, in a world that couples them.

Traffic raises noise and exhaust, rain raises the river, rubbish falls into the bin whenever its lid opens,
the compactor's plate presses it together and the motor's current rises as it does, a collection empties it.
Once in every cycle the noise meter is unplugged for a while. The same drivers and the same daemon run on it
as on real parts. All randomness comes from one seed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import cos, exp, pi, sin
from random import Random
from typing import Any, NamedTuple

from drivers.barrel import Barrel
from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins
from drivers.faults import Faults
from drivers.script import Script
from drivers.wired import Converter, Living, Way, WiredBus, World, fitted, made

CYCLE = Script().cycle
"""Seconds from one storm to the next, where no scenario says otherwise."""

UNPLUGGED = Script().unplugged
STEP = 0.1
"""Seconds from one look of the world to the next; so coarse, it costs next to nothing."""

SENSOR_TO_FLOOR, SENSOR_TO_FULL = 1.10, 0.20  # the bin's ranging sensor [m]
SENSOR_OVER_DATUM = 5.0  # the river's ranging sensor [m]
LID = "lid"
"""The contact by which the street knows of a lid: through it people throw what they have."""
LID_OPEN = 0.8  # seconds
PRESSED = 0.5  # volume that a whole stroke leaves of loose rubbish
STROKE = 3.0  # seconds of motor for a whole stroke
PATIENCE = 14.0  # seconds that a full bin stands before the lorry comes


POWERED = 60.0
"""Seconds that every part has been under power when the daemon starts, as on a real pole."""


@dataclass
class _Aged:
    """The clock of a part that was switched on earlier: *by* seconds ahead."""

    clock: Clock
    by: float = 0.0

    def monotonic(self) -> float:
        return self.clock.monotonic() + self.by

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)


@dataclass
class Scene:
    """What is true on the street now: the water [m over the datum], the rain [mm/h], the bin [%]."""

    water: float = 0.8
    rain: float = 0.0
    loose: float = 60.0
    dense: float = 0.0
    standing: float = 0.0
    lid_closed: bool = True
    lidded: bool = False  # rubbish comes in through a lid that somebody watches
    locked: bool = False
    pressing: bool = False
    siren: bool = False
    script: Script = field(default_factory=Script)
    barrel: Barrel | None = None  # a bin with a press of its own, where there is one

    @property
    def fill(self) -> float:
        """How full the bin is, 0 to 100 %."""
        return self.barrel.fill if self.barrel else min(100.0, self.loose + self.dense)

    def step(self, time: float, seconds: float) -> None:
        """Let *seconds* pass from *time* on; both in seconds since the street began."""
        since = time % self.script.cycle
        low, high = self.script.storm
        self.rain = self.script.rain * sin(pi * (since - low) / (high - low)) if low < since < high else 0.0
        self.water += seconds * (self.rain * 0.0085 - (self.water - 0.8) * 0.09)
        if self.barrel is not None:
            self.barrel.step()
        if self.barrel is None or self.lidded:
            self._rubbish(time, seconds)

    def _rubbish(self, time: float, seconds: float) -> None:
        moving = self.pressing if self.barrel is None else self.barrel.drive != 0
        opened = 1.0 <= time % self.script.lid_every < 1.0 + LID_OPEN and not (moving or self.locked)
        if opened and self.lid_closed and self.fill < 95.0:
            self._throw(self.script.armful)
        self.lid_closed = not opened
        if moving and self.barrel is None:
            moved = min(self.loose, 100.0 * seconds / STROKE)
            self.loose -= moved
            self.dense += moved * PRESSED
        self.standing = 0.0 if moving or self.fill < 65.0 else self.standing + seconds
        if self.standing > PATIENCE:
            self._empty()

    def _throw(self, armful: float) -> None:
        if self.barrel is not None:
            self.barrel.drop(armful)
        else:
            self.loose += min(armful, 100.0 - self.fill)

    def _empty(self) -> None:
        """The lorry comes."""
        self.loose = self.dense = self.standing = 0.0
        if self.barrel is not None:
            self.barrel.empty()


class _Input(NamedTuple):
    """A line that the street moves, and its level now."""

    pins: EmulatedPins
    line: int
    level: Callable[[], bool]


class _Output(NamedTuple):
    """A line by which the pole moves something: the *name* of what it moves."""

    pins: EmulatedPins
    line: int
    name: str

    @property
    def on(self) -> bool:
        return self.line in self.pins.outputs and self.pins.levels[self.line]


@dataclass
class Street:
    """Buses, a header and the scene around them. Attach parts, then run drivers on `bus(...)` and `lines`.

    *script* says what happens; *faults* befall buses and lines.
    """

    clock: Clock
    seed: int = 1
    script: Script = field(default_factory=Script)
    faults: Faults | None = None
    scene: Scene = field(default_factory=Scene)
    _buses: dict[str, WiredBus] = field(default_factory=dict)
    _parts: dict[tuple[Way, int], str] = field(default_factory=dict)
    _converters: dict[tuple[Way, int], Converter] = field(default_factory=dict)
    _expanders: dict[tuple[Way, int], EmulatedPins] = field(default_factory=dict)
    _inputs: dict[tuple[str, int], _Input] = field(default_factory=dict)
    _outputs: dict[tuple[str, int], _Output] = field(default_factory=dict)
    _worlds: dict[tuple[str, int], Callable[[], None]] = field(default_factory=dict)
    _living: dict[tuple[str, int], Living] = field(default_factory=dict)
    _plugs: dict[tuple[Way, int], Any] = field(default_factory=dict)
    _began: float | None = None
    _now: float = 0.0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self.scene.script = self.script
        self.pins = EmulatedPins(self.clock, before=self.advance)
        self.lines = self.faults.pins(self.pins) if self.faults else self.pins

    def bus(self, name: str) -> WiredBus:
        """Return the bus called *name*; its parts show the street as it is at each transfer."""
        if name not in self._buses:
            self._buses[name] = WiredBus(self.clock, self.advance, self.faults)
        return self._buses[name]

    def attach(self, domain: str, driver: str, way: Way, address: int) -> None:
        """Put a part at *address* of the bus that *way* leads to. It has been under power for a while.

        What is there already stays there, if it is of the same kind: several outputs may share a part, and a
        gateway may begin anew.
        """
        if self._parts.get((way, address)) == driver:
            return
        self._parts[way, address] = driver
        clock = _Aged(self.clock)
        chip = made(domain, driver, clock)
        clock.by = POWERED
        self.bus(way.root).on(way, address, chip, self._shows(chip, domain, driver, address))
        if driver == "dbm":
            self._plugs[way, address] = chip

    def convert(self, domain: str, driver: str, way: Way, address: int) -> None:
        """Put a converter at *address* of the bus that *way* leads to, unless it is there."""
        if (way, address) not in self._converters:
            converter = Converter(made(domain, driver, self.clock), self.clock)
            self._converters[way, address] = converter
            self.bus(way.root).on(way, address, converter.chip, converter.look)

    def expand(self, domain: str, driver: str, way: Way, address: int, interrupt: int | None = None) -> None:
        """Put an expander at *address* of the bus that *way* leads to, unless it is there.

        Its interrupt, if it is wired, goes to the line *interrupt* of the header.
        """
        if (way, address) not in self._expanders:
            chip = made(domain, driver, self.clock)
            self._expanders[way, address] = chip.pins
            self.bus(way.root).on(way, address, chip, lambda: None)
            if interrupt is not None:
                chip.interrupt = lambda high: self.pins.set(interrupt, high)

    def attach_channel(
        self, domain: str, driver: str, converter: tuple[Way, int], channel: int, options: Any
    ) -> None:
        """Put a part on *channel* of a converter."""
        found = self._converters[converter]
        part = fitted(domain, driver, found.analog, channel, self.clock, options)
        found.parts[channel] = part
        found.shows[channel] = self._shows(part, domain, driver)

    def attach_line(
        self,
        name: str,
        domain: str,
        driver: str,
        line: int,
        options: Any,
        expander: tuple[Way, int] | None = None,
    ) -> None:
        """Put the part *name* on *line* of the header, or of an *expander*."""
        pins = self.pins if expander is None else self._expanders[expander]
        key = (f"{expander}", line)
        if driver == "contact":
            self.scene.lidded = self.scene.lidded or name == LID
            sees = self._sees(name, options.quantity)
            self._inputs[key] = _Input(pins, line, (lambda: not sees()) if options.active_low else sees)
            return
        if driver in ("switch", "compactor"):
            self._outputs[key] = _Output(pins, line, name)
        if driver == "switch":
            pins.levels.setdefault(line, False)
            return
        if driver == "compactor" and self.scene.barrel is not None:
            return  # the gateway began anew; the press stands where it stood
        part = fitted(domain, driver, pins, line, self.clock, options)
        self._worlds[key] = self._shows(part, domain, driver)
        if isinstance(part, Living):
            self._living[key] = part
        if driver == "compactor":
            loose = self.scene.loose if self.scene.lidded else 0.0
            self.scene.barrel = Barrel(part, lambda: _driven(pins, line, options), loose)

    def _shows(self, part: World, domain: str, driver: str, address: int | None = None) -> Callable[[], None]:
        """Return what shows *part* the street as it is now, at most once in each STEP.

        One at an *address* may be frozen, or drift.
        """
        view, shown = _within(part, self._view(domain, driver)), -1.0

        def show() -> None:
            nonlocal shown
            if self._now - shown >= STEP or shown < 0:
                shown = self._now
                for quantity, value in view().items():
                    part.set(quantity, self._seen(part, quantity, value, address))

        return show

    def _seen(self, part: World, quantity: Quantity, value: float, address: int | None) -> float:
        if self.faults is None or address is None:
            return value
        return self.faults.seen(address, quantity, value, part.spans[quantity])

    def plug(self, way: Way, address: int, plugged: bool) -> None:
        """Pull the part at *address* off its bus, or put it back, freshly powered."""
        chips = self.bus(way.root).behind(way.hops)
        if not plugged:
            chip = chips.pop(address, None)
            if chip is not None:
                self._plugs[way, address] = chip
        elif address not in chips:
            chip = self._plugs[way, address]
            chip.power_cycle()
            chips[address] = chip

    def advance(self) -> None:
        """Bring the street up to now."""
        now = self.clock.monotonic()
        if self._began is None:
            self._began = now
        target = now - self._began
        if 0 < target - self._now < STEP and self._now > 0:
            return
        self._read_outputs()
        while target - self._now > 1e-6:  # less would be lost in the sum
            seconds = min(STEP, target - self._now)
            self.scene.step(self._now, seconds)
            self._now += seconds
        for pins, line, level in self._inputs.values():
            pins.set(line, level())
        low, high = self.script.unplugged
        for way, address in self._plugs:
            self.plug(way, address, not low <= self._now % self.script.cycle < high)

    async def run(self) -> None:
        """Keep the street moving, so that lids open and buckets tip although nobody looks."""
        async with asyncio.TaskGroup() as lives:
            begun: dict[tuple[str, int], Living] = {}
            while True:
                self.pins.before()
                for show in self._worlds.values():
                    show()
                for key, part in self._living.items():
                    if begun.get(key) is not part:
                        begun[key] = part
                        lives.create_task(part.run(), name=f"street {key}")
                await self.clock.sleep(0.2)

    def _read_outputs(self) -> None:
        on = {output.name for output in self._outputs.values() if output.on}
        self.scene.pressing, self.scene.siren = "compactor" in on, "siren" in on
        self.scene.locked = "lock" in on

    def _sees(self, name: str, quantity: str) -> Callable[[], bool]:
        """Return what the contact *name* sees: of the bin what has that name, else the river or the lid."""

        def sees() -> bool:
            made = self.scene.barrel.contact(name) if self.scene.barrel else None
            if made is not None:
                return made
            return self.scene.water > 2.2 if quantity == "wet" else self.scene.lid_closed

        return sees

    def _view(self, domain: str, driver: str) -> Callable[[], dict[Quantity, float]]:
        """Return what a part of this kind sees of the street: its own view, or all that its domain has."""
        views: dict[str, Callable[[], dict[Quantity, float]]] = {
            "sen66": self._air,
            "dbm": self._noise,
            "mb7040": self._river,
            "bme280": self._weather,
            "adxl355": self._ground,
            "vl53l1x": self._bin,
            "ina226": self._power,
            "air": lambda: self._air() | self._gases() | self._weather(),
            "noise": self._noise,
            "flood": lambda: self._river() | self._water() | self._climate(),
            "weather": lambda: self._weather() | self._wind(),
            "land": self._ground,
            "bin": lambda: self._bin() | self._power() | self._fire(),
            "board": lambda: self._power() | self._climate(),
        }
        return views.get(driver) or views[domain]

    def _traffic(self) -> float:
        """0 to 1: a wave of cars and a little chance."""
        return max(0.0, self.script.traffic + 0.35 * sin(self._now / 4.1) + self._random.uniform(-0.1, 0.1))

    def _air(self) -> dict[Quantity, float]:
        cars, washed = self._traffic(), exp(-self.scene.rain / 30.0)
        pm = (6.0 + 18.0 * cars) * washed
        return {
            Quantity.PM1: 0.6 * pm,
            Quantity.PM2_5: pm,
            Quantity.PM4: 1.2 * pm,
            Quantity.PM10: 1.5 * pm,
            Quantity.CO2: 430.0 + 160.0 * cars,
            Quantity.VOC_INDEX: 90.0 + 60.0 * cars,
            Quantity.NOX_INDEX: 1.0 + 20.0 * cars,
            **self._climate(),
        }

    def _climate(self) -> dict[Quantity, float]:
        return {
            Quantity.TEMPERATURE: 18.5 - 0.06 * self.scene.rain,
            Quantity.HUMIDITY: 58.0 + 0.8 * self.scene.rain,
        }

    def _weather(self) -> dict[Quantity, float]:
        return {Quantity.PRESSURE: 1009.0 - 0.1 * self.scene.rain, **self._climate()}

    def _gases(self) -> dict[Quantity, float]:
        cars = self._traffic()
        exhaust = {Quantity.NO2: 12.0 + 45.0 * cars, Quantity.CO: 200.0 + 700.0 * cars}
        smoke = 6.0 + 18.0 * cars
        grains = {Quantity.NC0_5: 6.0, Quantity.NC1: 7.0, Quantity.NC2_5: 7.2, Quantity.NC4: 7.3}
        counts = {quantity: smoke * each for quantity, each in grains.items()}
        others = {Quantity.O3: 38.0 - 20.0 * cars, Quantity.SO2: 2.0, Quantity.NC10: smoke * 7.35}
        return {**exhaust, **others, **counts, Quantity.GAS_RESISTANCE: 60e3 - 20e3 * cars}

    def _wind(self) -> dict[Quantity, float]:
        speed = self.script.wind + 0.15 * self.scene.rain + 1.5 * sin(self._now / 7.0)
        direction = (230.0 + 25.0 * sin(self._now / 23.0)) % 360.0
        return {
            Quantity.WIND_SPEED: speed,
            Quantity.WIND_DIRECTION: direction,
            Quantity.RAIN_RATE: self.scene.rain,
        }

    def _water(self) -> dict[Quantity, float]:
        return {
            Quantity.WATER_PRESSURE: 1009.0 - 0.1 * self.scene.rain + 97.8 * self.scene.water,
            Quantity.WATER_TEMPERATURE: 11.5,
        }

    def _fire(self) -> dict[Quantity, float]:
        """What the bin weighs, and how warm it is: no fire today."""
        full = 0.12 * (self.scene.loose + 2.0 * self.scene.dense)
        return {Quantity.WEIGHT: full, Quantity.SURFACE_TEMPERATURE: 17.0, Quantity.TEMPERATURE: 18.0}

    def _noise(self) -> dict[Quantity, float]:
        level = (
            self.script.noise
            + 16.0 * self._traffic()
            + 0.1 * self.scene.rain
            + (22.0 if self.scene.siren else 0.0)
        )
        return {
            Quantity.SOUND_LEVEL: level,
            Quantity.SOUND_LEVEL_MIN: level - 6.0,
            Quantity.SOUND_LEVEL_MAX: level + 7.0,
        }

    def _river(self) -> dict[Quantity, float]:
        wave = 0.01 * sin(self._now * 3.0)
        return {Quantity.DISTANCE: SENSOR_OVER_DATUM - self.scene.water + wave}

    def _ground(self) -> dict[Quantity, float]:
        tilt = 0.004 + 0.0005 * sin(self._now / 9.0) + self._random.gauss(0.0, 0.0002)
        return {
            Quantity.ACCELERATION_X: 9.80665 * sin(tilt),
            Quantity.ACCELERATION_Y: self._random.gauss(0.0, 0.003),
            Quantity.ACCELERATION_Z: 9.80665 * cos(tilt),
            Quantity.TEMPERATURE: 16.0,
        }

    def _bin(self) -> dict[Quantity, float]:
        depth = SENSOR_TO_FLOOR - SENSOR_TO_FULL
        return {Quantity.DISTANCE: SENSOR_TO_FLOOR - depth * self.scene.fill / 100.0}

    def _power(self) -> dict[Quantity, float]:
        if (barrel := self.scene.barrel) is not None:
            return {Quantity.VOLTAGE: barrel.voltage, Quantity.CURRENT: barrel.current}
        current = 2.0 + 5.0 * self.scene.dense / 100.0 if self.scene.pressing else 0.12
        return {Quantity.VOLTAGE: 12.6 - 0.08 * current, Quantity.CURRENT: current}


def _driven(pins: EmulatedPins, line: int, options: Any) -> int:
    """Return which way an H bridge drives: 1, -1, or 0 when its lines are alike."""
    forward, back = (
        each in pins.outputs and pins.levels[each] == options.active_high for each in (line, options.reverse)
    )
    return forward - back


def _within(
    part: World, view: Callable[[], Mapping[Quantity, float]]
) -> Callable[[], Mapping[Quantity, float]]:
    """Keep what a part sees within what it can show."""

    def limited() -> dict[Quantity, float]:
        spans = part.spans
        return {q: min(spans[q].high, max(spans[q].low, v)) for q, v in view().items() if q in spans}

    return limited
