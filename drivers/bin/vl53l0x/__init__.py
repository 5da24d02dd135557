"""ST VL53L0X: distance by the time of flight of light, over I2C.

Datasheet: "VL53L0X", ST, DS11555 revision 6. What its registers mean is told only by ST's API (STSW-IMG005,
user manual UM2039): the tuning, the timing and the order of the steps come from there.
"""

from dataclasses import dataclass

from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x29,)
"""The address after each power-up; the part forgets any other."""

ON = "i2c"

IDENTITY = bytes((0xEE, 0xAA, 0x10))  # 0xC0 to 0xC2: model, module, revision (DS 3.2)
BOOT = 0.0012  # s (DS 2.9)
START, SEQUENCE, INTERRUPT_CONFIG, INTERRUPT_CLEAR, INTERRUPT = 0x00, 0x01, 0x0A, 0x0B, 0x13
RESULT, RESULT_LENGTH = 0x14, 12  # status first, range (mm) in the last two
SIGNAL_LIMIT, CHECKS, PRE_RANGE, FINAL_RANGE, POLARITY = 0x44, 0x60, 0x50, 0x70, 0x84
SUPPLY, PAGE, SPADS, STOP_VARIABLE, IDENTIFICATION = 0x89, 0xFF, 0xB0, 0x91, 0xC0

PRIVATE = bytes.fromhex("8001 ff01 0000")  # register, value ...: opens what the next two lines close
PUBLIC = bytes.fromhex("0001 ff00 8000")
SPAD_REQUEST = bytes.fromhex("ff07 8101 8001 946b 8300")
SPAD_WINDOW = bytes.fromhex("ff01 4f00 4e2c ff00 b6b4")
TUNING = bytes.fromhex(  # ST's default tuning settings
    "ff01 0000 ff00 0900 1000 1100 2401 25ff 7500 ff01 4e2c 4800 3020 ff00 3009 5400 3104 3203 4083 4625 6000"
    "2700 5006 5100 5296 5608 5730 6100 6200 6400 6500 66a0 ff01 2232 4714 49ff 4a00 ff00 7a0a 7b00 7821 ff01"
    "2334 4200 44ff 4526 4605 4040 0e06 201a 4340 ff00 3403 3544 ff01 3104 4b09 4c05 4d04 ff00 4400 4520 4708"
    "4828 6700 7004 7101 72fe 7600 7700 ff01 0d01 ff00 8001 01f8 ff01 8e01 0001 ff00 8000"
)
RANGING, VHV, PHASE = 0xE8, 0x01, 0x02  # steps of the sequence
MSRC_CLOCKS, PRE_CLOCKS = 38, 151  # as tuned: 0x46 plus one, 0x51 and 0x52 decoded
PRE_PERIOD, FINAL_PERIOD = 14, 10  # pulses of the laser, as tuned: twice 0x50 plus one, 0x70 plus one
OVERHEAD = 1910 + 960 + 2 * 690 + 660 + 550  # us: start, end, twice the target check, both ranges
POLL = 0.005  # s

COMPLETE = 11
STATUSES = {  # RESULT bits 6 to 3; what is not here is a failure of the part (laser or bias voltage)
    0: Missing.NOT_READY,
    4: Missing.NO_TARGET,
    5: Missing.NO_TARGET,  # the echo drowns in the noise
    6: Missing.OUT_OF_RANGE,  # the phase lies outside the window
    7: Missing.UNRELIABLE,  # the deviation (sigma) is too large
    8: Missing.UNRELIABLE,  # the target changed between the checks
    9: Missing.OUT_OF_RANGE,  # the two ranges disagree on the phase: an echo of an earlier pulse
    10: Missing.OUT_OF_RANGE,  # nearer than the part can tell
    12: Missing.OUT_OF_RANGE,
    13: Missing.OUT_OF_RANGE,
    14: Missing.UNRELIABLE,
}
NOTHING = 8190  # mm, and above: what the part gives without a target, whatever the status


@dataclass(frozen=True, slots=True)
class Options:
    """*budget* [s] of light for each range, *offset* [m] to add, *nearest* [m] that can be true.

    A smear on the window reads as a target right before it: set *nearest* to what the place allows. Raises
    ValueError for a budget outside 0.02 to 1 s, an offset beyond 0.1 m, a nearest outside 0 to 1 m.
    """

    budget: float = 0.033
    offset: float = 0.0
    nearest: float = 0.03

    def __post_init__(self) -> None:
        if not 0.02 <= self.budget <= 1:
            raise ValueError("budget must be 0.02 to 1 s")
        if not abs(self.offset) <= 0.1:
            raise ValueError("offset must be -0.1 to 0.1 m: more is another mounting")
        if not 0 <= self.nearest <= 1:
            raise ValueError("nearest must be 0 to 1 m")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the identity when a VL53L0X answers at *address*."""
    try:
        found = await bus.transfer(address, bytes((IDENTIFICATION,)), 3)
    except BusError:
        return None
    return f"identity {found.hex(' ')}" if found == IDENTITY else None


class Driver:
    """A VL53L0X that ranges once for each measurement; its laser is off in between."""

    quantities = frozenset({Quantity.DISTANCE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._timeout = encode_timeout(final_clocks(options.budget))
        self._stop_variable = 0

    async def start(self) -> None:
        """Identify the part, tune it, set its budget, and calibrate bias voltage and phase."""
        await self._identify()
        supply = (await self._read(SUPPLY, 1))[0]
        await self._write(SUPPLY, supply | 0x01)  # the lines are at the supply's level, not at 1.8 V
        await self._write(0x88, 0x00)
        await self._write_all(PRIVATE)
        self._stop_variable = (await self._read(STOP_VARIABLE, 1))[0]
        await self._write_all(PUBLIC)
        checks = (await self._read(CHECKS, 1))[0]
        await self._write(CHECKS, checks | 0x12)  # no limit on the signal before the final range
        await self._write(SIGNAL_LIMIT, 0x00, 0x20)  # 0.25 million counts/s, in 1/128
        await self._write(SEQUENCE, 0xFF)
        await self._enable_spads()
        await self._write_all(TUNING)
        await self._write(INTERRUPT_CONFIG, 0x04)  # a new range is ready
        polarity = (await self._read(POLARITY, 1))[0]
        await self._write(POLARITY, polarity & ~0x10)
        await self._write(INTERRUPT_CLEAR, 0x01)
        await self._write(FINAL_RANGE + 1, *self._timeout)
        await self._calibrate(VHV, 0x41)
        await self._calibrate(PHASE, 0x01)
        await self._write(SEQUENCE, RANGING)
        await self._verify()

    async def measure(self) -> Values:
        """Range once; return the distance [m] or why there is none.

        Raises DeviceError when the range does not come or the part lost its configuration.
        """
        await self._write_all(PRIVATE)
        await self._write(STOP_VARIABLE, self._stop_variable)
        await self._write_all(PUBLIC)
        await self._write(INTERRUPT_CLEAR, 0x01)  # what was left from before is not this range
        await self._write(START, 0x01)
        await self._clock.sleep(self._options.budget)
        await self._ready(self._options.budget + 0.05, "range")
        raw = await self._read(RESULT, RESULT_LENGTH)
        await self._write(INTERRUPT_CLEAR, 0x01)
        await self._verify()
        return {Quantity.DISTANCE: decode(raw, self._options.offset, self._options.nearest)}

    async def stop(self) -> None:
        """End a range that may be under way; the part is idle without one."""
        await self._write(PAGE, 0x00)
        await self._write(START, 0x00)
        await self._write(INTERRUPT_CLEAR, 0x01)

    async def _identify(self) -> None:
        """Wait for the boot, which the part does not acknowledge, and check the identity.

        A transfer that failed in the middle of a start or a measurement leaves the part on another page.
        """
        for attempt in range(3):
            await self._clock.sleep(BOOT)
            try:
                await self._write(PAGE, 0x00)
                found = await self._read(IDENTIFICATION, 3)
            except NoAcknowledge:
                if attempt == 2:
                    raise
            else:
                break
        if found != IDENTITY:
            raise WrongDevice(
                f"identity at {self._address:#04x} is {found.hex(' ')}, not {IDENTITY.hex(' ')}"
            )

    async def _enable_spads(self) -> None:
        """Switch on as many of the good reference photodiodes as the factory found to be right."""
        count, aperture = await self._spad_info()
        good = await self._read(SPADS, 6)
        await self._write_all(SPAD_WINDOW)
        await self._write(SPADS, *chosen(good, count, aperture))

    async def _spad_info(self) -> tuple[int, bool]:
        """Ask the part's memory how many reference photodiodes to use, and whether those with an aperture."""
        await self._write_all(PRIVATE)
        await self._write(PAGE, 0x06)
        await self._write(0x83, (await self._read(0x83, 1))[0] | 0x04)
        await self._write_all(SPAD_REQUEST)
        for _ in range(20):
            if (await self._read(0x83, 1))[0]:
                break
            await self._clock.sleep(POLL)
        else:
            raise DeviceError(f"the part's memory does not answer within {20 * POLL:g} s")
        await self._write(0x83, 0x01)
        word = (await self._read(0x92, 1))[0]
        await self._write_all(bytes.fromhex("8100 ff06"))
        await self._write(0x83, (await self._read(0x83, 1))[0] & ~0x04)
        await self._write_all(bytes.fromhex("ff01 0001 ff00 8000"))
        return word & 0x7F, bool(word & 0x80)

    async def _calibrate(self, step: int, command: int) -> None:
        await self._write(SEQUENCE, step)
        await self._write(START, command)
        await self._ready(0.1, "calibration")  # 40 ms for both (DS 2.6)
        await self._write(INTERRUPT_CLEAR, 0x01)
        await self._write(START, 0x00)

    async def _ready(self, limit: float, what: str) -> None:
        for _ in range(int(limit / POLL) + 1):
            if (await self._read(INTERRUPT, 1))[0] & 0x07:
                return
            await self._clock.sleep(POLL)
        raise DeviceError(f"no {what} within {limit:g} s: the part does not range")

    async def _verify(self) -> None:
        """Raise DeviceError when sequence or timing are not ours: the part was without power."""
        sequence = await self._read(SEQUENCE, 1)
        timing = await self._read(PRE_RANGE, 3) + await self._read(FINAL_RANGE, 3)
        if (sequence[0], timing) != (RANGING, bytes((0x06, 0x00, 0x96, 0x04)) + self._timeout):
            told = f"{sequence.hex()} {timing.hex()}"
            raise DeviceError(f"sequence and timing read {told}: the part lost its configuration")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes((register,)), count)

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes((register, *(value & 0xFF for value in values))))

    async def _write_all(self, pairs: bytes) -> None:
        """Write register, value, register, value ..., each by itself."""
        for at in range(0, len(pairs), 2):
            await self._bus.transfer(self._address, pairs[at : at + 2])


def decode(raw: bytes, offset: float = 0.0, nearest: float = 0.0) -> float | Missing:
    """Convert the bytes from RESULT on to m. Nearer than *nearest*, after *offset*, is OUT_OF_RANGE."""
    status, millimetres = raw[0] >> 3 & 0x0F, int.from_bytes(raw[10:12])
    if status != COMPLETE:
        return STATUSES.get(status, Missing.FAULT)
    if millimetres >= NOTHING:
        return Missing.NO_TARGET
    metres = millimetres / 1000 + offset
    return metres if metres >= nearest else Missing.OUT_OF_RANGE


def chosen(good: bytes, count: int, aperture: bool) -> bytes:
    """Return the first *count* bits set in *good*; those with an aperture begin at 12.

    Raises DeviceError when there are not as many: the memory did not answer truly.
    """
    enabled = bytearray(len(good))
    left = count
    for bit in range(12 if aperture else 0, 8 * len(good)):
        if left and good[bit // 8] >> bit % 8 & 1:
            enabled[bit // 8] |= 1 << bit % 8
            left -= 1
    if left or not count:
        raise DeviceError(f"{count} reference photodiodes are wanted of the good ones {good.hex()}")
    return bytes(enabled)


def final_clocks(budget: float) -> int:
    """Return the timeout [macro periods] of the final range that uses up *budget* [s].

    It counts from the start of the range before it, so that one's is part of it.
    """
    used = OVERHEAD + (2 * MSRC_CLOCKS + PRE_CLOCKS) * macro_period(PRE_PERIOD)
    return int((budget * 1e6 - used) / macro_period(FINAL_PERIOD)) + PRE_CLOCKS


def macro_period(pulses: int) -> float:
    """Return the length [us] of a macro period: 2304 times *pulses* of 1.655 ns."""
    return 2304 * pulses * 1.655 / 1000


def encode_timeout(clocks: int) -> bytes:
    """Encode *clocks* as (low byte << high byte) + 1, rounded down."""
    low, high = clocks - 1, 0
    while low > 0xFF:
        low >>= 1
        high += 1
    return bytes((high, low))
