"""An MLX90640 made of arithmetic: Melexis' example EEPROM, a scene, half frames on the clock."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_WIDE, _HIGH = 32, 24
_KELVIN = 273.15


class Emulated:
    """One part before 768 surfaces, black bodies. `set` gives all of them one temperature; `scene` has each.

    Faults: `never_ready`, `repeat` (always the same half frame), `tear` (how many of the next reads of the
    RAM are overwritten half way), `stuck` (pixel: raw word), `memory[word]` of the EEPROM (`bad(pixel)` marks
    one), `power_cycle` (rate and pattern are those after power-on).
    """

    spans: Mapping[Quantity, Span] = {
        # One count of a pixel is up to 0.6 K at the cold end, and the hottest of 768 is half a count too hot.
        Quantity.SURFACE_TEMPERATURE: Span(-39.5, 380.0, 0.4),
        Quantity.TEMPERATURE: Span(-40.0, 85.0, 0.12),
    }

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._celsius = 25.0
        self.scene = [22.0] * (_WIDE * _HIGH)
        self.memory = [int.from_bytes(_EEPROM[at : at + 2]) for at in range(0, len(_EEPROM), 2)]
        self.never_ready = self.repeat = False
        self.tear = 0
        self.stuck: dict[int, int] = {}
        self.power_cycle()
        self._since = self._ready_at = clock.monotonic()  # it has had power for a while

    def set(self, quantity: Quantity, value: float) -> None:
        """Temperatures in Cel: of all surfaces, and of the part."""
        self._look()  # what was measured before stays as it was
        if quantity is Quantity.SURFACE_TEMPERATURE:
            self.scene = [value] * (_WIDE * _HIGH)
        elif quantity is Quantity.TEMPERATURE:
            self._celsius = value
        else:
            raise ValueError(f"this part does not know {quantity}")

    def bad(self, pixel: int) -> None:
        """Mark a pixel as one that deviates."""
        self.memory[64 + pixel] |= 1

    def power_cycle(self) -> None:
        self.control = 0x1901
        self.status = 0
        self.ram = [0x7FFF] * 832
        self._since = self._ready_at = self._clock.monotonic() + 0.08
        self._measured = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        if self._clock.monotonic() < self._ready_at:
            raise NoAcknowledge("the part has just been given power")
        if len(write) not in (2, 4) or read % 2:
            raise NoAcknowledge("an address is two bytes, a word two more")
        self._look()
        register = int.from_bytes(write[:2])
        if len(write) == 4:
            self._write(register, int.from_bytes(write[2:]))
        answer = b"".join(self._word(register + at).to_bytes(2) for at in range(read // 2))
        return self._torn(answer) if (register, read) == (0x0400, 1664) and self.tear else answer

    def _torn(self, answer: bytes) -> bytes:
        """Let the next half frame come when half of *answer* has been read."""
        self.tear -= 1
        self._measure(self.status & 1 ^ 1)
        half = len(answer) // 2
        return answer[:half] + b"".join(word.to_bytes(2) for word in self.ram[half // 2 :])

    def _write(self, register: int, word: int) -> None:
        if register == 0x8000:
            self.status = self.status & 0x07 | word & 0x38
        elif register == 0x800D:
            if word & 0xE000:
                raise BusError(f"bits 15 to 13 of the control register are reserved: {word:#06x}")
            self.control = word
            self._since, self._measured = self._clock.monotonic(), 0
        else:
            raise BusError(f"address {register:#06x} cannot be written, nor is the EEPROM in the field")

    def _word(self, address: int) -> int:
        if 0x0400 <= address < 0x0740:
            return self.ram[address - 0x0400]
        if 0x2400 <= address < 0x2740:
            return self.memory[address - 0x2400]
        if address in (0x8000, 0x800D):
            return self.status if address == 0x8000 else self.control
        raise BusError(f"there is nothing at {address:#06x}")

    def _look(self) -> None:
        """Bring the RAM up to now: the latest half frame, and that before it where both are new."""
        period = 2.0 ** (1 - (self.control >> 7 & 7))
        elapsed = self._clock.monotonic() - self._since
        number = 0 if self.never_ready or elapsed < 0 else math.floor(elapsed / period + 1e-9)
        for each in range(max(self._measured, number - 2), number):
            self._measure(0 if self.repeat else each & 1)
        self._measured = max(self._measured, number)

    def _measure(self, page: int) -> None:
        """Measure one half of the chess board (or of the rows), and say so."""
        ram, chess = self.ram, self.control >> 12 & 1
        supply, celsius = self._ambient()
        dt, dv = celsius - 25.0, supply - 3.3
        gain = _s(self.memory[0x30], 15) / ram[778]
        left = self._compensate(page, gain, dt, dv)
        own = (celsius + _KELVIN) ** 4
        scale = 1 + _s(self.memory[0x3C] >> 8, 7) / 8192 * dt
        table = _pixels(tuple(self.memory))
        for pixel in range(_WIDE * _HIGH):
            row, column = divmod(pixel, _WIDE)
            if (row + chess * column) % 2 == page:
                alpha, offset, kta, kv = table[pixel]
                seen = self.scene[pixel]
                light = alpha * scale * self._bent(seen) * ((seen + _KELVIN) ** 4 - own)
                raw = (light + left + offset * (1 + kta * dt) * (1 + kv * dv)) / gain
                ram[pixel] = min(max(round(raw), -0x8000), 0x7FFF) & 0xFFFF
        for pixel, word in self.stuck.items():
            ram[pixel] = word
        self.status = self.status & 0x30 | 0x08 | page

    def _compensate(self, page: int, gain: float, dt: float, dv: float) -> float:
        """Write the compensation pixel, which sees nothing; return what of it the pixels take along."""
        ee = self.memory
        offset = _s(ee[0x3A] & 0x3FF, 9) + page * _s(ee[0x3A] >> 10, 5)
        warmth = 1 + _s(ee[0x3B] & 0xFF, 7) / 2.0 ** ((ee[0x38] >> 4 & 15) + 8) * dt
        cp = offset * warmth * (1 + _s(ee[0x3B] >> 8, 7) / 2.0 ** (ee[0x38] >> 8 & 15) * dv)
        self.ram[808 if page else 776] = round(cp / gain) & 0xFFFF
        return _s(ee[0x3C] & 0xFF, 7) / 32 * (round(cp / gain) * gain - cp)

    def _bent(self, celsius: float) -> float:
        """How much more sensitive the part is for a surface of *celsius* than for one of 0."""
        ee = self.memory
        slopes = [_s(half, 7) / 2.0 ** ((ee[0x3F] & 15) + 8) for half in _halves(ee[0x3D], ee[0x3E])]
        step = 10 * (ee[0x3F] >> 12 & 3)
        second = (ee[0x3F] >> 4 & 15) * step
        third = second + (ee[0x3F] >> 8 & 15) * step
        if celsius < 0:
            return (1 + slopes[0] * (celsius + 40)) / (1 + slopes[0] * 40)
        bent = 1 + slopes[1] * min(celsius, second)
        if celsius > second:
            bent *= 1 + slopes[2] * (min(celsius, third) - second)
        return bent * (1 + slopes[3] * max(0.0, celsius - third))

    def _ambient(self) -> tuple[float, float]:
        """Write supply, gain and the part's temperature into the RAM; return what they come to."""
        ee, ram = self.memory, self.ram
        per_volt, at_25 = 32 * _s(ee[0x33] >> 8, 7), ((ee[0x33] & 0xFF) - 256) * 32 - 8192
        resolution = 2.0 ** ((ee[0x38] >> 12 & 3) - (self.control >> 10 & 3))
        ram[810] = round(at_25 / resolution) & 0xFFFF
        supply = 3.3 + (resolution * _s(ram[810], 15) - at_25) / per_volt
        ram[778], ram[768] = round(_s(ee[0x30], 15) / 1.013), 0x4DFA
        slope = _s(ee[0x32] & 0x3FF, 9) / 8
        warmth = 1 + _s(ee[0x32] >> 10, 5) / 4096 * (supply - 3.3)
        alpha = 8 + (ee[0x10] >> 12) / 4
        share = ((self._celsius - 25) * slope + _s(ee[0x31], 15)) * warmth / 2.0**18
        ram[800] = round(share * ram[768] / (1 - alpha * share))
        exact = ram[800] / (ram[800] * alpha + ram[768]) * 2.0**18 / warmth
        return supply, 25 + (exact - _s(ee[0x31], 15)) / slope


@lru_cache(maxsize=4)
def _pixels(ee: tuple[int, ...]) -> list[tuple[float, float, float, float]]:
    return [_pixel(ee, *divmod(pixel, _WIDE)) for pixel in range(_WIDE * _HIGH)]


def _pixel(ee: Sequence[int], row: int, column: int) -> tuple[float, float, float, float]:
    """Sensitivity, offset, and the offset's drifts: average, row, column and the pixel's own rest."""
    word, kind = ee[64 + row * _WIDE + column], 2 * (row % 2) + column % 2
    alpha = ee[0x21] + _s(word >> 4 & 63, 5) * 2.0 ** (ee[0x20] & 15)
    alpha += _s(ee[0x22 + row // 4] >> 4 * (row % 4) & 15, 3) * 2.0 ** (ee[0x20] >> 8 & 15)
    alpha += _s(ee[0x28 + column // 4] >> 4 * (column % 4) & 15, 3) * 2.0 ** (ee[0x20] >> 4 & 15)
    first = _s(ee[0x39] & 0x3FF, 9) / 2.0 ** (27 + (ee[0x20] >> 12))
    lost = _s(ee[0x3C] & 0xFF, 7) / 32 * first * (1 + _s(ee[0x39] >> 10, 5) / 256)
    offset = _s(ee[0x11], 15) + _s(word >> 10, 5) * 2.0 ** (ee[0x10] & 15)
    offset += _s(ee[0x12 + row // 4] >> 4 * (row % 4) & 15, 3) * 2.0 ** (ee[0x10] >> 8 & 15)
    offset += _s(ee[0x18 + column // 4] >> 4 * (column % 4) & 15, 3) * 2.0 ** (ee[0x10] >> 4 & 15)
    kinds = [ee[0x36] >> 8, ee[0x37] >> 8, ee[0x36] & 0xFF, ee[0x37] & 0xFF]
    kta = _s(kinds[kind], 7) + _s(word >> 1 & 7, 2) * 2.0 ** (ee[0x38] & 15)
    volts = [ee[0x34] >> 12, ee[0x34] >> 4 & 15, ee[0x34] >> 8 & 15, ee[0x34] & 15]
    kv = _s(volts[kind], 3) / 2.0 ** (ee[0x38] >> 8 & 15)
    scaled = alpha / 2.0 ** (30 + (ee[0x20] >> 12)) - lost
    return scaled, offset, kta / 2.0 ** (8 + (ee[0x38] >> 4 & 15)), kv


def _halves(*words: int) -> list[int]:
    return [half for word in words for half in (word & 0xFF, word >> 8)]


def _s(value: int, sign: int) -> int:
    """Two's complement, whose sign is bit *sign*."""
    return value - 2 * (value & 1 << sign)


_EEPROM = bytes.fromhex(
    "00ae499a000020610005032003e01710a224018504990000190100000000b5334210ffc202020202f202f1f2d1e1afc0"
    "ff00f002f103e103e1f5d1e4c1d591c2889530d9edcb110f332222330011cceeffed11002222333322330022def09acc"
    "15cc2fa425559c78766601c83b3835342452046313bb0623ec00979797972afb00aefbe01b70f3be000ef86e1b7ef3ce"
    "ffcef41e102eec0effdeec3e139eef9efb9ef77e13e0e7eef7aef7500c30ebeef730f0100b50e430f420f37007c0e450"
    "0470fbceff5c0f9007d0fc3eff6c0f9003a0fc0ef40c0bf003a0f41ef78c0b70ff72ff6ef7de07c0ffa20330f42e0bc0"
    "ff22fc00f75e041000220350f3a0083204defbf01bcef00efc5efc801bf0f02e0002f81e142eec9e07def09e17cef3ae"
    "ffc0fbb01080ebfeffe0ff901460e4aefbc0f8400fe0e860f8c0f4000842e4b0089003beff9c0fd000200450ffcc0fe0"
    "07d003fefbee0c600b80f86efb8e13700782038ef85e0fc207c2037ef84e088003920420f7ce0c42fcb2ffe0f0200490"
    "107e03d01f90fbce089e00801820f40e0800fc30141ef06e0400ffa017cef7b007d0ffb01830f3fe0002ffe014d0ecb0"
    "fbe2fcb013b0eca0f8def4320832e8d01420ff8eff6e13800840005efbec0fb00bb2fffefbde08200bc00360fb8c0f70"
    "0794036efbfe0fa00bc40390f89e0c72ffb2fc70fb7e0470fcb0fff0f3f004a0049e03b01f90f7d0042e00701f70fbbe"
    "0f0003b0142ef01e07b0ffb01b60f37efbd0ff901410f3c0fc0003701482f030f800fc5013c2f0500070f8120c02ec80"
    "00d0fbfefbcc0810fc60fcb0fbce0fe00b40fffef05c084007d0ffd0f79e0fb0f802ffd0f44e0bf0fc3207a0f4be0c60"
    "f8220080f01e089200b4f850f04004b2085e07821f70fbee001e04201f80fbb003b0039017f0f04e0770ffe01b40f76e"
    "ffc0ffb017e0ec1e03a003a010c0ec60fbc2fc800c00ec600050f8000802ec900080f7b0f7ae0410fc32fc50f7be07f0"
    "ffd2fbc0f02e04600382f410f36e0ba0fbf2fbc0f01c0440ffe2fbe0f0ee08a2f804fcb0ec3e04a20082f830e83004b2"
    "13f003801f40fbb00f90042017a0f7ae0f40ffe213aef03e0f12ff600f50f3400362ff301760efd0076203601072ec50"
    "f7b2f85207b0e480f820f7c203c2e490142203ae036e13c213b20440ffce13d213620002fbde0c4017320390ff8e1760"
    "0b820750039e10000f820b80fcae10800bd40470fbce0c92083207e0f7fe0ca20010038013d0f7a0ffbe00521380f770"
    "ff70ffa00fc0f3be0340ff600fc0f370fb30fb800c10e40efba0fbb00c42e860fb92f4a20b82e850f832fba20002e470"
    "0022f7a0effe0bc003d2f860f79e0f920390ffb0f3fe0fc00762ff70effe13800362ffb0f42e081007a207c0f87e0c82"
    "0b940490fb901062084207b0ec100c82085013e223600420046010b01fb003e00b800bf01430fc000f900bc21ba0ffc0"
    "07c20b821bf0f44e0bb20fd214c2f8a00792085213e2f85000a000320c22f0d0f452efe0ef7efc32f072f4c0ebce03f0"
    "fba2f400e45e0410ffa2f7d0ebbe0bd0fbc2fb80f00e005003d203d0f0e00ca003840440f3ee0c5200a20030ec2004c0"
    "10220fd21f8003f008300c8217e0ffb0041004320870f48e0bd007b20f90fbb0fff007a21410f41000220bc20ce0f850"
    "ffb204900bc0ecc0fc7000120400f0b20402f7d0f37e0bf20022fc90effe0fc2fc12f84ee87e048007e2ffb0f7ae0fc0"
    "000207a0f81e100204220fd0f8ce184207a40880fbb00cb00c620bf0fbf010a0f03007d20be0f800eca004820830fbe0"
    "f040fc800810f030f410f8300ba0f7a0f3d2fff20840eff0f40003b20872f030efb2004203b2ec40ffe0ffe20012f420"
    "f422f7b0e7ce0bd2f0800070ec2e0fe2f8500070f00e0c4200200030f7ae17b203d20400f84e17f00be213a0fc4e1820"
    "07921020fb9e1c101bc213c0fbe02002f04013a20f80fc30f46e0cc217b20010fc1008721000f8b007be0be213b0ffe0"
    "f41004500c70f42003c00f821060ffe0fb7013d20f90f820fc400fa20be2fc60f012fb80eb5e0802f4200090f78e13e2"
    "fc020060f40e10900f900bd0fbae1fd200020820f85e18000f821b60fc3e23c20b421ba0ff7e27e010121b70ffc02040"
    "fc701ba20fa00ba0000214320fe00010f83e13e0085e07e0005e08420fee03d0fc200fe2140007800b901772141007b0"
    "fb1017f20b2003f0fc1e17b207ce0830e050ef80d38e0382ebe0f810dfbe07d0ec10ffc0e01e0bb0f820f810ebbe0ba0"
    "fbf007a0f3ee1b5007520f30f7ee1b8002f20fd0f70e13c00be01390f79e1c00"
)
"""Melexis' example, as published beside its library (melexis/mlx90640-library, Apache-2.0)."""
