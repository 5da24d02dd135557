"""The emulated street: emulated parts on a bus and a header, in a world that couples them.

Traffic raises noise and exhaust, rain raises the river, rubbish falls into the bin whenever its lid opens,
the compactor's plate presses it together and the motor's current rises as it does, a collection empties it.
Once in every CYCLE the noise meter is unplugged for a while. The same drivers and the same daemon run on it
as on real parts. All randomness comes from one seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import cos, exp, pi, sin
from random import Random
from typing import Any

from drivers.device import Clock, Quantity
from drivers.emulated import Chip, EmulatedI2C, EmulatedPins

CYCLE = 60.0
"""Seconds from one storm to the next."""

STORM = (6.0, 18.0)
UNPLUGGED = (14.0, 19.0)
STEP = 0.1
"""Seconds from one look of the world to the next; so coarse, it costs next to nothing."""

SENSOR_TO_FLOOR, SENSOR_TO_FULL = 1.10, 0.20  # the bin's ranging sensor [m]
SENSOR_OVER_DATUM = 5.0  # the river's ranging sensor [m]
LID_EVERY, LID_OPEN, ARMFUL = 3.0, 0.8, 16.0  # seconds, seconds, percent of the bin
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
    pressing: bool = False
    siren: bool = False

    @property
    def fill(self) -> float:
        """How full the bin is, 0 to 100 %."""
        return min(100.0, self.loose + self.dense)

    def step(self, time: float, seconds: float) -> None:
        """Let *seconds* pass from *time* on; both in seconds since the street began."""
        since = time % CYCLE
        low, high = STORM
        self.rain = 40.0 * sin(pi * (since - low) / (high - low)) if low < since < high else 0.0
        self.water += seconds * (self.rain * 0.0085 - (self.water - 0.8) * 0.09)
        self._rubbish(time, seconds)

    def _rubbish(self, time: float, seconds: float) -> None:
        opened = 1.0 <= time % LID_EVERY < 1.0 + LID_OPEN and not self.pressing
        if opened and self.lid_closed and self.fill < 95.0:
            self.loose += min(ARMFUL, 100.0 - self.fill)
        self.lid_closed = not opened
        if self.pressing:
            moved = min(self.loose, 100.0 * seconds / STROKE)
            self.loose -= moved
            self.dense += moved * PRESSED
        self.standing = 0.0 if self.pressing or self.fill < 65.0 else self.standing + seconds
        if self.standing > PATIENCE:
            self.loose = self.dense = self.standing = 0.0


@dataclass
class Street:
    """A bus, a header and the scene around them. Attach parts, then run drivers on `bus` and `pins`."""

    clock: Clock
    seed: int = 1
    scene: Scene = field(default_factory=Scene)
    _views: dict[int, Callable[[], Mapping[Quantity, float]]] = field(default_factory=dict)
    _shown: dict[int, float] = field(default_factory=dict)
    _inputs: dict[int, Callable[[], bool]] = field(default_factory=dict)
    _outputs: dict[int, str] = field(default_factory=dict)
    _plugs: dict[int, Chip] = field(default_factory=dict)
    _began: float | None = None
    _now: float = 0.0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._wires = EmulatedI2C({})
        self.pins = EmulatedPins(self.clock, before=self.advance)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer, as drivers.bus.I2C; the part shows the street as it is now."""
        self.advance()
        if address in self._wires.chips and self._now - self._shown.get(address, -1.0) >= STEP:
            self._shown[address] = self._now
            for quantity, value in self._views[address]().items():
                self._wires.chips[address].set(quantity, value)
        return await self._wires.transfer(address, write, read)

    def attach(self, name: str, domain: str, driver: str, where: int, options: Any) -> None:
        """Put a part on the street: *where* is its address on the bus, or its line on the header."""
        if driver == "switch":
            self._outputs[where] = name
            self.pins.levels.setdefault(where, False)
        elif driver == "contact":
            sees = self._sees(options.quantity)
            self._inputs[where] = (lambda: not sees()) if options.active_low else sees
        else:
            clock = _Aged(self.clock)
            chip: Chip = import_module(f"drivers.{domain}.{driver}.chip").Emulated(clock)
            clock.by = POWERED
            self._wires.chips[where] = chip
            self._views[where] = _within(chip, self._view(driver))
            if driver == "dbm":
                self._plugs[where] = chip

    def plug(self, address: int, plugged: bool) -> None:
        """Pull the part at *address* off the bus, or put it back, freshly powered."""
        if not plugged:
            chip = self._wires.chips.pop(address, None)
            if chip is not None:
                self._plugs[address] = chip
        elif address not in self._wires.chips:
            chip = self._plugs[address]
            chip.power_cycle()
            self._wires.chips[address] = chip

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
        for line, level in self._inputs.items():
            self.pins.set(line, level())
        low, high = UNPLUGGED
        for address in self._plugs:
            self.plug(address, not low <= self._now % CYCLE < high)

    async def run(self) -> None:
        """Keep the street moving, so that lids open although nobody looks."""
        while True:
            self.advance()
            await self.clock.sleep(0.2)

    def _read_outputs(self) -> None:
        on = {
            name
            for line, name in self._outputs.items()
            if line in self.pins.outputs and self.pins.levels[line]
        }
        self.scene.pressing, self.scene.siren = "compactor" in on, "siren" in on

    def _sees(self, quantity: str) -> Callable[[], bool]:
        if quantity == "wet":
            return lambda: self.scene.water > 2.2
        return lambda: self.scene.lid_closed

    def _view(self, driver: str) -> Callable[[], dict[Quantity, float]]:
        """Return what a part of this kind sees of the street."""
        views: dict[str, Callable[[], dict[Quantity, float]]] = {
            "sen66": self._air,
            "dbm": self._noise,
            "mb7040": self._river,
            "bme280": self._weather,
            "adxl355": self._ground,
            "vl53l1x": self._bin,
            "ina226": self._power,
        }
        return views.get(driver, dict)

    def _traffic(self) -> float:
        """0 to 1: a wave of cars and a little chance."""
        return max(0.0, 0.55 + 0.35 * sin(self._now / 4.1) + self._random.uniform(-0.1, 0.1))

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

    def _noise(self) -> dict[Quantity, float]:
        level = 54.0 + 16.0 * self._traffic() + 0.1 * self.scene.rain + (22.0 if self.scene.siren else 0.0)
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
        current = 2.0 + 5.0 * self.scene.dense / 100.0 if self.scene.pressing else 0.12
        return {Quantity.VOLTAGE: 12.6 - 0.08 * current, Quantity.CURRENT: current}


def _within(
    chip: Chip, view: Callable[[], Mapping[Quantity, float]]
) -> Callable[[], Mapping[Quantity, float]]:
    """Keep what a part sees within what it can show."""

    def limited() -> dict[Quantity, float]:
        spans = chip.spans
        return {q: min(spans[q].high, max(spans[q].low, v)) for q, v in view().items() if q in spans}

    return limited
