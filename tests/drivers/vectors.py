"""Plain targets for the examples of tests/vectors, and how each kind of example is played.

The targets know nothing of any part: they are memories and lists of answers, so that a driver and its own
chip cannot be wrong together. A file of examples is found by itself; a part of a name that is not its
driver's, or a quantity that the examples call otherwise, has its entry below.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import degrees
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.bin.mlx90640 import calibration
from drivers.board.tca9548a import Channel
from drivers.bus import I2C, NoAcknowledge
from drivers.checksum import crc8
from drivers.device import Missing, Quantity
from drivers.emulated import EmulatedAnalog, EmulatedPins
from drivers.noise.spl import energy_mean
from gateway.clock import LoopClock
from tests.conftest import VirtualClock, VirtualLoop

Vector = dict[str, Any]
Found = Mapping[str, Any]


def read() -> list[Vector]:
    """Return the examples of every file in tests/vectors."""
    files = sorted((Path(__file__).parent.parent / "vectors").glob("*.json"))
    return [vector for file in files for vector in json.loads(file.read_text())["vectors"]]


@dataclass
class Registers:
    """Registers behind an index of *wide* bytes, each a byte, or a word of two where *words*.

    *holds* are bits that always read as set, *drops* those that always read as clear.
    """

    device: dict[str, Any]
    wide: int = 1
    words: bool = False
    holds: Mapping[int, int] = field(default_factory=dict)
    drops: Mapping[int, int] = field(default_factory=dict)
    memory: dict[int, bytes] = field(default_factory=dict)
    pointer: int = 0

    def __post_init__(self) -> None:
        size = 2 if self.words else 1
        for key, value in self.device["regs"].items():
            raw = bytes.fromhex(value)
            for offset in range(0, len(raw), size):
                self.memory[int(key, 16) + offset // size] = raw[offset : offset + size]

    def transfer(self, write: bytes, read: int) -> bytes:
        size = 2 if self.words else 1
        if write:
            self.pointer = int.from_bytes(write[: self.wide])
        for offset in range(self.wide, len(write), size):
            self.memory[self.pointer + (offset - self.wide) // size] = write[offset : offset + size]
        registers = range(self.pointer, self.pointer + -(-read // size))
        self.pointer += 0 if write else -(-read // size)
        return b"".join(self._shown(register, size) for register in registers)[:read]

    def _shown(self, register: int, size: int) -> bytes:
        value = int.from_bytes(self.memory.get(register, bytes(size)))
        return (value & ~self.drops.get(register, 0) | self.holds.get(register, 0)).to_bytes(size)


@dataclass
class Commands:
    """A target that answers to commands of *wide* bytes; what it has no answer for reads as ones.

    Where it has several answers to a command, it gives one after the other, then the last for ever.
    """

    device: dict[str, Any]
    wide: int = 2
    answer: bytes | None = None
    log: list[bytes] = field(default_factory=list)

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            self.log.append(write)
            answers = self.device["responses"].get(write[: self.wide].hex(), [""])
            turn = sum(each[: self.wide] == write[: self.wide] for each in self.log) - 1
            self.answer = bytes.fromhex(answers[min(turn, len(answers) - 1)])
        if read and self.answer is None:
            raise NoAcknowledge("no command was given")
        return (self.answer or b"").ljust(read, b"\xff")[:read] if read else b""


@dataclass
class Raw:
    """A target that answers with the same bytes; where it must be triggered, then and after its time."""

    device: dict[str, Any]
    clock: VirtualClock
    triggered: bool
    ready: float = field(init=False)

    def __post_init__(self) -> None:
        self.ready = float("inf") if self.triggered else 0.0

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            assert self.triggered
            assert write.hex() == self.device.get("after_write", "51")
            self.ready = self.clock.now + self.device.get("min_wait_ms", 80) / 1000
        if read and self.clock.now < self.ready:
            raise NoAcknowledge("not yet")
        return bytes.fromhex(self.device["read"])[:read]


@dataclass
class Prom:
    """A pressure sensor of TE's: a PROM, and two results that every conversion gives."""

    device: dict[str, Any]
    pending: bytes = bytes(3)

    def transfer(self, write: bytes, read: int) -> bytes:
        match write[0]:
            case 0x00:
                return self.pending[:read]
            case command if command >= 0xA0:
                return bytes.fromhex(self.device["prom"][(command - 0xA0) // 2])[:read]
            case command if command & 0xE0 == 0x40:
                self.pending = bytes.fromhex(self.device["d1" if command < 0x50 else "d2"])
        return bytes(read)


@dataclass
class Frames:
    """A target that answers to each register with the same bytes, check byte and all."""

    device: dict[str, Any]

    def transfer(self, write: bytes, read: int) -> bytes:
        return bytes.fromhex(self.device["regs"].get(write.hex(), "ff" * read))[:read]


@dataclass
class OneTarget:
    """A bus with one target."""

    address: int
    answer: Callable[[bytes, int], bytes]

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        if address != self.address:
            raise NoAcknowledge(f"no target answers at {address:#04x}")
        return self.answer(write, read)


@dataclass
class Mux:
    """A bus with a mux on it, and a bus behind each channel. *masks* is what was written to the mux."""

    address: int
    behind: Mapping[int, I2C]
    mask: int = 0
    masks: list[str] = field(default_factory=list)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        if address == self.address:
            if write:
                self.mask = write[-1]
                self.masks.append(write.hex())
            return bytes([self.mask]) * read
        for channel, bus in self.behind.items():
            if self.mask >> channel & 1:
                return await bus.transfer(address, write, read)
        raise NoAcknowledge(f"no target answers at {address:#04x}")


@dataclass(frozen=True)
class Recipe:
    """How the examples of one part are played, where it does not follow from the examples alone.

    *names*: what they call a quantity, *beside*: what they tell that no reading has. *fault*: what must be
    missing in a fault; all of it where that is empty. *holds* and *drops* are for its registers.
    """

    driver: str
    options: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, Quantity] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    fault: frozenset[Quantity] = frozenset()
    holds: Mapping[int, int] = field(default_factory=dict)
    drops: Mapping[int, int] = field(default_factory=dict)
    choose: Callable[[Vector], Mapping[str, Any]] = lambda vector: {}

    def chosen(self, vector: Vector) -> Mapping[str, Any]:
        """Return the driver's options for an example."""
        return {**self.options, **self.choose(vector)}


Q = Quantity
NAMES = {
    "pm1_0": Q.PM1,
    "pm4_0": Q.PM4,
    "nc1_0": Q.NC1,
    "nc4_0": Q.NC4,
    "typical_size": Q.PARTICLE_SIZE,
    "x": Q.ACCELERATION_X,
    "y": Q.ACCELERATION_Y,
    "z": Q.ACCELERATION_Z,
    "ax": Q.ACCELERATION_X,
    "ay": Q.ACCELERATION_Y,
    "az": Q.ACCELERATION_Z,
    "gx": Q.ROTATION_X,
    "gy": Q.ROTATION_Y,
    "gz": Q.ROTATION_Z,
    "laeq_tavg": Q.SOUND_LEVEL,
    "min": Q.SOUND_LEVEL_MIN,
    "max": Q.SOUND_LEVEL_MAX,
    "level": Q.SOUND_LEVEL,
    "bus_voltage": Q.VOLTAGE,
    "power_25xLSB": Q.POWER,
    "range": Q.DISTANCE,
    "ambient": Q.TEMPERATURE,
    "object": Q.SURFACE_TEMPERATURE,
}
"""What examples call a quantity, where it is not our name."""

BESIDE = frozenset(
    {"raw", "saturated", "overflow", "conversion_ready", "heater_stable", "humidity_uncropped"}
)
"""What examples tell of a part that its driver checks or uses, and gives no reading of."""

SCALES = {"cm": 0.01, "mm": 0.001, "g": 0.001, "rad/s": degrees(1.0), "1/0.1L": 0.01}
"""Units that are not ours, in ours."""

_SEA = {"pressure": Q.WATER_PRESSURE, "temperature": Q.WATER_TEMPERATURE, "depth_freshwater": Q.DEPTH}
_PARTICLES = {"pm10_env": Q.PM1, "pm25_env": Q.PM2_5, "pm100_env": Q.PM10}
_SIZES = [f"particles_{size}um" for size in ("03", "05", "10", "25", "50", "100")]
_STANDARD = [f"pm{size}_standard" for size in ("10", "25", "100")]


def _precision(vector: Vector) -> str:
    """Return which measurement the example has an answer to."""
    orders = {"fd": "high", "f6": "medium", "e0": "low"}
    return next(orders[each] for each in vector["device"]["responses"] if each in orders)


RECIPES: Mapping[str, Recipe] = {
    "ADXL345": Recipe("adxl345", holds={0x30: 0x80}),
    "Analog SPL meter via ADS1115": Recipe("spl"),
    "BME680": Recipe("bme688"),
    "DS3231": Recipe("ds3231", beside=frozenset({"datetime", "oscillator_stopped_flag"})),
    "H-bridge compactor motor": Recipe("compactor"),
    "HC-SR04 / A02-class echo pulse": Recipe("hcsr04"),
    "INA219": Recipe("ina219", fault=frozenset({Q.CURRENT, Q.POWER})),
    "Leq energy average": Recipe("spl"),
    "MB7040/MB7137 I2CXL": Recipe("mb7040"),
    "MLX90614": Recipe("mlx90614", beside=frozenset({"frame_ta_with_pec", "frame_to_with_pec"})),
    "MPU6050": Recipe("mpu6050", holds={0x3A: 0x01}, drops={0x6B: 0x80}),
    "MS5803-14BA": Recipe("ms5803", names=_SEA),
    "MS5837-02BA": Recipe("ms5837", {"model": "02BA", "air_pressure": 1013.0}, _SEA),
    "MS5837-30BA": Recipe("ms5837", {"model": "30BA", "air_pressure": 1013.0}, _SEA),
    "NAU7802": Recipe("nau7802", {"zero": 12034, "factor": 210.5e3}, holds={0x00: 0x28}, drops={0x02: 0x04}),
    "SHT4x": Recipe("sht4x", choose=lambda vector: {"precision": _precision(vector)}),
    "PCB Artists DBM-r3": Recipe("dbm", beside=frozenset({"tavg", "version"})),
    "PMSA003I": Recipe("pmsa003i", names=_PARTICLES, beside=frozenset([*_SIZES, *_STANDARD])),
    "Reed anemometer": Recipe("anemometer"),
    "SCD41": Recipe("scd41", fault=frozenset({Q.CO2})),
    "Tipping-bucket gauge": Recipe("rain_gauge"),
    "VL53L0X": Recipe("vl53l0x", holds={0x83: 0x01} | {0xB0 + at: 0xFF for at in range(6)}),
    "Wind vane via ADC": Recipe("vane"),
    "float switch / reed": Recipe("contact", {"quantity": "active"}),
}


def recipe(part: str) -> Recipe | None:
    """Return how examples of *part* are played; its name alone may say so. None for what is no part."""
    return RECIPES.get(part) or (Recipe(part.lower()) if part.lower() in drivers.names() else None)


def target(vector: Vector, clock: VirtualClock, known: Recipe) -> Callable[[bytes, int], bytes]:
    """Return the plain target of an example on I2C."""
    device = vector["device"]
    match device["model"]:
        case "reg8":
            return Registers(device, holds=known.holds, drops=known.drops).transfer
        case "reg16be":
            return Registers(device, wide=2, holds=known.holds, drops=known.drops).transfer
        case "word8be":
            return Registers(device, words=True, holds=known.holds, drops=known.drops).transfer
        case "cmd16":
            return Commands(device).transfer
        case "cmd8":
            return Commands(device, wide=1).transfer
        case "raw":
            return Raw(device, clock, vector["part"].startswith("MB7040")).transfer
        case "ms58xx":
            return Prom(device).transfer
        case "smbus_word_pec":
            return Frames(device).transfer
    raise LookupError(f"no target for the model {device['model']}")


def play(vector: Vector) -> Found:
    """Return what came of an example, by the names that it uses. Raises what the driver raises."""
    known = recipe(vector["part"])
    names = (known.driver if known else "", vector["device"].get("model", ""), next(iter(vector["expected"])))
    special = next((SPECIAL[name] for name in names if name in SPECIAL), None)
    if special is not None:
        return special(vector, known or Recipe(""))
    assert known, f"no driver for {vector['part']}: give it a recipe"
    return named(vector, known, measured(vector, known))


def named(vector: Vector, known: Recipe, values: Mapping[Quantity, float | Missing]) -> Found:
    """Return *values* by the names of the example."""
    names = [each for each in vector["expected"] if each not in BESIDE | known.beside | {"outcome", "detail"}]
    found = {each: values[known.names.get(each) or NAMES.get(each) or Quantity(each)] for each in names}
    return found | {str(quantity): value for quantity, value in values.items() if quantity not in found}


def measured(vector: Vector, known: Recipe) -> dict[Quantity, float | Missing]:
    """Start the driver on the target and measure, a minute later: it must not think that it warms up."""
    clock = VirtualClock()
    part = drivers.load(known.driver)
    address = int(vector["i2c_address"], 16)
    bus = OneTarget(address, target(vector, clock, known))
    options = part.options(**known.chosen(vector))
    return asyncio.run(_measured(part.driver(bus, address, clock, options), clock))


async def _measured(driver: Any, clock: VirtualClock) -> dict[Quantity, float | Missing]:
    await driver.start()
    await clock.sleep(60.0)
    return dict(await driver.measure())


# What is not on I2C, or is more than a reading


def _sgp41(vector: Vector, known: Recipe) -> Found:
    """Its driver gives indices; the examples are of ticks, and of how the part is told the air."""
    pytest.importorskip("sensirion_gas_index_algorithm", reason="the extra gas is not installed")
    clock, part = VirtualClock(), drivers.load("sgp41")
    humidity = int(vector["expected"]["measure_raw_write"]["value"][4:8], 16) * 100 / 65535
    commands = Commands(vector["device"])
    driver = part.driver(OneTarget(0x59, commands.transfer), 0x59, clock, part.options(round(humidity, 1)))
    asyncio.run(_measured(driver, clock))
    told, wanted = commands.log[-1], bytes.fromhex(vector["expected"]["measure_raw_write"]["value"])
    near = abs(int.from_bytes(told[2:4]) - int.from_bytes(wanted[2:4])) <= 1  # rounded, not truncated
    ours = wanted if near and (told[:2], told[5:]) == (wanted[:2], wanted[5:]) else told
    return dict(zip(("sraw_voc", "sraw_nox"), driver.ticks, strict=True)) | {"measure_raw_write": ours.hex()}


def _thermal(vector: Vector, known: Recipe) -> Found:
    """A half frame; the driver itself gives the hottest point of two."""
    regs = vector["device"]["regs"]
    eeprom, ram = ([int(text[at : at + 4], 16) for at in range(0, len(text), 4)] for text in _memories(regs))
    parsed = calibration.parse(tuple(eeprom))
    control = int(regs["800d"], 16)
    here = calibration.ambient(ram, control, parsed)
    image = calibration.temperatures(ram, int(regs["8000"], 16) & 7, control, parsed)
    found = {"vdd": here.supply, "ta": here.temperature, "pixels_index": list(image)}
    return found | {"to": list(image.values())}


def _memories(regs: Mapping[str, str]) -> tuple[str, str]:
    return regs["2400..273f"], regs["0400..073f"]


def _expander(vector: Vector, known: Recipe) -> Found:
    address = int(vector["i2c_address"], 16)
    bus = OneTarget(address, Registers(vector["device"]).transfer)

    async def main() -> list[bool]:
        lines = drivers.load("mcp23017").driver(bus, address, VirtualClock())
        await lines.start()
        return [await lines.read(line) for line in range(16)]

    levels = asyncio.run(main())
    gpio = sum(high << line for line, high in enumerate(levels))
    return {"gpio": gpio} | {f"pin_{line}": high for line, high in enumerate(levels)}


def _mux(vector: Vector, known: Recipe) -> Found:
    """Whatever is behind, its driver does not know of the mux."""
    device = vector["device"]
    ((address, behind),) = device["behind"].items()
    inner = OneTarget(int(address, 16), Commands(behind, wide=1).transfer)
    bus = Mux(int(vector["i2c_address"], 16), {device["channel"]: inner})
    clock, channel = VirtualClock(), Channel(bus, bus.address, device["channel"])
    values = asyncio.run(_measured(drivers.load("sht4x").driver(channel, int(address, 16), clock), clock))
    pairs = {tuple(bus.masks[at : at + 2]) for at in range(0, len(bus.masks), 2)}
    wanted = vector["expected"]["mux_writes"]["value"]
    same = pairs == {tuple(wanted[at : at + 2]) for at in range(0, len(wanted), 2)}
    return {str(q): value for q, value in values.items()} | {"mux_writes": wanted if same else bus.masks}


def _on_channel(volts: float, driver: str, **options: Any) -> dict[Quantity, float | Missing]:
    clock = VirtualClock()
    channels, part = EmulatedAnalog(clock), drivers.load(driver)
    channels.volts[1] = volts
    return asyncio.run(_measured(part.driver(channels, 1, clock, part.options(**options)), clock))


def _spl(vector: Vector, known: Recipe) -> Found:
    volts = int(vector["device"]["regs"]["00"], 16) * vector["device"]["pga_fsr_v"] / 32768
    return named(vector, known, _on_channel(volts, "spl"))


def _word8be(vector: Vector, known: Recipe) -> Found:
    """A word for the meter behind the converter; else registers like any others."""
    return _spl(vector, known) if known.driver == "spl" else named(vector, known, measured(vector, known))


def _vane(vector: Vector, known: Recipe) -> Found:
    table = tuple((float(volts), float(to)) for volts, to in vector["device"]["volts"].items())
    found = {}
    for text in vector["expected"]:
        volts = float(text.removeprefix("nearest(").removesuffix(")"))
        found[text] = _on_channel(volts, "vane", table=table, tolerance=1.0)[Q.WIND_DIRECTION]
    return found


def _virtual(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def _pulse(pins: EmulatedPins, clock: LoopClock, line: int, high: bool, seconds: float) -> None:
    pins.set(line, high)
    await clock.sleep(seconds)
    pins.set(line, not high)


def _echo(vector: Vector, known: Recipe) -> Found:
    async def main() -> Any:
        clock, part = LoopClock(), drivers.load("hcsr04")
        pins = EmulatedPins(clock, levels={24: False})
        options = part.options(echo=24, farthest=vector["device"]["max_distance_m"], temperature=20.9)
        driver = part.driver(pins, 23, clock, options)
        await driver.start()
        measuring = asyncio.create_task(driver.measure())
        await clock.sleep(0.001)
        await _pulse(pins, clock, 24, True, vector["device"]["echo_high_us"] / 1e6)
        return await measuring

    return named(vector, known, _virtual(main()))


def _hx711(vector: Vector, known: Recipe) -> Found:
    """Shifted out by its own emulated part, for the bits are nothing without the clock's edges."""
    from drivers.bin.hx711.chip import Emulated

    clock, part = VirtualClock(), drivers.load("hx711")
    pins = EmulatedPins(clock)
    chip = Emulated(pins, 5)
    chip.held = int(vector["device"]["bits_msb_first"], 2)
    options = part.options(factor=1.0, capacity=9e5, average=1)
    driver = part.driver(pins, 5, clock, options)

    async def main() -> float:
        await driver.start()
        return (await driver.measure())[Q.WEIGHT]

    return {"raw": asyncio.run(main()), "sck_pulses_per_read": vector["device"]["pulses"][options.input]}


def _pulses(vector: Vector, known: Recipe) -> Found:
    """Closures of a reed, evenly over some seconds."""
    count, over = vector["device"]["count"], vector["device"]["over_s"]

    async def main(**options: Any) -> dict[Quantity, Any]:
        clock, part = LoopClock(), drivers.load(known.driver)
        pins = EmulatedPins(clock)
        driver = part.driver(pins, 6, clock, part.options(**options))
        await driver.start()
        for _ in range(count):
            await _pulse(pins, clock, 6, False, 0.05)
            await clock.sleep(over / count - 0.05)
        return dict(await driver.measure())

    if known.driver == "rain_gauge":
        rain = _virtual(main())[Q.RAIN]
        return {"rain": rain, "intensity": rain * 3600 / over}
    cups = 2 * 3.141592653589793 * 0.07 * 2.18 / vector["device"]["pulses_per_rev"]  # of one maker
    speeds = {"wind_speed_weatherhat": cups, "wind_speed_2p4kmh_per_hz": 2.4 / 3.6}
    return {name: _virtual(main(speed=speed))[Q.WIND_SPEED] for name, speed in speeds.items()}


def _contact(vector: Vector, known: Recipe) -> Found:
    words = {1.0: "active", 0.0: "inactive"}

    async def follow() -> list[str]:
        clock, part = VirtualClock(), drivers.load("contact")
        pins = EmulatedPins(clock)
        contact = part.driver(pins, 17, clock, part.options(**known.chosen(vector)))
        await contact.start()
        seen = []
        for step in vector["transactions"]:
            pins.set(17, bool(step["level"]))
            seen.append(words[(await contact.measure())[Q.ACTIVE]])
        return seen

    events = asyncio.run(follow())
    return {"events": events, "final_active": events[-1] == "active"}


def _press(vector: Vector, known: Recipe) -> Found:
    """The states of a motor driver that can do half a speed; ours refuses that, standing."""
    calls = {"forward": 1, "backward": -1, "stop": 0}

    async def main() -> list[list[Any]]:
        clock, part = VirtualClock(), drivers.load("compactor")
        pins = EmulatedPins(clock)
        press = part.driver(pins, 20, clock, part.options())
        await press.start()
        seen: list[list[Any]] = []
        for call, forward, backward in vector["expected"]["states"]["value"]:
            if call in calls:
                await press.apply(calls[call])
                forward, backward = float(pins.levels[20]), float(pins.levels[21])
            seen.append([call, forward, backward])
        return seen

    return {"states": asyncio.run(main())}


def _mean(vector: Vector, known: Recipe) -> Found:
    levels = vector["device"]["dB"]
    return {"leq": energy_mean(levels), "wrong_arithmetic_mean": sum(levels) / len(levels)}


def _crc(vector: Vector, known: Recipe) -> Found:
    """The check bytes of whatever polynomial the example says."""
    device = vector["device"]
    polynomial, initial = int(device["poly"], 16), int(device["init"], 16)
    (name,) = vector["expected"]
    data = vector["expected"][name]["value"]
    found = {each: crc8(bytes.fromhex(each), polynomial=polynomial, initial=initial) for each in data}
    return {name: {each: f"{crc:02x}" for each, crc in found.items()}}


SPECIAL: Mapping[str, Callable[[Vector, Recipe], Found]] = {
    "sgp41": _sgp41,
    "mcp23017": _expander,
    "reg16w16be": _thermal,
    "mux": _mux,
    "word8be": _word8be,
    "table": _vane,
    "echo_pulse": _echo,
    "hx711": _hx711,
    "gpio_pulses": _pulses,
    "gpio_edges": _contact,
    "gpio_pair": _press,
    "leq": _mean,
    "crc8": _crc,
    "pec": _crc,
}
