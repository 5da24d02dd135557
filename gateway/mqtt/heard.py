"""What a collector hears: messages as they arrive, and what each of them is. Pure."""

import json
import re
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from gateway.mqtt.completeness import Malformed, Received, read_batch, read_object
from gateway.mqtt.compress import plain
from gateway.mqtt.topics import parse

_RECORDS, _BETWEEN = '"records":[', re.compile(r"[\s,]*")


class Message(NamedTuple):
    """What arrived. *mid* is its number at the broker; 0: nobody waits for an acknowledgement."""

    topic: str
    payload: bytes
    retained: bool
    mid: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """A batch, and the text of each of its records to the letter."""

    batch: Received
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a gateway says of itself: `status` or `meta`, as JSON text."""

    gateway: str
    face: str
    text: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A message that is not what its topic promises, and why."""

    topic: str
    why: str
    payload: bytes


Found: TypeAlias = Records | Said | Stranger


def read(prefix: str, message: Message) -> Found:
    """Return what *message* is. Nothing that a stranger could send makes it raise."""
    topic, payload = message.topic, message.payload
    where = parse(prefix, topic)
    try:
        if where is None or where.face not in ("log", "status", "meta"):
            raise Malformed("a collector does not listen to its topic")
        if where.face == "log":
            batch = read_batch(payload, where.gateway, where.name)
            return Records(batch, _texts(payload, batch))
        if read_object(payload).get("gateway") != where.gateway:
            raise Malformed("it names another gateway than its topic")
        return Said(where.gateway, where.face, payload.decode())
    except (Malformed, UnicodeDecodeError) as error:
        return Stranger(topic, str(error), payload)


def _texts(payload: bytes, batch: Received) -> tuple[str, ...]:
    """Return each record's text as it stands in the payload: hashes are made over it. Raises Malformed."""
    text, decoder = plain(payload).decode(), json.JSONDecoder()
    at, found = text.find(_RECORDS) + len(_RECORDS), list[str]()
    try:
        for record in batch.records:
            start = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            again, at = decoder.raw_decode(text, start)
            if again != record:
                raise ValueError
            found.append(text[start:at])
    except (ValueError, RecursionError):
        raise Malformed("its records do not stand in it one behind the other") from None
    return tuple(found)
