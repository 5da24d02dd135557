"""Checksums that several part families share."""

from collections.abc import Sequence


def crc8(data: bytes, *, polynomial: int = 0x31, initial: int = 0xFF) -> int:
    """Return the CRC-8 of *data*, most significant bit first, no reflection, no final xor.

    The defaults are Sensirion's (SHT4x datasheet 4.4, SEN6x 4.3: 0xBEEF gives 0x92); SMBus PEC is
    polynomial 0x07, initial 0 (SMBus 3.2, 6.4.1.1).
    """
    crc = initial
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ polynomial if crc & 0x80 else crc << 1) & 0xFF
    return crc


def crc4(words: Sequence[int]) -> int:
    """Return the CRC-4 of eight words (AN520): polynomial 0x3, most significant bit first."""
    remainder = 0
    for byte in b"".join(word.to_bytes(2) for word in words):
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x3000 if remainder & 0x8000 else 0)) & 0xFFFF
    return remainder >> 12
