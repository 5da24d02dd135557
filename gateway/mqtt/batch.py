"""Batches: contiguous records of a lane in one message, their stored text spliced in unchanged."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.mqtt.outbox import Stored
from gateway.reading import Lane

PAYLOAD = 128 * 1024
"""Most bytes of a payload: brokers' default limits begin at 256 KiB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records *first* to *last* of a lane, without a hole."""

    first: int
    last: int
    bodies: Sequence[str]

    def payload(self, gateway: str, epoch: str, lane: Lane) -> bytes:
        """Return the message: who, which numbering, which lane, the first number, and the records."""
        about = {"gateway": gateway, "epoch": epoch, "lane": lane, "first": self.first}
        head = json.dumps(about, separators=(",", ":"))[:-1]
        return f'{head},"records":[{",".join(self.bodies)}]}}'.encode()


def pack(rows: Iterable[Stored], records: int, size: int) -> Iterator[Batch]:
    """Cut *rows* into batches of at most *records* and *size* bytes (one record alone may be longer).

    A hole in the numbers (dropped records) ends a batch, so that `first` numbers all of them.
    """
    bodies: list[str] = []
    first = last = used = 0
    for row in rows:
        length = _bytes(row.body) + 1
        if bodies and (row.seq != last + 1 or len(bodies) >= records or used + length > size):
            yield Batch(first, last, bodies)
            bodies, used = [], 0
        if not bodies:
            first = row.seq
        bodies.append(row.body)
        last, used = row.seq, used + length
    if bodies:
        yield Batch(first, last, bodies)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
