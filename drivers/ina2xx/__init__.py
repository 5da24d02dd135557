"""What Texas Instruments' INA219 and INA226 share: words behind a pointer, and how a shunt is judged.

Their datasheets are named in the drivers. Registers, scales and flags are each part's own.
"""

from drivers.bus import I2C
from drivers.device import Missing, Quantity, Values

QUANTITIES = frozenset({Quantity.VOLTAGE, Quantity.SHUNT_VOLTAGE, Quantity.CURRENT, Quantity.POWER})


class Registers:
    """The registers of one part: words of 16 bits, high byte first."""

    def __init__(self, bus: I2C, address: int) -> None:
        self._bus = bus
        self._address = address

    async def read(self, register: int) -> int:
        return int.from_bytes(await self._bus.transfer(self._address, bytes((register,)), 2))

    async def write(self, register: int, word: int) -> None:
        await self._bus.transfer(self._address, bytes((register,)) + word.to_bytes(2))


def check_shunt(shunt: float, max_current: float, limit: float) -> None:
    """Raise ValueError for a *shunt* [Ohm] over which *max_current* [A] would drop more than *limit* [V]."""
    if not (shunt > 0 and max_current > 0):
        raise ValueError("shunt and max_current must be above 0")
    if max_current * shunt > limit:
        raise ValueError(
            f"max_current would drop more than the {limit * 1000:.4g} mV that the part can measure"
        )


def judged(
    volts: float | Missing, drop: float | Missing, amperes: float, watts: float, overflow: bool
) -> Values:
    """Return what was measured: *volts* of the supply, the *drop* over the shunt [V], current and power.

    A voltage at its rail is Missing already, and takes with it what is reckoned from it. Where the part's own
    arithmetic had an *overflow*, current and power are FAULT.
    """
    lost = drop if isinstance(drop, Missing) else Missing.FAULT if overflow else None
    return {
        Quantity.VOLTAGE: volts,
        Quantity.SHUNT_VOLTAGE: drop,
        Quantity.CURRENT: lost or amperes,
        Quantity.POWER: lost or (volts if isinstance(volts, Missing) else watts),
    }


def signed(word: int) -> int:
    """Read a 16-bit word as two's complement."""
    return word - 0x10000 if word & 0x8000 else word
