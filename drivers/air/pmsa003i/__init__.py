"""Plantower PMSA003I: particles, by mass and by number, over I2C.

Data manual "PMSA003I series", version 2.6, appendix I (protocol). The part measures by itself and
gives its newest frame of 32 bytes to whoever reads; it takes no command.
"""

from dataclasses import dataclass
from struct import unpack

from drivers.bus import I2C, BusError
from drivers.device import ChecksumError, Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x12,)

_LENGTH = 32
_HEADER = b"BM\x00\x1c"  # 28 bytes follow
_APART = 1.0  # between two frames [s]
_WARM_UP = 30.0  # until the fan has moved the air

_Q = Quantity
_MASSES = (_Q.PM1, _Q.PM2_5, _Q.PM10)
_NUMBERS = (_Q.NC0_5, _Q.NC1, _Q.NC2_5, _Q.NC10)
_ALL = frozenset({*_MASSES, *_NUMBERS})


@dataclass(frozen=True, slots=True)
class Options:
    """None: the part takes no setting."""


class Driver:
    """A PMSA003I. It has no name; what is no frame of its kind raises WrongDevice."""

    quantities = _ALL

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._next = self._warm = float("-inf")
        self._emptied = float("-inf")  # when the latest empty frame came

    async def start(self) -> None:
        """Read one frame, to see that it is one. The part has no power switch: it may be warm already."""
        check(await self._frame())
        self._warm = self._clock.monotonic() + _WARM_UP

    async def measure(self) -> Values:
        """Read the newest frame, a second after the last at the earliest.

        An empty one comes from a part that has just got its power: what follows is not believed for as long
        as after a start.
        """
        raw = await self._frame()
        check(raw)
        values = decode(raw)
        now = self._clock.monotonic()
        empty = Missing.SENTINEL in values.values()
        warming = now < (self._warm if empty else max(self._warm, self._emptied + _WARM_UP))
        if empty:
            self._emptied = now
        if warming:
            return {q: v if v is Missing.FAULT else Missing.WARMING_UP for q, v in values.items()}
        return values

    async def stop(self) -> None:
        """Do nothing: the part's fan and laser run as long as it has power, or its SET pin is high."""

    async def _frame(self) -> bytes:
        await self._clock.sleep(max(0.0, self._next - self._clock.monotonic()))
        raw = await self._bus.transfer(self._address, read=_LENGTH)
        self._next = self._clock.monotonic() + _APART
        return raw


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return that a frame with a valid checksum came from *address*, else None: the part has no identity."""
    try:
        raw = await bus.transfer(address, read=_LENGTH)
        check(raw)
    except (BusError, DeviceError):
        return None
    return f"a frame with a valid checksum, version {raw[28]:#04x}"


def check(raw: bytes) -> None:
    """Raise WrongDevice unless *raw* begins as a frame does, and ChecksumError unless its sum is right."""
    if raw[:4] != _HEADER:
        raise WrongDevice(f"a frame begins with {_HEADER.hex()}, not with {raw[:4].hex()}")
    told, total = int.from_bytes(raw[30:32]), sum(raw[:30])
    if told != total:
        raise ChecksumError(f"the frame's bytes add up to {total:#06x}, not to {told:#06x}")


def decode(raw: bytes) -> dict[Quantity, float | Missing]:
    """Turn a frame into micrograms per m3 of outdoor air, and particles per cm3 up to a size.

    The part counts what is LARGER than 0.3, 0.5, 1, 2.5, 5 and 10 micrometres in 0.1 l of air; what lies
    between is the difference. A frame without a single particle is SENTINEL: outdoor air has some, and a part
    that has just been switched on sends it. A part that reports an error is at FAULT.
    """
    words = unpack(">12H", raw[4:28])
    if raw[29]:
        return dict.fromkeys(_ALL, Missing.FAULT)
    if not any(words):
        return dict.fromkeys(_ALL, Missing.SENTINEL)
    # The first three words are for the factory's dust (CF = 1); the next three are for the atmosphere.
    masses: dict[Quantity, float | Missing] = {q: float(w) for q, w in zip(_MASSES, words[3:6], strict=True)}
    smallest, (half, one, two, _, ten) = words[6], words[7:12]
    numbers = zip(_NUMBERS, (half, one, two, ten), strict=True)
    return masses | {quantity: _between(smallest, larger) for quantity, larger in numbers}


def _between(smallest: int, larger: int) -> float | Missing:
    """Return how many of *smallest* are not *larger*, per cm3."""
    return (smallest - larger) / 100 if larger <= smallest else Missing.OUT_OF_RANGE
