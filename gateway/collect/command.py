"""`lamppost collect`: hears gateways into a file, and says whether all of it is there."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gateway import config
from gateway.collect import report
from gateway.collect.account import books
from gateway.collect.file import File, Unusable
from gateway.mqtt.collect import Collector, Publish
from gateway.mqtt.completeness import Completeness, Malformed, Numbering
from gateway.mqtt.heard import Message, Records, read
from gateway.mqtt.holes import Range, printable
from gateway.mqtt.receipts import receipt
from gateway.mqtt.topics import receipts

INCOMPLETE, UNUSABLE = 1, 2
"""Exit status when something is missing that no gap record names; and when the file cannot be used."""
PERIOD = 10.0
"""How often a line says how far it has come [s]."""


def collect(
    settings: config.Mqtt,
    gateway: str | None,
    path: Path,
    seconds: float | None,
    as_json: bool,
    name: str | None = None,
) -> int:
    """Collect into *path* until *seconds* have passed (None: until a signal); report; return the status.

    With a *name* gateways are told under it what is here, for those that hold records until then.
    """
    try:
        file = File(path)
        try:
            desk = _Desk(settings.prefix, file, name)
            known = file.known
            collector = Collector(settings, gateway, file.client, desk.take, _say, known)
            with closing(collector), _stopped_by_signals(collector.stop):
                collector.run(float("inf") if seconds is None else time.monotonic() + seconds)
            desk.progress()
        finally:
            file.close()
    except Unusable as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    return show(path, as_json)


def show(path: Path, as_json: bool) -> int:
    """Print the report on *path*; return 1 unless all is there or explained."""
    try:
        found = books(path)
    except Unusable as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    if as_json:
        print(json.dumps(report.shape(found), ensure_ascii=False))
    else:
        print("\n".join(report.words(found)))
    return 0 if found.complete else INCOMPLETE


class _Desk:
    """Reads what arrives, has it written down, and says what is worth saying."""

    def __init__(self, prefix: str, file: File, name: str | None) -> None:
        self._prefix, self._file, self._name = prefix, file, name
        self._completeness = Completeness()
        self._refused = self._conflicts = 0
        self._due = time.monotonic() + PERIOD

    def take(self, messages: Sequence[Message]) -> Publish:
        found = [read(self._prefix, message) for message in messages]
        taken = self._file.take(found)
        self._refused += taken.refused
        self._conflicts += taken.conflicts
        if taken.refused:
            _say(f"refused messages: {taken.refused}; they are kept aside")
        if taken.conflicts:
            _say(f"records that came with another text than before: {taken.conflicts}; both are kept")
        for each in found:
            if isinstance(each, Records):
                self._follow(each)
        if time.monotonic() >= self._due:
            self.progress()
        return tuple(self._receipts(taken.runs))

    def progress(self) -> None:
        """Say how far it has come."""
        self._due = time.monotonic() + PERIOD
        seen = self._completeness
        missing = sum(last - first + 1 for spans in seen.missing().values() for first, last in spans)
        _say(
            f"{seen.records} records, {seen.duplicates} of them again, {missing} missing, "
            f"{self._conflicts} in conflict, {self._refused} messages refused"
        )

    def _receipts(self, runs: Mapping[Numbering, Range]) -> Iterator[tuple[str, bytes]]:
        for numbering, (first, last) in runs.items() if self._name else ():
            topic = receipts(self._prefix, numbering.gateway, numbering.lane)
            yield topic, receipt(numbering.epoch, first, last, str(self._name))

    def _follow(self, found: Records) -> None:
        try:
            _, news = self._completeness.take(found.batch)
        except Malformed:
            return
        for line in news:
            _say(line)


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call *stop* at SIGTERM and SIGINT, so that what has arrived is written down and acknowledged."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
