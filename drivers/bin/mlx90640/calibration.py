"""What the words of an MLX90640 mean: its EEPROM's calibration, and the temperatures of a frame.

Datasheet: "MLX90640 32x24 IR array", Melexis, 3901090640 revision 12, section 11, which is followed step by
step; the numbers beside the formulas are its subsections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from drivers.device import DeviceError

ROWS, COLUMNS = 24, 32
PIXELS = ROWS * COLUMNS
EEPROM_WORDS = 832  # 0x2400 to 0x273F
RAM_WORDS = 832  # 0x0400 to 0x073F: the pixels, then what goes with them
VBE, CP0, GAIN, PTAT, CP1, SUPPLY = 768, 776, 778, 800, 808, 810  # words of the RAM
UNMEASURED = 0x7FFF
CHESS = 0x1000  # reading pattern, as in the control register
BAD_PIXELS = 4  # "up to four", which the EEPROM marks (9)
ABSOLUTE_ZERO = 273.15
FARTHEST = 400.0  # Cel, where the last range of the calibration ends


@dataclass(frozen=True, slots=True)
class Pixel:
    """One pixel: sensitivity, offset [counts], the offset's drift with temperature and supply [1/K, 1/V]."""

    alpha: float
    offset: float
    kta: float
    kv: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """One part's calibration. *pixels* holds None for a pixel that the EEPROM marks as bad."""

    kvdd: float
    vdd25: float
    kv_ptat: float
    kt_ptat: float
    ptat25: float
    alpha_ptat: float
    gain: float
    tgc: float
    resolution: int
    ks_ta: float
    ks_to: tuple[float, ...]
    corners: tuple[float, ...]
    cp_offset: tuple[float, float]
    cp_kta: float
    cp_kv: float
    chess: bool
    patterns: tuple[float, float, float]
    pixels: tuple[Pixel | None, ...]


@dataclass(frozen=True, slots=True)
class Ambient:
    """What one frame tells beside its pixels: the part's supply [V], its temperature [Cel], and its gain."""

    supply: float
    temperature: float
    gain: float


@lru_cache(maxsize=4)
def parse(eeprom: tuple[int, ...]) -> Calibration:
    """Read the calibration from the EEPROM's words (11.1). Raises DeviceError where no part can have such."""
    kvdd = 32 * _signed(eeprom[51] >> 8, 8)
    kt_ptat = _signed(eeprom[50], 10) / 8
    gain = _signed(eeprom[48], 16)
    if not (kvdd and kt_ptat and gain > 0):
        raise DeviceError("the EEPROM has no calibration: the part or its wires are defective")
    tgc = _signed(eeprom[60], 8) / 32
    step = (eeprom[63] >> 12 & 3) * 10
    third = (eeprom[63] >> 4 & 15) * step
    scale = float(1 << (eeprom[63] & 15) + 8)
    slopes = (eeprom[61], eeprom[61] >> 8, eeprom[62], eeprom[62] >> 8)
    offset = _signed(eeprom[58], 10)
    return Calibration(
        kvdd=kvdd,
        vdd25=((eeprom[51] & 0xFF) - 256) * 32 - 8192,
        kv_ptat=_signed(eeprom[50] >> 10, 6) / 4096,
        kt_ptat=kt_ptat,
        ptat25=_signed(eeprom[49], 16),
        alpha_ptat=(eeprom[16] >> 12) / 4 + 8,
        gain=gain,
        tgc=tgc,
        resolution=eeprom[56] >> 12 & 3,
        ks_ta=_signed(eeprom[60] >> 8, 8) / 8192,
        ks_to=tuple(_signed(word, 8) / scale for word in slopes),
        corners=(-40.0, 0.0, third, third + (eeprom[63] >> 8 & 15) * step),
        cp_offset=(offset, offset + _signed(eeprom[58] >> 10, 6)),
        cp_kta=_signed(eeprom[59], 8) / (1 << (eeprom[56] >> 4 & 15) + 8),
        cp_kv=_signed(eeprom[59] >> 8, 8) / (1 << (eeprom[56] >> 8 & 15)),
        chess=not eeprom[10] & 0x0800,
        patterns=(
            _signed(eeprom[53], 6) / 16,
            _signed(eeprom[53] >> 6, 5) / 2,
            _signed(eeprom[53] >> 11, 5) / 8,
        ),
        pixels=_pixels(eeprom, tgc),
    )


def _pixels(eeprom: Sequence[int], tgc: float) -> tuple[Pixel | None, ...]:
    alphas = _alphas(eeprom, tgc)
    offsets = _offsets(eeprom)
    found = tuple(
        None if word == 0 or word & 1 else Pixel(alphas[p], offsets[p], *_drifts(eeprom, p))
        for p, word in enumerate(eeprom[64 : 64 + PIXELS])
    )
    if found.count(None) > BAD_PIXELS:
        raise DeviceError(
            f"the EEPROM marks {found.count(None)} pixels as bad, and no part is delivered with more than 4"
        )
    if any(pixel is not None and pixel.alpha <= 0 for pixel in found):
        raise DeviceError("the EEPROM gives a pixel no sensitivity: the part or its wires are defective")
    return found


def _alphas(eeprom: Sequence[int], tgc: float) -> list[float]:
    """Return every pixel's sensitivity, less what the compensation pixels take of it (11.1.8, 11.1.12)."""
    rest, column, row, scale = _nibbles(eeprom[32])
    scaled = float(1 << scale + 27)
    first = _signed(eeprom[57], 10) / scaled
    second = first * (1 + _signed(eeprom[57] >> 10, 6) / 128)
    rows, columns = _signed_nibbles(eeprom[34:40]), _signed_nibbles(eeprom[40:48])
    return [
        (
            eeprom[33]
            + (rows[p // COLUMNS] << row)
            + (columns[p % COLUMNS] << column)
            + (_signed(eeprom[64 + p] >> 4, 6) << rest)
        )
        / float(1 << scale + 30)
        - tgc * (first + second) / 2
        for p in range(PIXELS)
    ]


def _offsets(eeprom: Sequence[int]) -> list[int]:
    """Return every pixel's offset (11.1.3)."""
    rest, column, row, _ = _nibbles(eeprom[16])
    reference = _signed(eeprom[17], 16)
    rows, columns = _signed_nibbles(eeprom[18:24]), _signed_nibbles(eeprom[24:32])
    return [
        reference
        + (rows[p // COLUMNS] << row)
        + (columns[p % COLUMNS] << column)
        + (_signed(eeprom[64 + p] >> 10, 6) << rest)
        for p in range(PIXELS)
    ]


def _drifts(eeprom: Sequence[int], p: int) -> tuple[float, float]:
    """Return what temperature and supply make of a pixel's offset (11.1.6, 11.1.4)."""
    odd_row, odd_column = p // COLUMNS % 2, p % 2
    rest, first, second, _ = _nibbles(eeprom[56])
    average = _signed(eeprom[54 + odd_column] >> (0 if odd_row else 8), 8)
    kta = (average + (_signed(eeprom[64 + p] >> 1, 3) << rest)) / (1 << first + 8)
    kv = _signed(eeprom[52] >> (12 - 8 * odd_column - 4 * odd_row), 4) / (1 << second)
    return kta, kv


def ambient(words: Sequence[int], control: int, calibration: Calibration) -> Ambient:
    """Return supply, temperature and gain of a frame (11.2.2.1 to 11.2.2.4).

    Raises DeviceError where they are such that no part measures: the frame is not one.
    """
    if UNMEASURED in (words[each] for each in (VBE, CP0, GAIN, PTAT, CP1, SUPPLY)) or not words[GAIN]:
        raise DeviceError("the frame has not been measured yet, or is none")
    correction = 2.0 ** (calibration.resolution - (control >> 10 & 3))
    supply = (correction * _signed(words[SUPPLY], 16) - calibration.vdd25) / calibration.kvdd + 3.3
    ptat, vbe = _signed(words[PTAT], 16), _signed(words[VBE], 16)
    whole = ptat * calibration.alpha_ptat + vbe
    if not (2.7 <= supply <= 3.9 and whole):
        raise DeviceError(f"the frame speaks of a supply of {supply:.1f} V: it is none")
    art = ptat / whole * (1 << 18) / (1 + calibration.kv_ptat * (supply - 3.3))
    celsius = (art - calibration.ptat25) / calibration.kt_ptat + 25
    if not -50 <= celsius <= 105:
        raise DeviceError(f"the frame speaks of a part at {celsius:.0f} Cel: it is none")
    return Ambient(supply, celsius, calibration.gain / _signed(words[GAIN], 16))


def temperatures(
    words: Sequence[int],
    page: int,
    control: int,
    calibration: Calibration,
    emissivity: float = 1.0,
    heating: float = 8.0,
) -> dict[int, float | None]:
    """Return the temperatures [Cel] of the pixels that belong to a subpage (11.2.2.5 to 11.2.2.9).

    None for a bad pixel, one at a rail, and one without a temperature. *heating*: how much warmer the part is
    than what the surface mirrors [K]. Raises DeviceError for a frame that is none.
    """
    here = ambient(words, control, calibration)
    chess = bool(control & CHESS)
    dt, dv = here.temperature - 25, here.supply - 3.3
    mirrored = (here.temperature - heating + ABSOLUTE_ZERO) ** 4
    around = mirrored - (mirrored - (here.temperature + ABSOLUTE_ZERO) ** 4) / emissivity
    compensation = calibration.tgc * _compensation(words, page, chess, here, calibration)
    sensitivity = 1 + calibration.ks_ta * dt
    found: dict[int, float | None] = {}
    for p in subpage(page, chess):
        pixel, raw = calibration.pixels[p], words[p]
        if pixel is None or raw in (0x7FFF, 0x8000):
            found[p] = None
            continue
        ir = (raw - 0x10000 if raw & 0x8000 else raw) * here.gain
        ir -= pixel.offset * (1 + pixel.kta * dt) * (1 + pixel.kv * dv)
        if chess != calibration.chess:
            ir += _pattern(p, calibration)
        found[p] = _to((ir - compensation) / emissivity, pixel.alpha * sensitivity, around, calibration)
    return found


@lru_cache(maxsize=4)
def subpage(page: int, chess: bool) -> tuple[int, ...]:
    """Return the pixels that subpage *page* measures: every second of a chess board, or every second row."""
    return tuple(p for p in range(PIXELS) if (p // COLUMNS + (p % COLUMNS if chess else 0)) % 2 == page)


def _compensation(
    words: Sequence[int], page: int, chess: bool, here: Ambient, calibration: Calibration
) -> float:
    """Return the compensation pixel's own reading, less its offset (11.2.2.6)."""
    offset = calibration.cp_offset[page]
    if page and chess != calibration.chess:
        offset += calibration.patterns[0]
    drift = (1 + calibration.cp_kta * (here.temperature - 25)) * (1 + calibration.cp_kv * (here.supply - 3.3))
    return _signed(words[CP1 if page else CP0], 16) * here.gain - offset * drift


def _pattern(p: int, calibration: Calibration) -> float:
    """Return the correction for a reading pattern that is not that of the calibration (11.1.10)."""
    odd_row = p // COLUMNS % 2
    conversion = ((p + 2) // 4 - (p + 3) // 4 + (p + 1) // 4 - p // 4) * (1 - 2 * odd_row)
    return calibration.patterns[2] * (2 * odd_row - 1) - calibration.patterns[1] * conversion


def _to(ir: float, alpha: float, around: float, calibration: Calibration) -> float | None:
    """Return a surface's temperature: a first one, then a better one by the range of that (11.2.2.9)."""
    slopes, corners = calibration.ks_to, calibration.corners
    inner = alpha**3 * (ir + alpha * around)
    if inner < 0:
        return None
    first = _root(ir, alpha * (1 - slopes[1] * ABSOLUTE_ZERO) + slopes[1] * inner**0.25, around)
    if first is None:
        return None
    which = sum(first >= corner for corner in corners[1:])
    spread = (
        1 / (1 + slopes[0] * 40),
        1.0,
        1 + slopes[1] * corners[2],
        (1 + slopes[1] * corners[2]) * (1 + slopes[2] * (corners[3] - corners[2])),
    )[which]
    return _root(ir, alpha * spread * (1 + slopes[which] * (first - corners[which])), around)


def _root(ir: float, alpha: float, around: float) -> float | None:
    """Undo the fourth power; None where it has no root."""
    radiation = ir / alpha + around if alpha > 0 else 0.0
    return radiation**0.25 - ABSOLUTE_ZERO if radiation > 0 else None


def _signed(word: int, bits: int) -> int:
    """Read the lowest *bits* of a word as two's complement."""
    value = word & ((1 << bits) - 1)
    return value - (1 << bits) if value >> (bits - 1) else value


def _nibbles(word: int) -> tuple[int, int, int, int]:
    return word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12


def _signed_nibbles(words: Sequence[int]) -> list[int]:
    return [_signed(nibble, 4) for word in words for nibble in _nibbles(word)]
