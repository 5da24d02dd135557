"""Compressed batches: the way there, the way back, and what a stranger may send in their place."""

import gzip
import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.completeness import Malformed, read_batch
from gateway.mqtt.compress import LONGEST, compressed, plain

BATCH = {"gateway": "g", "epoch": "0badcafe", "lane": "telemetry", "first": 7, "records": [{"n": 7}]}
TEXT = json.dumps(BATCH).encode()


@given(st.binary(max_size=2000))
def test_a_payload_comes_back_to_the_byte(payload: bytes) -> None:
    assert plain(compressed(payload)) == payload
    assert gzip.decompress(compressed(payload)) == payload


def test_a_plain_batch_stays_as_it_is() -> None:
    assert plain(TEXT) == TEXT
    assert read_batch(TEXT, "g", "telemetry") == read_batch(compressed(TEXT), "g", "telemetry")


def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(5)), packer.flush()])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (bomb(), "cut off, or of more than"),
        (compressed(TEXT)[:-1], "cut off"),
        (compressed(TEXT)[:12], "cut off"),
        (compressed(TEXT)[:20] + b"!" + compressed(TEXT)[21:], "damaged gzip"),
        (compressed(TEXT) + b"{}", "something behind"),
        (compressed(TEXT) * 2, "something behind"),
        (b"\x1f\x8b", "cut off"),
        (compressed(b"{"), "not JSON"),
    ],
)
def test_what_is_no_batch_is_refused_and_never_takes_the_memory(payload: bytes, why: str) -> None:
    assert len(payload) < 10_000 < LONGEST
    with pytest.raises(Malformed, match=why):
        read_batch(payload, "g", "telemetry")


def test_altered_bytes_are_refused_or_change_nothing() -> None:
    """Of a gzip header some bytes mean nothing (its time, its system); all others are checked."""
    chance, packed = random.Random(6), compressed(TEXT)
    for _ in range(500):
        altered = bytearray(packed)
        altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
        try:
            found = plain(bytes(altered))
        except ValueError:
            continue
        assert found == TEXT or not altered.startswith(b"\x1f\x8b")
