"""Batches as gzip (RFC 1952): a tenth of the bytes on the air, for whoever pays by the byte."""

import zlib

CONTENT_TYPE = "application/gzip"
"""The MQTT content type of a compressed batch (RFC 6713); a plain one is application/json."""
LONGEST = 4 << 20
"""Most bytes that a compressed batch may become: far beyond the 128 KiB of a gateway's payload."""

_LEVEL = 6  # the bytes of 9 within a tenth, at half its time
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header and trailer
_MAGIC = b"\x1f\x8b"  # no JSON text begins so


def compressed(payload: bytes) -> bytes:
    """Return *payload* as a gzip member, the same for the same payload."""
    return zlib.compress(payload, _LEVEL, _GZIP)


def plain(payload: bytes) -> bytes:
    """Return a batch's JSON text, whether or not it came compressed: its first bytes tell.

    Raises ValueError for what is damaged, cut off, has something behind it, or would be longer than LONGEST.
    """
    if not payload.startswith(_MAGIC):
        return payload
    opener = zlib.decompressobj(_GZIP)
    try:
        text = opener.decompress(payload, LONGEST)
    except zlib.error as error:
        raise ValueError(f"it is damaged gzip: {error}") from None
    if not opener.eof:
        raise ValueError(f"it is gzip that was cut off, or of more than {LONGEST} bytes")
    if opener.unused_data:
        raise ValueError("there is something behind its gzip")
    return text
