"""ST VL53L1X: distance by the time of flight of light, over I2C.

Datasheet: "VL53L1X", ST, DS12385 revision 7. What its registers mean is told by the user manuals UM2356 and
UM2510 and by ST's ultra lite driver (STSW-IMG009); the default configuration and the timings come from there.
"""

import math
from dataclasses import dataclass
from typing import Literal

from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

POLL = 0.02  # s between looks for a new range: a fifth of the usual period, and little of the bus's time
ADDRESSES: tuple[int, ...] = (0x29,)
"""The address after each power-up; the part forgets any other."""

MODEL = bytes((0xEA, 0xCC))  # IDENTIFICATION__MODEL_ID
BOOT = 0.0012  # s (DS12385, section 3.2)

VHV_LOOP_BOUND, VHV_INIT = 0x0008, 0x000B
POLARITY, READY = 0x0030, 0x0031  # GPIO_HV_MUX__CTRL, GPIO__TIO_HV_STATUS
TIMING_A = 0x005E  # timeout A, VCSEL period A, timeout B, VCSEL period B: six bytes
PERIOD = 0x006C
INTERRUPT_CLEAR, MODE_START = 0x0086, 0x0087
RESULT, RESULT_LENGTH = 0x0089, 15  # RANGE_STATUS to the corrected range at 0x0096
OSCILLATOR, MODEL_ID = 0x00DE, 0x010F
TIMED, IDLE = 0x40, 0x00

DEFAULTS = {  # register: values. 0x0031 lies between the two blocks: it is a status, not a setting.
    0x002D: bytes((0x00, 0x00, 0x00, 0x01)),  # 0x0030 bit 4 clear: the interrupt is active high
    0x0032: bytes.fromhex(
        "000208000810010100000000ff000f0000000000200b0000020a2100"
        "000500000000c8000038ff010008000001cc0f01f10d0168008008b8"
        "000000000f8900000000000000010f0d0e0e000002c7ff9b00000001"
    ),
}
LENGTHS = {  # mode: phase calibration, VCSEL period A, B, valid phase, window and initial phase of both SPADs
    "short": (0x14, 0x07, 0x05, 0x38, bytes((0x07, 0x05, 0x06, 0x06))),
    "long": (0x0A, 0x0F, 0x0D, 0xB8, bytes((0x0F, 0x0D, 0x0E, 0x0E))),
}
BUDGETS = {  # mode: timing budget [s]: timeout words A and B
    "short": {
        0.015: (0x001D, 0x0027),
        0.02: (0x0051, 0x006E),
        0.033: (0x00D6, 0x006E),
        0.05: (0x01AE, 0x01E8),
        0.1: (0x02E1, 0x0388),
        0.2: (0x03E1, 0x0496),
        0.5: (0x0591, 0x05C1),
    },
    "long": {
        0.02: (0x001E, 0x0022),
        0.033: (0x0060, 0x006E),
        0.05: (0x00AD, 0x00C6),
        0.1: (0x01CC, 0x01EA),
        0.2: (0x02D9, 0x02F8),
        0.5: (0x048F, 0x04A4),
    },
}
VALID = 9
STATUSES = {  # RANGE_STATUS bits 4 to 0; what is not here is a failure of the part
    0: Missing.NOT_READY,
    4: Missing.NO_TARGET,  # the signal is too weak
    5: Missing.OUT_OF_RANGE,  # the phase lies outside the window
    6: Missing.UNRELIABLE,  # the deviation (sigma) is too large
    7: Missing.OUT_OF_RANGE,  # the target is so far that its echo belongs to an earlier pulse
    8: Missing.OUT_OF_RANGE,  # nearer than the part can tell
    18: Missing.NOT_READY,  # an interrupt for synchronisation only
    19: Missing.UNRELIABLE,  # complete, but without the check for such wrapped echoes
}


@dataclass(frozen=True, slots=True)
class Options:
    """*mode*: "long" to 4 m in the dark, "short" to 1.3 m in any light. *budget* [s] of light for each range.

    *period* [s] from one range to the next, at least the budget; `measure` waits for one. Raises ValueError
    for a budget that the mode does not have.
    """

    mode: Literal["short", "long"] = "long"
    budget: float = 0.05
    period: float = 0.1

    def __post_init__(self) -> None:
        budgets = BUDGETS[self.mode]
        if self.budget not in budgets:
            allowed = ", ".join(f"{each:g}" for each in budgets)
            raise ValueError(f"budget must be one of {allowed} s in {self.mode} mode")
        if not self.budget <= self.period <= 60:
            raise ValueError("period must be from the budget to 60 s")


class Driver:
    """A VL53L1X that ranges by itself; `measure` takes its next range."""

    quantities = frozenset({Quantity.DISTANCE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        first, second = BUDGETS[options.mode][options.budget]
        calibration, period_a, period_b, *_ = LENGTHS[options.mode]
        self._calibration = calibration
        self._timing = first.to_bytes(2) + bytes((period_a,)) + second.to_bytes(2) + bytes((period_b,))

    async def start(self) -> None:
        """Wait for the boot, identify the part, configure it, and begin to range."""
        await self._identify()
        await self._write(MODE_START, bytes((IDLE,)))
        for register, values in DEFAULTS.items():
            await self._write(register, values)
        await self._calibrate()
        await self._configure()
        await self._write(INTERRUPT_CLEAR, b"\x01")
        await self._write(MODE_START, bytes((TIMED,)))
        await self._fresh()  # the first range after a start lacks the check for wrapped echoes: thrown away

    async def measure(self) -> Values:
        """Return the next distance [m] or why there is none.

        Raises DeviceError when no range comes or the part lost its configuration.
        """
        await self._verify()
        await self._write(INTERRUPT_CLEAR, b"\x01")  # what was waiting may be minutes old
        await self._fresh()
        return {Quantity.DISTANCE: decode(await self._read(RESULT, RESULT_LENGTH))}

    async def stop(self) -> None:
        """Laser off."""
        await self._write(MODE_START, bytes((IDLE,)))
        await self._write(INTERRUPT_CLEAR, b"\x01")

    async def _identify(self) -> None:
        """Wait until the model answers, which is the sign of a finished boot, and check it.

        The firmware status at 0x00E5 is no such sign: after a restart of the host alone its boot bit may be
        clear although the part is ready.
        """
        for attempt in range(3):
            await self._clock.sleep(BOOT)
            try:
                model = await self._read(MODEL_ID, 2)
            except NoAcknowledge:
                if attempt == 2:
                    raise
            else:
                break
        if model != MODEL:
            raise WrongDevice(f"model at {self._address:#04x} is {model.hex()}, not {MODEL.hex()}")

    async def _calibrate(self) -> None:
        """Range once for the bias voltage (VHV), then let later ranges begin from what was found (UM2510)."""
        await self._write(MODE_START, bytes((TIMED,)))
        await self._fresh(0.2)  # the defaults' budget is 100 ms
        await self._write(INTERRUPT_CLEAR, b"\x01")
        await self._write(MODE_START, bytes((IDLE,)))
        await self._write(VHV_LOOP_BOUND, b"\x09")
        await self._write(VHV_INIT, b"\x00")

    async def _configure(self) -> None:
        *_, valid_phase, phases = LENGTHS[self._options.mode]
        await self._write(0x004B, bytes((self._calibration,)))
        await self._write(TIMING_A, self._timing)
        await self._write(0x0069, bytes((valid_phase,)))
        await self._write(0x0078, phases)
        oscillator = int.from_bytes(await self._read(OSCILLATOR, 2)) & 0x03FF
        counts = int(oscillator * self._options.period * 1000 * 1.075)
        await self._write(PERIOD, counts.to_bytes(4))
        await self._verify()

    async def _verify(self) -> None:
        found = await self._read(TIMING_A, len(self._timing))
        if found != self._timing:
            raise DeviceError(f"timing reads {found.hex()}: the part lost its configuration")

    async def _fresh(self, period: float | None = None) -> None:
        """Wait for a new range: two periods and 50 ms at most."""
        limit = 2 * (period or self._options.period) + 0.05
        for _ in range(math.ceil(limit / POLL)):
            polarity, ready = await self._read(POLARITY, 2)
            if (ready & 1) == (0 if polarity & 0x10 else 1):
                return
            await self._clock.sleep(POLL)
        raise DeviceError(f"no range within {limit:g} s: the part does not range")

    async def _read(self, index: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, index.to_bytes(2), count)

    async def _write(self, index: int, values: bytes) -> None:
        await self._bus.transfer(self._address, index.to_bytes(2) + values)


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the model when a VL53L1X answers at *address*, else None. Only reads.

    Its sister has an index of one byte, and would take the second byte of ours for a setting: it is asked in
    its own way first. To a VL53L1X that is half an index.
    """
    if await _is_sister(bus, address):
        return None
    try:
        model = await bus.transfer(address, MODEL_ID.to_bytes(2), 2)
    except BusError:
        return None
    return f"model {model.hex()}" if model == MODEL else None


async def _is_sister(bus: I2C, address: int) -> bool:
    """Return whether register 0xC0, with an index of one byte, holds the model of a VL53L0X."""
    try:
        return await bus.transfer(address, b"\xc0", 1) == b"\xee"
    except BusError:
        return False


def decode(raw: bytes) -> float | Missing:
    """Convert the bytes from RESULT on to m; status first, range (mm) in the last two.

    The range has a sign (as in ST's full driver, STSW-IMG007): a target right before the window may come out
    a little below 0, with a valid status. Without the sign it would be 65.5 m away.
    """
    status = raw[0] & 0x1F
    if status != VALID:
        return STATUSES.get(status, Missing.FAULT)
    millimetres = int.from_bytes(raw[13:15], signed=True)
    return millimetres / 1000 if millimetres >= 0 else Missing.OUT_OF_RANGE
