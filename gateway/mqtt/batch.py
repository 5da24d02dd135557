"""Batches: contiguous records of a lane in one message, their stored text spliced in unchanged."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from gateway.mqtt.compress import compressed
from gateway.mqtt.outbox import Run
from gateway.reading import Lane

PAYLOAD = 128 * 1024
"""Most bytes of a payload: brokers' default limits begin at 256 KiB."""

_RECORDS, _END = b',"records":[', b"]}"


class Batch(NamedTuple):
    """A message that carries records *first* to *last*."""

    first: int
    last: int
    payload: bytes


class Envelope:
    """What is the same in all batches of one lane: who, which numbering, which lane, how it is written.

    *replay*: they were delivered before, and somebody asked for them once more.
    """

    def __init__(
        self, gateway: str, epoch: str, lane: Lane, compress: bool = False, *, replay: bool = False
    ) -> None:
        self.compress = compress
        about: dict[str, object] = {"gateway": gateway, "epoch": epoch, "lane": lane}
        if replay:
            about["replay"] = True
        self._head = json.dumps(about, separators=(",", ":"))[:-1].encode() + b',"first":'
        self.size = len(self._head) + len(str(1 << 53)) + len(_RECORDS) + len(_END)
        """Most bytes of a batch beside its records."""

    def seal(self, run: Run) -> bytes:
        """Return the message that carries *run*: the head, the first number, and the records."""
        plain = b"".join((self._head, b"%d" % run.first, _RECORDS, run.text, _END))
        return compressed(plain) if self.compress else plain

    def seal_all(self, runs: Sequence[Run]) -> list[Batch]:
        """Return the messages that carry *runs*."""
        return [Batch(run.first, run.last, self.seal(run)) for run in runs]
